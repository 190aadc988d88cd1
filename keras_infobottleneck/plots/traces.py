"""Running means of chains: whether they agree, and have stopped to move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_number, check_numbers
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_traces"]


def plot_traces(traces: ArrayLike, *, marked: float | None = None, ax: Any = None) -> Any:
    """Draw the mean of each chain's draws so far, over the number of draws.

    Chains that draw from one distribution come together and stay; where they do not, or all move
    in one direction, their mean is no estimate yet.

    Args:
        traces: `[chains, draws]`.
        marked: a value to mark, such as that of a regular model.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: something else than numbers in two axes.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        traces = np.random.default_rng(0).gamma(0.5, size=(4, 200))
        ax = kib.plots.plot_traces(traces, marked=0.5)
        ax.figure.savefig("traces.png")
        ```
    """
    traces = check_numbers("traces", traces, "[chains, draws]")
    check_number("marked", marked, optional=True)
    ax = axes_or_new(ax)
    draws = np.arange(1, traces.shape[1] + 1)
    for chain in np.cumsum(traces, axis=1) / draws:
        ax.plot(draws, chain, color="black", alpha=0.5, linewidth=1)
    ax.axhline(traces.mean(), color="black", linestyle="--", linewidth=1, label="all chains")
    if marked is not None:
        ax.axhline(marked, color="0.4", linestyle=":", linewidth=1, label=f"{marked:g}")
    ax.set(xlabel="draws", ylabel="mean of the draws so far")
    ax.legend()
    return ax
