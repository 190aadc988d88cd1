"""Eigenvalues by rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers, check_positive, check_text, refusal
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_spectrum"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A line of more points looks the same.
MAX_POINTS = 1000


def plot_spectrum(
    eigenvalues: ArrayLike,
    *,
    level: float | None = None,
    level_label: str = "",
    name: str | None = None,
    label: str = "eigenvalue",
    ax: Any = None,
) -> Axes:
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

    Example:
        ```python
        import keras_infobottleneck as kib

        ax = kib.plots.plot_spectrum([5.0, 2.0, 0.1, 0.01], level=0.05, level_label="free below")
        ax.figure.savefig("spectrum.png")
        ```
    """
    values = np.sort(check_numbers("eigenvalues", eigenvalues, "[count]"))[::-1]
    if not np.any(values > 0):
        raise refusal(ValueError, "eigenvalues", "hold a positive number", eigenvalues)
    check_positive("level", level, optional=True)
    check_text("level_label", level_label)
    check_text("name", name, optional=True)
    check_text("label", label)
    ax = axes_or_new(ax)
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
