"""The words of a verdict, and numbers over repeats as claims state them."""

import numpy as np
from scipy.stats import spearmanr

VERDICTS = ("reproduced", "partly", "not reproduced", "not run")
FIELDS = ("claim", "setting", "measured", "verdict", "criterion", "numbers")


def verdict(reproduced: bool, partly: bool = False) -> str:
    """The word for what was found."""
    return "reproduced" if reproduced else "partly" if partly else "not reproduced"


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
