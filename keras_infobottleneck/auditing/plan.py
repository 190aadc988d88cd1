"""The plan of an audit, made before anything is measured, and its execution."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import keras

from keras_infobottleneck.auditing.entries import (
    SWITCHED_OFF,
    Omission,
    listed,
    omissions_by_reason,
)
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.part import AuditPart, LayerPart
from keras_infobottleneck.auditing.subject import VIEWS, HiddenLayer, Subject
from keras_infobottleneck.introspection.contents import weights_of_predictions

__all__ = [
    "AuditPlan",
    "Cost",
    "measure",
]

# Largest number of layers that a line of the plan lists one by one.
MOST_NAMES = 8
TOO_LONG_TOGETHER = (
    "all layers together take too long, and those of most work are left out; `layers` chooses "
    "others"
)
NO_LAYER = "the model has no layer that it could be about"


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a part.

    Attributes:
        seconds: Seconds on this machine under its present load, including compilation.
        bytes: Largest number of bytes that it holds, besides the model and the sample.
    """

    seconds: float
    bytes: int

    def __str__(self) -> str:
        seconds = float(f"{self.seconds:.2g}")  # two digits, shown without an exponent
        return f"about {seconds:,g} s, {self.bytes / 2**20:,.1f} MiB"


@dataclasses.dataclass(frozen=True)
class AuditPlan:
    """Plan of an audit: the parts to measure, on which layers, at which cost, and what is left out.

    Attributes:
        model_name: Name of the model.
        num_weights: Number of trainable weights, without scales of noise.
        titles: Headings of the parts that are measured, by name.
        examples: Largest number of examples for each part; parts without data have none.
        taken: Layers that each part measures, with the view that it uses.
        omissions: What will not be measured, and why.
        costs: Cost of each part; empty if no examples were tried.
        sample_bytes: Number of bytes of the examples in memory, 0 if none were tried.

    Example:
        ```python
        from keras_infobottleneck.auditing import AuditPlan

        titles = {"complexity": "Complexity of the weights"}
        plan = AuditPlan("digits", 650, titles, examples={}, taken={}, omissions=())
        print(plan)  # what `audit(..., dry_run=True)` returns, without costs
        ```

        ```text
        Audit of 'digits', 650 weights:
          complexity: Complexity of the weights
        ```
    """

    model_name: str
    num_weights: int
    titles: dict[str, str]
    examples: dict[str, int]
    taken: dict[str, tuple[HiddenLayer, ...]]
    omissions: tuple[Omission, ...]
    costs: dict[str, Cost] = dataclasses.field(default_factory=dict)
    sample_bytes: int = 0

    @classmethod
    def of(
        cls,
        subject: Subject,
        parts: Sequence[AuditPart],
        include: Collection[str],
        counts: Mapping[str, int],
    ) -> AuditPlan:
        """Makes the plan: asks each part whether it applies to the model, and to which layers."""
        omissions, kept = [], []
        for part in parts:
            reason = part.reason_to_omit(subject) if part.name in include else SWITCHED_OFF
            if reason:
                omissions.append(Omission(part.name, "all", reason))
            else:
                kept.append(part)
        taken = {}
        of_layers = [part for part in kept if isinstance(part, LayerPart)]
        for part in of_layers:
            candidates, count = list(part.layers(subject)), counts.get(part.name, 0)
            chosen = [part.chosen(subject, each, count) for each in candidates]
            dear = _too_dear(part, [layer for layer, reason in chosen if not reason], count)
            for layer, reason in chosen:
                if why := reason or (layer in dear and TOO_LONG_TOGETHER):
                    detail = f"{layer.num_units:,} units, {layer.num_weights:,} weights"
                    omissions.append(Omission(part.name, layer.name, why, detail))
            taken[part.name] = tuple(
                layer for layer, reason in chosen if not reason and layer not in dear
            )
            if not candidates:
                omissions.append(Omission(part.name, "all", NO_LAYER))
        missing = {omission.part for omission in omissions if omission.where == "all"}
        kept = [part for part in kept if part.name not in missing]
        needed = {part.name for part in kept}.union(*(part.shares(subject) for part in kept))
        return cls(
            model_name=subject.model.name,
            num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(subject.model)),
            titles={part.name: part.title for part in kept},
            examples={part: count for part, count in counts.items() if part in needed},
            taken=taken,
            omissions=(*omissions, *(subject.omissions if of_layers else ())),
        )

    @property
    def seconds(self) -> float:
        """Estimated seconds of all parts; NaN if no examples were tried."""
        return sum(cost.seconds for cost in self.costs.values()) if self.costs else math.nan

    @property
    def bytes(self) -> int:
        """Number of bytes of the examples and of the part that needs the most."""
        most = max((cost.bytes for cost in self.costs.values()), default=0)
        return self.sample_bytes + most

    def __contains__(self, part: str) -> bool:
        return part in self.titles

    @property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """Maps each layer to the parts that measure it."""
        found: dict[str, tuple[str, ...]] = {}
        for part, layers in self.taken.items():
            for layer in layers:
                found[layer.name] = (*found.get(layer.name, ()), part)
        return found

    def __str__(self) -> str:
        lines = [f"Audit of {self.model_name!r}, {self.num_weights:,} weights:"]
        for part, title in self.titles.items():
            count = self.examples.get(part)
            of = f", at most {count:,} examples" if count else ""
            cost = f": {self.costs[part]}" if part in self.costs else ""
            lines.append(f"  {part}: {title}{of}{cost}")
            views: dict[str, list[str]] = {}
            for layer in self.taken.get(part, ()):
                view = "" if layer.view == "units" else f", channels {VIEWS[layer.view]}"
                views.setdefault(view, []).append(layer.name)
            lines += [f"    of {listed(names, MOST_NAMES)}{view}" for view, names in views.items()]
        for reason, places in omissions_by_reason(self.omissions, MOST_NAMES).items():
            lines.append(f"  not measured: {places}: {reason}")
        if self.costs:
            lines.append(f"  in all: {Cost(self.seconds, self.bytes)}, with the examples")
        return "\n".join(lines)


