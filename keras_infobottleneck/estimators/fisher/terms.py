"""Terms of the label's distribution under a likelihood, and the categorical distribution.

A term holds the parameters `eta` of the distribution, tensors `[batch, ...]` that depend on the
weights. The Fisher information of the label about `eta` is `A = sum_k s_k s_k^T`, with as many
columns `s_k` as the distribution needs; positions of a sequence are independent. Positions that a
mask excludes have no label: `eta` does not depend on the weights there, and no probability counts.

Random numbers belong to examples, not to batches: the counter-based generator starts each batch at
the number of its first example, so that an example has the same numbers for any batch size.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_infobottleneck.estimators.fisher.class_draws import MANY_CLASSES, class_of_many
from keras_infobottleneck.estimators.fisher.masked_positions import masks_of, without_masked

__all__ = [
    "TINY_PROBABILITY",
    "Categorical",
    "CategoricalProbabilities",
    "Likelihood",
    "Tensors",
    "Term",
    "as_float",
    "draw_normal",
    "draw_uniform",
    "seed_pair",
    "sum_example",
]

Tensors = list[tf.Tensor]

# Smallest probability used as a divisor: the inverse of its square root is finite in float32, and a
# softmax that underflowed multiplies it by an exact zero.
TINY_PROBABILITY = 1e-37

PHILOX = 1
# One step of the Philox counter yields four 32-bit numbers.
NUMBERS_PER_COUNT = 4


class Term(abc.ABC):
    """One independent part of the label's distribution, with parameters `eta`."""

    # Masks of the positions that have a label, `[batch, positions]`; without masks all have one.
    masks: Sequence[tf.Tensor] = ()
    # Number of axes of a label's log-probability, an upper limit for its masks; None if unknown.
    loss_rank: int | None = None
    # Key of the distribution in a dictionary, by which its label is found; None without one.
    key: str | None = None
    # Whether the keys of that dictionary are not in alphabetical order, in which nests are
    # flattened.
    needs_key = False
    # Whether the label itself may be a nest of arrays, such as that of a joint distribution.
    takes_nests = False

    def __init__(self, *eta: tf.Tensor):
        self.eta: Tensors = list(eta)

    @property
    def num_outputs(self) -> int:
        """Size of the first parameter for one example."""
        return math.prod(self.eta[0].shape[1:])

    @property
    def num_columns(self) -> int:
        """Number of columns `s_k` of the Fisher information of the label."""
        return self.num_outputs

    @abc.abstractmethod
    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> Any:
        """Labels drawn from the distribution, `[num_samples, batch, ...]`."""

    @abc.abstractmethod
    def score(self, y: Any) -> Tensors:
        """Gradient of `log p(y)` with respect to `eta`."""

    def weighed_score(self, y: Any, weights: tf.Tensor) -> Tensors:
        """The score of each example times its weight, `[batch]`."""

        def weighed(u: tf.Tensor) -> tf.Tensor:
            shape = [u.shape[0], *[1] * (u.shape.rank - 1)]
            return tf.reshape(tf.cast(weights, u.dtype), shape) * u

        return [weighed(u) for u in self.score(y)]

    def log_prob(self, y: Any) -> tf.Tensor:
        """Log-probability of the label, `[batch]`, differentiable."""
        return sum_example(without_masked(self.log_probs(y), self.masks))

    @abc.abstractmethod
    def log_probs(self, y: Any) -> tf.Tensor:
        """Log-probabilities that add up to that of the label, `[batch, ...]`."""

    @abc.abstractmethod
    def column(self, k: int | tf.Tensor) -> Tensors:
        """Column `s_k`; zeros for `k` out of range."""

    @abc.abstractmethod
    def multiply(self, tangents: Tensors) -> Tensors:
        """`A` times a vector of the shape of `eta`."""

    def _unit(self, k: int | tf.Tensor) -> tf.Tensor:
        """One at output k of each example, zero elsewhere, broadcastable to `eta[0]`."""
        one_hot = tf.one_hot(k, self.num_outputs, dtype=self.eta[0].dtype)
        return tf.reshape(one_hot, [1, *self.eta[0].shape[1:]])


def draw_uniform(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Uniform numbers in [0, 1), `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomUniformV2, key, first, rows, shape)


def draw_normal(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Standard normal numbers, `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomNormalV2, key, first, rows, shape)


