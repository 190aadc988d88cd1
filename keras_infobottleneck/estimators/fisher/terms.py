"""The terms of a label's distribution, and the closed forms in which outputs are independent.

A term holds the distribution's parameters `eta`, tensors `[batch, ...]` that depend on the
weights. The Fisher information of the label about `eta` is `A = sum_k s_k s_k^T`, with as many
columns `s_k` as the distribution needs; positions of a sequence are independent.

Random numbers belong to examples, not to batches: the counter-based generator is started at each
batch's first example, so that an example draws the same numbers whatever the batch size.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf

__all__ = [
    "TINY_PROBABILITY",
    "Bernoulli",
    "BernoulliProbabilities",
    "Likelihood",
    "Normal",
    "Term",
    "as_float",
    "draw_normal",
    "draw_uniform",
    "seed_pair",
    "sum_example",
]

Tensors = list[tf.Tensor]

# Smallest probability that is divided by: its square root's inverse is still finite in float32,
# and a softmax that underflowed multiplies it by an exact zero.
TINY_PROBABILITY = 1e-37

PHILOX = 1
# One step of the Philox counter gives four 32-bit numbers.
NUMBERS_PER_COUNT = 4


class Term(abc.ABC):
    """One independent part of the label's distribution, with parameters `eta`."""

    def __init__(self, *eta: tf.Tensor):
        self.eta: Tensors = list(eta)

    @property
    def num_outputs(self) -> int:
        """Size of the first parameter for one example."""
        return math.prod(self.eta[0].shape[1:])

    @property
    def num_columns(self) -> int:
        """How many columns `s_k` the Fisher information of the label has."""
        return self.num_outputs

    @abc.abstractmethod
    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> Any:
        """Labels drawn from the distribution, `[num_samples, batch, ...]`."""

    @abc.abstractmethod
    def score(self, y: Any) -> Tensors:
        """Gradient of `log p(y)` with respect to `eta`."""

    @abc.abstractmethod
    def log_prob(self, y: Any) -> tf.Tensor:
        """Log-probability of the label, `[batch]`, differentiable."""

    @abc.abstractmethod
    def column(self, k: tf.Tensor) -> Tensors:
        """Column `s_k`; zeros for `k` out of range."""

    @abc.abstractmethod
    def multiply(self, tangents: Tensors) -> Tensors:
        """`A` times a vector of the shape of `eta`."""

    def _unit(self, k: tf.Tensor) -> tf.Tensor:
        """One at output k of each example, else zero, broadcastable to `eta[0]`."""
        one_hot = tf.one_hot(k, self.num_outputs, dtype=self.eta[0].dtype)
        return tf.reshape(one_hot, [1, *self.eta[0].shape[1:]])


def draw_uniform(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Uniform numbers in [0, 1), `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomUniformV2, key, first, rows, shape)


def draw_normal(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Standard normal numbers, `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomNormalV2, key, first, rows, shape)


def _draw(op, key, first, rows, shape):
    """Whole counts per example, cut to what is asked for."""
    size = math.prod(shape)
    counts = -(-size // NUMBERS_PER_COUNT)
    counter = tf.stack([tf.cast(first, tf.uint64) * counts, tf.zeros([], tf.uint64)])
    numbers = op(
        shape=[rows, counts * NUMBERS_PER_COUNT],
        key=tf.reshape(tf.cast(key, tf.uint64), [1]),
        counter=counter,
        alg=PHILOX,
        dtype=tf.float32,
    )
    return tf.reshape(numbers[:, :size], [rows, *shape])


def seed_pair(key: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """A stateless seed for one batch, `[2]`, for distributions that draw by themselves."""
    return tf.stack([tf.cast(key % 2147483647, tf.int32), tf.cast(first, tf.int32)])


class Likelihood(abc.ABC):
    """How outputs become terms; `name` is what a result or an error says."""

    name: str

    @abc.abstractmethod
    def terms(self, outputs: Any) -> list[Term]:
        """The independent terms of the label's distribution, in the order of the labels."""

    def terms_of_rows(self, outputs: Any, num_rows: int) -> list[Term]:
        """The same for so many examples, whose number layers of text and others forget."""

        def counted(tensor: Any) -> Any:
            if not tf.is_tensor(tensor) or tensor.shape.rank in (None, 0):
                return tensor
            if tensor.shape[0] is not None:
                return tensor
            return tf.ensure_shape(tensor, [num_rows, *tensor.shape[1:]])

        return self.terms(tf.nest.map_structure(counted, outputs))

    def labels(self, y: Any, count: int) -> list[Any]:
        """The label of each term."""
        if count == 1:
            return [y]
        leaves = tf.nest.flatten(y)
        if len(leaves) != count:
            raise ValueError(
                f"The labels must match the {count} distributions of the likelihood. "
                f"Received: {len(leaves)} label arrays"
            )
        return leaves


def as_float(outputs: tf.Tensor) -> tf.Tensor:
    """At least float32: scores are formed in it."""
    outputs = tf.convert_to_tensor(outputs)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def sum_example(a: tf.Tensor) -> tf.Tensor:
    """Sum over everything but examples."""
    return tf.reduce_sum(tf.reshape(a, [a.shape[0], -1]), 1)


class _OverBits(Term):
    """What both parametrisations of the Bernoulli distribution share."""

    @property
    @abc.abstractmethod
    def probabilities(self) -> tf.Tensor:
        """Probabilities of a one."""

    def draw(self, key, first, num_samples):
        """One uniform number per output."""
        eta = self.eta[0]
        noise = draw_uniform(key, first, eta.shape[0], (num_samples, *eta.shape[1:]))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), eta.dtype)
        return tf.cast(noise < self.probabilities, eta.dtype)

    def target(self, y: tf.Tensor) -> tf.Tensor:
        """Labels of the outputs' shape; one outside [0, 1] becomes NaN."""
        y = _of_shape(y, self.eta[0], "Bernoulli")
        return tf.where((y >= 0) & (y <= 1), y, tf.constant(math.nan, y.dtype))


