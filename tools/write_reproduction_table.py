"""Write ``docs/reproduction.md``: which claims of the five papers held, from the stored results.

The claims, and the settings of ``--full``, are read from the ``claims.py`` of each experiment in
``examples/reproduction``. Every file in ``docs/results`` with an entry ``claims`` gives one row for
each claim that it judges; a claim that no file judges is "not run". Files that lack an entry of the
table are listed below it. From the root of the tree:

    python tools/write_reproduction_table.py
"""

import importlib
import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tools")]  # `reproduction`, and the next import

from what_was_learned import what_was_learned  # noqa: E402

from reproduction.frame.verdicts import CONTROL, UNTOLD  # noqa: E402

EXPERIMENTS = {
    path.parent.name: importlib.import_module(f"reproduction.{path.parent.name}.claims")
    for path in sorted((ROOT / "examples" / "reproduction").glob("*/claims.py"))
}
TARGET = ROOT / "docs" / "reproduction.md"

PAPERS = {
    "1": ("Emergence", "Achille & Soatto, 2018, arXiv 1706.01350"),
    "2": ("Information Dropout", "Achille & Soatto, 2018, arXiv 1611.01353"),
    "3": ("Where is the Information", "Achille, Paolini & Soatto, 2019, arXiv 1905.12213"),
    "4": ("Resolution and relevance", "Song, Marsili & Jo, 2018, arXiv 1710.11324"),
    "5": ("Algorithmic complexity", "Bakhtiarifard et al., 2026, arXiv 2605.15551"),
}
# What is claimed, by number: of each paper the lettered claims, then a figure and a theorem.
CLAIMS = dict(
    sorted(
        (claim for experiment in EXPERIMENTS.values() for claim in experiment.CLAIMS.items()),
        key=lambda claim: (claim[0][0], len(claim[0]), claim[0]),
    )
)
# By claim, the result whose row comes first, where that is not the first by its name.
FIRST = {
    number: stem
    for experiment in EXPERIMENTS.values()
    for number, stem in getattr(experiment, "FIRST", {}).items()
}
COLUMNS = ("paper", "no.", "claim", "setting", "measured", "verdict", "figure", "command", "min.")
OF_RESULT = ("command", "minutes")
OF_CLAIM = ("setting", "measured", "verdict", "criterion", "numbers")
NONE = "-"

HEAD = """## Claim by claim

Written by `make reproduction-table` from the files in `results/`, which hold every number. "±" is
the standard error over seeds unless stated otherwise. Minutes are the sum over all cores or, in
brackets, wall-clock minutes on a machine with other work. If a claim has several rows, the first
has the largest data set; of the two runs of 4-a on it, the first has the authors' number of epochs,
for a single network. "digits" are those of scikit-learn, and their command needs no file. Commands
name the present location of the scripts; the runs were made before the scripts moved to
`examples/reproduction/`. The criterion of each verdict is below the table. "Memory of logits" (1-a
to 1-g) is not a network of the paper but a code for random labels, with ten separate logits for
each training image; networks are in 1-b. "Features" there are the whitened outputs of hidden layers
that keep the weights of a shared seed, so that they cost nothing, under one layer that is charged.

There are five verdicts. *Reproduced* and *partly* are defined by the criterion. *False as stated*:
the run had the power to see the claim, and saw nothing or the opposite. *Cannot be told at this
size*: neither; the runs that would decide are listed below. *Control (ours)* is not a claim of a
paper, and is not counted. If a criterion was changed after the run, the table shows both verdicts,
and the list below both criteria with the reason.
"""
TELLING = """## Runs that would decide

For the rows whose claim cannot be told at the size of the run.
"""
CRITERIA = """## Criteria

Criteria for "reproduced" and for "partly", fixed before the run unless "before" says otherwise. The
definition of a turn (1-a to 1-d) was changed once, after the records of CIFAR existed: it starts
from the price of the highest accuracy, no longer from the first price; no verdict changed. One
sentence holds for all rows of a claim unless it names results.
"""
AT_FULL_SCALE = """## At the papers' own scale

The column "setting" shows what was run instead. The papers' own networks and sizes are available
with `--full`, for a GPU: none of them was run, but the tests build each network and train it for
one step.
"""


def document(root: Path = ROOT) -> str:
    """The whole page.

    Raises:
        ValueError: a file judges a claim that has no number in the papers.
    """
    results = read_results(root)
    papers = [f"- {number}: {name}. {source}." for number, (name, source) in PAPERS.items()]
    table, counts = [line(COLUMNS), line(["---"] * len(COLUMNS))], Counter()
    for number, title in CLAIMS.items():
        judged = {
            stem: result
            for stem, result in sorted(results.items(), key=lambda row: row[0] != FIRST.get(number))
            if number in result["claims"] and was_run(result["claims"][number])
        }
        named = [PAPERS[number[0]][0], number, title]
        for stem, result in judged.items():
            table.append(line([*named, *cells(root, stem, result, number)]))
            named = ["", number, ""]
        if not judged:
            table.append(line([*named, NONE, NONE, "not run", NONE, NONE, NONE]))
        first = next(iter(judged.values()), {"claims": {number: {"verdict": "not run"}}})
        counts[first["claims"][number].get("verdict")] += 1
    controls = counts.pop(CONTROL, 0)
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    counted = f"Of {len(CLAIMS) - controls} claims, by their first row: {found}."
    learned = ["# Which claims held", "", *what_was_learned(results)]
    lines = [*learned, HEAD, counted, "", *papers, ""]
    lines += [
        *table,
        "",
        TELLING,
        *would_tell(results),
        "",
        CRITERIA,
        *criteria(results),
        "",
        AT_FULL_SCALE,
        *table_of_full_scale(),
    ]
    lacking = [f"- `results/{stem}.json` lacks {what}." for stem, what in lacks(results).items()]
    if lacking:
        lines += ["", "## What results lack", "", *lacking]
    return "\n".join(lines) + "\n"


