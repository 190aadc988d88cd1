"""Plots of the resolution-relevance plane and of rank against frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["plot_rank_frequency", "plot_resolution_relevance"]


def plot_resolution_relevance(
    resolution,
    relevance,
    *,
    labels: Sequence[str] | None = None,
    hull=None,
    null=None,
    name: str | None = None,
    ax=None,
):
    """Draw points on the plane of `H[s]` and `H[K]`, in units of `log M`.

    Args:
        resolution: `[points]`, joined in the given order.
        relevance: `[points]`.
        labels: text at each point.
        hull: pair of arrays, the curve of maximal relevance (`MaximumRelevance.hull()`).
        null: pair of arrays, resolution and relevance of the null of each point.
        name: legend entry of the points.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.
    """
    resolution, relevance = np.asarray(resolution), np.asarray(relevance)
    if resolution.ndim != 1 or resolution.shape != relevance.shape:
        raise ValueError(
            "`resolution` and `relevance` must be of one shape [points]. "
            f"Received: shapes {resolution.shape} and {relevance.shape}"
        )
    for option, pair in (("hull", hull), ("null", null)):
        if pair is not None and np.shape(pair)[:1] != (2,):
            raise ValueError(
                f"`{option}` must be a pair of arrays, resolution and relevance. "
                f"Received: {option}={pair!r}"
            )
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
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
    ax.legend()
    return ax


def plot_rank_frequency(counts, *, mu: float = 1.0, name: str | None = None, ax=None):
    """Draw the counts of states by rank, both in log, with the line `k ~ rank^(-1 / mu)`.

    Args:
        counts: `[num_states]`, the counts `k_s`.
        mu: slope of the line; 1 is Zipf's law.
        name: legend entry of the counts.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.
    """
    counts = np.sort(np.asarray(counts))[::-1]
    if counts.ndim != 1 or not len(counts) or counts[-1] < 1 or not mu > 0:
        raise ValueError(
            "`counts` must be positive and [num_states], and `mu` positive. "
            f"Received: counts of shape {counts.shape}, mu={mu}"
        )
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
    rank = np.arange(1, len(counts) + 1)
    (line,) = ax.loglog(rank, counts, ".", markersize=3, label=name)
    law = counts[0] * rank ** (-1 / mu)
    seen = law >= 0.5
    ax.loglog(rank[seen], law[seen], "--", color=line.get_color(), linewidth=0.8)
    ax.set(xlabel="rank", ylabel="count")
    if name:
        ax.legend()
    return ax
