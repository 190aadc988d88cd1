"""Information against its price, and the loss at that price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers, check_positive
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_information_curve"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_information_curve(
    beta: ArrayLike,
    nats: ArrayLike,
    expected_loss: ArrayLike | None = None,
    *,
    marked: float | None = None,
    ax: Any = None,
) -> Axes:
    """Draws nats over the price, and the expected loss on a second axis.

    Args:
        beta: Prices, `[points]`, increasing and positive.
        nats: Nats, `[points]`.
        expected_loss: Expected losses, `[points]`, or None.
        marked: A price to mark, such as `1 / N`.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes; those of the loss share its horizontal axis.

    Raises:
        ValueError: The arrays do not match, or the prices are not positive and increasing.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        beta = np.geomspace(1e-4, 1e-1, 10)
        ax = kib.plots.plot_information_curve(beta, np.log1p(1 / beta), marked=1e-3)
        ax.figure.savefig("curve.png")
        ```
    """
    beta = check_numbers("beta", beta, "[points]", 0, open_below=True, increasing=True)
    shape = f"[{len(beta)}]"
    nats = check_numbers("nats", nats, shape)
    loss = None if expected_loss is None else check_numbers("expected_loss", expected_loss, shape)
    check_positive("marked", marked, optional=True)
    ax = axes_or_new(ax)
    lines: list[Any] = ax.loglog(beta, nats, color="black", label="information in the weights")
    ax.set(
        xlabel="beta, price of a nat relative to the mean loss",
        ylabel="information in the weights, nats",
    )
    if loss is not None:
        right = ax.twinx()
        lines += right.plot(beta, loss, "--", color="0.4", label="expected loss")
        right.set_ylabel("expected loss, nats")
        right.set_yscale("log" if np.all(loss > 0) else "linear")
    if marked is not None:
        ax.axvline(marked, color="0.4", linestyle=":", linewidth=1)
    ax.legend(
        lines,
        [line.get_label() for line in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
    )
    return ax
