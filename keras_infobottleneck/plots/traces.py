"""Running means of Markov chains, which show whether they agree and have converged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_number, check_numbers
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_traces"]


def plot_traces(traces: ArrayLike, *, marked: float | None = None, ax: Any = None) -> Any:
    """Draws the running mean of each chain's draws, over the number of draws.

    Running means of chains that have converged come together and stay there; if they do not, or all
    drift in one direction, their mean is not a valid estimate yet.

    Args:
        traces: Draws of each chain, `[chains, draws]`.
        marked: A value to mark, such as that of a regular model.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: The traces are not numbers with two axes.

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
