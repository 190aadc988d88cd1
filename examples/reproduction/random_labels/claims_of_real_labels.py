"""Verdicts of the experiment on real labels, and on labels replaced in part: 1-d and 1-g."""

import numpy as np

from reproduction.frame.verdicts import verdict
from reproduction.random_labels.transition import (
    at,
    column,
    growth,
    over_seeds,
    setting,
    shown,
    transition,
)


def real_labels_outlast_random_ones(records, settings) -> dict:
    """1-d."""
    ratios, best_beta, best_accuracy, gaps, at_one = {}, {}, {}, {}, {}
    for size in settings["sizes"]:
        real = column(records, settings, size, 0.0)
        random = column(records, settings, size, 1.0)
        ratios[size] = over_seeds(
            [
                transition(a, settings)["beta"] / transition(b, settings)["beta"]
                for a, b in zip(real, random, strict=True)
            ]
        )
        accuracy = np.mean([r["test_accuracy"] for r in real], axis=0)
        best_beta[size] = real[0]["betas"][int(accuracy.argmax())]
        best_accuracy[size] = over_seeds([max(r["test_accuracy"]) for r in real])
        gap = np.mean([r["accuracy"] for r in real], axis=0) - accuracy
        gaps[size] = dict(zip(real[0]["betas"], gap.tolist(), strict=True))
        at_one[size] = over_seeds([at(r, 1.0, "information") for r in real])
    sizes = settings["sizes"]
    slope = growth(at_one, sizes[len(sizes) // 2 :])
    outlasts = ratios[sizes[-1]]["mean"] >= 10
    rises = all(np.diff([best_accuracy[size]["mean"] for size in sizes]) > 0)
    near_one = 0.3 <= best_beta[sizes[-1]] <= 3
    saturates = slope <= 0.3 * np.log(settings["num_classes"])
    held = {"outlasts": outlasts, "rises": rises, "near_one": near_one, "saturates": saturates}
    return {
        "setting": setting(settings, "real labels"),
        "measured": f"Real labels turn at {shown(ratios[sizes[-1]])} times the price of random "
        f"ones for N = {sizes[-1]} ({shown(ratios[sizes[0]])} for {sizes[0]}); best test accuracy "
        f"{shown(best_accuracy[sizes[0]], 3)} to {shown(best_accuracy[sizes[-1]], 3)}, at beta "
        f"{best_beta[sizes[-1]]:g} for the most; {slope:.2f} nats for another example at beta 1.",
        "verdict": verdict(all(held.values()), outlasts),
        "criterion": "real labels turn at ten times the price or more for the largest N; test "
        "accuracy rises with N; its best price there is within 0.3 to 3; from the middle N on "
        "information at beta 1 grows by less than 0.3 log(classes) an example; partly: the first",
        "numbers": {
            "held": {name: bool(value) for name, value in held.items()},
            "ratio": ratios,
            "best_beta": best_beta,
            "best_test_accuracy": best_accuracy,
            "train_minus_test": gaps,
            "information_at_one": at_one,
            "nats_per_further_example": slope,
        },
    }


def price_shows_bias_and_variance(widths, records, settings) -> dict:
    """1-g."""
    sizes = settings["sizes"]
    curves = {}
    for share in (0.0, *settings["corrupted"]):
        found = column(records, settings, sizes[len(sizes) // 2], share)
        errors = np.array([[1 - a for a in r["test_accuracy"]] for r in found])
        curves[share] = [over_seeds(errors[:, i]) for i in range(errors.shape[1])]
    by_width = {
        record["parameters"]: over_seeds(
            [1 - w["test_accuracy"] for w in widths if w["units"] == record["units"]]
        )
        for record in widths
    }
    has_u = {share: is_u(curve) for share, curve in curves.items()}
    last = list(by_width.values())
    least = min(error["mean"] for error in last)
    plateau = last[-1]["mean"] <= least + max(0.01, 2 * (last[-1]["standard_error"] or 0))
    rise = {
        share: curve[0]["mean"] - min(e["mean"] for e in curve) for share, curve in curves.items()
    }
    listed = ", ".join(f"{100 * r:.1f} points at {share:.0%} random" for share, r in rise.items())
    return {
        "setting": setting(settings, "labels random in part", [sizes[len(sizes) // 2]]),
        "measured": f"From its least, test error rises towards low prices by {listed}, towards "
        f"high ones to chance; the widest network is {100 * (last[-1]['mean'] - least):.1f} points "
        f"over the best of {len(by_width)} widths.",
        "verdict": verdict(has_u[0.0] and plateau, plateau and any(has_u.values())),
        "criterion": "clean labels: least test error inside the prices, both ends over it by a "
        "point and two standard errors; the widest network within a point or two standard errors "
        "of the best; partly: the U with some share of random labels only",
        "numbers": {
            "error_by_beta": curves,
            "betas": list(settings["real_betas"]),
            "error_by_parameters": by_width,
            "is_u": has_u,
        },
    }


def is_u(curve: list[dict]) -> bool:
    """Whether both ends exceed the smallest value by a point and by two standard errors."""
    least = min(curve, key=lambda error: error["mean"])

    def is_above(end):
        error = np.hypot(end["standard_error"] or 0, least["standard_error"] or 0)
        return end["mean"] - least["mean"] > max(0.01, 2 * error)

    return is_above(curve[0]) and is_above(curve[-1])
