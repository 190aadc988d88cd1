"""Likelihood terms whose outputs are independent of each other: bits and real numbers."""

from __future__ import annotations

import abc
import math

import tensorflow as tf

from keras_infobottleneck.estimators.fisher.masked_positions import without_masked
from keras_infobottleneck.estimators.fisher.terms import (
    TINY_PROBABILITY,
    Tensors,
    Term,
    draw_normal,
    draw_uniform,
)

__all__ = ["Bernoulli", "BernoulliProbabilities", "Normal"]


class _OfOutputs(Term):
    """A term whose labels have the shape of its outputs."""

    def _of_shape(self, y: tf.Tensor, name: str) -> tf.Tensor:
        """Labels in the shape of the outputs; a missing last axis of length one is added."""
        eta = self.eta[0]
        if y.shape == eta.shape[:-1] and eta.shape[-1] == 1:
            y = y[..., None]
        if y.shape != eta.shape:
            raise ValueError(
                f"{name} labels must have the outputs' shape {tuple(eta.shape)}. "
                f"Received: y.shape={tuple(y.shape)}"
            )
        return tf.cast(without_masked(y, self.masks), eta.dtype)


class _OverBits(_OfOutputs):
    """Common code of both parametrisations of the Bernoulli distribution."""

    @property
    @abc.abstractmethod
    def probabilities(self) -> tf.Tensor:
        """Probabilities that a bit is one."""

    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> tf.Tensor:
        """Bits: one uniform number per output is compared with its probability."""
        eta = self.eta[0]
        noise = draw_uniform(key, first, eta.shape[0], (num_samples, *eta.shape[1:]))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), eta.dtype)
        return tf.cast(noise < self.probabilities, eta.dtype)

    def target(self, y: tf.Tensor) -> tf.Tensor:
        """Labels in the shape of the outputs; values outside [0, 1] become NaN."""
        y = self._of_shape(y, "Bernoulli")
        return tf.where((y >= 0) & (y <= 1), y, tf.constant(math.nan, y.dtype))


class Bernoulli(_OverBits):
    """Independent bits with `eta` = logits: `A = diag(p (1 - p))`."""

    @property
    def probabilities(self) -> tf.Tensor:
        """Sigmoid of the logits."""
        return tf.sigmoid(self.eta[0])

    @property
    def _variance(self) -> tf.Tensor:
        return tf.sigmoid(self.eta[0]) * tf.sigmoid(-self.eta[0])

    def score(self, y: tf.Tensor) -> Tensors:
        """`y - p`."""
        return [self.target(y) - self.probabilities]

    def log_probs(self, y: tf.Tensor) -> tf.Tensor:
        """Negative cross-entropy of every output."""
        return -tf.nn.sigmoid_cross_entropy_with_logits(self.target(y), self.eta[0])

    def column(self, k: int | tf.Tensor) -> Tensors:
        """`e_k sqrt(p_k (1 - p_k))`."""
        return [self._unit(k) * tf.sqrt(self._variance)]

    def multiply(self, tangents: Tensors) -> Tensors:
        """`p (1 - p) v`."""
        return [self._variance * tangents[0]]


class BernoulliProbabilities(_OverBits):
    """Independent bits with `eta` = probabilities: `A = diag(1 / (p (1 - p)))`."""

    @property
    def probabilities(self) -> tf.Tensor:
        """The outputs themselves."""
        return self.eta[0]

    @property
    def _variance(self) -> tf.Tensor:
        return tf.maximum(self.eta[0] * (1 - self.eta[0]), TINY_PROBABILITY)

    def score(self, y: tf.Tensor) -> Tensors:
        """`(y - p) / (p (1 - p))`."""
        return [(self.target(y) - self.eta[0]) / self._variance]

    def log_probs(self, y: tf.Tensor) -> tf.Tensor:
        """Negative cross-entropy of every output."""
        y, p = self.target(y), self.eta[0]
        one = y * tf.math.log(tf.maximum(p, TINY_PROBABILITY))
        return one + (1 - y) * tf.math.log(tf.maximum(1 - p, TINY_PROBABILITY))

    def column(self, k: int | tf.Tensor) -> Tensors:
        """`e_k / sqrt(p_k (1 - p_k))`."""
        return [self._unit(k) * tf.math.rsqrt(self._variance)]

    def multiply(self, tangents: Tensors) -> Tensors:
        """`v / (p (1 - p))`."""
        return [tangents[0] / self._variance]


class Normal(_OfOutputs):
    """Independent normals with `eta` = loc and, unless the scale is fixed at one, scale.

    `A = diag(1 / scale^2)` for loc and `diag(2 / scale^2)` for scale.
    """

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor | None = None):
        if scale is None:
            super().__init__(loc)
        else:
            super().__init__(loc, tf.broadcast_to(scale, loc.shape))

    @property
    def _scale(self) -> tf.Tensor:
        return self.eta[1] if len(self.eta) == 2 else tf.ones_like(self.eta[0])

    @property
    def num_columns(self) -> int:
        """Number of columns: one for each loc and each scale."""
        return len(self.eta) * self.num_outputs

    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> tf.Tensor:
        """Normal draws from one standard normal number per output."""
        loc = self.eta[0]
        noise = draw_normal(key, first, loc.shape[0], (num_samples, *loc.shape[1:]))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), loc.dtype)
        return loc + self._scale * noise

    def score(self, y: tf.Tensor) -> Tensors:
        """`(y - loc) / scale^2` and `((y - loc)^2 / scale^2 - 1) / scale`."""
        y = self._of_shape(y, "Normal")
        error = (y - self.eta[0]) / self._scale
        return [error / self._scale, (error**2 - 1) / self._scale][: len(self.eta)]

    def log_probs(self, y: tf.Tensor) -> tf.Tensor:
        """Log-density of every output."""
        error = (self._of_shape(y, "Normal") - self.eta[0]) / self._scale
        return -0.5 * error**2 - tf.math.log(self._scale) - 0.5 * math.log(2 * math.pi)

    def column(self, k: int | tf.Tensor) -> Tensors:
        """`e_k / scale` for loc, `sqrt(2) e_k / scale` for scale."""
        loc, scale = self._unit(k), math.sqrt(2.0) * self._unit(k - self.num_outputs)
        return [loc / self._scale, scale / self._scale][: len(self.eta)]

    def multiply(self, tangents: Tensors) -> Tensors:
        """Multiplies by the variances of the scores."""
        return [v * c / self._scale**2 for v, c in zip(tangents, (1.0, 2.0), strict=False)]
