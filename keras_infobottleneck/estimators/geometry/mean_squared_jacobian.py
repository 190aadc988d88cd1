"""Sensitivity of an output to small changes of its input, on average over the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_model, check_verbose, seed_or_fresh
from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled, sum_over
from keras_infobottleneck.introspection.model_data import batches_for, float_types
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["mean_squared_jacobian"]


@on_replicas
def mean_squared_jacobian(
    model: keras.Model,
    x: Any,
    *,
    num_probes: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
) -> Estimate:
    """Compute ``mean_x ||d f(x) / dx||_F^2``, the squared Jacobian of a model's output.

    Small noise of standard deviation ``s`` on every input entry changes the output by
    ``s^2 ||J||_F^2`` in squared distance. Computed in inference mode. It depends on the scale of
    the outputs: logits that are twice as large have a value four times as large, with the same
    predictions. Compare models at equal loss, or compare probabilities.

    Exact for the given data by default, with a standard error over the examples, at one backward
    pass for each output. With `num_probes` it is unbiased (Hutchinson), at a backward pass for each
    probe.

    Args:
        model: A Keras model with one output and float inputs; for a hidden layer,
            ``keras.Model(model.inputs, layer.output)``.
        x: Inputs: an array, a structure of them, or a dataset, whose labels are ignored. Integers,
            such as bytes of images, are cast to the float type of the model.
        num_probes: Number of random combinations of the outputs per example; None for every output.
        batch_size: Number of examples in a batch.
        seed: Seed of the probes.
        verbose: 1 for a progress bar.

    Raises:
        TypeError, ValueError: The model has several outputs or inputs that are not floats, or does
            not accept the data; or derivatives are not finite.

    References:
        Sokolić, Giryes, Sapiro & Rodrigues (2017), arXiv 1605.08254; Novak et al. (2018), arXiv
        1802.08760.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        dense = keras.layers.Dense(2, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((3,)), dense])
        x = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
        print(kib.estimators.mean_squared_jacobian(model, x))  # six weights of 1
        ```

        ```text
        6
        ```
    """
    check_model("model", model)
    check_count("num_probes", num_probes, optional=True)
    check_count("batch_size", batch_size, optional=True)
    seed = seed_or_fresh("seed", seed)
    check_verbose("verbose", verbose)
    batches = batches_for(model, x, batch_size, name="x", needs_labels=False)
    first = batches.first_inputs()
    floats = float_types(model, first, name="x")
    if len(tf.nest.flatten(model(first, training=False))) != 1:
        raise TypeError(f"`model` must have one output. Received: model={model.name!r}")

    def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
        def step(batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            leaves = tf.nest.flatten(batch.x)
            inputs = [tf.cast(leaf, kind) for leaf, kind in zip(leaves, floats, strict=True)]
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(inputs)
                outputs = model_of()(tf.nest.pack_sequence_as(batch.x, inputs), training=False)
                (outputs,) = tf.nest.flatten(outputs)
                outputs = tf.cast(tf.reshape(outputs, [batch.weights.shape[0], -1]), tf.float32)
            rows, width = outputs.shape
            count = width if num_probes is None else num_probes

            def squares(number: int | tf.Tensor) -> tf.Tensor:
                if num_probes is None:
                    direction = tf.one_hot(tf.fill([rows], number), width)
                else:
                    # A seed for each example, so that its probes do not depend on the batches.
                    own = tf.cast(batch.first, tf.int32) + tf.range(rows)
                    folded = tf.random.experimental.stateless_fold_in(seed, number)

                    def signs(example: tf.Tensor) -> tf.Tensor:
                        key = tf.random.experimental.stateless_fold_in(folded, example)
                        bits = tf.random.stateless_uniform([width], key, 0, 2, tf.int32)
                        return 2.0 * tf.cast(bits, tf.float32) - 1.0

                    direction = tf.map_fn(signs, own, fn_output_signature=tf.float32)
                gradients = tape.gradient(
                    outputs, inputs, direction, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                flat = [tf.reshape(tf.cast(g, tf.float32), [rows, -1]) for g in gradients]
                return tf.add_n([tf.reduce_sum(g**2, 1) for g in flat])

            each = sum_over(count, squares, tf.zeros([rows]))
            if num_probes is not None:
                each = each / count
            each, weights = tf.cast(each, tf.float64), tf.cast(batch.weights, tf.float64)
            return tf.reduce_sum(weights * each), tf.reduce_sum(weights * each**2)

        return CompiledSum(step)

    pass_ = compiled(model, ("mean squared Jacobian", num_probes, *floats), make)
    start = int(np.random.default_rng(seed).integers(2**31))
    total, squared = pass_.over(batches, tf.constant([start, 0]), verbose=verbose)
    count: Any = batches.num_examples
    mean = float(total) / count
    if not math.isfinite(mean):
        raise ValueError(
            "The derivatives must be finite; look for NaN in the data or overflow in the model. "
            f"Received: a mean of {mean}"
        )
    error = float("nan")
    if count > 1:
        variance = max(float(squared) / count - mean**2, 0.0) * count / (count - 1)
        error = math.sqrt(variance / count)
    return Estimate(mean, error, None if num_probes is None else seed)
