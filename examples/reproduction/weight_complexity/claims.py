"""Verdicts of the experiment, computed from its records alone.

Each claim has its criterion next to its numbers. "Structure" always means the ratio to the model's
own shuffled weights: the part of a reduction that is arrangement, not distribution of values.
"""

import numpy as np
from scipy.stats import binom

from reproduction.frame.verdicts import FALSE, UNTOLD, rank_correlation, said, spread, verdict
from reproduction.weight_complexity.claims_of_planes import (
    bit_widths_judged,
    it_sits_in_the_top_planes,
    planes_predict_bit_width,
)
from reproduction.weight_complexity.reading import (
    AT_LARGEST,
    MEASURES,
    by_budget,
    column,
    first,
    regimens,
)

CLAIMS = {
    "5-a": "Complexity of the weights falls below that of the initial weights in learning.",
    "5-b": "More data lowers complexity further.",
    "5-c": "Complexity rises during overfitting.",
    "5-d": "In grokking, complexity follows the delayed generalisation, not the early fit.",
    "5-e": "Complexity correlates with generalisation across runs.",
    "5-f": "The reduction sits in the most significant bit planes.",
    "5-g": "Ratios by plane predict the bit width at which accuracy collapses.",
    "5-h": "It tells apart what binary complexity, gzip and lzma do not.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "5-a to 5-h",
    "up to 40,000 examples of `--data`, addition modulo 97 with 512 units and 11,000 updates",
)

WOULD_TELL = {  # runs that would settle claims which these cannot
    "5-c": "more runs of the authors' largest budget: complexity rises in one of five",
    "5-d": "more seeds at the authors' width, whose row ends at 0.902 of shuffled: at half of it "
    "one run ended at 0.99003, where the criterion needs less than 0.99",
    "5-f": "pretrained networks, which the paper's claim is about",
    "5-h": "more runs: here complexity and the best comparator are equally good",
}

LEVEL = 0.05  # of tests
OVER_BUDGETS = ("5-b", "5-e", "5-g", "5-h")  # claims of runs with several numbers of examples
COMPARATORS = ("sign_bits", "gzip_raw", "lzma_raw", "gzip_planes", "lzma_planes")


# The authors' settings, if a verdict depends on them.
AUTHORS = {
    "5-c": "the history is logged for the largest budget alone, 20,000 to 40,000 images",
    "5-d": "addition modulo 97, width 512, 11,000 updates of the full batch",
    "5-f": "pretrained networks against a random start of the same shapes, without clipping",
}


def judge(records: list[dict], settings: dict) -> dict[str, dict]:
    """One verdict for each claim; claims whose runs were not requested are left out."""
    budgets = [record for record in records if record["task"] == "budgets"]
    grokking = [record for record in records if record["task"] == "grokking"]
    judged = {
        "5-a": (learning_lowers_complexity, budgets),
        "5-b": (more_data_lowers_it_further, budgets),
        "5-c": (overfitting_raises_it, budgets),
        "5-d": (it_follows_delayed_generalisation, grokking),
        "5-e": (it_correlates_with_generalisation, budgets),
        "5-f": (it_sits_in_the_top_planes, budgets),
        "5-g": (planes_predict_bit_width, budgets),
        "5-h": (it_tells_more_than_comparators, budgets),
    }
    if len({record["budget"] for record in budgets}) < 2:
        judged = {name: of for name, of in judged.items() if name not in OVER_BUDGETS}
    mlp = (
        f"{settings['data']}, MLP 1024-512-256 x {settings['width']:g}, 8 bits, up to "
        f"{max((r['budget'] for r in budgets), default=0)} examples, {settings['seeds']} seeds"
    )
    adder = (
        f"addition modulo {settings['modulus']}, width {settings['grok_width']}, 4 bits, "
        f"{settings['grok_updates']} updates, {settings['seeds']} seeds"
    )
    return {
        name: {
            "setting": adder if found is grokking else mlp,
            **({"authors": AUTHORS[name]} if name in AUTHORS else {}),
            **function(found),
        }
        for name, (function, found) in judged.items()
        if found
    }


