"""Plots of the resolution-relevance plane and of rank against frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_instance,
    check_integers,
    check_numbers,
    check_positive,
    check_text,
    refusal,
)
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_rank_frequency", "plot_resolution_relevance"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_resolution_relevance(
    resolution: ArrayLike,
    relevance: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    hull: ArrayLike | None = None,
    null: ArrayLike | None = None,
    name: str | None = None,
    ax: Any = None,
) -> Axes:
    """Draws points on the plane of `H[s]` and `H[K]`, in units of `log M`.

    Args:
        resolution: Resolution of each point, `[points]`; points are joined in the given order.
        relevance: Relevance of each point, `[points]`.
        labels: Text for each point.
        hull: Pair of arrays, the curve of maximal relevance (`MaximumRelevance.hull()`).
        null: Pair of arrays, resolution and relevance of the null of each point.
        name: Legend entry of the points.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Example:
        ```python
        import keras_infobottleneck as kib

        ax = kib.plots.plot_resolution_relevance([0.9, 0.7], [0.1, 0.3], labels=["wide", "narrow"])
        ax.figure.savefig("plane.png")
        ```
    """
    resolution = check_numbers("resolution", resolution, "[points]")
    relevance = check_numbers("relevance", relevance, f"[{len(resolution)}]")
    if hull is not None:
        hull = check_numbers("hull", hull, "[2, points]")
    if null is not None:  # unknown above the resolution of all units
        null = check_numbers("null", null, "[2, points]", nan=True)
    if labels is not None:
        labels = list(check_instance("labels", labels, list | tuple, "a list of text"))
        if len(labels) != len(resolution):
            raise refusal(ValueError, "labels", f"be one for each of {len(resolution)}", labels)
        for index, text in enumerate(labels):
            check_text(f"labels[{index}]", text)
    check_text("name", name, optional=True)
    ax = axes_or_new(ax)
    if hull is not None:
        ax.plot(*hull, color="black", label="maximal relevance")
        ax.plot([0, 0.5], [0, 0.5], color="0.8", linewidth=0.8, zorder=0)
    if null is not None:
        ax.plot(*null, "x", color="0.5", label="null")
    ax.plot(resolution, relevance, "o-", label=name)
    for x, y, label in zip(resolution, relevance, labels or [], strict=labels is not None):
        ax.annotate(label, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    ax.set(xlabel="resolution H[s] / log M", ylabel="relevance H[K] / log M", xlim=(0, 1.02))
    ax.set_ylim(bottom=0)
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax


def plot_rank_frequency(
    counts: ArrayLike, *, mu: float = 1.0, name: str | None = None, ax: Any = None
) -> Axes:
    """Draws the counts of states by rank, both in log, with the line `k ~ rank^(-1 / mu)`.

    Args:
        counts: Counts `k_s` of the states, `[num_states]`.
        mu: Slope of the line; 1 is Zipf's law.
        name: Legend entry of the counts.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        ax = kib.plots.plot_rank_frequency(np.random.default_rng(0).zipf(2.0, 100))
        ax.figure.savefig("ranks.png")
        ```
    """
    counts = np.sort(check_integers("counts", counts, "[num_states]", 1))[::-1]
    check_positive("mu", mu)
    check_text("name", name, optional=True)
    ax = axes_or_new(ax)
    rank = np.arange(1, len(counts) + 1)
    (line,) = ax.loglog(rank, counts, ".", markersize=3, label=name)
    law = counts[0] * rank ** (-1 / mu)
    seen = law >= 0.5
    ax.loglog(rank[seen], law[seen], "--", color=line.get_color(), linewidth=0.8)
    ax.set(xlabel="rank", ylabel="count")
    if name:
        ax.legend()
    return ax
