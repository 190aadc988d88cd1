"""Nats as bars, one for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_infobottleneck.arguments import check_named_numbers, check_text
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_information_by_layer"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_information_by_layer(
    nats: Mapping[str, float],
    *,
    errors: Mapping[str, float] | None = None,
    null: Mapping[str, float] | None = None,
    label: str = "nats",
    name: str = "layer",
    ax: Any = None,
) -> Axes:
    """Draws a bar for each layer or weight, from the top in the given order, and its null.

    Args:
        nats: Nats by name; infinite values are written as text.
        errors: Standard errors by name, for some or all bars.
        null: Results of the same estimator on data without information, by name, marked by a cross.
        label: Unit of the nats, for the label of their axis.
        name: What each bar stands for, for the label of the other axis.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: There are no bars, NaN, or errors or nulls whose names have no bar.

    Example:
        ```python
        import keras_infobottleneck as kib

        ax = kib.plots.plot_information_by_layer({"hidden": 812.0, "logits": 95.0})
        ax.figure.savefig("layers.png")
        ```
    """
    nats = check_named_numbers("nats", nats, finite=False)
    values = np.array(list(nats.values()))
    if errors is not None:
        errors = check_named_numbers("errors", errors, 0, finite=False, known=nats)
    if null is not None:
        null = check_named_numbers("null", null, finite=False, known=nats)
    check_text("label", label)
    check_text("name", name)
    ax = axes_or_new(ax)
    rows = dict(zip(nats, range(len(nats)), strict=True))
    finite = np.where(np.isfinite(values), values, 0.0)
    spread = [(errors or {}).get(name, 0.0) for name in nats]
    ax.barh(list(rows.values()), finite, xerr=spread, color="0.7", edgecolor="black", capsize=2)
    for row in np.flatnonzero(~np.isfinite(values)):
        ax.text(0, float(row), " infinite", va="center", fontsize=8)
    if null:
        places = [rows[name] for name in null]
        ax.plot(list(null.values()), places, "kx", label="null")
        ax.legend()
    ax.set_yticks(list(rows.values()), list(rows))
    ax.invert_yaxis()
    ax.axvline(0.0, color="black", linewidth=0.8)
    ax.set(xlabel=label, ylabel=name)
    return ax
