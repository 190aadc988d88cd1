"""The cost of an audit, estimated from small timed trials of each part."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_infobottleneck.auditing.examination import (
    KEPT_BYTES,
    Examination,
    rows_at_once,
    taken_of_layers,
)
from keras_infobottleneck.auditing.part import AuditPart, LayerPart
from keras_infobottleneck.auditing.plan import AuditPlan, Cost, measure
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.data.sample import Sample

__all__ = ["NUM_TRIED", "Trials", "with_costs"]

# Examples of the smaller trial: one batch of the compiled passes, which the audit then reuses.
NUM_TRIED = 64
# Fewer suffice if each costs as much as a batch does elsewhere.
NUM_TRIED_OF_LAYER = 5
# Numbers of units in trials on random activations: the first one is used whose work is at most this
# share of that of all layers.
TRIED_UNITS = (256, 64, 16)
SHARE_TRIED = 0.1
# Share of random states in which every unit is off, so that some states repeat.
SHARE_OFF = 0.3


@dataclasses.dataclass(frozen=True)
class Trials:
    """Seconds of one measurement, first on `small` units of work, again, and on `large`."""

    first: float
    again: float
    larger: float
    small: float
    large: float

    @classmethod
    def of(cls, times: Sequence[float], small: float, large: float) -> Trials:
        """Trials from the seconds of the three runs."""
        first, again, larger = times
        return cls(first, again, larger, small, large)

    @property
    def once(self) -> float:
        """Seconds of tracing and compilation, which happens once."""
        return max(0.0, self.first - self.again)

    @property
    def rate(self) -> float:
        """Seconds per unit of work."""
        if self.large <= self.small:
            return self.again / self.small
        return max(0.0, self.larger - self.again) / (self.large - self.small)

    def seconds(self, work: float) -> float:
        """Seconds for this much work, by a straight line, without what happens once."""
        return max(0.0, self.again - self.rate * self.small) + self.rate * work


def with_costs(
    plan: AuditPlan,
    subject: Subject,
    parts: Sequence[AuditPart],
    available: int,
    sample: Sample,
    exam_of: Callable[[Sample, Mapping[str, int]], Examination],
) -> AuditPlan:
    """The plan with estimates of the seconds and bytes of each part.

    Each part is run on the same few examples twice, and once on twice as many. The difference of
    the first two runs is compilation, which happens once, and which an audit of the same model
    reuses; the rest is a straight line. For a part that goes layer by layer two layers are run: the
    middle one, for what happens once for each layer, and that with the most work. Parts that use
    only activations are run on random numbers; the pass over examples that records activations
    is run once for all layers.

    Args:
        plan: Plan of the audit.
        subject: Subject of the audit.
        parts: Parts of the report.
        available: Number of examples, as far as it is known.
        sample: Examples of the trials, up to twice `NUM_TRIED`.
        exam_of: Makes an examination from examples, and the number of examples for each part.
    """
    parts = [part for part in parts if part.name in plan]
    trial = _Trial(plan, subject, available, sample, exam_of)
    told = {part.name: part.seconds_without_trial(plan.num_weights) for part in parts}
    tried = [part for part in parts if told[part.name] is None]
    seconds = {name: value for name, value in told.items() if value is not None}
    of_model = [part for part in tried if not isinstance(part, LayerPart)]
    seconds |= trial.of_model(of_model)
    first_taker = True
    for part in tried:
        if isinstance(part, LayerPart):
            seconds[part.name] = trial.of_layers(part)
            if part.takes_activations and first_taker and plan.taken[part.name]:
                seconds[part.name] += trial.of_activations(tried)
                first_taker = False
    costs = {}
    for part in parts:
        count = min(plan.examples.get(part.name, 0), available)
        num_bytes = part.num_bytes(plan.num_weights, plan.taken.get(part.name, ()), count)
        costs[part.name] = Cost(seconds[part.name], num_bytes)
    leaves = keras.tree.flatten((sample.x, sample.y))
    example = sum(np.asarray(leaf).nbytes for leaf in leaves) / sample.size
    held = int(example) * min(max(plan.examples.values(), default=0), available)
    return dataclasses.replace(plan, costs=costs, sample_bytes=held)


class _Trial:
    """The small trials of one audit."""

    def __init__(
        self,
        plan: AuditPlan,
        subject: Subject,
        available: int,
        sample: Sample,
        exam_of: Callable[[Sample, Mapping[str, int]], Examination],
    ):
        self._plan, self._subject, self._available = plan, subject, available
        self._sample, self._exam_of = sample, exam_of
        self._shared: Examination | None = None  # with what parts share
        self._decisions: dict[str, bool] = {}

    def of_model(self, parts: Sequence[AuditPart]) -> dict[str, float]:
        """Seconds of the parts that concern the model as a whole."""
        small, large = self._sizes(NUM_TRIED)
        runs = []
        for size in (small, small, large):
            exam = self._exam(size)
            runs.append(measure(exam, dataclasses.replace(self._plan, taken={}), parts))
        self._shared = exam
        found = {}
        for part in parts:
            takes = part.name if part.examples else next(iter(part.shares(self._subject)), None)
            count = small if takes is None else self._count(takes)
            times = [run[part.name, "all"] for run in runs]
            trials = Trials.of(times, min(small, count), min(large, count))
            found[part.name] = trials.once + trials.seconds(count)
        return found

    def of_layers(self, part: LayerPart) -> float:
        """Seconds of a part that goes layer by layer, without the pass that records activations."""
        layers = self._plan.taken[part.name]
        if not layers:
            return 0.0
        count = self._count(part.name)
        if part.takes_activations:
            most, finally_ = self._on_random_numbers(part, layers, count)
            once = most.once + finally_
        else:
            # The layer with the most work runs first, so that the middle one excludes what happens
            # once.
            most = self._on_examples(part, max(layers, key=lambda each: part.work(each, count)))
            middle = self._on_examples(part, layers[len(layers) // 2])
            once = max(most.once, middle.once) + (len(layers) - 1) * middle.once
        return once + sum(most.seconds(part.work(layer, count)) for layer in layers)

    def of_activations(self, parts: Sequence[AuditPart]) -> float:
        """Seconds of the passes over the examples that record activations, batch by batch."""
        wanted: dict[HiddenLayer, int] = {}
        for part in parts:
            if isinstance(part, LayerPart) and part.takes_activations:
                wanted |= dict.fromkeys(self._plan.taken[part.name], self._count(part.name))
        batch = min(rows_at_once(list(wanted)), self._sample.size)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            with contextlib.suppress(Exception):  # the audit itself reports what cannot be measured
                taken_of_layers(self._subject.model, list(wanted), self._sample.first(batch), 0)
            times.append(time.perf_counter() - start)
        count = max(wanted.values())
        num_passes = math.ceil(4 * count * sum(each.num_units for each in wanted) / KEPT_BYTES)
        trials = Trials.of(times, batch, batch)
        return trials.once + num_passes * math.ceil(count / batch) * trials.again

    def _on_examples(self, part: LayerPart, layer: HiddenLayer) -> Trials:
        """Trials of one layer on a few examples."""
        sizes = self._sizes(min(NUM_TRIED_OF_LAYER, self._count(part.name)))
        plan = dataclasses.replace(self._plan, taken={part.name: (layer,)})
        small, large = sizes
        times = [
            measure(self._exam(size), plan, [part])[part.name, layer.name]
            for size in (small, small, large)
        ]
        return Trials.of(times, part.work(layer, small), part.work(layer, large))

    def _on_random_numbers(
        self, part: LayerPart, layers: Sequence[HiddenLayer], count: int
    ) -> tuple[Trials, float]:
        """Trials of a layer on random activations, and seconds of the work after all layers."""
        widest = max(layers, key=lambda each: each.num_units)
        share = SHARE_TRIED * sum(part.work(each, count) for each in layers)
        for num_units in TRIED_UNITS:
            narrower = min(num_units, widest.num_units)
            layer = dataclasses.replace(widest, shape=(narrower,), channels=None, view="units")
            small = max(NUM_TRIED, 2 * narrower)
            if 4 * part.work(layer, small) <= share:
                break
        # Cheap measurements are run on more numbers, for more accurate times.
        while 4 * small <= count and 8 * part.work(layer, small) <= share:
            small *= 2
        runs = []
        for size in (small, small, 2 * small, 2 * small):
            exam = self._exam_of(_numbers(size, self._available), {part.name: size})
            rng = np.random.default_rng(0)
            states = rng.normal(size=[size, narrower]) * (rng.random([size, 1]) > SHARE_OFF)
            exam.keep_activations({layer: states.astype(np.float32)})
            plan = dataclasses.replace(self._plan, taken={part.name: (layer,)})
            runs.append(measure(exam, plan, [part]))
        works = [part.work(layer, size) for size in (small, 2 * small)]
        after = Trials.of(_times(runs, part.name, "all"), small, 2 * small)
        trials = Trials.of(_times(runs, part.name, layer.name), *works)
        return trials, after.once + after.seconds(count)

    def _exam(self, size: int) -> Examination:
        """Examination of this many examples, with the shared results of the one before."""
        counts = {part: min(size, count) for part, count in self._plan.examples.items()}
        exam = self._exam_of(self._sample, counts)
        exam.batch_size, exam.is_trial = self._sizes(NUM_TRIED)[0], True
        exam.decisions = self._decisions
        if self._shared is not None:
            exam.share(self._shared)
        return exam

    def _sizes(self, count: int) -> tuple[int, int]:
        """Numbers of examples of the smaller and of the larger trial."""
        most = self._sample.size
        small = min(max(2, min(count, most // 2)), most)
        return small, min(2 * small, most)

    def _count(self, part: str) -> int:
        """Number of examples of a part in the audit."""
        return min(self._plan.examples[part], self._available)


def _times(runs: Sequence[Mapping[tuple[str, str], float]], *piece: str) -> list[float]:
    """Seconds of a measurement in the first run, the second, and the faster of the others."""
    first, again, *larger = [run[piece[0], piece[1]] for run in runs]
    return [first, min(first, again), min(larger)]


def _numbers(size: int, available: int) -> Sample:
    """Examples without data, only with their indices, spread over the whole data set."""
    indices = np.linspace(0, available - 1, size).astype(int)
    return Sample(np.zeros([size, 1], np.float32), (), indices, size)
