"""The code length of a label, over the labels coded before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_count, check_integers, check_numbers
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_code_length"]


def plot_code_length(ends: Any, block_nats: Any, *, num_classes: int, ax: Any = None) -> Any:
    """Draws nats per label in each block, over the number of labels at its end.

    The area under the curve, on a linear axis, is the length of the code; the dashed line is the
    code length of a label without a model.

    Args:
        ends: Number of labels up to the end of each block, `[blocks]`, increasing.
        block_nats: Length of the code of each block, `[blocks]`.
        num_classes: Number C of classes: without a model a label costs `log C`.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: The arrays do not match each other.

    Example:
        ```python
        import keras_infobottleneck as kib

        ax = kib.plots.plot_code_length([10, 20, 40], [6.9, 5.0, 4.0], num_classes=2)
        ax.figure.savefig("code.png")
        ```
    """
    ends = check_integers("ends", ends, "[blocks]", 1)
    check_numbers("ends", ends, "[blocks]", increasing=True)
    block_nats = check_numbers("block_nats", block_nats, f"[{len(ends)}]", 0)
    check_count("num_classes", num_classes, 2)
    ax = axes_or_new(ax)
    per_label = block_nats / np.diff(ends, prepend=0)
    ax.plot(ends, per_label, "o-", color="black", label="labels")
    ax.axhline(np.log(num_classes), color="0.4", linestyle="--", linewidth=1, label="no model")
    ax.set(xscale="log", xlabel="labels told", ylabel="nats for a label of the block")
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax
