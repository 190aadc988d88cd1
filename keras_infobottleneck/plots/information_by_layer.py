"""Nats, one bar for each layer."""

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
    """Draw a bar for each layer or weight, in the given order from above, and the null beside it.

    Args:
        nats: name to nats; infinite ones are written out.
        errors: name to standard error, for some or all of them.
        null: name to what the same estimator shows where there is nothing, marked by a cross.
        label: unit, written at the axis of the bars.
        name: what there is a bar of, written at the other.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: no bars, NaN, or errors or nulls of names that have no bar.

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