def learning_lowers_complexity(records: list[dict]) -> dict:
    """Complexity falls below that of the initial weights as models learn."""
    largest = max(record["budget"] for record in records)
    numbers = {}
    for regimen in regimens(records):
        found = [r for r in records if r["regimen"] == regimen and r["budget"] == largest]
        numbers[regimen] = {m: spread([r[m] for r in found]) for m in MEASURES}
    falls = [numbers[regimen]["ratio"]["mean"] < 0.99 for regimen in numbers]
    structured = [numbers[regimen]["shuffled_ratio"]["mean"] < 0.99 for regimen in numbers]
    return {
        "verdict": verdict(all(falls) and all(structured), any(falls)),
        "criterion": "largest budget: ratio to initial and to shuffled both under 0.99 under every "
        "regimen; partly: ratio to initial under some",
        "measured": f"of initial (of shuffled), {AT_LARGEST}: "
        + "; ".join(
            f"{regimen} {said(n['ratio'], '.3f')} ({said(n['shuffled_ratio'], '.3f')})"
            for regimen, n in numbers.items()
        ),
        "numbers": numbers,
    }


def more_data_lowers_it_further(records: list[dict]) -> dict:
    """More data lowers complexity further."""
    numbers = {}
    for regimen in regimens(records):
        found = [r for r in records if r["regimen"] == regimen]
        numbers[regimen] = {
            m: rank_correlation([r["budget"] for r in found], [r[m] for r in found])
            for m in MEASURES
        }
        numbers[regimen]["ratio_by_budget"] = by_budget(found, "ratio")
        numbers[regimen]["shuffled_ratio_by_budget"] = by_budget(found, "shuffled_ratio")
    strong = {regimen: numbers[regimen]["ratio"] < -0.7 for regimen in numbers}
    return {
        "verdict": verdict(all(strong.values()), strong["published"]),
        "criterion": "rank correlation of budget and ratio under -0.7 under every regimen; partly: "
        "at equal epochs only, where more data also means more updates",
        "measured": "rank correlation of budget and ratio: "
        + "; ".join(f"{regimen} {n['ratio']:+.2f}" for regimen, n in numbers.items()),
        "numbers": numbers,
    }


def overfitting_raises_it(records: list[dict]) -> dict:
    """Complexity rises while a model overfits."""
    numbers = {}
    for regimen in regimens(records):
        rises = {m: [] for m in MEASURES}
        for record in records:
            losses = column(record, "test_crossentropy")
            best = int(np.argmin(losses))
            if record["regimen"] == regimen and losses[-1] > 1.05 * losses[best]:
                for m in MEASURES:
                    values = column(record, f"qubd_{m}")
                    rises[m].append(values[-1] - values[best])
        numbers[regimen] = {"runs_that_overfit": len(rises["ratio"])}
        for m in MEASURES:
            numbers[regimen][f"{m}_change"] = spread(rises[m]) if rises[m] else None
            numbers[regimen][f"{m}_rises"] = int(np.sum(np.array(rises[m]) > 0))
    return overfitting_judged(numbers, len({record["seed"] for record in records}))