def _draw(
    op: Callable[..., tf.Tensor],
    key: tf.Tensor,
    first: tf.Tensor,
    rows: int,
    shape: tuple[int, ...],
) -> tf.Tensor:
    """Random numbers of an operation; every example starts at its own counter."""
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
    """A stateless seed `[2]` for one batch, for distributions that draw themselves."""
    return tf.stack([tf.cast(key % 2147483647, tf.int32), tf.cast(first, tf.int32)])


class Likelihood(abc.ABC):
    """Maps outputs to terms; `name` appears in results and messages."""

    name: str

    def terms(self, outputs: Any) -> list[Term]:
        """The independent terms of the label's distribution, in the order of the labels."""
        return self._terms(outputs, [masks_of(output) for output in tf.nest.flatten(outputs)])

    def terms_of_rows(self, outputs: Any, num_rows: int) -> list[Term]:
        """`terms`, for outputs whose static shape may lack the number of examples."""

        def counted(tensor: Any) -> Any:
            if not tf.is_tensor(tensor) or tensor.shape.rank in (None, 0):
                return tensor
            if tensor.shape[0] is not None:
                return tensor
            return tf.ensure_shape(tensor, [num_rows, *tensor.shape[1:]])

        masks = [masks_of(output) for output in tf.nest.flatten(outputs)]
        return self._terms(*tf.nest.map_structure(counted, (outputs, masks)))

    @abc.abstractmethod
    def _terms(self, outputs: Any, masks: list[list[tf.Tensor]]) -> list[Term]:
        """The terms, from the outputs and the masks of each output."""


def as_float(outputs: tf.Tensor) -> tf.Tensor:
    """Outputs in float32 or float64, the dtypes in which scores are computed."""
    outputs = tf.convert_to_tensor(outputs)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def sum_example(a: tf.Tensor) -> tf.Tensor:
    """Sum over all axes except that of examples."""
    return tf.reduce_sum(tf.reshape(a, [a.shape[0], -1]), 1)


