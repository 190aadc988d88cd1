"""The mean negative log-likelihood of a model, with its own weights or with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.label_pairs import losses_of
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.model_data import batches_for

__all__ = ["MeanLoss", "finite_loss"]


class MeanLoss:
    """Mean negative log-likelihood of the data in inference mode; a call is one compiled pass.

    Args:
        model: Any Keras model.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        likelihood, batch_size: As in `fisher_information`.
        variables: The weights whose values may be given in a call.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Any,
        likelihood: str | Callable[[Any], Any] | None = None,
        batch_size: int | None = None,
        variables: Sequence[keras.Variable] = (),
    ):
        self._batches = batches = batches_for(model, data, batch_size)
        found = find_likelihood(model, likelihood)

        def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
            # Refuses unsuitable outputs before tracing.
            found.terms(model_of()(batches.first_inputs(), training=False))

            def step(batch: Batch, values: list[tf.Tensor]) -> tf.Tensor:
                with keras.StatelessScope(list(zip(variables, values, strict=True))):
                    outputs = model_of()(batch.x, training=False)
                terms = found.terms_of_rows(outputs, batch.weights.shape[0])
                losses = tf.cast(losses_of(terms, batch.y), tf.float64)
                return tf.reduce_sum(losses * tf.cast(batch.weights, tf.float64))

            return CompiledSum(step)

        key = ("mean loss", found, tuple(map(id, variables)))
        self._sum = compiled(model, key, make)

    def __call__(self, values: Sequence[tf.Tensor] = ()) -> float:
        """The mean with these values of the variables; NaN or infinite if the model overflows."""
        total = float(self._sum.over(self._batches, list(values)))
        count: Any = self._batches.num_examples  # known after the pass
        return total / count


def finite_loss(loss: float) -> float:
    """Returns the loss after checking that it is finite.

    Raises:
        ValueError: The loss is NaN or infinite.
    """
    if not np.isfinite(loss):
        raise ValueError(
            "The mean loss must be finite; look for NaN in the data, labels outside the classes or "
            f"overflow, or give `loss`. Received: a mean loss of {loss}"
        )
    return loss
