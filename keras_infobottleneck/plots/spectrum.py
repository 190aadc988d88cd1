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

# A line with more points looks the same.
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
    """Draws eigenvalues by rank, largest first, both in log; others than positive are counted.

    Args:
        eigenvalues: Eigenvalues of a Fisher matrix or a Hessian, `[count]`, in any order.
        level: A value to mark, such as `beta / prior_scale^2`, below which a direction is free.
        level_label: Legend entry of the level.
        name: Legend entry of the eigenvalues.
        label: Name and unit of the eigenvalues, for the label of their axis.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: The eigenvalues are not a vector of finite numbers, none of them is positive, or
            the level is not positive.

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
