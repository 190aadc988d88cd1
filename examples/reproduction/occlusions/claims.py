"""Verdicts of the experiment, computed from its records alone, with the criterion of each."""

import numpy as np

from reproduction.frame.verdicts import (
    paired,
    rank_correlation,
    said,
    spread,
    verdict,
    would_show,
)

CLAIMS = {
    "1-h": "Less information in the weights, less about nuisances, and as much about the task.",
    "2-b": "Information maps single out the digit from clutter, deeper layers more so.",
    "2-c": "As beta rises the nuisance is forgotten first; the task's error falls, then rises.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "1-h, 2-b, 2-c",
    "canvases of 96 x 96 with 21 fragments, the all-convolutional network of 96 pixels, "
    "50,000 images, 80 epochs of SGD",
)

INSIDE = 0.9  # area under the ROC curve for the image's own places
FORGOTTEN = 0.8  # error on the superimposed digit, of 0.9 by chance
FOLLOWS = 0.7  # rank correlation of quantities that should rise together
AUTHORS_BETA = 0.5  # over N, of the published heat maps
SIGNIFICANT = 0.05
SELECTS = (
    f"area under the ROC of at least {INSIDE} in a noisy layer; and for digit against clutter, "
    "paired over seeds, more in the last noisy layer than in the first, than before training, and "
    f"than 0.5 (p < {SIGNIFICANT} each); partly: one of the two"
)
PRICE_BETWEEN = 0.55  # was run later than the others (1-h)


def judge(records: list[dict], settings: dict) -> dict[str, dict]:
    """One verdict for each claim."""
    judges = {
        "1-h": (weights_forget_occlusions, "occlusion", "perceptron, ten squares in front"),
        "2-b": (information_is_inside_the_digit, "clutter", "All-CNN, cluttered images"),
        "2-c": (nuisance_is_forgotten_first, "superimposed", "All-CNN, digit upon the image"),
    }
    claims = {}
    for number, (function, task, setting) in judges.items():
        found = [record for record in records if record["task"] == task]
        size = f"{settings[task]['num_examples']} examples, {settings[task]['epochs']} epochs"
        claims[number] = {
            "setting": f"{settings['data']}, {setting}, {size}, {settings['seeds']} seeds",
            **function(found),
        }
    return claims


def judge_kept(result: dict) -> dict[str, dict]:
    """The claims of a stored result, judged again from its records."""
    judged = judge(result["records"], result["settings"])
    return {number: {**claim, **judged[number]} for number, claim in result["claims"].items()}


def information_is_inside_the_digit(records: list[dict]) -> dict:
    """Information concentrates on the digit, clutter gets little, deeper layers select more."""
    errors = by_beta(records, lambda r: r["error"])
    best = min(errors, key=lambda beta: errors[beta]["mean"])
    numbers = {"best_beta": best, "error": errors}
    numbers["digit_by_beta"] = {
        name: by_beta(records, lambda r, name=name: r["layers"][name]["digit"])
        for name in records[0]["layers"]
    }
    authors = AUTHORS_BETA if AUTHORS_BETA in errors else best
    numbers["at_best"], numbers["at_authors"] = (
        _selection([record for record in records if record["beta"] == beta])
        for beta in (best, authors)
    )
    most = {
        beta: max(layer[beta]["mean"] for layer in numbers["digit_by_beta"].values())
        for beta in errors
    }
    others = ", ".join(f"{said(errors[b], '.1%')} and {most[b]:.3f} at {b:g}" for b in errors)
    found = numbers["at_authors"]
    shallow, deep, untrained = (said(found[name]) for name in ("first", "last", "untrained"))
    rises = found["rises"]
    return {
        "measured": f"at the authors' beta ({authors:g} / N) area under the ROC "
        f"{said(found['area'])} in {found['top']}; digit against clutter {shallow} in the first "
        f"noisy layer, {deep} in the last (deeper is better in {found['deeper_in']} of "
        f"{found['seeds']} seeds), {untrained} there before training; test error and largest area "
        f"by beta N: {others}",
        "verdict": found["verdict"],
        "criterion": f"at beta = {AUTHORS_BETA:g} / N, the authors', {SELECTS}",
        "before": {
            "criterion": f"at the beta of least mean test error, {SELECTS}",
            "verdict": numbers["at_best"]["verdict"],
            "why": "the authors show their maps at one beta; that of least error is 0 here, where "
            "nothing is charged",
        },
        "authors": "canvases of 96 x 96 with 21 fragments, beta 0.5 / N",
        "power": f"paired over seeds the last layer selects {rises['mean']:.3f} more than the "
        f"first; {would_show(rises, '.3f')}",
        "numbers": numbers,
    }


