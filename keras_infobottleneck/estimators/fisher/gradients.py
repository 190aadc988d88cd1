"""Per-example gradients of one variable, in the form that costs least.

Every form answers the same three questions about the gradients `G_n` of a batch: their sum of
squares with each example's squared norm, and the gradients themselves.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable

import keras
import tensorflow as tf

__all__ = ["Bilinear", "Call", "Direct", "Rows", "Tokens", "VariableGradient", "by_example"]

Tensors = list[tf.Tensor]


def by_example(weights: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Weights `[batch]` shaped to multiply `like`."""
    shape = [like.shape[0], *[1] * (like.shape.rank - 1)]
    return tf.reshape(tf.cast(weights, like.dtype), shape)


class Call:
    """One recorded call of a layer: what came in, and the linear output the gradient is asked of.

    Args:
        inputs: `[batch, ...]`, whatever the layer's form needs.
        outputs: `[batch, ...]`, the output before the activation.
    """

    def __init__(self, inputs: tf.Tensor, outputs: tf.Tensor):
        self.inputs = inputs
        self.outputs = outputs


class VariableGradient(abc.ABC):
    """How the per-example gradients of one variable follow from the output gradients."""

    def __init__(self, variable: keras.Variable, calls: list[Call]):
        self.variable = variable
        self.calls = calls
        self.num_rows = calls[0].outputs.shape[0] if calls else 0
        self.dtype = tf.as_dtype(variable.dtype)
        self.wants_norms = True

    @abc.abstractmethod
    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of the examples start to stop, `[stop - start, *variable.shape]`."""

    def rows_bytes(self) -> int:
        """Bytes that `rows` needs for one example."""
        return 2 * math.prod(self.variable.shape) * self.dtype.size

    def no_squares(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros of the shapes that `squares` gives."""
        return tf.zeros(self.variable.shape, self.dtype), tf.zeros([self.num_rows], self.dtype)

    def squares(self, gradients: Tensors, block_bytes: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum over examples of the squared gradient, and each example's squared norm, `[batch]`.

        The norms are zeros where they are not wanted: they are another pass over the memory.
        """
        block = max(1, min(self.num_rows, block_bytes // max(1, self.rows_bytes())))
        blocks = -(-self.num_rows // block)
        block = -(-self.num_rows // blocks)

        def of_block(start: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            squares = tf.square(self.rows(gradients, start, start + block))
            squares = tf.reshape(squares, [-1, math.prod(self.variable.shape)])
            # A product with ones reads faster than a reduction over the first axis.
            total = tf.matmul(tf.ones([1, tf.shape(squares)[0]], self.dtype), squares)
            total = tf.reshape(total, self.variable.shape)
            if not self.wants_norms:
                return total, tf.zeros([tf.shape(squares)[0]], self.dtype)
            return total, tf.reduce_sum(squares, 1)

        if blocks == 1:
            total, norms = of_block(0)
            return total, tf.ensure_shape(norms, [self.num_rows])

        def body(i, total, norms):
            squares, block_norms = of_block(i * block)
            return i + 1, total + squares, norms.write(i, block_norms)

        norms = tf.TensorArray(self.dtype, size=blocks, element_shape=[None], infer_shape=False)
        _, total, norms = tf.while_loop(
            lambda i, *_: i < blocks,
            body,
            (tf.constant(0), tf.zeros(self.variable.shape, self.dtype), norms),
            parallel_iterations=1,
        )
        return total, tf.ensure_shape(norms.concat(), [self.num_rows])


class Bilinear(VariableGradient):
    """`G_n = sum_t x_nt d_nt^T`: a layer linear in its kernel.

    Several calls of a shared layer are more positions.

    Args:
        variable: the kernel.
        calls: the recorded calls.
        block: groups, in and out.
        positions: positions of each call.
        inputs_of: from a call's inputs to x `[batch, positions, groups, in]`.
        outputs_of: from a call's output gradient to d `[batch, positions, groups, out]`.
        arrange: brings `[..., groups, in, out]` to the kernel's shape.
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

    def inputs(self, start=0, stop=None, *, weights: tf.Tensor | None = None) -> tf.Tensor:
        """X of the examples start to stop, the calls side by side; times weights `[batch]`."""
        if self._kept is not None:
            return self._kept[start:stop]
        parts = [tf.cast(call.inputs[start:stop], self.dtype) for call in self.calls]
        if weights is not None:
            # Before patches are made of them, which are many times as large.
            parts = [by_example(weights, part) * part for part in parts]
        parts = [self._inputs_of(part) for part in parts]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def sum_of_inputs(self, weights: tf.Tensor) -> tf.Tensor:
        """X summed over positions and, times weights `[batch]`, over examples, `[groups, in]`."""
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

    def keep_inputs(self) -> None:
        """Makes x once, where it serves several columns."""
        self._kept = self.inputs()

    def outputs(self, gradients: Tensors, start=0, stop=None) -> tf.Tensor:
        """D of the examples start to stop, the calls side by side."""
        parts = [self._outputs_of(tf.cast(g[start:stop], self.dtype)) for g in gradients]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def rows(self, gradients, start, stop):
        """One small matrix product per example."""
        x, d = self.inputs(start, stop), self.outputs(gradients, start, stop)
        if self.block[0] == 1:
            products = tf.matmul(x[:, :, 0], d[:, :, 0], transpose_a=True)[:, None]
        else:
            products = tf.einsum("btgi,btgo->bgio", x, d)
        return self.arrange(products)

    def rows_bytes(self):
        """The product, its square, and what goes in."""
        groups, fan_in, fan_out = self.block
        entries = groups * (2 * fan_in * fan_out + self.positions * (fan_in + fan_out))
        return entries * self.dtype.size

    def squares(self, gradients, block_bytes):
        """With one position the square of the product is the product of the squares."""
        if self.positions > 1:
            return super().squares(gradients, block_bytes)
        return self.squares_of_one_position(tf.square(self.outputs(gradients)[:, 0]))

    def squares_of_one_position(self, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `squares` gives, from the squared output gradients `[batch, groups, out]`."""
        x = tf.square(self.inputs()[:, 0])
        norms = tf.reduce_sum(tf.reduce_sum(x, 2) * tf.reduce_sum(d, 2), 1)
        if self.block[0] == 1:
            return self.arrange(tf.matmul(x[:, 0], d[:, 0], transpose_a=True)[None]), norms
        return self.arrange(tf.einsum("bgi,bgo->gio", x, d)), norms


class Direct(VariableGradient):
    """Biases, scales and offsets: small enough to be formed as they are.

    Args:
        variable: the variable.
        calls: the recorded calls.
        gradient: from (inputs, output gradient) of a call to `[batch, *variable.shape]`.
        is_bias: whether this is one number per output of the kernel's block, in its order.
    """

    def __init__(self, variable, calls, *, gradient: Callable, is_bias: bool = False):
        super().__init__(variable, calls)
        self._gradient = gradient
        self.is_bias = is_bias

    def rows(self, gradients, start, stop):
        """Sum over the calls."""
        return tf.add_n(
            [
                self._gradient(
                    tf.cast(call.inputs[start:stop], self.dtype),
                    tf.cast(g[start:stop], self.dtype),
                )
                for call, g in zip(self.calls, gradients, strict=True)
            ]
        )

    def rows_bytes(self):
        """The largest of the calls' outputs counts, not the variable."""
        outputs = max(math.prod(call.outputs.shape[1:]) for call in self.calls)
        return 2 * outputs * self.dtype.size


class Tokens(VariableGradient):
    """Rows of an embedding, looked up by integer tokens; a token's repeats in an example add up."""

    def _flat(self, gradients, start, stop):
        """Tokens `[batch, positions]` and their gradients `[batch, positions, dim]`, all calls."""
        tokens = [call.inputs[start:stop] for call in self.calls]
        batch = tf.shape(tokens[0])[0]
        dim = self.variable.shape[1]
        gradients = [tf.cast(g[start:stop], self.dtype) for g in gradients]
        return (
            tf.concat([tf.reshape(tf.cast(t, tf.int32), [batch, -1]) for t in tokens], 1),
            tf.concat([tf.reshape(g, [batch, -1, dim]) for g in gradients], 1),
        )

    def rows(self, gradients, start, stop):
        """Scattered into the whole table, for dense results only."""
        tokens, gradients = self._flat(gradients, start, stop)
        batch, positions = tf.shape(tokens)[0], tokens.shape[1]
        example = tf.repeat(tf.range(batch), positions)
        index = tf.stack([example, tf.reshape(tokens, [-1])], 1)
        vocabulary, dim = self.variable.shape
        updates = tf.reshape(gradients, [-1, dim])
        table = tf.scatter_nd(index, updates, tf.stack([batch, vocabulary, dim]))
        return tf.ensure_shape(table, [None, vocabulary, dim])

    def squares(self, gradients, block_bytes):
        """Each token's total in its example, shared among its repeats, squared and scattered."""
        tokens, gradients = self._flat(gradients, 0, None)
        same = tf.cast(tokens[:, :, None] == tokens[:, None, :], self.dtype)
        totals = tf.matmul(same, gradients)
        shares = tf.square(totals) / tf.reduce_sum(same, 2)[..., None]
        index = tf.reshape(tokens, [-1, 1])
        updates = tf.reshape(shares, [-1, shares.shape[2]])
        squares = tf.scatter_nd(index, updates, tf.constant(list(self.variable.shape)))
        return squares, tf.reduce_sum(shares, [1, 2])


class Rows(VariableGradient):
    """Any other use of a variable: what a loop over examples gives, see `ExampleLoop`."""

    def __init__(self, variable, num_rows: int):
        super().__init__(variable, [])
        self.num_rows = num_rows

    def rows(self, gradients, start, stop):
        """The wanted part of the loop's stack."""
        return gradients.rows(self.variable)[start:stop]

    def squares(self, gradients, block_bytes):
        """Summed in the loop, nothing stacked."""
        return gradients.squares(self.variable)
