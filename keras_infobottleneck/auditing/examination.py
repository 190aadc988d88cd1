"""One audit under way: what is examined, on which examples, and what could not be had."""

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

# Activations of the sample are kept for as many layers at once as take about this much.
KEPT_BYTES = 256 * 2**20
# What all of these layers give for one batch takes about this much.
BATCH_BYTES = 64 * 2**20
MAX_ROWS = 128


@dataclasses.dataclass
class Examination:
    """State that all measurements of one audit share: the model, the sample, the seed.

    Attributes:
        model: at its weights, which stay.
        sample: as many examples as the largest part takes.
        counts: part to how many of them it takes.
        num_examples: N, the size of the training set.
        nuisance: one entry for each example of the data, or None.
        likelihood: as of `audit`.
        seed: of everything drawn.
        omissions: what could not be had so far.
        results: what was measured of the model so far, by name.
        layers: layer to what was measured of it so far, by name.
        wanted: the layers whose activations will be asked for, in this order, and of how many
            examples: one pass serves as many of them as fit in memory.
        batch_size: of compiled passes over examples, the same in a dry run, whose traces the audit
            of the same model then takes up.
        is_trial: whether it is a dry run's, on a few examples, of which only the time counts.
        decisions: name to what was decided on the way; the runs of a trial share them.

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

        There a batch takes much the same whatever its size: a trial takes smaller ones, so that it
        has more of them the more examples it has, as the audit does.
        """
        return self.batch_size if self.is_trial else None

    def examples(self, part: str) -> Sample:
        """The examples that a part takes."""
        return self.sample.first(self.counts[part])

    def activations(self, part: str, layer: HiddenLayer) -> np.ndarray:
        """Activations of the part's examples, `[examples, units]` float32, in inference mode.

        They are what the layer's `view` takes. One pass over the examples serves the layers that
        are asked for next, too.

        Raises:
            ValueError: activations that are not finite.
        """
        count = min(self.counts[part], self.sample.size)
        if len(self._activations.get(layer, ())) < count:
            self._activations = {}  # those of the last layers need not be kept beside the next
            layers, most = self._asked_next(layer, count)
            try:
                self._activations = self._taken(layers, most)
            except Exception:  # of one of them: the others are not to be lost with it
                self._activations = self._taken([layer], count)
        z = self._activations[layer][:count]
        if not np.all(np.isfinite(z)):
            raise ValueError("The activations must be finite. Received: NaN or infinite values")
        return z

    def _asked_next(self, layer: HiddenLayer, count: int) -> tuple[list[HiddenLayer], int]:
        """The layer, those that follow it as far as memory goes, and for how many examples."""
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
        """One pass over this many examples."""
        return taken_of_layers(self.model, layers, self.sample.first(count), self.seed)

    def keep_activations(self, activations: dict[HiddenLayer, np.ndarray]) -> None:
        """Takes what was recorded, or drawn for a trial, in place of a pass over the examples."""
        self._activations = activations

    def share(self, other: Examination) -> None:
        """Takes over what several parts share, so that it is not measured again."""
        self._once = other._once

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """Result that several parts share, measured when the first of them asks for it."""
        if name not in self._once:
            self._once[name] = measure()
        return self._once[name]

    def decide(self, name: str, decision: Callable[[], bool]) -> bool:
        """What numbers decide about the further work.

        The runs of a trial all follow the first of them: their seconds tell something only where
        the same is done.
        """
        if name not in self.decisions:
            self.decisions[name] = bool(decision())
        return self.decisions[name]

    def attempt(self, part: str, where: str, measure: Callable[[], Any]) -> Any:
        """Measure; where that fails the result is None and the reason is among the omissions."""
        try:
            return measure()
        except Exception as error:  # a report is about any model there is
            self.omissions.append(Omission.of(part, where, error))
            return None

    def omit(self, part: str, where: str, reason: str) -> None:
        """Record that something is missing, and why."""
        self.omissions.append(Omission(part, where, reason))


def rows_at_once(layers: Sequence[HiddenLayer]) -> int:
    """Examples of one batch of `taken_of_layers`, where there are as many."""
    example = 4 * sum(math.prod(layer.shape) for layer in layers)
    return int(np.clip(BATCH_BYTES // max(1, example), 1, MAX_ROWS))


def taken_of_layers(
    model: keras.Model, layers: Sequence[HiddenLayer], sample: Sample, seed: int
) -> dict[HiddenLayer, np.ndarray]:
    """What is taken of layers, of all examples, `[examples, units]`, by one pass over them.

    Args:
        model: it runs in inference mode.
        layers: of the model.
        sample: the examples.
        seed: of the places at which units are taken.
    """
    cut = joint_activations_model(model, [layer.name for layer in layers])
    rows = min(rows_at_once(layers), sample.size)
    # Whatever the number of examples, the first ones have the same places.
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
    """Places at which a layer has channels."""
    return max(1, math.prod(layer.shape) // max(1, layer.num_units))


def _taken(layer: HiddenLayer, z: Any, places: np.ndarray) -> np.ndarray:
    """What the layer's view takes of a batch of activations."""
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
    """Puts back what a forward pass may move, after an exception too: metrics, seeds, statistics.

    Nothing that measures assigns a trainable weight or the optimizer's variables: they are left
    out, which spares a copy of the model.
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