def overfitting_judged(numbers: dict[str, dict], num_seeds: int) -> dict:
    """Verdict on 5-c, from the numbers of runs that overfit and in which complexity rises."""
    runs = sum(each["runs_that_overfit"] for each in numbers.values())
    rose = sum(each["ratio_rises"] for each in numbers.values())
    # Two regimens share their largest budget: a run in both of them is counted once.
    distinct = max(runs - num_seeds, rose)
    is_rare = runs > 0 and binom.cdf(rose, distinct, 0.5) < LEVEL
    found = verdict(rose >= 0.9 * runs, rose >= 0.5 * runs) if runs else "not run"
    criterion = "runs whose test loss ends 5 % above its least: ratio higher at the end than at "
    criterion += "the least test loss in nine of ten; partly: in half"
    return {
        "verdict": FALSE if is_rare and found == UNTOLD else found,
        "criterion": f"{criterion}; false as stated: in so few that a coin would rise as rarely in "
        "less than one of twenty such sets, runs that two regimens share counted once",
        "measured": f"of {runs} runs whose test loss rises 5 %, the ratio rises in {rose}",
        "before": {
            "criterion": criterion,
            "verdict": found,
            "why": "rises that are rare among enough runs tell that the claim does not hold",
        },
        "numbers": numbers,
    }


def it_follows_delayed_generalisation(records: list[dict]) -> dict:
    """In grokking, complexity follows delayed generalisation, not the early fit."""
    runs = []
    for record in records:
        updates = column(record, "epoch") * record["updates_per_row"]
        test = column(record, "test_accuracy")
        structure, ratio = column(record, "qubd_shuffled_ratio"), column(record, "qubd_ratio")
        run = {
            "weight_decay": record["weight_decay"],
            "seed": record["seed"],
            "updates_to_fit": first(updates, column(record, "train_accuracy") >= 0.99),
            "updates_to_generalise": first(updates, test >= 0.95),
            "test_accuracy": test[-1],
            "structure_start": structure[0],
            "structure_end": structure[-1],
            "updates_to_half_fall": first(updates, structure <= (structure[0] + structure[-1]) / 2),
            "correlation_with_test_accuracy": rank_correlation(test, structure),
            "ratio_to_initial_end": ratio[-1],
            "updates_to_half_fall_of_ratio": first(updates, ratio <= (ratio[0] + ratio[-1]) / 2),
        }
        runs.append(run)
    return grokking_judged(runs)


def grokking_judged(runs: list[dict]) -> dict:
    """Verdict on 5-d, from the steps of each run to fit, to generalise, and to fall half-way."""
    needed = ("updates_to_fit", "updates_to_generalise")
    grokked = [r for r in runs if r["weight_decay"] > 0 and all(r[n] is not None for n in needed)]
    controls = [r for r in runs if r["weight_decay"] == 0]
    follows = [
        r["structure_end"] < 0.99
        and abs(np.log(r["updates_to_half_fall"] / r["updates_to_generalise"]))
        < abs(np.log(r["updates_to_half_fall"] / r["updates_to_fit"]))
        for r in grokked
    ]
    quiet = [r["structure_end"] > 0.99 for r in controls if r["test_accuracy"] < 0.5]
    return {
        "verdict": verdict(bool(follows) and all(follows) and all(quiet), any(follows)),
        "criterion": "ratio to shuffled ends under 0.99 and is half-way there nearer (in log "
        "updates) to 95 % test than to 99 % training accuracy in every run that generalises, and "
        "stays above 0.99 in controls that do not; partly: in some",
        "measured": "; ".join(
            f"generalises at update {r['updates_to_generalise']:.0f} (fits at "
            f"{r['updates_to_fit']:.0f}), is half-way down at {r['updates_to_half_fall']:.0f}, "
            f"ends at {r['structure_end']:.4f} of shuffled"
            for r in grokked
        )
        + f"{'' if grokked else 'no run fits and generalises'}; controls without decay end at "
        + ", ".join(f"{r['structure_end']:.4f}" for r in controls),
        "numbers": {"runs": runs},
    }


