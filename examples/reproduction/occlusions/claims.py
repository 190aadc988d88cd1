"""Verdicts of the experiment, from its records and nothing else; criteria in every claim."""

from reproduction.frame.verdicts import rank_correlation, said, spread, verdict

CLAIMS = {
    "1-h": "Less information in the weights, less about nuisances, and as much about the task.",
    "2-b": "Information maps single out the digit from clutter, deeper layers more so.",
    "2-c": "As beta rises the nuisance is forgotten first; the task's error falls, then rises.",
}
AT_FULL_SIZE = (  # claims, and what --full runs
    "1-h, 2-b, 2-c",
    "canvases of 96 x 96 with 21 fragments, the all-convolutional network of 96 pixels, "
    "50,000 images, 80 epochs of SGD",
)

INSIDE = 0.9  # area under the ROC for the image's own places
FORGOTTEN = 0.8  # error on the superimposed digit, of 0.9 by chance
FOLLOWS = 0.7  # rank correlation of what should rise together


def judge(records: list[dict], settings: dict) -> dict[str, dict]:
    """One verdict a claim."""
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


def information_is_inside_the_digit(records: list[dict]) -> dict:
    """Information concentrates on the digit, clutter gets little, deeper layers select more."""
    errors = by_beta(records, lambda r: r["error"])
    best = min(errors, key=lambda beta: errors[beta]["mean"])
    at_best = [record for record in records if record["beta"] == best]
    numbers = {"best_beta": best, "error": errors}
    for state in ("layers", "untrained"):
        numbers[state] = {
            name: {
                key: spread([record[state][name][key] for record in at_best])
                for key in at_best[0][state][name]
            }
            for name in at_best[0][state]
        }
    numbers["digit_by_beta"] = {
        name: by_beta(records, lambda r, name=name: r["layers"][name]["digit"])
        for name in at_best[0]["layers"]
    }
    first, *_, last = at_best[0]["layers"]
    top = max(numbers["layers"], key=lambda name: numbers["layers"][name]["digit"]["mean"])
    area = numbers["layers"][top]["digit"]
    against = [
        [record[state][name]["digit_against_clutter"] for record in at_best]
        for state, name in (("layers", first), ("layers", last), ("untrained", last))
    ]
    deeper = all(b > max(a, c, 0.5) for a, b, c in zip(*against, strict=True))
    shallow, deep, untrained = (said(spread(each)) for each in against)
    most = {
        beta: max(layer[beta]["mean"] for layer in numbers["digit_by_beta"].values())
        for beta in errors
    }
    others = ", ".join(f"{said(errors[b], '.1%')} and {most[b]:.3f} at {b:g}" for b in errors)
    return {
        "measured": f"area under the ROC at the best beta ({best:g} / N): {said(area)} in {top}; "
        f"digit against clutter {shallow} in the first noisy layer, {deep} in the last, "
        f"{untrained} there before training; test error and largest area by beta N: {others}",
        "verdict": verdict(area["mean"] >= INSIDE and deeper, area["mean"] >= INSIDE or deeper),
        "criterion": f"at the beta of least mean test error, area under the ROC of at least "
        f"{INSIDE} in a noisy layer; and for digit against clutter, with every seed more in the "
        "last noisy layer than in the first, than before training, and than 0.5; partly: one of "
        "the two",
        "numbers": numbers,
    }


def nuisance_is_forgotten_first(records: list[dict]) -> dict:
    """As beta rises a superimposed digit is forgotten; the error of the task falls, then rises."""
    errors = by_beta(records, lambda r: r["error"])
    nuisance = by_beta(records, lambda r: r["nuisance_error"])
    betas = sorted(errors)
    best = min(betas, key=lambda beta: errors[beta]["mean"])
    rises = rank_correlation(betas, [nuisance[beta]["mean"] for beta in betas])
    forgotten = rises >= FOLLOWS and nuisance[betas[-1]]["mean"] >= FORGOTTEN
    by_seed = {record["seed"]: {} for record in records}
    for record in records:
        by_seed[record["seed"]][record["beta"]] = record["error"]
    falls = best not in (betas[0], betas[-1]) and all(
        seed[best] < min(seed[betas[0]], seed[betas[-1]]) for seed in by_seed.values()
    )
    ends = (betas[0], best, betas[-1])
    return {
        "measured": f"at beta N = {', '.join(f'{beta:g}' for beta in ends)}: error "
        f"{', '.join(said(errors[beta], '.1%') for beta in ends)}, of the superimposed digit "
        f"{', '.join(said(nuisance[beta], '.1%') for beta in ends)}",
        "verdict": verdict(forgotten and falls, forgotten or falls),
        "criterion": f"error on the superimposed digit rises with beta (rank correlation at least "
        f"{FOLLOWS}) to at least {FORGOTTEN:.0%}; and the task's error is least at an inner beta, "
        "with every seed less there than at both ends; partly: one of the two",
        "numbers": {"best_beta": best, "error": errors, "nuisance_error": nuisance},
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
    return {
        "measured": f"weight_beta {low:g} to {high:g}: nats about the pattern "
        f"{said(numbers['pattern'][low])} to {said(numbers['pattern'][high])}, about the class "
        f"{said(numbers['class'][low])} to {said(numbers['class'][high])}; rank correlation of the "
        f"first with information in the weights {numbers['pattern_with_weights']:.2f}; bound "
        f"{min(bounds):.0f} to {max(bounds):.0f} nats",
        "verdict": verdict(bool(forgets) and follows and below and tracks, follows and below),
        "criterion": "information about the pattern is below the bound in every run and follows "
        f"information in the weights and the bound (rank correlations at least {FOLLOWS}), and at "
        "some weight_beta it is half of its most or less while that about the class is at least "
        "nine tenths of its most; partly: below, and follows information in the weights",
        "numbers": numbers,
    }


def by_beta(records: list[dict], value) -> dict[float, dict]:
    """Mean and standard error over seeds, for every beta."""
    betas = sorted({record["beta"] for record in records})
    return {b: spread([value(record) for record in records if record["beta"] == b]) for b in betas}
