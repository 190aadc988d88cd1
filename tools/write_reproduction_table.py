"""Write ``docs/reproduction.md``: which claims of the five papers held, from the results kept.

Every file in ``docs/results`` with an entry ``claims`` gives one row for each claim it judged; a
claim that no file judged is "not run". A file may lack what the table shows: it is then named
below the table, with all that it lacks. From the root of the tree:

    python tools/write_reproduction_table.py
"""

import json
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reproduction.md"

PAPERS = {
    "1": ("Emergence", "Achille & Soatto, 2018, arXiv 1706.01350"),
    "2": ("Information Dropout", "Achille & Soatto, 2018, arXiv 1611.01353"),
    "3": ("Where is the Information", "Achille, Paolini & Soatto, 2019, arXiv 1905.12213"),
    "4": ("Resolution and relevance", "Song, Marsili & Jo, 2018, arXiv 1710.11324"),
    "5": ("Algorithmic complexity", "Bakhtiarifard et al., 2026, arXiv 2605.15551"),
}
CLAIMS = {
    "1-a": "Random labels: a sharp transition from over- to underfitting near beta = 1, at any N.",
    "1-b": "So for other architectures, all of them before beta = 1.",
    "1-c": "Ideally a random label is stored just where beta < 1: it costs the nats it saves.",
    "1-d": "Real labels are fitted without overfitting over a wide range of beta > 1.",
    "1-e": "Random labels: information grows linearly in N, about 3 nats a label (log 10 = 2.30).",
    "1-f": "Information rises with the share of corrupted labels.",
    "1-g": "Test error is U-shaped in beta, but not in the number of weights.",
    "1-h": "Less information in the weights, less about nuisances, and as much about the task.",
    "1-i": "I(z; x) + TC(z) of a noisy linear layer falls with the noise, between two bounds.",
    "1-j": "What a representation tells about a nuisance is at most I(z; x) - I(x; y).",
    "2-a": "Information Dropout is at least as good as binary dropout, most so in small networks.",
    "2-b": "Information maps single out the digit from clutter, deeper layers more so.",
    "2-c": "As beta rises the nuisance is forgotten first; the task's error falls, then rises.",
    "2-d": "With a factorised prior the total correlation of the code falls as beta rises.",
    "2-e": "At beta = 1 and y = x the objective is that of a variational autoencoder.",
    "2-f": "The closed forms of the costs are the divergences they stand for.",
    "3-a": "With a quadratic loss the corrected covariance is optimal; the printed one is half.",
    "3-b": "The mean divergence from a prior is I(w; D) plus that of the marginal from the prior.",
    "3-c": "Information in the weights is the slope of the least Lagrangian over beta.",
    "3-d": "For logistic regression the Hessian is the Fisher matrix.",
    "3-e": "A smaller batch or a larger learning rate lowers the Fisher trace at the end.",
    "3-f": "Training on fewer classes ends at a lower Fisher trace.",
    "3-g": "Fisher information of activations scales with that of the weights, monotonically.",
    "3-h": "The Gaussian code of a trained network holds far more nats than its labels.",
    "3-thm-2.2": "Training loss and information in the weights bound the error on new data.",
    "3-fig-1": "The log determinant of the Fisher matrix rises in bumps, then falls (figure 1).",
    "4-a": "Layers of a deep belief network lie close to the curve of maximal relevance.",
    "4-b": "The layer that generates most reliably is the one nearest Zipf's law.",
    "4-c": "Maximally informative samples follow a power law; mu = 1 maximises H[s] + H[K].",
    "4-d": "Learning takes a Boltzmann machine's hidden layer towards maximal relevance.",
    "4-e": "A trained layer is more relevant than untrained and shuffled ones at one resolution.",
    "5-a": "Complexity of the weights falls below that of the initial weights in learning.",
    "5-b": "More data lowers complexity further.",
    "5-c": "Complexity rises during overfitting.",
    "5-d": "In grokking, complexity follows the delayed generalisation, not the early fit.",
    "5-e": "Complexity correlates with generalisation across runs.",
    "5-f": "The reduction sits in the most significant bit planes.",
    "5-g": "Ratios by plane predict the bit width at which accuracy collapses.",
    "5-h": "It tells apart what binary complexity, gzip and lzma do not.",
}
COLUMNS = ("paper", "no.", "claim", "setting", "measured", "verdict", "figure", "command", "min.")
OF_RESULT = ("command", "minutes")
OF_CLAIM = ("setting", "measured", "verdict", "criterion", "numbers")
NONE = "-"