def criteria(results: dict[str, dict]) -> list[str]:
    """By claim, the criterion of its verdict; with the names of its files where they differ."""
    lines = []
    for number in CLAIMS:
        stems = {}
        for stem, result in results.items():
            claim = result["claims"].get(number, {"verdict": "not run"})
            if was_run(claim) and "criterion" in claim:
                stems.setdefault(claim["criterion"], []).append(f"`{stem}`")
        for criterion, names in stems.items():
            of = f" ({', '.join(names)})" if len(stems) > 1 else ""
            lines.append(f"- {number}{of}: {criterion}.{further(results[names[0][1:-1]], number)}")
    return lines


def further(result: dict, number: str) -> str:
    """What the first file of a criterion says of a change, of the authors and of power."""
    claim, said = result["claims"][number], []
    if "before" in claim:
        before = claim["before"]
        said.append(f"Before: {before['criterion']}; changed because {before['why']}.")
    if "authors" in claim:
        said.append(f"The authors: {claim['authors']}.")
    if claim.get("power"):
        said.append(f"Power: {claim['power']}.")
    return "".join(f" {sentence}" for sentence in said)


def would_tell(results: dict[str, dict]) -> list[str]:
    """By claim with a row that cannot be told, which runs would tell."""
    untold = {
        number
        for result in results.values()
        for number, claim in result["claims"].items()
        if claim["verdict"] == UNTOLD
    }
    said = {}
    for experiment in EXPERIMENTS.values():
        said |= getattr(experiment, "WOULD_TELL", {})
    return [f"- {number}: {said[number]}." for number in CLAIMS if number in untold & set(said)]


def table_of_full_scale() -> list[str]:
    """By experiment, what `--full` would do."""
    rows = [
        (f"`{name}`", *experiment.AT_FULL_SIZE)
        for name, experiment in EXPERIMENTS.items()
        if hasattr(experiment, "AT_FULL_SIZE")
    ]
    return [line(row) for row in [("experiment", "claims", "with `--full`"), ["---"] * 3, *rows]]


def read_results(root: Path) -> dict[str, dict]:
    """Files with claims: whole data sets, then subsets, then scikit-learn's digits."""
    results = {}
    paths = (root / "docs" / "results").glob("*.json")
    for path in sorted(paths, key=size_order):
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict) or "claims" not in content:
            continue
        unknown = sorted(set(content["claims"]) - set(CLAIMS))
        if unknown:
            raise ValueError(
                f"Claims must be among {', '.join(CLAIMS)}. Received: {unknown} in {path.name}"
            )
        results[path.stem] = content
    return results


def size_order(path: Path) -> tuple[bool, bool, str]:
    """Sorts the files of a script by the size of their data set."""
    return "digits" in path.stem, "subset" in path.stem, path.stem


def cells(root: Path, stem: str, result: dict, number: str) -> list[str]:
    """What one file says about one claim."""
    claim = result["claims"][number]
    has_figure = (root / "docs" / "figures" / f"{stem}.png").exists()
    return [
        claim.get("setting", NONE),
        claim.get("measured", NONE),
        with_the_one_before(claim),
        f"[figure](figures/{stem}.png)" if has_figure else NONE,
        f"`{result['command']}`" if "command" in result else NONE,
        minutes(result),
    ]


def with_the_one_before(claim: dict) -> str:
    """The verdict, and what the criterion before a change gave where it differs."""
    verdict, before = claim.get("verdict", NONE), claim.get("before", {}).get("verdict")
    return verdict if before in (None, verdict) else f"{verdict} (before: {before})"


def minutes(result: dict) -> str:
    """Those of all cores together; in brackets those of the clock, where a run knows no others."""
    if "core_minutes" in result:
        return f"{result['core_minutes']:.1f}"
    return f"({result['minutes']:.1f})" if "minutes" in result else NONE


def lacks(results: dict[str, dict]) -> dict[str, str]:
    """By file, everything that the table needs and the file does not have."""
    found = {}
    for stem, result in results.items():
        missing = [name for name in OF_RESULT if name not in result]
        claims = {}  # those that lack the same
        for number, claim in result["claims"].items():
            if was_run(claim):
                names = " and ".join(name for name in OF_CLAIM if name not in claim)
                claims.setdefault(names, []).append(number)
        missing += [f"{names} of {', '.join(n)}" for names, n in claims.items() if names]
        if missing:
            found[stem] = "; ".join(missing)
    return found


def was_run(claim: dict) -> bool:
    """Whether there is anything to show."""
    return claim.get("verdict") != "not run"


def line(entries) -> str:
    """One line of the table; a bar inside a cell would end it."""
    return "| " + " | ".join(" ".join(e.replace("|", r"\|").split()) for e in entries) + " |"


if __name__ == "__main__":
    text = document()
    TARGET.write_text(text, "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(CLAIMS)} claims")
    for stem, what in lacks(read_results(ROOT)).items():
        print(f"docs/results/{stem}.json lacks {what}")