def it_correlates_with_generalisation(records: list[dict]) -> dict:
    """Complexity correlates with generalisation across runs."""
    numbers = {}
    for regimen in [*regimens(records), "all"]:
        found = [r for r in records if regimen in (r["regimen"], "all")]
        accuracy = [r["test_accuracy"] for r in found]
        numbers[regimen] = {m: rank_correlation(accuracy, [r[m] for r in found]) for m in MEASURES}
        numbers[regimen]["budget"] = rank_correlation(accuracy, [r["budget"] for r in found])
    strong = [numbers[regimen]["ratio"] < -0.7 for regimen in numbers]
    return {
        "verdict": verdict(all(strong), any(strong)),
        "criterion": "rank correlation of ratio and test accuracy under -0.7 within every regimen "
        "and over all runs; partly: in some. The budget's own correlation stands beside it",
        "measured": "rank correlation of ratio and test accuracy (of budget): "
        + "; ".join(
            f"{regimen} {n['ratio']:+.2f} ({n['budget']:+.2f})" for regimen, n in numbers.items()
        ),
        "numbers": numbers,
    }


def it_tells_more_than_comparators(records: list[dict]) -> dict:
    """Complexity distinguishes runs that sign planes, gzip and lzma do not."""
    numbers = {}
    for regimen in [*regimens(records), "all"]:
        found = [r for r in records if regimen in (r["regimen"], "all")]
        accuracy = [r["test_accuracy"] for r in found]
        values = {m: [r[m] for r in found] for m in MEASURES}
        values |= {c: [r["comparators"][c] for r in found] for c in COMPARATORS}
        numbers[regimen] = {name: rank_correlation(accuracy, v) for name, v in values.items()}
    return {**comparators_judged(numbers, len(records)), "numbers": numbers}


def comparators_judged(numbers: dict, num_runs: int) -> dict[str, str]:
    """Entry of 5-h, from its rank correlations over this number of runs."""
    wins = {c: [abs(n["ratio"]) > abs(n[c]) + 0.1 for n in numbers.values()] for c in COMPARATORS}
    best = {regimen: max((n[c] for c in COMPARATORS), key=abs) for regimen, n in numbers.items()}
    # Fisher's transform of a correlation over n runs has a standard error of 1 / sqrt(n - 3).
    error = np.sqrt(2 / (num_runs - 3)) if num_runs > 3 else np.inf
    ahead = np.arctanh(min(abs(best["all"]), 0.999)) - np.arctanh(abs(numbers["all"]["ratio"]))
    return {
        "verdict": verdict(
            all(all(won) for won in wins.values()),
            any(all(won) for won in wins.values()),
            false=ahead > 2 * error,
        ),
        "criterion": "size of the rank correlation with test accuracy beats that of every "
        "comparator (gzip and lzma of the weights and of the same bit planes, entropy of signs) by "
        "0.1 within every regimen and over all runs; partly: of some comparator; false as stated: "
        "over all runs a comparator is ahead, by two standard errors of Fisher's transform",
        "measured": "rank correlation with test accuracy, ratio and best comparator: "
        + "; ".join(
            f"{regimen} {n['ratio']:+.2f} and {best[regimen]:+.2f}"
            for regimen, n in numbers.items()
        ),
        "power": f"over all {num_runs} runs the best comparator is ahead by {ahead:.2f} in "
        f"Fisher's transform, whose standard error is {error:.2f}",
    }


def judge_kept(result: dict) -> dict[str, dict]:
    """The claims of a stored result, judged again from the numbers in it."""
    claims = {number: dict(claim) for number, claim in result["claims"].items()}
    if "5-h" in claims:
        settings = result["settings"]
        num_runs = len(claims["5-h"]["numbers"]) - 1  # regimens, beside all of them together
        num_runs *= len(settings["budgets"]) * settings["seeds"]
        claims["5-g"] |= bit_widths_judged(claims["5-g"]["numbers"], num_runs)
        claims["5-h"] |= comparators_judged(claims["5-h"]["numbers"], num_runs)
    if "5-c" in claims:
        claims["5-c"] |= overfitting_judged(claims["5-c"]["numbers"], result["settings"]["seeds"])
    if "5-d" in claims:
        claims["5-d"] |= grokking_judged(claims["5-d"]["numbers"]["runs"])
    for number, authors in AUTHORS.items():
        if number in claims:
            claims[number]["authors"] = authors
    return claims
