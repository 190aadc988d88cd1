"""A map of the information in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers, check_text, refusal
from keras_infobottleneck.plots.axes import axes_or_new

__all__ = ["plot_information_map"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_information_map(
    nats: ArrayLike, *, image: ArrayLike | None = None, label: str = "nats", ax: Any = None
) -> Axes:
    """Draws nats by position, dark where there are few, with a colour scale.

    Args:
        nats: Array `[height, width]`, or with a last axis of channels, which are summed. For an
            `InformationDropout` layer: one example of `layer.information(inputs)`.
        image: Array `[height, width]`, or with a last axis of 1, 3 or 4 channels, whose outline is
            drawn over the map, stretched to its size.
        label: Unit, written beside the scale.
        ax: Axes to draw on; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: The map or the image has another shape, or the map is not finite.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        nats = np.random.default_rng(0).random((8, 8, 3))  # [height, width, channels]
        ax = kib.plots.plot_information_map(nats)
        ax.figure.savefig("map.png")
        ```
    """
    nats = _image("nats", nats)
    nats = nats.sum(-1) if nats.ndim == 3 else nats
    check_text("label", label)
    if image is not None:
        image = _image("image", image)
        if image.ndim == 3 and image.shape[-1] in (1, 3, 4):
            image = image[..., :3].mean(-1)
        if image.ndim != 2 or min(image.shape) < 2:
            raise ValueError(
                "`image` must be [height, width], or with a last axis of 1, 3 or 4 channels. "
                f"Received: image of shape {image.shape}"
            )
    ax = axes_or_new(ax)
    height, width = nats.shape
    drawn = ax.imshow(nats, cmap="gray", extent=(0, width, height, 0), interpolation="nearest")
    if image is not None:
        rows, columns = image.shape
        x = (np.arange(columns) + 0.5) * width / columns
        y = (np.arange(rows) + 0.5) * height / rows
        middle = (image.min() + image.max()) / 2
        ax.contour(x, y, image, levels=[middle], colors="tab:orange", linewidths=1)
    ax.set_axis_off()
    ax.figure.colorbar(drawn, ax=ax, label=label)
    return ax


def _image(name: str, value: Any) -> np.ndarray:
    """Finite numbers, with or without a last axis of channels."""
    image = check_numbers(name, value, "[height, width, ...]")
    if image.ndim > 3:
        expected = "have the shape [height, width] or [height, width, channels]"
        raise refusal(ValueError, name, expected, value)
    return image
