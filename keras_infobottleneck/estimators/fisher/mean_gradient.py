"""The gradient of a model's mean loss, in one compiled pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import losses_of
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled

__all__ = ["mean_gradient"]


def mean_gradient(
    model: keras.Model,
    variables: list[keras.Variable],
    likelihood: Likelihood,
    batches: Batches,
) -> np.ndarray:
    """Gradient of the mean negative log-likelihood in inference mode, flat, in float64.

    Raises:
        ValueError: The gradient is not finite.
    """

    def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
        def step(batch: Batch) -> list[tf.Tensor]:
            values = [v.value for v in variables]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                outputs = model_of()(batch.x, training=False)
                terms = likelihood.terms_of_rows(outputs, batch.weights.shape[0])
                losses = losses_of(terms, batch.y)
                total = tf.reduce_sum(losses * tf.cast(batch.weights, losses.dtype))
            found = tape.gradient(total, values, unconnected_gradients="zero")
            return [tf.convert_to_tensor(gradient) for gradient in found]

        return CompiledSum(step)

    key = ("mean gradient", likelihood, tuple(map(id, variables)))
    total = compiled(model, key, make).over(batches)
    count: Any = batches.num_examples  # known after the pass
    flat = np.concatenate([np.ravel(part.numpy()).astype(np.float64) for part in total]) / count
    if not np.all(np.isfinite(flat)):
        raise ValueError(
            "The gradient of the mean loss must be finite; look for NaN in the data, labels "
            "outside the classes or overflow. Received: a gradient that is not finite"
        )
    return flat