class Bernoulli(_OverBits):
    """Independent bits with `eta` = logits: `A = diag(p (1 - p))`."""

    @property
    def probabilities(self):
        """Sigmoid of the logits."""
        return tf.sigmoid(self.eta[0])

    @property
    def _variance(self):
        return tf.sigmoid(self.eta[0]) * tf.sigmoid(-self.eta[0])

    def score(self, y):
        """`y - p`."""
        return [self.target(y) - self.probabilities]

    def log_prob(self, y):
        """Sum over outputs."""
        logits = self.eta[0]
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(self.target(y), logits)
        return -sum_example(cross_entropy)

    def column(self, k):
        """`e_k sqrt(p_k (1 - p_k))`."""
        return [self._unit(k) * tf.sqrt(self._variance)]

    def multiply(self, tangents):
        """`p (1 - p) v`."""
        return [self._variance * tangents[0]]


class BernoulliProbabilities(_OverBits):
    """Independent bits with `eta` = probabilities: `A = diag(1 / (p (1 - p)))`."""

    @property
    def probabilities(self):
        """The outputs themselves."""
        return self.eta[0]

    @property
    def _variance(self):
        return tf.maximum(self.eta[0] * (1 - self.eta[0]), TINY_PROBABILITY)

    def score(self, y):
        """`(y - p) / (p (1 - p))`."""
        return [(self.target(y) - self.eta[0]) / self._variance]

    def log_prob(self, y):
        """Sum over outputs."""
        y, p = self.target(y), self.eta[0]
        one = y * tf.math.log(tf.maximum(p, TINY_PROBABILITY))
        return sum_example(one + (1 - y) * tf.math.log(tf.maximum(1 - p, TINY_PROBABILITY)))

    def column(self, k):
        """`e_k / sqrt(p_k (1 - p_k))`."""
        return [self._unit(k) * tf.math.rsqrt(self._variance)]

    def multiply(self, tangents):
        """`v / (p (1 - p))`."""
        return [tangents[0] / self._variance]


class Normal(Term):
    """Independent normals with `eta` = loc and, unless it is the constant one, scale.

    `A = diag(1 / scale^2)` for loc and `diag(2 / scale^2)` for scale.
    """

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor | None = None):
        if scale is None:
            super().__init__(loc)
        else:
            super().__init__(loc, tf.broadcast_to(scale, loc.shape))

    @property
    def _scale(self):
        return self.eta[1] if len(self.eta) == 2 else tf.ones_like(self.eta[0])

    @property
    def num_columns(self):
        """One per parameter."""
        return len(self.eta) * self.num_outputs

    def draw(self, key, first, num_samples):
        """One normal number per output."""
        loc = self.eta[0]
        noise = draw_normal(key, first, loc.shape[0], (num_samples, *loc.shape[1:]))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), loc.dtype)
        return loc + self._scale * noise

    def score(self, y):
        """`(y - loc) / scale^2` and `((y - loc)^2 / scale^2 - 1) / scale`."""
        y = _of_shape(y, self.eta[0], "Normal")
        error = (y - self.eta[0]) / self._scale
        return [error / self._scale, (error**2 - 1) / self._scale][: len(self.eta)]

    def log_prob(self, y):
        """Sum over outputs."""
        y = _of_shape(y, self.eta[0], "Normal")
        error = (y - self.eta[0]) / self._scale
        constant = 0.5 * math.log(2 * math.pi)
        return sum_example(-0.5 * error**2 - tf.math.log(self._scale) - constant)

    def column(self, k):
        """`e_k / scale` for loc, `sqrt(2) e_k / scale` for scale."""
        loc, scale = self._unit(k), math.sqrt(2.0) * self._unit(k - self.num_outputs)
        return [loc / self._scale, scale / self._scale][: len(self.eta)]

    def multiply(self, tangents):
        """Divides by the variances of the scores."""
        return [v * c / self._scale**2 for v, c in zip(tangents, (1.0, 2.0), strict=False)]


def _of_shape(y: tf.Tensor, eta: tf.Tensor, name: str) -> tf.Tensor:
    """Labels in the shape of the outputs, a missing last axis of one added."""
    if y.shape == eta.shape[:-1] and eta.shape[-1] == 1:
        y = y[..., None]
    if y.shape != eta.shape:
        raise ValueError(
            f"{name} labels must have the outputs' shape {tuple(eta.shape)}. "
            f"Received: y.shape={tuple(y.shape)}"
        )
    return tf.cast(y, eta.dtype)
