"""Task loss, accuracy, nats and kept weights over the price of information."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_infobottleneck.arguments import described
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_beta_sweep"]


def plot_beta_sweep(
    beta: np.ndarray,
    *,
    task_loss: np.ndarray,
    nats: np.ndarray,
    kept_weights: np.ndarray,
    accuracy: np.ndarray | None,
    validation_task_loss: np.ndarray | None,
    validation_accuracy: np.ndarray | None,
    label_nats: float | None,
    turn: Any,
    ax: Any = None,
) -> np.ndarray:
    """Draws a sweep in two panels, with a logarithmic axis of prices.

    Args:
        beta, task_loss, nats, kept_weights, accuracy, validation_task_loss, validation_accuracy:
            Arrays `[prices]`, or None for those that do not exist.
        label_nats: Information in all labels, drawn as a horizontal line in the panel of the nats.
        turn: A turning point, with `beta`, `lower` and `upper`.
        ax: A sequence of two axes; new ones by default.

    Returns:
        The two axes, losses above nats.

    Raises:
        TypeError: `ax` is not two axes.
    """
    upper, lower = _two_axes(ax)
    upper.plot(beta, task_loss, "k-", marker="o", label="task loss, training")
    if validation_task_loss is not None:
        upper.plot(beta, validation_task_loss, "k--", marker="s", label="task loss, validation")
    shares = {"accuracy, training": accuracy, "accuracy, validation": validation_accuracy}
    right = _shares(upper, beta, {k: v for k, v in shares.items() if v is not None}, "accuracy")
    upper.set(xscale="log", ylabel="task loss per example")
    lower.plot(beta, nats, "k-", marker="o", label="nats in the weights")
    if label_nats is not None:
        lower.axhline(
            label_nats, color="tab:red", linestyle=":", label="nats in the labels, N H(y)"
        )
    kept = _shares(lower, beta, {"weights kept": kept_weights}, "share of weights")
    lower.set(
        xscale="log",
        yscale="log" if np.all(nats > 0) else "linear",
        xlabel="weight_beta, price of a nat",
        ylabel="nats in the weights",
    )
    for axes in (upper, lower):
        if not math.isnan(turn.beta):
            axes.axvline(turn.beta, color="0.4", linewidth=1)
            low, high = max(turn.lower, beta[0]), min(turn.upper, beta[-1])
            axes.axvspan(low, high, color="0.9", zorder=0, label="turns here")
    for axes, other in ((upper, right), (lower, kept)):
        handles = axes.get_legend_handles_labels(), other.get_legend_handles_labels()
        lines, labels = (list(a) + list(b) for a, b in zip(*handles, strict=True))
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3}
        axes.legend(lines, labels, fontsize="small", frameon=False, **place)
    return np.array([upper, lower], dtype=object)


def _two_axes(ax: Any) -> tuple[Any, Any]:
    """The given axes, checked, or those of a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt

        return tuple(plt.subplots(2, sharex=True, figsize=(6.4, 7.2), layout="constrained")[1])
    try:
        count = len(ax)
    except TypeError:
        count = None
    if count != 2:
        raise TypeError(f"`ax` must be two matplotlib axes or None. Received: ax={described(ax)}")
    upper, lower = (axes_or_new(axes) for axes in ax if axes is not None)
    return upper, lower


def _shares(ax: Any, beta: np.ndarray, curves: dict[str, np.ndarray], label: str) -> Any:
    """Draws shares on a second axis at the right; returns it."""
    right = ax.twinx()
    right.set(ylim=(0, 1.05), ylabel=label)
    for (name, values), style in zip(curves.items(), ("-", "--"), strict=False):
        right.plot(beta, values, style, color="tab:blue", marker=".", label=name)
    if not curves:
        right.set_axis_off()
    return right
