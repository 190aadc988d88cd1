"""What the verdicts read off its records."""

import numpy as np

MEASURES = ("ratio", "shuffled_ratio")
AT_LARGEST = "at the largest budget, where published and equal_updates are the same runs"


def regimens(records: list[dict]) -> list[str]:
    """Regimens in the order they ran."""
    return list(dict.fromkeys(record["regimen"] for record in records))


def column(record: dict, key: str) -> np.ndarray:
    """One number along a run."""
    return np.array([row[key] for row in record["rows"]], float)


def by_budget(records: list[dict], key: str) -> dict[int, float]:
    """Mean over seeds."""
    sizes = sorted({record["budget"] for record in records})
    return {n: float(np.mean([r[key] for r in records if r["budget"] == n])) for n in sizes}


def first(values: np.ndarray, condition: np.ndarray) -> float | None:
    """Find the first value where the condition holds."""
    return float(values[np.argmax(condition)]) if condition.any() else None
