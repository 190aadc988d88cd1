"""The standard error of a validation loss over the examples, by one more pass over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.data.elements import text_as_tensors
from keras_infobottleneck.introspection.compiled_losses import only_loss
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.model_data import batches_for

__all__ = ["Validation"]

# Mean losses of two passes agree up to rounding, unless one of them is weighted.
TOLERANCE = 1e-3


class Validation:
    """The validation examples of a sweep, for a standard error at every price.

    Args:
        model: The compiled model.
        data: Validation data of `fit`; None for none.
    """

    def __init__(self, model: keras.Model, data: Any):
        self._model, self._data = model, data
        self._batches = None if data is None else _batches(model, data)

    def for_keras(self) -> Any:
        """The examples in a form that `fit` accepts."""
        if self._batches is None or self._batches.is_dataset:
            return self._data
        return text_as_tensors(self._batches.first_batch())

    def checksum(self) -> int:
        """A checksum of the examples; 0 without any that can be read here."""
        return 0 if self._batches is None else self._batches.checksum()

    def standard_error(self, mean: float | None) -> float:
        """Standard error of the mean task loss, without noise; NaN if it is not known.

        It is known for one output and one loss that gives a number for each example, if their mean
        is the one that was logged: not for weighted or masked examples.

        Args:
            mean: The logged mean; None if none was logged.
        """
        batches = self._batches
        if batches is None or mean is None:
            return math.nan
        total = compiled(self._model, "validation losses", _losses)
        try:
            sums = {name: float(value) for name, value in total.over(batches).items()}
        except (AttributeError, TypeError, ValueError, tf.errors.OpError):
            return math.nan
        count: Any = batches.num_examples
        own = sums["loss"] / count
        if count < 2 or not math.isclose(own, mean, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            return math.nan
        variance = max(0.0, sums["square"] / count - own**2) * count / (count - 1)
        return math.sqrt(variance / count)


def _batches(model: keras.Model, data: Any) -> Batches | None:
    """Validation examples as `Batches`; None if only Keras can read them."""
    try:
        return batches_for(model, data)
    except (TypeError, ValueError):
        return None


def _losses(reference: Callable[[], keras.Model]) -> CompiledSum:
    """Sums over examples of the loss and its square."""

    def of_batch(batch: Batch) -> dict[str, tf.Tensor]:
        model = reference()
        loss = only_loss(model)
        if not callable(loss):
            raise ValueError(f"The loss must be one of one output. Received: loss={loss!r}")
        outputs = model(batch.x, training=False)
        per_label = loss.call if isinstance(loss, keras.losses.Loss) else loss
        losses = tf.cast(per_label(tf.convert_to_tensor(batch.y), outputs), tf.float64)
        losses = tf.reduce_mean(tf.reshape(losses, [tf.shape(batch.weights)[0], -1]), 1)
        # Rows that only pad the batch do not count, even if their loss is infinite.
        losses = tf.where(tf.cast(batch.weights, tf.bool), losses, 0.0)
        return {"loss": tf.reduce_sum(losses), "square": tf.reduce_sum(losses**2)}

    return CompiledSum(of_batch)
