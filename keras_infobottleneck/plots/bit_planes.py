"""Complexity by bit plane, next to its null."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_infobottleneck.arguments import check_instance, check_numbers
from keras_infobottleneck.plots.axes import axes_or_new

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
        ValueError: The ratios are not vectors of one length, or ``std`` does not match them.

    Example:
        ```python
        import keras_infobottleneck as kib

        ax = kib.plots.plot_bit_planes({"trained": [1.0, 0.98, 0.8], "shuffled": [1.0, 1.0, 1.0]})
        ax.figure.savefig("planes.png")
        ```
    """
    if not isinstance(ratios, Mapping):
        ratios, std = {"": ratios}, None if std is None else {"": std}
    std = {} if std is None else check_instance("std", std, Mapping, "a mapping, as `ratios` are")
    if not ratios or not std.keys() <= ratios.keys():
        raise ValueError(
            "`ratios` must hold a series, and `std` spreads of some of the series. "
            f"Received: ratios of {list(ratios)}, std of {list(std)}"
        )
    series: dict[str, np.ndarray] = {}
    for label, values in ratios.items():
        length = len(next(iter(series.values()))) if series else "num_bits"
        series[label] = check_numbers(_named("ratios", label), values, f"[{length}]")
    planes = np.arange(len(next(iter(series.values()))))
    spreads = {
        label: check_numbers(_named("std", label), spread, f"[{len(planes)}]", 0)
        for label, spread in std.items()
    }
    ax = axes_or_new(ax)
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


def _named(argument: str, label: str) -> str:
    """The name of a series in an error message."""
    return f"{argument}[{label!r}]" if label else argument