class _OverClasses(Term):
    """Common code of both parametrisations of the categorical distribution."""

    @property
    @abc.abstractmethod
    def probabilities(self) -> tf.Tensor:
        """Class probabilities, `[batch, ..., classes]`."""

    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> tf.Tensor:
        """Classes at which the cumulative distribution exceeds one uniform number per position."""
        positions = tuple(self.eta[0].shape[1:-1])
        noise = draw_uniform(key, first, self.eta[0].shape[0], (num_samples, *positions))
        noise = tf.cast(tf.experimental.numpy.moveaxis(noise, 1, 0), self.eta[0].dtype)
        if self.eta[0].shape[-1] > MANY_CLASSES:
            return class_of_many(self.probabilities, noise)
        cumulative = tf.cumsum(self.probabilities, axis=-1)
        # Rounding may make the last sum differ from one; the noise is scaled to it.
        noise = noise[..., None] * cumulative[..., -1:]
        below = tf.reduce_sum(tf.cast(cumulative <= noise, tf.int32), -1)
        return tf.minimum(below, self.eta[0].shape[-1] - 1)

    def target(self, y: tf.Tensor) -> tf.Tensor:
        """Labels as class probabilities; integers outside the classes become NaN."""
        eta = self.eta[0]
        classes = eta.shape[-1]
        y = without_masked(y, self.masks)
        if self._is_distribution(y):
            return tf.cast(y, eta.dtype)
        index, valid = self._index(y)
        nan = tf.constant(math.nan, eta.dtype)
        return tf.where(valid[..., None], tf.one_hot(index, classes, dtype=eta.dtype), nan)

    def _is_distribution(self, y: tf.Tensor) -> bool:
        """Whether a label has a number for each class."""
        eta = self.eta[0]
        return y.shape == eta.shape and not (y.dtype.is_integer and eta.shape[-1] == 1)

    def _index(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Labels as integers, and whether they are valid classes; both `[batch, ...]`."""
        eta = self.eta[0]
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
        return index, valid & (index < eta.shape[-1])


class Categorical(_OverClasses):
    """Classes with `eta` = logits: `A = diag(p) - p p^T`, of rank one less than classes.

    With `q = sqrt(p)`, a unit vector, `A = diag(q) (I - q q^T) diag(q)`. A reflection that maps q
    to the first axis gives the columns: `s_c = q * (e_c - q_c (q + e_0) / (1 + q_0))`.
    """

    def __init__(self, logits: tf.Tensor):
        super().__init__(logits)
        # Computed once, because columns are computed inside a loop.
        self._softmax = tf.nn.softmax(logits)

    @property
    def probabilities(self) -> tf.Tensor:
        """Softmax of the logits."""
        return self._softmax

    @property
    def num_columns(self) -> int:
        """Number of classes less one, for each position."""
        classes = self.eta[0].shape[-1]
        return self.num_outputs // classes * (classes - 1)

    def score(self, y: tf.Tensor) -> Tensors:
        """`y - p` for one-hot y."""
        target = self.target(y)
        return [target - tf.reduce_sum(target, -1, keepdims=True) * self.probabilities]

    def weighed_score(self, y: tf.Tensor, weights: tf.Tensor) -> Tensors:
        """The weighted score in one pass over the probabilities, the main cost of a vocabulary."""
        if self._is_distribution(y):
            return super().weighed_score(y, weights)
        y = without_masked(y, self.masks)
        p = self.probabilities
        index, valid = self._index(y)
        each = tf.reshape(tf.cast(weights, p.dtype), [p.shape[0], *[1] * (p.shape.rank - 2)])
        each = tf.where(valid, each, tf.constant(math.nan, p.dtype))
        rows, classes = math.prod(p.shape[:-1]), p.shape[-1]
        flat = tf.reshape(-each[..., None] * p, [rows, classes])
        index = tf.clip_by_value(tf.reshape(index, [rows]), 0, classes - 1)
        places = tf.stack([tf.range(rows), index], 1)
        score = tf.tensor_scatter_nd_add(flat, places, tf.reshape(each, [rows]))
        return [tf.reshape(score, p.shape)]

    def log_probs(self, y: tf.Tensor) -> tf.Tensor:
        """Log-probability at the position of the class, zero elsewhere."""
        return self.target(y) * tf.nn.log_softmax(self.eta[0])

    def column(self, k: int | tf.Tensor) -> Tensors:
        """Column `s_k`; k counts positions and, for each, all classes but the first."""
        shape = self.eta[0].shape[1:]
        unit = tf.one_hot(k, self.num_columns, dtype=self.eta[0].dtype)
        unit = tf.reshape(unit, [1, *shape[:-1], shape[-1] - 1])
        first = tf.reduce_sum(unit, -1, keepdims=True)
        unit = tf.concat([tf.zeros_like(first), unit], -1)
        p = self.probabilities
        q_first = tf.sqrt(p[..., :1])
        q_here = tf.sqrt(tf.reduce_sum(p * unit, -1, keepdims=True))
        # 1 - p_c is computed as a sum: for p_c near one the difference would be rounding error.
        others = tf.reduce_sum(p * (first - unit), -1, keepdims=True)
        is_first = tf.one_hot(0, shape[-1], dtype=p.dtype)
        below = (p + q_first * is_first) / (1 + q_first)
        here = (q_first + others) / (1 + q_first)
        return [q_here * tf.where(unit > 0, here, -first * below)]

    def multiply(self, tangents: Tensors) -> Tensors:
        """`p * (v - p.v)`."""
        p, (v,) = self.probabilities, tangents
        return [p * (v - tf.reduce_sum(p * v, -1, keepdims=True))]


class CategoricalProbabilities(_OverClasses):
    """Classes with `eta` = probabilities: `A = diag(1/p)`."""

    @property
    def probabilities(self) -> tf.Tensor:
        """The outputs themselves."""
        return self.eta[0]

    @property
    def _floored(self) -> tf.Tensor:
        return tf.maximum(self.eta[0], TINY_PROBABILITY)

    def score(self, y: tf.Tensor) -> Tensors:
        """`y / p` for one-hot y."""
        return [self.target(y) / self._floored]

    def log_probs(self, y: tf.Tensor) -> tf.Tensor:
        """Log-probability at the position of the class, zero elsewhere."""
        return self.target(y) * tf.math.log(self._floored)

    def column(self, k: int | tf.Tensor) -> Tensors:
        """`e_k / sqrt(p_k)`."""
        return [self._unit(k) * tf.math.rsqrt(self._floored)]

    def multiply(self, tangents: Tensors) -> Tensors:
        """`v / p`."""
        return [tangents[0] / self._floored]
