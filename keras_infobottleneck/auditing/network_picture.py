"""The network as one picture: the nats of each layer, next to a reference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from keras_infobottleneck.auditing.entries import number_in_words

__all__ = ["NetworkPicture", "in_one_order"]

# More layers do not fit on a screen; those with the most nats are shown.
MAX_LAYERS = 16
# Nats below this share of the largest are drawn at the left end.
SMALLEST_SHARE = 1e-5


@dataclasses.dataclass(frozen=True)
class NetworkPicture:
    """Nats per example by layer, on one logarithmic scale.

    Attributes:
        nats: For each kind of nats, the nats per example of each layer.
        reference: Information in the labels of an example, in nats; None if it is not known.
        reference_label: Name of the reference.
    """

    nats: Mapping[str, Mapping[str, float]]
    reference: float | None = None
    reference_label: str = ""

    @property
    def layers(self) -> list[str]:
        """Layers that are shown, starting at the input."""
        order = in_one_order(self.nats.values())
        most = {name: max(by.get(name, 0.0) for by in self.nats.values()) for name in order}
        shown = sorted(order, key=lambda name: -most[name])[:MAX_LAYERS]
        return [name for name in order if name in shown]

    @property
    def caption(self) -> str:
        """Describes the picture in words."""
        left = len(in_one_order(self.nats.values())) - len(self.layers)
        shown = f"; the {left} layers with the fewest nats are left out" if left else ""
        line = ""
        if self.reference:
            line = (
                f" The line is what {self.reference_label} holds at most, {self.reference:.3g} "
                "nats."
            )
        return (
            "Nats an example of each layer, from the input on, on a logarithmic "
            f"scale{shown}.{line}"
        )

    def html(self) -> str:
        """A figure of plain HTML elements, which follow the colours and the width of the page."""
        layers = self.layers
        if not layers:
            return ""
        low, high = self._decades(layers)
        kinds = {label: number for number, label in enumerate(self.nats)}
        key = " ".join(
            f'<span><i class="dot kind{number}"></i> {escape(label)}</span>'
            for label, number in kinds.items()
        )
        line = ""
        if self.reference:
            line = f'<b class="line" style="left:{_place(self.reference, low, high):.1f}%"></b>'
        rows = []
        for name in layers:
            present = [label for label in kinds if name in self.nats[label]]
            for row, label in enumerate(present):
                nats = self.nats[label][name]
                place = _place(nats, low, high)
                title = escape(name) if row == 0 else ""
                rows.append(
                    f'<span class="layer">{title}</span><span class="track">{line}'
                    f'<b class="bar kind{kinds[label]}" style="width:{place:.1f}%"></b></span>'
                    f'<span class="nats">{escape(number_in_words(nats))}</span>'
                )
        ticks = "".join(
            f'<span style="left:{100 * (power - low) / (high - low):.1f}%">{10.0**power:g}</span>'
            for power in range(low, high + 1, max(1, (high - low + 2) // 4))
        )
        return (
            f'<figure class="network"><p class="key">{key}</p><div class="rows">{"".join(rows)}'
            f'<span></span><span class="ticks">{ticks}</span><span class="nats">nats</span></div>'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )

    def _decades(self, layers: Sequence[str]) -> tuple[int, int]:
        """Powers of ten at both ends of the scale."""
        values = [by[name] for by in self.nats.values() for name in layers if name in by]
        values = [value for value in (*values, self.reference or 0.0) if 0 < value < math.inf]
        if not values:
            return -1, 1
        most = max(values)
        least = max(min(values), most * SMALLEST_SHARE)
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        return (low - 1, high) if low == high else (low, high)


def _place(nats: float, low: int, high: int) -> float:
    """Position on the scale, in percent from its left end."""
    if not nats > 0:
        return 0.0
    power = high if math.isinf(nats) else math.log10(nats)
    return 100 * min(max((power - low) / (high - low), 0.0), 1.0)


def in_one_order(orders: Iterable[Iterable[str]]) -> list[str]:
    """Merges several lists of names; each new name follows its predecessor in its own list."""
    merged: list[str] = []
    for order in orders:
        before = None
        for name in order:
            if name not in merged:
                merged.insert(0 if before is None else merged.index(before) + 1, name)
            before = name
    return merged
