"""A number over the price of information and the number of examples."""

from __future__ import annotations

import numpy as np

__all__ = ["plot_phase_diagram"]


def plot_phase_diagram(
    num_examples,
    beta,
    values,
    *,
    half_way: float | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "training accuracy",
    ax=None,
):
    """Draw a number, such as the accuracy on random labels, on the plane of N and beta.

    Args:
        num_examples: `[sizes]`, increasing.
        beta: `[prices]`, increasing; as `weight_beta`, 1 is marked: below it memorising pays.
        values: `[prices, sizes]`; NaN is left blank.
        half_way: a value at which a line is drawn.
        limits: smallest and largest value of the scale; those of `values` by default.
        label: written beside the scale.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes, both in log.

    Raises:
        ValueError: axes that are not positive and increasing, or values of another shape.
    """
    axes = {"num_examples": np.asarray(num_examples, float), "beta": np.asarray(beta, float)}
    for name, ticks in axes.items():
        if ticks.ndim != 1 or len(ticks) < 2 or not ticks[0] > 0 or not np.all(np.diff(ticks) > 0):
            raise ValueError(
                f"`{name}` must be two or more positive numbers, increasing. "
                f"Received: {name}={ticks.tolist()}"
            )
    sizes, prices = axes.values()
    values = np.asarray(values, float)
    if values.shape != (len(prices), len(sizes)):
        raise ValueError(
            f"`values` must be [prices, sizes], {(len(prices), len(sizes))}. "
            f"Received: values of shape {values.shape}"
        )
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
    low, high = limits or (np.nanmin(values), np.nanmax(values))
    drawn = ax.pcolormesh(
        _edges(sizes), _edges(prices), values, cmap="cividis", vmin=low, vmax=high
    )
    if half_way is not None:
        lines = ax.contour(sizes, prices, values, levels=[half_way], colors="white")
        ax.clabel(lines)
    ax.axhline(1.0, color="black", linestyle=":", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="number of examples N", ylabel="beta")
    ax.figure.colorbar(drawn, ax=ax, label=label)
    return ax


def _edges(centres: np.ndarray) -> np.ndarray:
    """Half-way between neighbours in log, and as far beyond the first and the last."""
    logs = np.log(centres)
    inner = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])
