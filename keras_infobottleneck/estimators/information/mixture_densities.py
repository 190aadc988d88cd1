"""Densities of a representation, with and without its pair, as learned mixtures of Gaussians."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_training import (
    hidden_layers,
    trainer_on_pairs,
)

__all__ = ["MixtureDensities"]

NUM_COMPONENTS = 8
# Spread of the first means; with the first scale, softplus(0.47), the whole has variance 1.
SPREAD = 0.3
FIRST_SCALE = 0.469  # softplus gives sqrt(1 - 0.3^2)
# Smallest standard deviation of a component, in units of the whitened representation.
MIN_SCALE = 1e-3


class MixtureDensities:
    """``p(z)`` and ``p(z | x)``, both mixtures of Gaussians with full covariances (KNIFE).

    Trained together by maximum likelihood; the log-density ratio of a pair is their difference.

    Args:
        shapes: of one `z`, whitened, and of one `x`.
        learning_rate, batch_size, epochs: of the training.
        seed: of the first weights.
    """

    def __init__(
        self,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        *,
        learning_rate: float,
        batch_size: int,
        epochs: int,
        seed: int,
    ):
        self._size = size = shapes[0][0]
        width = NUM_COMPONENTS * (1 + size + size * (size + 1) // 2)
        spread = SPREAD * np.random.default_rng(seed).normal(size=(NUM_COMPONENTS, size))
        first = np.zeros(width, np.float32)
        first[NUM_COMPONENTS : NUM_COMPONENTS * (1 + size)] = spread.ravel()
        bias = keras.initializers.Constant(first)
        x = keras.Input(shapes[1])
        # Both start as one mixture: an untrained estimate is zero.
        options = {"kernel_initializer": "zeros", "bias_initializer": bias}
        conditional = keras.layers.Dense(width, **options)(hidden_layers([x], seed))
        nothing = keras.layers.Flatten()(x)[:, :1] * 0.0
        marginal = keras.layers.Dense(width, **options)(nothing)
        self.model = model = keras.Model(x, [conditional, marginal])

        def log_densities(z: tf.Tensor, x: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
            return [self._log_prob(each, z) for each in model(x, training=training)]

        def loss(
            z: tf.Tensor, x: tf.Tensor, rows: tf.Tensor, apart: tf.Tensor, training: bool
        ) -> tf.Tensor:
            both = log_densities(tf.gather(z, rows), tf.gather(x, rows), training)
            return -tf.reduce_mean(tf.add_n(both))

        # From these pairs to the rows that moved the weights, and those held back.
        self.fit = trainer_on_pairs(model, loss, learning_rate, batch_size, epochs)
        self._log_densities = tf.function(log_densities, autograph=False, reduce_retracing=True)

    def _log_prob(self, parameters: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Log-density of each `z` under the mixture of each row of parameters."""
        from tensorflow_probability import distributions as tfd

        size, count = self._size, NUM_COMPONENTS
        logits, loc, scale = tf.split(
            parameters, [count, count * size, count * size * (size + 1) // 2], -1
        )
        loc = tf.reshape(loc, [-1, count, size])
        scale = tf.reshape(scale, [-1, count, size * (size + 1) // 2])
        matrix = tf.linalg.band_part(_lower_triangle(scale, size), -1, 0)
        diagonal = MIN_SCALE + tf.nn.softplus(tf.linalg.diag_part(matrix) + FIRST_SCALE)
        matrix = tf.linalg.set_diag(matrix, diagonal)
        parts = tfd.MultivariateNormalTriL(loc, matrix)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), parts).log_prob(z)

    def terms(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log-density ratio of each pair, `[num_examples]` float64."""
        conditional, marginal = self._log_densities(z, x)
        return (conditional - marginal).numpy().astype(np.float64)


def _lower_triangle(values: tf.Tensor, size: int) -> tf.Tensor:
    """Values `[..., size (size + 1) / 2]` as lower triangles `[..., size, size]`."""
    from tensorflow_probability import math as tfp_math

    return tfp_math.fill_triangular(values)
