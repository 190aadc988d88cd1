"""Eigenvalues by rank."""

from __future__ import annotations

import numpy as np

__all__ = ["plot_spectrum"]

# A line of more points looks the same.
MAX_POINTS = 1000


def plot_spectrum(
    eigenvalues,
    *,
    level: float | None = None,
    level_label: str = "",
    name: str | None = None,
    label: str = "eigenvalue",
    ax=None,
):
    """Draw eigenvalues by rank, largest first, both in log; zeros and below are counted in words.

    Args:
        eigenvalues: `[count]`, of a Fisher matrix or a Hessian, in any order.
        level: a height to mark, such as `beta / prior_scale^2`, below which a direction is free.
        level_label: legend entry of the level.
        name: legend entry of the eigenvalues.
        label: what they are, with their unit, written at the axis.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: eigenvalues that are not a vector of finite numbers, one of them positive, or a
            level that is not positive.
    """
    values = np.sort(np.asarray(eigenvalues, float).reshape(-1))[::-1]
    if np.ndim(eigenvalues) != 1 or not np.all(np.isfinite(values)) or not np.any(values > 0):
        raise ValueError(
            "`eigenvalues` must be a vector of finite numbers, one of them positive. "
            f"Received: eigenvalues of shape {np.shape(eigenvalues)}"
        )
    if level is not None and not 0 < level < np.inf:
        raise ValueError(f"`level` must be positive or None. Received: level={level!r}")
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
    positive = values[values > 0]
    ranks = np.unique(np.geomspace(1, len(positive), MAX_POINTS).astype(int))
    ax.loglog(ranks, positive[ranks - 1], color="black", marker=".", markersize=3, label=name)
    if level is not None:
        ax.axhline(level, color="0.4", linestyle="--", linewidth=1, label=level_label or None)
    rest = len(values) - len(positive)
    ax.set(
        xlabel="rank" + (f" ({rest:,} more are zero or negative)" if rest else ""),
        ylabel=label,
    )
    if name or level_label:
        ax.legend()
    return ax
