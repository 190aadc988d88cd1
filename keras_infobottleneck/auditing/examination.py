"""One audit under way: what is examined, on which examples, and what could not be had."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.subject import HiddenLayer
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.introspection.activations import activations_model

__all__ = ["Examination", "undisturbed"]

NOTHING = (None, np.zeros([0, 0], np.float32))


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
    _once: dict[str, Any] = dataclasses.field(default_factory=dict)
    _activations: tuple[HiddenLayer | None, np.ndarray] = NOTHING

    @property
    def beta(self) -> float:
        """Price of a nat in the weights, relative to the mean loss: one nat of training loss."""
        return 1 / self.num_examples

    def examples(self, part: str) -> Sample:
        """The examples that a part takes."""
        return self.sample.first(self.counts[part])

    def activations(self, part: str, layer: HiddenLayer) -> np.ndarray:
        """Activations of the part's examples, `[examples, units]` float32, in inference mode.

        They are what the layer's `view` takes. Those of the last layer are kept, for all parts
        that take the same.

        Raises:
            ValueError: activations that are not finite.
        """
        count = self.counts[part]
        seen, z = self._activations
        if seen != layer or len(z) < min(count, self.sample.size):
            self._activations = NOTHING  # the last layer's need not be kept beside the next one's
            z = self._taken(layer, self.sample.first(count))
            self._activations = layer, z
        if not np.all(np.isfinite(z[:count])):
            raise ValueError("The activations must be finite. Received: NaN or infinite values")
        return z[:count]

    def _taken(self, layer: HiddenLayer, sample: Sample) -> np.ndarray:
        """What is taken of a layer, of all examples, `[examples, units]`."""
        cut = activations_model(self.model, layer.name)
        parts, first = [], 0
        num_places = math.prod(layer.shape) // max(1, layer.num_units)
        # However many examples are taken, the first ones have the same places.
        places = np.random.default_rng(self.seed).integers(num_places, size=sample.size)
        for batch in Batches(sample.inputs, needs_labels=False):
            rows = int(np.sum(batch.weights))
            z = keras.ops.cast(cut(batch.x, training=False)[:rows], "float32")
            if layer.view != "units" and layer.channels is not None:
                z = keras.ops.moveaxis(z, 1 + layer.channels, -1)
                z = keras.ops.reshape(z, [rows, num_places, layer.num_units])
            if layer.view == "average":
                z = keras.ops.mean(z, 1)
            elif layer.view == "place":
                chosen = places[first : first + rows, np.newaxis, np.newaxis]
                z = keras.ops.take_along_axis(z, chosen, 1)
            parts.append(keras.ops.convert_to_numpy(z).reshape(rows, -1))
            first += rows
        return np.concatenate(parts)

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """Result that several parts share, measured when the first of them asks for it."""
        if name not in self._once:
            self._once[name] = measure()
        return self._once[name]

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
