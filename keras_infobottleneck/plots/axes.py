"""The axes in which a plot is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_infobottleneck.arguments import check_instance

__all__ = ["axes_or_new"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_or_new(ax: Any) -> Axes:
    """The given axes, or those of a new figure for None.

    Matplotlib is imported here, so that importing the package does not need it.

    Raises:
        TypeError: The argument is not matplotlib axes.
    """
    import matplotlib.axes
    import matplotlib.pyplot as plt

    check_instance("ax", ax, matplotlib.axes.Axes, "matplotlib axes", optional=True)
    return plt.subplots()[1] if ax is None else ax
