"""What an audit will measure, decided before any number is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.noise import weights_of_predictions
from keras_infobottleneck.auditing.part import AuditPart, LayerPart
from keras_infobottleneck.auditing.subject import Subject

__all__ = ["AuditPlan"]

SWITCHED_OFF = "switched off by `include`"
NO_LAYER = "the model has no layer that it could be about"


@dataclasses.dataclass(frozen=True)
class AuditPlan:
    """Parts of a report, the layers that each is about, and what is left out.

    Attributes:
        model_name: of the model.
        num_weights: trainable weights, scales of noise not counted.
        titles: part to its heading, of the parts that are measured.
        examples: part to how many examples it takes at most; parts without data have none.
        layers: layer to the parts that measure it, in the model's order.
        omissions: what will not be measured, and why.
    """

    model_name: str
    num_weights: int
    titles: dict[str, str]
    examples: dict[str, int]
    layers: dict[str, tuple[str, ...]]
    omissions: tuple[Omission, ...]

    @classmethod
    def of(
        cls,
        subject: Subject,
        parts: Sequence[AuditPart],
        include: Collection[str],
        counts: Mapping[str, int],
    ) -> AuditPlan:
        """Asks each part whether it applies to the model, and to which layers."""
        omissions, kept = [], []
        for part in parts:
            reason = part.reason_to_omit(subject) if part.name in include else SWITCHED_OFF
            if reason:
                omissions.append(Omission(part.name, "all", reason))
            else:
                kept.append(part)
        layers: dict[str, list[str]] = {layer.name: [] for layer in subject.layers}
        of_layers = [part for part in kept if isinstance(part, LayerPart)]
        for part in of_layers:
            chosen = list(part.layers(subject))
            for layer in chosen:
                count = counts.get(part.name, 0)
                reason = part.reason_to_omit_layer(subject, layer, count)
                if reason:
                    omissions.append(Omission(part.name, layer.name, reason))
                else:
                    layers.setdefault(layer.name, []).append(part.name)
            if not chosen:
                omissions.append(Omission(part.name, "all", NO_LAYER))
        missing = {omission.part for omission in omissions if omission.where == "all"}
        kept = [part for part in kept if part.name not in missing]
        taken = {part.name for part in kept}.union(*(part.shares(subject) for part in kept))
        return cls(
            model_name=subject.model.name,
            num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(subject.model)),
            titles={part.name: part.title for part in kept},
            examples={part: count for part, count in counts.items() if part in taken},
            layers={name: tuple(of) for name, of in layers.items() if of},
            omissions=(*omissions, *(subject.omissions if of_layers else ())),
        )

    def __contains__(self, part: str) -> bool:
        return part in self.titles

    def __str__(self) -> str:
        lines = [f"Audit of {self.model_name!r}, {self.num_weights:,} weights:"]
        for part, title in self.titles.items():
            count = self.examples.get(part)
            of = f", at most {count:,} examples" if count else ""
            names = ", ".join(name for name, parts in self.layers.items() if part in parts)
            lines.append(f"  {part}: {title}{of}{': ' if names else ''}{names}")
        lines += [f"  not measured: {omission}" for omission in self.omissions]
        return "\n".join(lines)
