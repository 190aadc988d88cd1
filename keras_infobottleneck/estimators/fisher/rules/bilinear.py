"""Per-example gradients of a kernel: products of its inputs and of the output gradient."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.gradients import (
    BLOCK_BYTES,
    Call,
    Tensors,
    VariableGradient,
    by_example,
    crossed,
    sum_of_rows,
)

__all__ = [
    "BilinearGradient",
    "by_group",
    "leading",
    "products_of_one_position",
    "side_by_side",
]


# A kernel is large if fewer gradients of examples fit in a block; then some of its rows are taken
# at a time, at least this many, because products of fewer rows are slow.
FEW_EXAMPLES, LEAST_ROWS = 8, 16


class BilinearGradient(VariableGradient[Tensors]):
    """`G_n = sum_t x_nt d_nt^T`: the gradient of the kernel of a layer that is linear in it.

    The calls of a shared layer are treated as additional positions.

    Args:
        variable: The kernel.
        calls: The recorded calls.
        block: Groups, in and out.
        positions: Number of positions of each call.
        inputs_of: Maps a call's inputs to x, `[batch, positions, groups, in]`.
        outputs_of: Maps a call's output gradient to d, `[batch, positions, groups, out]`.
        arrange: Brings `[..., groups, in, out]` to the kernel's shape.
    """

    def __init__(
        self,
        variable: keras.Variable,
        calls: list[Call],
        *,
        block: tuple[int, int, int],
        positions: list[int],
        inputs_of: Callable[[tf.Tensor], tf.Tensor],
        outputs_of: Callable[[tf.Tensor], tf.Tensor],
        arrange: Callable[[tf.Tensor], tf.Tensor],
    ):
        super().__init__(variable, calls)
        self.block = block
        self.positions = sum(positions)
        self.arrange = arrange
        self._inputs_of = inputs_of
        self._outputs_of = outputs_of
        self._kept: tf.Tensor | None = None

    def inputs(
        self,
        start: int | tf.Tensor = 0,
        stop: int | tf.Tensor | None = None,
        *,
        weights: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The factor x of the examples from start to stop, times weights `[batch]`."""
        if self._kept is not None:
            return self._kept[start:stop]
        parts = [tf.cast(call.inputs[start:stop], self.dtype) for call in self.calls]
        if weights is not None:
            # Before patches are made, which are many times as large as the inputs.
            parts = [by_example(weights, part) * part for part in parts]
        parts = [self._inputs_of(part) for part in parts]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def sum_of_inputs(self, weights: tf.Tensor) -> tf.Tensor:
        """The sum of x over positions and, weighted by `[batch]`, over examples: `[groups, in]`."""
        totals = []
        for call in self.calls:
            rows = tf.reshape(tf.cast(call.inputs, self.dtype), [self.num_rows, -1])
            total = tf.matmul(tf.cast(weights, self.dtype)[None], rows)
            # Patches of the sum are the sum of patches.
            total = self._inputs_of(tf.reshape(total, [1, *call.inputs.shape[1:]]))
            totals.append(tf.reduce_sum(total, [0, 1]))
        return tf.add_n(totals)

    def inputs_bytes(self) -> int:
        """Bytes of x for the whole batch."""
        return self.num_rows * self.positions * self.block[0] * self.block[1] * self.dtype.size

    def keep_inputs(self, weights: tf.Tensor | None = None) -> None:
        """Computes x once, for several uses; times weights `[batch]`."""
        self._kept = self.inputs(weights=weights)

    def outputs(
        self, gradients: Tensors, start: int | tf.Tensor = 0, stop: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """The factor d of the examples from start to stop, with calls joined."""
        parts = [self._outputs_of(tf.cast(g[start:stop], self.dtype)) for g in gradients]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of the examples from start to stop, by one small matrix product each."""
        x, d = self.inputs(start, stop), self.outputs(gradients, start, stop)
        if self.block[0] == 1:
            products = tf.matmul(x[:, :, 0], d[:, :, 0], transpose_a=True)[:, None]
        else:
            products = tf.einsum("btgi,btgo->bgio", x, d)
        return self.arrange(products)

    def norms(self, d: tf.Tensor) -> tf.Tensor:
        """Squared norm of each example's gradient, `[batch]`, from its factor d.

        Computed as `sum_ts (x_t . x_s) (d_t . d_s)`, or from the gradient itself if that is
        smaller.
        """
        groups, fan_in, fan_out = self.block
        if self.positions == 1:
            x, d = (tf.reduce_sum(tf.square(a), [1, 3]) for a in (self.inputs(), d))
            return tf.reduce_sum(x * d, 1)
        is_by_positions = self.positions * (fan_in + fan_out) < fan_in * fan_out

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            x, here = self._by_group(self.inputs(start, stop)), self._by_group(d[start:stop])
            if is_by_positions:
                product = tf.matmul(x, x, transpose_b=True) * tf.matmul(
                    here, here, transpose_b=True
                )
            else:
                product = tf.square(tf.matmul(x, here, transpose_a=True))
            norms = tf.reshape(tf.reduce_sum(product, [1, 2]), [-1, groups])
            return tf.reduce_sum(norms, 1)

        return self.numbers_in_blocks(of_block)

    def _by_group(self, a: tf.Tensor) -> tf.Tensor:
        """`[batch, positions, groups, n]` as `[batch * groups, positions, n]`."""
        if self.block[0] == 1:
            return a[:, :, 0]
        return tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [-1, self.positions, a.shape[3]])

    def rows_bytes(self) -> int:
        """Bytes of one example's product, its square, and both factors."""
        groups, fan_in, fan_out = self.block
        entries = groups * (2 * fan_in * fan_out + self.positions * (fan_in + fan_out))
        return entries * self.dtype.size

    def squares(self, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """With one position, the square of the product is the product of the squares."""
        if self.positions == 1:
            return self.squares_of_one_position(tf.square(self.outputs(gradients)[:, 0]))
        if self.block[0] == 1 and FEW_EXAMPLES * self.rows_bytes() > BLOCK_BYTES:
            return self._squares_by_rows(gradients)
        return super().squares(gradients)

    def _squares_by_rows(self, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """The result of `squares` for a large kernel, whose gradients would leave the cache."""
        _, fan_in, fan_out = self.block
        d = self.outputs(gradients)[:, :, 0]
        row_bytes = 2 * fan_out * self.dtype.size  # of one example: the products and their squares

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x, here = self.inputs(start, stop)[:, :, 0], d[start:stop]
            count = tf.shape(x)[0]
            size = tf.clip_by_value(BLOCK_BYTES // (count * row_bytes), 1, fan_in)
            slices = -(-fan_in // size)

            def body(
                i: tf.Tensor, totals: tf.TensorArray, norms: tf.Tensor
            ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor]:
                rows = x[:, :, i * size : (i + 1) * size]
                squares = tf.square(tf.matmul(rows, here, transpose_a=True))
                flat = tf.reshape(squares, [count, -1])
                total = tf.reshape(sum_of_rows(flat), [-1, fan_out])
                if self.wants_norms:
                    norms += tf.reduce_sum(flat, 1)
                return i + 1, totals.write(i, total), norms

            totals = tf.TensorArray(
                self.dtype, size=slices, element_shape=[None, fan_out], infer_shape=False
            )
            _, totals, norms = tf.while_loop(
                lambda i, *_: i < slices,
                body,
                (tf.constant(0), totals, tf.zeros([count], self.dtype)),
                parallel_iterations=1,
            )
            total = tf.ensure_shape(totals.concat(), [fan_in, fan_out])
            return self.arrange(total[None]), norms

        zeros = tf.zeros(self.variable.shape, self.dtype)
        return self.in_blocks(of_block, zeros, example_bytes=LEAST_ROWS * row_bytes)

    def inner_products(self, columns: Tensors, weights: tf.Tensor) -> tf.Tensor:
        """With one position, the weights multiply between both factors, and x is squared once."""
        if self.positions > 1:
            return super().inner_products(columns, weights)
        d = self.outputs_of_columns(columns)
        return products_of_one_position(self.inputs(), d, self.as_blocks(weights))

    def outputs_of_columns(self, columns: Tensors) -> tf.Tensor:
        """The factor d of all columns, `[columns, batch, positions, groups, out]`."""
        parts = []
        for g in columns:
            flat = tf.reshape(tf.cast(g, self.dtype), [-1, *g.shape[2:]])
            d = self._outputs_of(flat)
            parts.append(tf.reshape(d, [g.shape[0], self.num_rows, *d.shape[1:]]))
        return parts[0] if len(parts) == 1 else tf.concat(parts, 2)

    def slopes(self, gradients: Tensors, directions: tf.Tensor) -> tf.Tensor:
        """The directions multiply between both factors at every position."""
        d, arrays = self.outputs(gradients), self.as_blocks(directions)

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            products = side_by_side(self.inputs(start, stop), arrays)
            return tf.einsum("btgko,btgo->bk", products, d[start:stop])

        return self.numbers_in_blocks(of_block, (directions.shape[0],))

    @functools.cached_property
    def order(self) -> np.ndarray:
        """For each kernel entry its index in flat `[groups, in, out]`, in the kernel's shape."""
        places = np.arange(math.prod(self.block), dtype=np.int32).reshape(self.block)
        with tf.init_scope():
            return self.arrange(tf.constant(places)).numpy()

    def as_blocks(self, arrays: tf.Tensor) -> tf.Tensor:
        """Arrays of the kernel's shape, `[k, *kernel.shape]`, as `[k, groups, in, out]`."""
        flat, order = tf.reshape(arrays, [-1, self.order.size]), self.order.reshape(-1)
        if np.any(np.diff(order) != 1):
            flat = tf.gather(flat, np.argsort(order).astype(np.int32), axis=1)
        return tf.reshape(flat, [-1, *self.block])

    def squares_of_one_position(self, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The result of `squares`, from squared output gradients `[batch, groups, out]`."""
        x = tf.square(self.inputs()[:, 0])
        norms = tf.reduce_sum(tf.reduce_sum(x, 2) * tf.reduce_sum(d, 2), 1)
        if self.block[0] == 1:
            return self.arrange(tf.matmul(x[:, 0], d[:, 0], transpose_a=True)[None]), norms
        return self.arrange(tf.einsum("bgi,bgo->gio", x, d)), norms


def by_group(values: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Each group times its matrix: `[..., groups, n]` and `[groups, n, m]` to `[..., groups, m]`.

    Uses plain products: `einsum` with several leading axes has crashed the process on a CPU.
    """
    groups, fan_in, fan_out = matrices.shape
    shape = [*leading(values, values.shape.rank - 2), groups, fan_out]
    if groups == 1:
        return tf.reshape(tf.matmul(tf.reshape(values, [-1, fan_in]), matrices[0]), shape)
    first = tf.transpose(tf.reshape(values, [-1, groups, fan_in]), [1, 0, 2])
    return tf.reshape(tf.transpose(tf.matmul(first, matrices), [1, 0, 2]), shape)


def side_by_side(x: tf.Tensor, arrays: tf.Tensor) -> tf.Tensor:
    """`sum_i x_i c_io` for k arrays c: `[..., groups, in]` to `[..., groups, k, out]`.

    Args:
        x: The factor on the left.
        arrays: Arrays c, `[k, groups, in, out]`.
    """
    count, groups, fan_in, fan_out = arrays.shape
    beside = tf.reshape(tf.transpose(arrays, [1, 2, 0, 3]), [groups, fan_in, count * fan_out])
    products = by_group(x, beside)
    return tf.reshape(products, [*leading(x, x.shape.rank - 2), groups, count, fan_out])


def products_of_one_position(x: tf.Tensor, d: tf.Tensor, arrays: tf.Tensor) -> tf.Tensor:
    """`VariableGradient.inner_products` of gradients `x d^T`.

    Args:
        x: `[batch, 1, groups, in]`.
        d: `[columns, batch, 1, groups, out]`.
        arrays: Weights, `[k, groups, in, out]`, whose dtype the products have.
    """
    count, groups, _, fan_out = arrays.shape
    size = groups * fan_out
    squares = tf.square(tf.cast(x[:, 0], arrays.dtype))
    weights = tf.transpose(side_by_side(squares, arrays), [2, 0, 1, 3])
    weights = tf.unstack(tf.reshape(weights, [count, -1, 1, size]))
    return crossed(tf.reshape(d, [d.shape[0], -1, size]), weights)


def leading(a: tf.Tensor, count: int) -> list[int | tf.Tensor]:
    """Sizes of the first axes; tensors for those that are not known statically."""
    shape = tf.shape(a)
    return [a.shape[i] if a.shape[i] is not None else shape[i] for i in range(count)]
