"""The words of a verdict, and numbers over repeats as claims state them."""

import numpy as np
from scipy.stats import spearmanr
from scipy.stats import t as student

REPRODUCED, PARTLY, NOT_RUN = "reproduced", "partly", "not run"
FALSE = "false as stated"  # with the power to see it, nothing or the opposite was found
UNTOLD = "cannot be told at this size"
CONTROL = "control (ours)"  # no claim of a paper's: not counted
VERDICTS = (REPRODUCED, PARTLY, FALSE, UNTOLD, CONTROL, NOT_RUN)
FIELDS = ("claim", "setting", "measured", "verdict", "criterion", "numbers")
# What the authors ran; what could have been seen; criterion and verdict before a change.
OPTIONAL_FIELDS = ("authors", "power", "before")


def verdict(reproduced: bool, partly: bool = False, *, false: bool = False) -> str:
    """The word for what was found.

    A claim that did not hold is false only where `false` says that the runs had the power to show
    it; otherwise larger ones would have to tell.
    """
    if reproduced:
        return REPRODUCED
    return PARTLY if partly else FALSE if false else UNTOLD


def paired(differences, comparisons: int = 1) -> dict[str, float]:
    """Differences of runs that share a seed: mean, its standard error, and what they can tell.

    Args:
        differences: one for each seed.
        comparisons: of how many such tests the p of this one is multiplied by.

    Returns:
        ``mean``, ``standard_error``, ``low`` and ``high`` of the 95 % interval of Student's t,
        ``p`` of the two-sided test against no difference, and ``detectable``: the difference that
        so many seeds with this spread would show at 5 %, divided by the comparisons, four times in
        five.
    """
    values = np.asarray(differences, float)
    degrees = len(values) - 1
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(student.ppf(0.975, degrees)) * error
    needed = float(student.ppf(1 - 0.025 / comparisons, degrees)) * error
    return {
        "mean": mean,
        "standard_error": error,
        "low": mean - half,
        "high": mean + half,
        "p": float(2 * student.sf(abs(mean) / error, degrees)) if error else float(mean == 0),
        "detectable": needed + float(student.ppf(0.8, degrees)) * error,
    }


def would_show(found: dict[str, float | None], style: str = ".3g") -> str:
    """The power of a paired comparison in words."""
    least = found["detectable"]
    if least is None:
        return "one seed shows nothing about seeds"
    return f"a difference of {least:{style}} would have shown four times in five"


def spread(values) -> dict[str, float | None]:
    """Mean over runs and its standard error; None for a single run."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "standard_error": error}


def said(spread: dict[str, float | None], style: str = ".3g") -> str:
    """Mean and standard error in words."""
    error = spread["standard_error"]
    return f"{spread['mean']:{style}}" + ("" if error is None else f" ± {error:{style}}")


def rank_correlation(a, b) -> float:
    """Spearman's, 0 where one side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def column(records: list[dict], *path: str) -> np.ndarray:
    """One number of every record."""
    for name in path:
        records = [record[name] for record in records]
    return np.array(records)