HEAD = """# Which claims held

Written by `make reproduction-table` from the files in `results/`, which hold every number. "±" is
the standard error over seeds unless it says otherwise. Minutes are those of all cores together or,
in brackets, of the clock on a machine that did other things besides. Where a claim has several
rows, the first is the largest data set; "digits" are those of scikit-learn, and the command needs
no file. Commands name the scripts where they are now: the runs were made before the scripts moved
to `examples/reproduction/`. What each verdict asks for stands below the table. "Memory of logits"
(1-a to 1-g) is no network of the paper's but a code made for random labels, ten logits of its own
for each training image; ordinary networks, the paper's own among them, turn at lower prices, and
are in 1-b.
"""
CRITERIA = """## Criteria

What is asked for "reproduced" and for "partly", fixed before the run. How a turn is read (1-a to
1-d) was changed once, after CIFAR's records were there: from the price of the highest accuracy on,
no longer from the first; no verdict changed. One sentence serves all rows of a claim unless it
names results.
"""
AT_FULL_SCALE = """## At the papers' own scale

What was run instead is in the column "setting". The papers' own networks and sizes are behind
`--full`, for a GPU: none of that was run, but every such network is built and takes a step in the
tests.
"""
FULL = {
    "random_labels": (
        "1-a to 1-g",
        "small AlexNet on the images of `--data` (CIFAR-10), 5 sizes up to all 50,000, 16 prices "
        "from 0.001 to 100, 36,000 updates each; without the other codes, so 1-b is not judged (in "
        "the row of CIFAR it is one of them: 500 images, 150 updates at each price)",
    ),
    "occlusions": (
        "1-h, 2-b, 2-c",
        "canvases of 96 x 96 with 21 fragments, the all-convolutional network of 96 pixels, "
        "50,000 images, 80 epochs of SGD",
    ),
    "small_networks": (
        "2-a",
        "the all-convolutional network of 32 pixels (96 and 192 filters), all whitened images of "
        "`--data` (CIFAR-10), 200 epochs of SGD",
    ),
    "autoencoder": ("2-d, 2-e", "all of MNIST, 512 hidden units, 100 epochs, 10 seeds"),
    "information_during_training": (
        "3-e, 3-f, 3-h",
        "ResNet-18 on CIFAR-10, 30 epochs, batches of 32 to 2,048, 5 seeds",
    ),
    "resolution_relevance": (
        "4-a, 4-b, 4-d, 4-e",
        "the network of the MNIST row, 100 epochs a layer, 5 seeds",
    ),
    "weight_complexity": (
        "5-a to 5-h",
        "up to 40,000 examples of `--data`, addition modulo 97 with 512 units and 11,000 updates",
    ),
}


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
            for stem, result in results.items()
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
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    lines = [HEAD, f"Of {len(CLAIMS)} claims, by their first row: {found}.", "", *papers, ""]
    lines += [*table, "", CRITERIA, *criteria(results), "", AT_FULL_SCALE, *table_of_full_scale()]
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
            lines.append(f"- {number}{of}: {criterion}.")
    return lines


def table_of_full_scale() -> list[str]:
    """By script, what `--full` would do."""
    rows = [(f"`{script}`", claims, what) for script, (claims, what) in FULL.items()]
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
        claim.get("verdict", NONE),
        f"[figure](figures/{stem}.png)" if has_figure else NONE,
        f"`{result['command']}`" if "command" in result else NONE,
        minutes(result),
    ]


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
