"""Verdict of the experiment, from its records and nothing else."""

import numpy as np

from reproduction.frame.verdicts import said, spread, verdict

CLAIMS = {
    "2-a": "Information Dropout is at least as good as binary dropout, most so in small networks.",
}
AT_FULL_SIZE = (  # claims, and what --full runs
    "2-a",
    "the all-convolutional network of 32 pixels (96 and 192 filters), all whitened images of "
    "`--data` (CIFAR-10), 200 epochs of SGD",
)

PRIORS = ("log_uniform", "log_normal")


def judge(records: list[dict], settings: dict, num_examples: int, chosen: dict) -> dict[str, dict]:
    """The verdict on claim 2-a.

    Gains are differences of test error, binary dropout less Information Dropout, seed by seed: a
    seed fixes the training images of all methods.
    """
    widths = sorted({record["width"] for record in records})
    gains = {prior: {width: _gain(records, prior, width) for width in widths} for prior in PRIORS}
    numbers, comparable, grows = {"error": mean_errors(records)}, {}, {}
    for prior, by_width in gains.items():
        each = {width: spread(gain) for width, gain in by_width.items()}
        more = spread(by_width[widths[0]] - by_width[widths[-1]])
        comparable[prior] = all(_beyond(gain, 2) >= 0 for gain in each.values())
        grows[prior] = _beyond(more, -2) > 0
        numbers[f"{prior}_gain"] = each
        numbers[f"{prior}_gain_smallest_less_largest"] = more
    strengths = ", ".join(f"{method} {value:g}" for method, value in chosen.items())
    errors = {
        method: " and ".join(said(errors[width], ".2%") for width in (widths[0], widths[-1]))
        for method, errors in numbers["error"].items()
    }
    return {
        "2-a": {
            "setting": f"{settings['data']}, All-CNN of {widths[0]:.0%} to {widths[-1]:.0%} of the "
            f"filters {settings['blocks']}, {num_examples} examples, {settings['epochs']} epochs, "
            f"{settings['seeds']} seeds; chosen on held-out images: {strengths}",
            "measured": f"test error at {widths[0]:.0%} and {widths[-1]:.0%}: "
            + "; ".join(f"{method} {error}" for method, error in errors.items())
            + "; gain over dropout at the smallest less at the largest width: "
            + ", ".join(
                f"{prior} {said(numbers[f'{prior}_gain_smallest_less_largest'], '.2%')}"
                for prior in PRIORS
            ),
            "verdict": verdict(
                any(comparable[prior] and grows[prior] for prior in PRIORS),
                any(comparable.values()),
            ),
            "criterion": "for one of the priors at least: at no width a test error that is more "
            "than two standard errors above that of binary dropout, and a gain at the smallest "
            "width that is more than two standard errors above that at the largest; partly: the "
            "first",
            "numbers": numbers,
        }
    }


def mean_errors(records: list[dict]) -> dict[str, dict[float, dict]]:
    """Mean test error and its standard error, by method and width."""
    methods = dict.fromkeys(record["method"] for record in records)
    widths = sorted({record["width"] for record in records})
    return {
        method: {width: spread(_errors(records, method, width)) for width in widths}
        for method in methods
    }


def _errors(records, method, width):
    """Test errors in the order of the seeds."""
    found = [r for r in records if (r["method"], r["width"]) == (method, width)]
    return np.array([record["error"] for record in sorted(found, key=lambda r: r["seed"])])


def _gain(records, prior, width):
    """By how much the error is less than that of binary dropout, seed by seed."""
    return _errors(records, "dropout", width) - _errors(records, prior, width)


def _beyond(gain, errors):
    """So many standard errors from the mean."""
    return gain["mean"] + errors * (gain["standard_error"] or 0)
