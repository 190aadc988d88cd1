"""The plots of a report, as images that can be embedded in a page."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from keras_infobottleneck import plots

__all__ = ["Drawing", "bars_by_layer", "images_of"]

# A single bar shows no more than its number, and more bars than this cannot be read.
MIN_BARS, MAX_BARS = 2, 40
# Width in inches, readable on a telephone too, and dots per inch for its high resolution.
WIDTH, DPI = 5.0, 150


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Figure of a part of the report: its caption, and the function that draws it.

    Attributes:
        caption: One or two sentences, which also replace the figure if it cannot be seen.
        draw: Function that draws into the matplotlib axes `ax`.
        height: Height in inches, for a width of 5.

    Example:
        ```python
        from keras_infobottleneck import plots
        from keras_infobottleneck.auditing import Drawing

        drawing = Drawing(
            "Nats by layer.", lambda ax=None: plots.plot_information_by_layer({"head": 3.0}, ax=ax)
        )
        print(drawing.caption)
        ```

        ```text
        Nats by layer.
        ```
    """

    caption: str
    draw: Callable[..., Any]
    height: float = 3.4


def bars_by_layer(caption: str, nats: Mapping[str, float], **options: Any) -> Iterator[Drawing]:
    """A bar for each layer or weight, if there are several; if too many, the longest."""
    if len(nats) < MIN_BARS:
        return
    shown = sorted(nats, key=lambda name: -nats[name])[:MAX_BARS]
    if len(nats) > MAX_BARS:
        caption = f"{caption} The {MAX_BARS} largest of {len(nats)}."
    kept = {name: value for name, value in nats.items() if name in shown}
    for option in ("errors", "null"):
        if option in options:
            options[option] = {name: options[option][name] for name in kept}
    draw = partial(plots.plot_information_by_layer, kept, **options)
    yield Drawing(caption, draw, 1.0 + 0.3 * len(kept))


def images_of(drawings: Iterable[Drawing]) -> list[tuple[str, str]]:
    """An image of each drawing, as a data address, and a sentence that says what it shows.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    found = []
    for drawing in drawings:
        figure = Figure(figsize=(WIDTH, drawing.height), layout="constrained")
        drawing.draw(ax=figure.subplots())
        stream = io.BytesIO()
        # Without the version of matplotlib the same report gives the same page.
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
        address = base64.b64encode(stream.getvalue()).decode("ascii")
        found.append((f"data:image/png;base64,{address}", drawing.caption))
    return found
