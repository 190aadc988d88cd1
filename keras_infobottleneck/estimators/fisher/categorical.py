"""Classes as labels: the categorical distribution in its two parametrisations."""

from __future__ import annotations

import abc
import math

import tensorflow as tf

from keras_infobottleneck.estimators.fisher.terms import (
    TINY_PROBABILITY,
    Term,
    draw_uniform,
    sum_example,
)

__all__ = ["Categorical", "CategoricalProbabilities"]


class _OverClasses(Term):
    """What both parametrisations of the categorical distribution share."""

    @property
    @abc.abstractmethod
    def probabilities(self) -> tf.Tensor:
        """Class probabilities, `[batch, ..., classes]`."""

    def draw(self, key, first, num_samples):
        """Inverse of the cumulative distribution at one uniform number per position."""
        positions = tuple(self.eta[0].shape[1:-1])
        noise = draw_uniform(key, first, self.eta[0].shape[0], (num_samples, *positions))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), self.eta[0].dtype)
        cumulative = tf.cumsum(self.probabilities, axis=-1)
        # Rounding may leave the last sum off one: noise is stretched to it.
        noise = noise[..., None] * cumulative[..., -1:]
        below = tf.reduce_sum(tf.cast(cumulative <= noise, tf.int32), -1)
        return tf.minimum(below, self.eta[0].shape[-1] - 1)

    def target(self, y: tf.Tensor) -> tf.Tensor:
        """Labels as class probabilities; an integer outside the classes becomes NaN."""
        eta = self.eta[0]
        classes = eta.shape[-1]
        if y.shape == eta.shape and not (y.dtype.is_integer and classes == 1):
            return tf.cast(y, eta.dtype)
        if y.shape == [*eta.shape[:-1], 1]:
            y = tf.squeeze(y, -1)
        if y.shape != eta.shape[:-1]:
            raise ValueError(
                "Categorical labels must be integers of the outputs' shape without its last axis, "
                f"or one-hot of the outputs' shape {tuple(eta.shape)}. "
                f"Received: y.shape={tuple(y.shape)}"
            )
        index = tf.cast(y, tf.int32)
        valid = (tf.cast(index, eta.dtype) == tf.cast(y, eta.dtype)) & (index >= 0)
        valid &= index < classes
        nan = tf.constant(math.nan, eta.dtype)
        return tf.where(valid[..., None], tf.one_hot(index, classes, dtype=eta.dtype), nan)


class Categorical(_OverClasses):
    """Classes with `eta` = logits: `A = diag(p) - p p^T`, of rank one less than classes.

    With `q = sqrt(p)`, a unit vector, `A = diag(q) (I - q q^T) diag(q)`, and a reflection that
    takes q to the first axis gives the columns: `s_c = q * (e_c - q_c (q + e_0) / (1 + q_0))`.
    """

    def __init__(self, logits: tf.Tensor):
        super().__init__(logits)
        # Made here, once: columns are asked for inside a loop.
        self._softmax = tf.nn.softmax(logits)

    @property
    def probabilities(self):
        """Softmax of the logits."""
        return self._softmax

    @property
    def num_columns(self):
        """One less than classes, for each position."""
        classes = self.eta[0].shape[-1]
        return self.num_outputs // classes * (classes - 1)

    def score(self, y):
        """`y - p` for one-hot y."""
        target = self.target(y)
        return [target - tf.reduce_sum(target, -1, keepdims=True) * self.probabilities]

    def log_prob(self, y):
        """Sum over positions of the log-probability of the class."""
        return sum_example(self.target(y) * tf.nn.log_softmax(self.eta[0]))

    def column(self, k):
        """Position and class, from the second on, are both counted by k."""
        shape = self.eta[0].shape[1:]
        unit = tf.one_hot(k, self.num_columns, dtype=self.eta[0].dtype)
        unit = tf.reshape(unit, [1, *shape[:-1], shape[-1] - 1])
        first = tf.reduce_sum(unit, -1, keepdims=True)
        unit = tf.concat([tf.zeros_like(first), unit], -1)
        p = self.probabilities
        q_first = tf.sqrt(p[..., :1])
        q_here = tf.sqrt(tf.reduce_sum(p * unit, -1, keepdims=True))
        # 1 - p_c as the sum of the others: the difference is all rounding where p_c is near one.
        others = tf.reduce_sum(p * (first - unit), -1, keepdims=True)
        is_first = tf.one_hot(0, shape[-1], dtype=p.dtype)
        below = (p + q_first * is_first) / (1 + q_first)
        here = (q_first + others) / (1 + q_first)
        return [q_here * tf.where(unit > 0, here, -first * below)]

    def multiply(self, tangents):
        """`p * (v - p.v)`."""
        p, (v,) = self.probabilities, tangents
        return [p * (v - tf.reduce_sum(p * v, -1, keepdims=True))]


class CategoricalProbabilities(_OverClasses):
    """Classes with `eta` = probabilities: `A = diag(1/p)`."""

    @property
    def probabilities(self):
        """The outputs themselves."""
        return self.eta[0]

    @property
    def _floored(self):
        return tf.maximum(self.eta[0], TINY_PROBABILITY)

    def score(self, y):
        """`y / p` for one-hot y."""
        return [self.target(y) / self._floored]

    def log_prob(self, y):
        """Sum over positions of the log-probability of the class."""
        return sum_example(self.target(y) * tf.math.log(self._floored))

    def column(self, k):
        """`e_k / sqrt(p_k)`."""
        return [self._unit(k) * tf.math.rsqrt(self._floored)]

    def multiply(self, tangents):
        """`v / p`."""
        return [tangents[0] / self._floored]