def _selection(records: list[dict]) -> dict:
    """What the heat maps of one beta select, and the resulting verdict."""
    first, *_, last = records[0]["layers"]
    areas = {
        name: spread([record["layers"][name]["digit"] for record in records])
        for name in records[0]["layers"]
    }
    top = max(areas, key=lambda name: areas[name]["mean"])
    shallow, deep, untrained = (
        np.array([record[state][name]["digit_against_clutter"] for record in records])
        for state, name in (("layers", first), ("layers", last), ("untrained", last))
    )
    over = [
        paired(deep - other) if len(records) > 1 else _one(deep - other)
        for other in (shallow, untrained, 0.5)
    ]
    deeper = all(each["mean"] > 0 and each["p"] < SIGNIFICANT for each in over)
    inside = areas[top]["mean"] >= INSIDE
    return {
        "top": top,
        "area": areas[top],
        "first": spread(shallow),
        "last": spread(deep),
        "untrained": spread(untrained),
        "rises": over[0],
        "deeper_in": int(np.sum(deep > shallow)),
        "seeds": len(records),
        "verdict": verdict(inside and deeper, inside or deeper),
    }


def _one(difference) -> dict[str, float | None]:
    """A single seed, whose difference is the only number to judge by."""
    return {
        "mean": float(difference[0]),
        "standard_error": None,
        "p": 0.0,
        "detectable": None,
    }


def nuisance_is_forgotten_first(records: list[dict]) -> dict:
    """As beta rises a superimposed digit is forgotten; the error of the task falls, then rises."""
    errors = by_beta(records, lambda r: r["error"])
    nuisance = by_beta(records, lambda r: r["nuisance_error"])
    betas = sorted(errors)
    best = min(betas, key=lambda beta: errors[beta]["mean"])
    rises = rank_correlation(betas, [nuisance[beta]["mean"] for beta in betas])
    forgotten = rises >= FOLLOWS and nuisance[betas[-1]]["mean"] >= FORGOTTEN
    table = np.array(
        [
            [r["error"] for r in sorted(records, key=lambda r: r["seed"]) if r["beta"] == beta]
            for beta in betas
        ]
    )
    at = betas.index(best)
    is_inner = 0 < at < len(betas) - 1
    chances = max(len(betas) - 2, 1)  # inner betas among which the best was chosen

    def compare(differences):
        return paired(differences, chances) if len(differences) > 1 else _one(differences)

    falls, rises = compare(table[0] - table[at]), compare(table[-1] - table[at])
    shown = is_inner and all(
        each["mean"] > 0 and each["p"] * chances < SIGNIFICANT for each in (falls, rises)
    )
    in_every_seed = is_inner and bool(np.all(table[at] < np.minimum(table[0], table[-1])))
    ends = (betas[0], best, betas[-1])
    next_up = compare(table[min(at + 1, len(betas) - 1)] - table[at])
    return {
        "measured": f"at beta N = {', '.join(f'{beta:g}' for beta in ends)}: error "
        f"{', '.join(said(errors[beta], '.1%') for beta in ends)}, of the superimposed digit "
        f"{', '.join(said(nuisance[beta], '.1%') for beta in ends)}; paired over seeds the task's "
        f"error falls by {said(falls, '.2%')} from {betas[0]:g} to {best:g}, then rises by "
        f"{said(next_up, '.2%')} to the next beta",
        "verdict": verdict(forgotten and shown, forgotten or shown),
        "criterion": f"error on the superimposed digit rises with beta (rank correlation at least "
        f"{FOLLOWS}) to at least {FORGOTTEN:.0%}; and the task's error is least at an inner beta, "
        f"less there than at both ends by a paired test over seeds (p < {SIGNIFICANT} after "
        "multiplying by the number of inner betas); partly: one of the two",
        "before": {
            "criterion": "the task's error is less at the inner beta than at both ends in every "
            "seed; the rest alike",
            "verdict": verdict(forgotten and in_every_seed, forgotten or in_every_seed),
            "why": "one seed of nine must not decide; the paired test says how sure the mean is",
        },
        "power": would_show(falls, ".2%"),
        "numbers": {
            "best_beta": best,
            "error": errors,
            "nuisance_error": nuisance,
            "falls": falls,
            "rises": rises,
        },
    }


