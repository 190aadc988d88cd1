"""Densities of a representation, alone and given its pair, as learned mixtures of Gaussians."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_steps import (
    PRECISION,
    CriticSteps,
    hidden_layers,
    kept_steps,
)
from keras_infobottleneck.estimators.information.critic_training import trainer_on_pairs

__all__ = ["MixtureDensities"]

NUM_COMPONENTS = 8
# Spread of the initial means; together with the initial scale the mixture has variance 1.
SPREAD = 0.3
FIRST_SCALE = 0.469  # softplus gives sqrt(1 - 0.3^2)
# Smallest standard deviation of a component, in units of the whitened representation.
MIN_SCALE = 1e-3


class MixtureDensities:
    """``p(z)`` and ``p(z | x)``, both mixtures of Gaussians with full covariances (KNIFE).

    Both are trained together by maximum likelihood; the log-density ratio is their difference.

    Args:
        shapes: Shape of one `z`, which is whitened, and of one `x`.
        learning_rate, batch_size, epochs: Options of the training.
        seed: Seed of the initial weights.
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
        steps = kept_steps(_steps_of_mixtures, *shapes)
        steps.draw_first_weights(seed)
        size = shapes[0][0]
        spread = SPREAD * np.random.default_rng(seed).normal(size=(NUM_COMPONENTS, size))
        first = np.zeros(_num_parameters(size), np.float32)
        first[NUM_COMPONENTS : NUM_COMPONENTS * (1 + size)] = spread.ravel()
        # Both start as the same mixture, so that an untrained estimate is zero.
        for name in ("conditional", "marginal"):
            steps.model.get_layer(name).bias.assign(first)
        self._log_densities = steps.judge
        # Trains on pairs; returns the rows that moved the weights, and those held back.
        self.fit = trainer_on_pairs(steps, learning_rate, batch_size, epochs)

    def terms(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log-density ratio of each pair, `[num_examples]` float64."""
        conditional, marginal = self._log_densities(z, x)
        return (conditional - marginal).numpy().astype(np.float64)


def _num_parameters(size: int) -> int:
    """Number of parameters of a mixture: a logit, a mean and a matrix for each component."""
    return NUM_COMPONENTS * (1 + size + size * (size + 1) // 2)


def _steps_of_mixtures(shape: tuple[int], shape_of_x: tuple[int, ...]) -> CriticSteps:
    """Steps whose loss is the mean of both densities' negative logarithms."""
    x = keras.Input(shape_of_x, dtype=PRECISION)
    units, options = _num_parameters(shape[0]), {"kernel_initializer": "zeros", "dtype": PRECISION}
    conditional = keras.layers.Dense(units, name="conditional", **options)(hidden_layers([x]))
    nothing = keras.layers.Flatten(dtype=PRECISION)(x)[:, :1] * 0.0
    marginal = keras.layers.Dense(units, name="marginal", **options)(nothing)
    model = keras.Model(x, [conditional, marginal])

    def log_densities(z: tf.Tensor, x: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        return [_log_prob(each, z) for each in model(x, training=training)]

    def loss(
        z: tf.Tensor, x: tf.Tensor, rows: tf.Tensor, apart: tf.Tensor, training: bool
    ) -> tf.Tensor:
        both = log_densities(tf.gather(z, rows), tf.gather(x, rows), training)
        return -tf.reduce_mean(tf.add_n(both))

    return CriticSteps(model, loss, log_densities)


def _log_prob(parameters: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Log-density of each `z` under the mixture of each row of parameters."""
    from tensorflow_probability import distributions as tfd

    size, count = z.shape[1], NUM_COMPONENTS
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


def _lower_triangle(values: tf.Tensor, size: int) -> tf.Tensor:
    """Values `[..., size (size + 1) / 2]` as lower triangles `[..., size, size]`."""
    from tensorflow_probability import math as tfp_math

    return tfp_math.fill_triangular(values)
