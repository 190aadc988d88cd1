"""Products of single scores under powers of Kronecker products, in the basis of eigenvectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.bilinear import (
    BilinearGradient,
    by_group,
    products_of_one_position,
)
from keras_infobottleneck.estimators.fisher.rules.gradients import (
    DirectGradient,
    Tensors,
    VariableGradient,
    crossed,
    of_columns,
)
from keras_infobottleneck.estimators.fisher.score_products import (
    Columns,
    ScoreProducts,
    relative_powers,
)
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.estimators.fisher.structures.kronecker_block import KroneckerBlock

__all__ = ["products_by_blocks"]


def products_by_blocks(
    blocks: Sequence[tuple[KroneckerBlock, int, int]],
    rest: Mapping[int, np.ndarray],
    shift: float,
    exponents: Sequence[float],
) -> ScoreProducts:
    """Products under powers of the blocks' Kronecker products and of the other diagonals.

    Args:
        blocks: Each with the numbers of its kernel and bias (-1 without) among the scores'
            variables.
        rest: Diagonal of the other variables, by their number.
        shift, exponents: As in `FisherInformation.score_products`.
    """
    values, vectors = [], []
    for block, _, _ in blocks:
        (first, left), (second, right) = block.eigenvectors
        values.append(first[:, :, None] * second[:, None, :])
        vectors.append((left, right))
    others = list(rest)
    powers, units = relative_powers([*values, *rest.values()], shift, exponents)
    places = [(kernel, bias, block.order) for block, kernel, bias in blocks]

    def of_scores(scores: Scores, columns: Columns, operands: Any) -> tf.Tensor:
        vectors, powers = operands
        pairs = list(zip(scores.forms, columns, strict=True))
        of_blocks, of_others = powers[: len(places)], powers[len(places) :]
        found = []
        for (kernel, bias, order), sides, power in zip(places, vectors, of_blocks, strict=True):
            of_bias = pairs[bias] if bias >= 0 else None
            found.append(_Block(pairs[kernel], of_bias, order, sides, power).products())
        for number, power in zip(others, of_others, strict=True):
            form, own = pairs[number]
            found.append(form.inner_products(own, power))
        return tf.add_n(found)

    key = (
        "kronecker",
        tuple((kernel, bias, hash(order.tobytes())) for kernel, bias, order in places),
    )
    return ScoreProducts(key, (vectors, powers), of_scores, units)


class _Block:
    """One kernel with its bias: its scores are rotated, weighted and multiplied.

    Args:
        kernel: Form of the kernel's scores, and the arrays they follow from, stacked over columns.
        bias: The same for the bias; None without one.
        order: For each kernel entry its index in `[groups, in, out]`.
        vectors: Eigenvectors of both sides; None for the standard basis.
        powers: Powers of the products of eigenvalues, `[exponents, groups, in, out]`.
    """

    def __init__(
        self,
        kernel: tuple[VariableGradient, Tensors],
        bias: tuple[VariableGradient, Tensors] | None,
        order: np.ndarray,
        vectors: tuple[tf.Tensor | None, tf.Tensor | None],
        powers: tf.Tensor,
    ):
        self.form, self.columns = kernel
        self.bias, self.order = bias, order.reshape(-1)
        self.left, self.right = vectors
        self.powers = powers

    def products(self) -> tf.Tensor:
        """Products of every two columns, `[batch, exponents, columns, columns]`."""
        form = self.form
        if not isinstance(form, BilinearGradient) or not self._is_of(form):
            return self._in_blocks(self._turned_rows)
        if form.positions == 1:
            d = self._turned(form.outputs_of_columns(self.columns), self.right)
            x = self._turned(self._inputs(form), self.left)
            return products_of_one_position(x, d, self.powers)
        _, fan_in, fan_out = form.block
        of_factors = form.positions * (fan_in**2 + fan_out**2)
        if of_factors >= fan_in * fan_out * (fan_in + fan_out):
            return self._in_blocks(self._turned_rows)

        def rows(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            x = self._turned(self._inputs(form, start, stop), self.left)

            def of_column(gradients: Tensors) -> tf.Tensor:
                d = self._turned(form.outputs(gradients, start, stop), self.right)
                return tf.einsum("btgi,btgo->bgio", x, d)

            return of_columns(of_column, self.columns, self.powers.dtype)

        return self._in_blocks(rows)

    def _in_blocks(
        self, rows: Callable[[int | tf.Tensor, int | tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        """The products, from rotated scores of blocks of examples, `[columns, examples, ...]`."""
        size = math.prod(self.powers.shape[1:])
        powers = tf.unstack(tf.reshape(self.powers, [-1, size]))
        count = self.columns[0].shape[0]

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            return crossed(tf.reshape(rows(start, stop), [count, -1, size]), powers)

        return self.form.products_in_blocks(of_block, self.columns, powers)

    def _turned_rows(self, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Scores as `[columns, examples, groups, in, out]`, formed first and then rotated."""
        groups, fan_in, fan_out = self.powers.shape[1:]
        count = self.columns[0].shape[0]
        rows = self.form.rows_of_columns(self.columns, start, stop)
        if np.any(np.diff(self.order) != 1):
            rows = tf.reshape(rows, [-1, self.order.size])
            rows = tf.gather(rows, np.argsort(self.order).astype(np.int32), axis=1)
        rows = tf.reshape(rows, [-1, groups, fan_in - (self.bias is not None), fan_out])
        if self.bias is not None:
            form, columns = self.bias
            of_bias = form.rows_of_columns(columns, start, stop)
            rows = tf.concat([rows, tf.reshape(of_bias, [-1, groups, 1, fan_out])], 2)
        by_output = self._turned(tf.transpose(rows, [0, 3, 1, 2]), self.left)
        by_input = self._turned(tf.transpose(by_output, [0, 3, 2, 1]), self.right)
        turned = tf.transpose(by_input, [0, 2, 1, 3])
        return tf.reshape(turned, [count, -1, groups, fan_in, fan_out])

    def _is_of(self, form: BilinearGradient) -> bool:
        """Whether the form has the order of the block, and the bias has its output gradients.

        A matrix from a file may have been measured with another rule.
        """
        groups, fan_in, fan_out = self.powers.shape[1:]
        block = groups, fan_in - (self.bias is not None), fan_out
        if form.block != block or not np.array_equal(form.order.reshape(-1), self.order):
            return False
        if self.bias is None:
            return True
        other = self.bias[0]
        return isinstance(other, DirectGradient) and other.is_bias and other.calls == form.calls

    def _inputs(self, form: BilinearGradient, *block: int | tf.Tensor) -> tf.Tensor:
        """The factor x of a kernel, with a one for the bias: `[batch, positions, groups, in]`."""
        x = form.inputs(*block)
        return x if self.bias is None else tf.concat([x, tf.ones_like(x[..., :1])], -1)

    def _turned(self, values: tf.Tensor, vectors: tf.Tensor | None) -> tf.Tensor:
        """`[..., groups, n]` in the basis `[groups, n, n]`, in the dtype of the powers."""
        values = tf.cast(values, self.powers.dtype)
        return values if vectors is None else by_group(values, vectors)