def _too_dear(
    part: LayerPart, layers: Sequence[HiddenLayer], num_examples: int
) -> list[HiddenLayer]:
    """The layers with the most work, without which the others stay below the part's limit."""
    in_order = sorted(layers, key=lambda each: part.work(each, num_examples))
    total, kept = 0.0, 0
    for layer in in_order:
        total += part.work(layer, num_examples)
        if total > part.most_work:
            break
        kept += 1
    return in_order[max(1, kept) :]


def measure(
    exam: Examination, plan: AuditPlan, parts: Sequence[AuditPart], verbose: int = 0
) -> dict[tuple[str, str], float]:
    """Fills an examination; errors of estimators become omissions.

    Returns:
        Seconds by part and layer, or "all"; what several parts share is counted for the first.
    """
    chosen = [part for part in parts if part.name in plan]
    of_layers = [part for part in chosen if isinstance(part, LayerPart)]
    of_model = [part for part in chosen if not isinstance(part, LayerPart)]
    exam.wanted = _wanted_activations(exam, plan, of_layers)
    seconds: dict[tuple[str, str], float] = {}
    steps = len(of_model) + len(plan.layers)
    progress = keras.utils.Progbar(steps, verbose=verbose, unit_name="measurement")
    for part in of_model:
        with _timed(seconds, part.name, "all"):
            _of_model(exam, part)
        progress.add(1)
    for name in plan.layers:
        found = exam.layers.setdefault(name, {"views": {}})
        for part in of_layers:
            for layer in [each for each in plan.taken[part.name] if each.name == name]:
                if layer.shape:
                    found["num_units"] = math.prod(layer.shape)
                with _timed(seconds, part.name, name):
                    of_layer = partial(part.measure_layer, exam, layer)
                    found.update(exam.attempt(part.name, name, of_layer) or {})
                if layer.in_words:
                    found["views"][part.name] = layer.in_words
        progress.add(1)
    for part in of_layers:
        with _timed(seconds, part.name, "all"):
            _of_model(exam, part)
    return seconds


def _wanted_activations(
    exam: Examination, plan: AuditPlan, parts: Sequence[LayerPart]
) -> tuple[tuple[HiddenLayer, int], ...]:
    """The activations that parts will use, in this order, and the largest number of examples."""
    wanted: dict[HiddenLayer, int] = {}
    takers = [part for part in parts if part.takes_activations]
    for name in plan.layers:
        for part in takers:
            for layer in plan.taken[part.name]:
                if layer.name == name:
                    wanted[layer] = max(wanted.get(layer, 0), exam.counts[part.name])
    return tuple(wanted.items())


def _of_model(exam: Examination, part: AuditPart) -> None:
    """Runs the measurements of a part that concern the model as a whole."""
    found = exam.attempt(part.name, "all", partial(part.measure, exam))
    exam.results.update(found or {})


@contextlib.contextmanager
def _timed(seconds: dict[tuple[str, str], float], part: str, where: str) -> Iterator[None]:
    """Records the seconds that the body takes."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part, where] = time.perf_counter() - start
