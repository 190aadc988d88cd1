"""The state of one audit: model, examples, results so far, and omissions."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.subject import HiddenLayer
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.introspection.activations import joint_activations_model

__all__ = [
    "KEPT_BYTES",
    "Examination",
    "rows_at_once",
    "taken_of_layers",
    "undisturbed",
]

# Activations of the sample are kept for as many layers at once as need about this much memory.
KEPT_BYTES = 256 * 2**20
# Memory for the activations of all of these layers for one batch.
BATCH_BYTES = 64 * 2**20
MAX_ROWS = 128


@dataclasses.dataclass
class Examination:
    """State that all measurements of one audit share: the model, the sample, the seed.

    Attributes:
        model: The model, whose weights do not change.
        sample: As many examples as the part with the most examples uses.
        counts: Number of examples for each part.
        num_examples: Number N of examples in the training set.
        nuisance: One entry for each example of the data, or None.
        likelihood: As in `audit`.
        seed: Seed of everything drawn.
        omissions: Omissions so far.
        results: Results for the model so far, by name.
        layers: Results for each layer so far, by name.
        wanted: Layers whose activations will be requested, in this order, and their numbers of
            examples: one pass computes as many of them as fit in memory.
        batch_size: Batch size of compiled passes over examples, the same in a dry run, whose traces
            an audit of the same model then reuses.
        is_trial: Whether this is a trial of a dry run on a few examples, which only measures time.
        decisions: Decisions made so far, by name; the runs of a trial share them.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib
        from keras_infobottleneck.auditing import AuditPart, Measure

        class Price(AuditPart):
            name, title = "price", "Price of a nat"
            measures = (Measure("price", "price", "loss per nat", "exact", "It is 1/N."),)

            def measure(self, exam):  # exam is an `Examination`
                return {"price": exam.beta}

            def readings(self, findings):
                yield self.reading("price", "", findings.others["price"])

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        x = np.ones((10, 2), "float32")
        report = kib.audit(model, x, parts=[Price()], include=["price"], likelihood="normal")
        print(report.others["price"])
        ```

        ```text
        0.1
        ```
    """

    model: keras.Model
    sample: Sample
    counts: Mapping[str, int]
    num_examples: int
    nuisance: np.ndarray | None
    likelihood: str | Callable | None
    seed: int
    omissions: list[Omission]
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    wanted: tuple[tuple[HiddenLayer, int], ...] = ()
    batch_size: int = 64
    is_trial: bool = False
    decisions: dict[str, bool] = dataclasses.field(default_factory=dict)
    _once: dict[str, Any] = dataclasses.field(default_factory=dict)
    _activations: dict[HiddenLayer, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def beta(self) -> float:
        """Price of a nat in the weights, relative to the mean loss: one nat of training loss."""
        return 1 / self.num_examples

    @property
    def eager_batch_size(self) -> int | None:
        """Batch size of passes that are not compiled, None for the default.

        The time of such a batch hardly depends on its size. A trial uses smaller batches, so that
        their number grows with that of the examples, as in the audit.
        """
        return self.batch_size if self.is_trial else None

    def examples(self, part: str) -> Sample:
        """The examples of a part."""
        return self.sample.first(self.counts[part])

    def activations(self, part: str, layer: HiddenLayer) -> np.ndarray:
        """Activations of the part's examples, `[examples, units]` float32, in inference mode.

        They are those of the layer's `view`. One pass over the examples also computes them for the
        layers that are requested next.

        Raises:
            ValueError: Activations are not finite.
        """
        count = min(self.counts[part], self.sample.size)
        if len(self._activations.get(layer, ())) < count:
            self._activations = {}  # frees those of the last layers before the next are computed
            layers, most = self._asked_next(layer, count)
            try:
                self._activations = self._taken(layers, most)
            except Exception:  # one layer failed: the others are computed in a later pass
                self._activations = self._taken([layer], count)
        z = self._activations[layer][:count]
        if not np.all(np.isfinite(z)):
            raise ValueError("The activations must be finite. Received: NaN or infinite values")
        return z

    def _asked_next(self, layer: HiddenLayer, count: int) -> tuple[list[HiddenLayer], int]:
        """The layer, those that follow it as far as memory allows, and the number of examples."""
        layers = [each for each, _ in self.wanted]
        if layer not in layers:
            return [layer], count
        kept, most = 0, max(count, *(number for _, number in self.wanted))
        chosen: list[HiddenLayer] = []
        for each in layers[layers.index(layer) :]:
            kept += 4 * each.num_units * min(most, self.sample.size)
            if chosen and kept > KEPT_BYTES:
                break
            chosen.append(each)
        return chosen, most

    def _taken(self, layers: list[HiddenLayer], count: int) -> dict[HiddenLayer, np.ndarray]:
        """Activations of these layers, from one pass over this many examples."""
        return taken_of_layers(self.model, layers, self.sample.first(count), self.seed)

    def keep_activations(self, activations: dict[HiddenLayer, np.ndarray]) -> None:
        """Uses activations that were recorded, or drawn for a trial, instead of a pass."""
        self._activations = activations

    def share(self, other: Examination) -> None:
        """Takes over shared results of another examination, so that they are not measured again."""
        self._once = other._once

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """Result that several parts share, measured at its first request."""
        if name not in self._once:
            self._once[name] = measure()
        return self._once[name]

    def decide(self, name: str, decision: Callable[[], bool]) -> bool:
        """A decision about the further work that depends on numbers.

        All runs of a trial follow the first one, because their times can be compared only if they
        do the same work.
        """
        if name not in self.decisions:
            self.decisions[name] = bool(decision())
        return self.decisions[name]

    def attempt(self, part: str, where: str, measure: Callable[[], Any]) -> Any:
        """Runs a measurement; if it fails, the result is None and the reason is recorded."""
        try:
            return measure()
        except Exception as error:  # a report must work for any model
            self.omissions.append(Omission.of(part, where, error))
            return None

    def omit(self, part: str, where: str, reason: str) -> None:
        """Records that something is missing, and why."""
        self.omissions.append(Omission(part, where, reason))


def rows_at_once(layers: Sequence[HiddenLayer]) -> int:
    """Largest number of examples in one batch of `taken_of_layers`."""
    example = 4 * sum(math.prod(layer.shape) for layer in layers)
    return int(np.clip(BATCH_BYTES // max(1, example), 1, MAX_ROWS))


def taken_of_layers(
    model: keras.Model, layers: Sequence[HiddenLayer], sample: Sample, seed: int
) -> dict[HiddenLayer, np.ndarray]:
    """Activations of layers for all examples, `[examples, units]`, from one pass over them.

    Args:
        model: The model, which runs in inference mode.
        layers: Layers of the model.
        sample: The examples.
        seed: Seed of the places at which units are taken.
    """
    cut = joint_activations_model(model, [layer.name for layer in layers])
    rows = min(rows_at_once(layers), sample.size)
    # The places of the first examples do not depend on the number of examples.
    places = [
        np.random.default_rng(seed).integers(_num_places(layer), size=sample.size)
        for layer in layers
    ]
    parts: list[list[np.ndarray]] = [[] for _ in layers]
    first = 0
    for batch in Batches(sample.inputs, rows, needs_labels=False):
        count = int(np.sum(batch.weights))
        for number, z in enumerate(cut(batch.x)):
            chosen = places[number][first : first + count]
            parts[number].append(_taken(layers[number], z[:count], chosen))
        first += count
    return {layer: np.concatenate(part) for layer, part in zip(layers, parts, strict=True)}


def _num_places(layer: HiddenLayer) -> int:
    """Number of places at which a layer has channels."""
    return max(1, math.prod(layer.shape) // max(1, layer.num_units))


def _taken(layer: HiddenLayer, z: Any, places: np.ndarray) -> np.ndarray:
    """The activations of a batch that the layer's view selects."""
    z = keras.ops.cast(z, "float32")
    rows = len(places)
    if layer.view != "units" and layer.channels is not None:
        z = keras.ops.moveaxis(z, 1 + layer.channels, -1)
        z = keras.ops.reshape(z, [rows, _num_places(layer), layer.num_units])
    if layer.view == "average":
        z = keras.ops.mean(z, 1)
    elif layer.view == "place":
        z = keras.ops.take_along_axis(z, places[:, np.newaxis, np.newaxis], 1)
    return keras.ops.convert_to_numpy(z).reshape(rows, -1)


@contextlib.contextmanager
def undisturbed(model: keras.Model) -> Iterator[None]:
    """Restores what a forward pass may change, also after an exception: metrics, seeds, statistics.

    No measurement assigns a trainable weight or the optimizer's variables: they are left out,
    which saves a copy of the model.
    """
    trainable = {id(variable) for variable in model.trainable_variables}
    movable = {
        id(variable): variable
        for variable in [*model.variables, *model.metrics_variables]
        if id(variable) not in trainable
    }
    before = [(variable, variable.numpy()) for variable in movable.values()]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
