"""A number over the price of information and the number of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_number, check_numbers, check_text, refusal
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_phase_diagram"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_phase_diagram(
    num_examples: ArrayLike,
    beta: ArrayLike,
    values: ArrayLike,
    *,
    half_way: float | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "training accuracy",
    ax: Any = None,
) -> Axes:
    """Draws a number, such as the accuracy on random labels, over the plane of N and beta.

    Args:
        num_examples: Numbers of examples, `[sizes]`, increasing.
        beta: Prices, `[prices]`, increasing. The line at 1 is that of a `weight_beta`, below which
            memorising pays off.
        values: Numbers to draw, `[prices, sizes]`; NaN is left blank.
        half_way: A value at which a line is drawn.
        limits: Smallest and largest value of the scale; those of `values` by default.
        label: Text beside the scale.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes, both logarithmic.

    Raises:
        ValueError: The axes are not positive and increasing, or the values have another shape.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        accuracy = np.random.default_rng(0).random((3, 2))  # [prices, sizes]
        ax = kib.plots.plot_phase_diagram([100, 1000], [0.1, 1.0, 10.0], accuracy)
        ax.figure.savefig("diagram.png")
        ```
    """
    sizes, prices = _ticks("num_examples", num_examples), _ticks("beta", beta)
    shape = f"[{len(prices)}, {len(sizes)}]"
    values = check_numbers("values", values, shape, nan=True)
    check_number("half_way", half_way, optional=True)
    if limits is not None:
        limits = check_numbers("limits", limits, "[2]", increasing=True)
    check_text("label", label)
    ax = axes_or_new(ax)
    low, high = (np.nanmin(values), np.nanmax(values)) if limits is None else limits
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


def _ticks(name: str, value: Any) -> np.ndarray:
    """Two or more positive, increasing numbers."""
    ticks = check_numbers(name, value, "[points]", 0, open_below=True, increasing=True)
    if len(ticks) < 2:
        raise refusal(ValueError, name, "be two or more numbers", value)
    return ticks


def _edges(centres: np.ndarray) -> np.ndarray:
    """Midpoints between neighbours in log, and as far beyond the first and the last."""
    logs = np.log(centres)
    inner = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])
