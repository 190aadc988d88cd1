"""The networks of critics and their compiled steps, kept from one call to the next.

TensorFlow never frees all memory of a compiled function. An estimator that compiled its critics
anew in every call would lose some MiB and a second each time; in a training that is measured after
every epoch this adds up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["PRECISION", "CriticSteps", "hidden_layers", "kept_steps", "random_kernel"]

# Number of critics that are kept, and largest number of weights of one: 96 MiB with Adam's state.
NUM_KEPT, MOST_WEIGHTS = 8, 2**20

# Precision of every critic, for any setting of Keras: half precision cannot resolve close logits.
PRECISION = "float32"

# A loss, of z, n, the rows of a batch, as many rows for unpairing, and the training mode.
Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, bool], tf.Tensor]


class CriticSteps:
    """A critic's network and optimizer, with its compiled functions.

    Args:
        model: The network.
        loss: Loss of `z`, `n`, the rows of a batch, as many rows for unpairing, and the training
            mode.
        judge: Function of `z` and `n`, or of `z` alone, that returns the trained critic's values.
    """

    def __init__(self, model: keras.Model, loss: Loss, judge: Callable[..., Any]):
        optimizer = keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)

        def epoch(z: tf.Tensor, n: tf.Tensor, batches: tf.Tensor, apart: tf.Tensor) -> None:
            for step in tf.range(tf.shape(batches)[0]):
                with tf.GradientTape() as tape:
                    value = loss(z, n, batches[step], apart[step], True)
                variables = model.trainable_variables
                optimizer.apply(tape.gradient(value, variables), variables)

        self.model, self.optimizer = model, optimizer
        self.epoch = tf.function(epoch, reduce_retracing=True)
        self.validation_loss = tf.function(
            lambda z, n, rows, apart: loss(z, n, rows, apart, False), reduce_retracing=True
        )
        self.judge = tf.function(judge, autograph=False, reduce_retracing=True)
        self._first = model.get_weights()
        self._clean = [variable.numpy() for variable in optimizer.variables]

    def draw_first_weights(self, seed: int) -> None:
        """Resets the network to its first weights, with each `random_kernel(number)` drawn anew.

        The seed of a kernel is `seed + number`.

        Args:
            seed: Seed of the kernels.
        """
        self.model.set_weights(self._first)
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Dense):
                initializer = layer.kernel_initializer
                if isinstance(initializer, keras.initializers.GlorotUniform):
                    draw = keras.initializers.GlorotUniform(seed=seed + initializer.seed)
                    layer.kernel.assign(draw(layer.kernel.shape, layer.kernel.dtype))

    def restart(self, weights: list[np.ndarray], learning_rate: float) -> None:
        """Sets the network to these weights, and resets the optimizer."""
        self.model.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, self._clean, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate = learning_rate


def random_kernel(number: int) -> keras.initializers.Initializer:
    """Initializer of a kernel that `draw_first_weights` draws, with its own number."""
    return keras.initializers.GlorotUniform(seed=number)


def hidden_layers(inputs: list[keras.KerasTensor], first_number: int = 0) -> keras.KerasTensor:
    """Two hidden layers of 128 units on all inputs, flattened."""
    flat = [keras.layers.Flatten(dtype=PRECISION)(each) for each in inputs]
    hidden = keras.layers.Concatenate(dtype=PRECISION)(flat) if len(flat) > 1 else flat[0]
    for number in (first_number, first_number + 1):
        options = {"kernel_initializer": random_kernel(number), "dtype": PRECISION}
        hidden = keras.layers.Dense(128, "silu", **options)(hidden)
    return hidden


_kept: dict[tuple[Any, ...], CriticSteps] = {}
_lock = threading.Lock()


def kept_steps(build: Callable[..., CriticSteps], *architecture: Any) -> CriticSteps:
    """`build(*architecture)`, or the result of an earlier call of this thread for the same.

    Its weights may be those of an earlier training: `draw_first_weights` resets them.
    """
    key = (threading.get_ident(), tf.distribute.get_strategy(), build, *architecture)
    with _lock:
        steps = _kept.pop(key, None)
    steps = build(*architecture) if steps is None else steps
    if steps.model.count_params() <= MOST_WEIGHTS:
        with _lock:
            _kept[key] = steps  # at the end, so that the first is the least recently used
            while len(_kept) > NUM_KEPT:
                del _kept[next(iter(_kept))]
    return steps
