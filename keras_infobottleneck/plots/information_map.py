"""Where in an image the information is."""

from __future__ import annotations

import numpy as np

__all__ = ["plot_information_map"]


def plot_information_map(nats, *, image=None, label: str = "nats", ax=None):
    """Draw nats by place, dark where there are few, with a scale beside it.

    Args:
        nats: `[height, width]`, or with a last axis of channels, which are summed. For an
            `InformationDropout` layer: one example of `layer.information(inputs)`.
        image: `[height, width]` or with a last axis of 1, 3 or 4 channels, whose outline is drawn
            over the map, stretched to its size.
        label: unit, written beside the scale.
        ax: axes to draw into; new ones by default.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: a map, or an image, of another shape, or a map that is not finite.
    """
    nats = np.asarray(nats, float)
    if nats.ndim not in (2, 3) or nats.size == 0 or not np.all(np.isfinite(nats)):
        raise ValueError(
            "`nats` must be finite numbers [height, width] or [height, width, channels]. "
            f"Received: nats of shape {nats.shape}"
        )
    nats = nats.sum(-1) if nats.ndim == 3 else nats
    if image is not None:
        image = np.asarray(image, float)
        if image.ndim == 3 and image.shape[-1] in (1, 3, 4):
            image = image[..., :3].mean(-1)
        if image.ndim != 2 or min(image.shape) < 2:
            raise ValueError(
                "`image` must be [height, width], or with a last axis of 1, 3 or 4 channels. "
                f"Received: image of shape {image.shape}"
            )
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1] if ax is None else ax
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
