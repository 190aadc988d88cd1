"""Complexity by bit plane, beside its null."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

__all__ = ["plot_bit_planes"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_bit_planes(
    ratios: np.ndarray | Mapping[str, np.ndarray],
    *,
    std: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Ratio of complexity to a baseline for each bit plane, with 1 (no structure) marked.

    Args:
        ratios: ``[num_bits]``, least significant plane first, or several of equal length by label.
        std: Spreads in the same form, drawn as error bars.
        ax: Axes to draw on; new ones by default.

    Returns:
        The axes: most significant plane at the left, as a number is written.

    Raises:
        ValueError: If the ratios are not vectors of one length, or ``std`` does not match them.
    """
    import matplotlib.pyplot as plt

    if not isinstance(ratios, Mapping):
        ratios, std = {"": ratios}, None if std is None else {"": np.asarray(std)}
    series = {label: np.asarray(values, float) for label, values in ratios.items()}
    shapes = {values.shape for values in series.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"ratios must be vectors of one length. Received: shapes {sorted(shapes)}")
    spreads = {label: np.asarray(values, float) for label, values in dict(std or {}).items()}
    for label, spread in spreads.items():
        if label not in series or spread.shape != series[label].shape:
            raise ValueError(
                f"std must match ratios. Received: std of {label!r} with shape {spread.shape}"
            )

    if ax is None:
        _, ax = plt.subplots()
    planes = np.arange(len(next(iter(series.values()))))
    ax.axhline(1.0, color="0.6", linewidth=1, linestyle="--")
    for label, values in series.items():
        ax.errorbar(
            planes, values, yerr=spreads.get(label), marker="o", capsize=2, label=label or None
        )
    ax.invert_xaxis()
    ax.set_xticks(planes)
    ax.set_xlabel("bit plane (most significant at the left)")
    ax.set_ylabel("complexity ratio")
    if any(series):
        ax.legend()
    return ax
