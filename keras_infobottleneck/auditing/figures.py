"""The plots of a report, as images that a page can hold inside."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from keras_infobottleneck import plots

__all__ = ["Drawing", "bars_by_layer", "images_of"]

# A single bar shows nothing that its number does not, and more than these cannot be read.
MIN_BARS, MAX_BARS = 2, 40


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure of a part: what it shows in words, and how it is drawn.

    Attributes:
        caption: one sentence or two, which also stand in for the figure where it cannot be seen.
        draw: draws into the matplotlib axes that it is given as `ax`.
        height: inches, for a width of 6.4.
    """

    caption: str
    draw: Callable[..., Any]
    height: float = 3.4


def bars_by_layer(caption: str, nats: Mapping[str, float], **options: Any) -> Iterator[Drawing]:
    """A bar for each layer or weight, where there are several."""
    if MIN_BARS <= len(nats) <= MAX_BARS:
        draw = partial(plots.plot_information_by_layer, nats, **options)
        yield Drawing(caption, draw, 1.0 + 0.3 * len(nats))


def images_of(drawings: Iterable[Drawing]) -> list[tuple[str, str]]:
    """An image of each, as a data address and a sentence that says what it shows.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    found = []
    for drawing in drawings:
        figure = Figure(figsize=(6.4, drawing.height), layout="constrained")
        drawing.draw(ax=figure.subplots())
        stream = io.BytesIO()
        # Without its version the same report gives the same page.
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
        address = base64.b64encode(stream.getvalue()).decode("ascii")
        found.append((f"data:image/png;base64,{address}", drawing.caption))
    return found
