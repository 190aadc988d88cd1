"""Verdict of the experiment, computed from its records alone."""

import numpy as np

from reproduction.frame.verdicts import paired, said, spread, verdict, would_show

CLAIMS = {
    "2-a": "Information Dropout is at least as good as binary dropout, most so in small networks.",
}
AT_FULL_SIZE = (  # claims, and the settings of --full
    "2-a",
    "the all-convolutional network of 32 pixels (96 and 192 filters), all whitened images of "
    "`--data` (CIFAR-10), 200 epochs of SGD",
)

PRIORS = ("log_uniform", "log_normal")
AUTHORS_DROPOUT = "dropout that keeps 0.5"
CRITERION = (
    "for one of the priors at least: at no width a test error that is more than two standard "
    "errors above that of binary dropout, and a gain at the smallest width that is more than two "
    "standard errors above that at the largest; partly: the first"
)


def judge(records: list[dict], settings: dict, num_examples: int, chosen: dict) -> dict[str, dict]:
    """The verdict on claim 2-a against the authors' comparator, with the tuned rate in addition.

    Gains are differences of test error, binary dropout minus Information Dropout, for each seed: a
    seed fixes the training images of all methods.
    """
    widths = sorted({record["width"] for record in records})
    errors = mean_errors(records)
    authors, tuned = (
        _against(records, widths, dropout) for dropout in (AUTHORS_DROPOUT, "dropout")
    )
    strengths = ", ".join(f"{method} {value:g}" for method, value in chosen.items())
    listed = {
        method: " and ".join(
            said(errors[method][width], ".2%") for width in (widths[0], widths[-1])
        )
        for method in errors
    }
    return {
        "2-a": {
            "setting": f"{settings['data']}, All-CNN of {widths[0]:.0%} to {widths[-1]:.0%} of the "
            f"filters {settings['blocks']}, {num_examples} examples, {settings['epochs']} epochs, "
            f"{settings['seeds']} seeds; chosen on held-out images: {strengths}",
            "measured": f"test error at {widths[0]:.0%} and {widths[-1]:.0%}: "
            + "; ".join(f"{method} {error}" for method, error in listed.items())
            + f"; gain over {AUTHORS_DROPOUT} at the smallest and at the largest width: "
            + _gains_said(authors, widths)
            + "; over dropout of the rate chosen: "
            + _gains_said(tuned, widths),
            "verdict": authors["verdict"],
            "criterion": f"against the comparator of the authors, {AUTHORS_DROPOUT} at every "
            f"width: {CRITERION}",
            "before": {
                "criterion": f"against dropout of a rate chosen on held-out images: {CRITERION}",
                "verdict": tuned["verdict"],
                "why": "the authors compare with an untuned rate; the tuned one asks another "
                "question, which the row answers beside it",
            },
            "authors": "CIFAR-10, 96 and 192 filters, dropout that keeps 0.5 at every width",
            "power": "between the widths, "
            + "; ".join(
                f"{prior}: {would_show(authors[prior]['smallest_less_largest'], '.1%')}"
                for prior in PRIORS
            ),
            "numbers": {"error": errors, "over_authors_dropout": authors, "over_tuned": tuned},
        }
    }


def judge_kept(result: dict) -> dict[str, dict]:
    """The claim of a stored result, judged again; unchanged without the authors' comparator."""
    if AUTHORS_DROPOUT not in {record["method"] for record in result["records"]}:
        return result["claims"]
    size = int(result["claims"]["2-a"]["setting"].split(" examples")[0].split()[-1])
    judged = judge(result["records"], result["settings"], size, result["chosen"])
    return {number: {**claim, **judged[number]} for number, claim in result["claims"].items()}


def _against(records, widths, dropout) -> dict:
    """Gains of both priors over one kind of dropout, and the resulting verdict."""
    found, comparable, grows = {}, {}, {}
    for prior in PRIORS:
        gains = {
            width: _errors(records, dropout, width) - _errors(records, prior, width)
            for width in widths
        }
        each = {width: spread(gain) for width, gain in gains.items()}
        more = gains[widths[0]] - gains[widths[-1]]
        comparable[prior] = all(_beyond(gain, 2) >= 0 for gain in each.values())
        grows[prior] = _beyond(spread(more), -2) > 0
        found[prior] = {"gain": each, "smallest_less_largest": paired(more)}
    word = verdict(
        any(comparable[prior] and grows[prior] for prior in PRIORS), any(comparable.values())
    )
    return {**found, "verdict": word}


def _gains_said(found, widths) -> str:
    return ", ".join(
        f"{prior} "
        + " and ".join(
            said(found[prior]["gain"][width], ".2%") for width in (widths[0], widths[-1])
        )
        for prior in PRIORS
    )


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


def _beyond(gain, errors):
    """The mean plus this number of standard errors."""
    return gain["mean"] + errors * (gain["standard_error"] or 0)