def weights_forget_occlusions(records: list[dict]) -> dict:
    """Less information in the weights leaves less about a nuisance, as much about the class."""
    weights = [record["weight_information"] for record in records]
    bounds = [record["bound"] for record in records]
    about = {
        name: [record["about"][name]["nats"] for record in records] for name in ("pattern", "class")
    }
    numbers = {
        "weight_information": by_beta(records, lambda r: r["weight_information"]),
        "error": by_beta(records, lambda r: r["error"]),
        "bound": by_beta(records, lambda r: r["bound"]),
        "pattern": by_beta(records, lambda r: r["about"]["pattern"]["nats"]),
        "class": by_beta(records, lambda r: r["about"]["class"]["nats"]),
        "largest_null": max(r["about"][name]["null"] for r in records for name in about),
        "pattern_with_weights": rank_correlation(weights, about["pattern"]),
        "pattern_with_bound": rank_correlation(bounds, about["pattern"]),
    }
    most = {name: max(each["mean"] for each in numbers[name].values()) for name in about}
    forgets = [
        beta
        for beta, each in numbers["pattern"].items()
        if each["mean"] <= 0.5 * most["pattern"]
        and numbers["class"][beta]["mean"] >= 0.9 * most["class"]
    ]
    follows = numbers["pattern_with_weights"] >= FOLLOWS
    below = all(a <= b for a, b in zip(about["pattern"], bounds, strict=True))
    tracks = numbers["pattern_with_bound"] >= FOLLOWS
    low, high = min(numbers["pattern"]), max(numbers["pattern"])
    partly = follows and below
    holds = bool(forgets) and partly and tracks
    listed = ", ".join(
        f"{numbers['pattern'][beta]['mean'] / most['pattern']:.0%} and "
        f"{numbers['class'][beta]['mean'] / most['class']:.0%} at {beta:g}"
        for beta in sorted(numbers["pattern"])
    )
    before = {}
    if PRICE_BETWEEN in numbers["pattern"]:
        at_first = [beta for beta in forgets if beta != PRICE_BETWEEN]
        before["before"] = {
            "criterion": f"the same without the price {PRICE_BETWEEN:g}",
            "verdict": verdict(bool(at_first) and partly and tracks, partly),
            "why": "the criterion fell between two prices; one more was run on the same seeds",
        }
    return {
        "measured": f"weight_beta {low:g} to {high:g}: nats about the pattern "
        f"{said(numbers['pattern'][low])} to {said(numbers['pattern'][high])}, about the class "
        f"{said(numbers['class'][low])} to {said(numbers['class'][high])}; rank correlation of the "
        f"first with information in the weights {numbers['pattern_with_weights']:.2f}; of their "
        f"most, pattern and class are at {listed}; bound "
        f"{min(bounds):.0f} to {max(bounds):.0f} nats",
        "verdict": verdict(holds, partly),
        "criterion": "information about the pattern is below the bound in every run and follows "
        f"information in the weights and the bound (rank correlations at least {FOLLOWS}), and at "
        "some weight_beta it is half of its most or less while that about the class is at least "
        "nine tenths of its most; partly: below, and follows information in the weights",
        **before,
        "numbers": numbers,
    }


def by_beta(records: list[dict], value) -> dict[float, dict]:
    """Mean and standard error over seeds, for every beta."""
    betas = sorted({record["beta"] for record in records})
    return {b: spread([value(record) for record in records if record["beta"] == b]) for b in betas}
