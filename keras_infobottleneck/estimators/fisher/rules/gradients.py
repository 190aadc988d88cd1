"""Forms of per-example gradients, by which a rule describes each weight of its layer."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import keras
import tensorflow as tf

__all__ = [
    "BLOCK_BYTES",
    "Call",
    "DirectGradient",
    "Tensors",
    "VariableGradient",
    "by_example",
    "crossed",
    "of_columns",
    "sum_of_rows",
]

Tensors = list[tf.Tensor]
# The source of a form: output gradients of the calls, or a loop over examples.
Given = TypeVar("Given")

# Size of the blocks in which per-example gradients are formed: larger ones do not fit in the cache.
BLOCK_BYTES = 32 * 2**20


def by_example(weights: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Weights `[batch]` shaped to multiply `like`."""
    shape = [like.shape[0], *[1] * (like.shape.rank - 1)]
    return tf.reshape(tf.cast(weights, like.dtype), shape)


def sum_of_rows(rows: tf.Tensor) -> tf.Tensor:
    """Sum of the rows of a matrix, `[1, columns]`: a product with ones, faster than a reduction."""
    return tf.matmul(tf.ones([1, tf.shape(rows)[0]], rows.dtype), rows)


def of_columns(
    function: Callable[[Tensors], tf.Tensor], columns: Tensors, dtype: tf.DType
) -> tf.Tensor:
    """A function of one column's tensors, applied to every column: `[columns, ...]`."""
    if columns[0].shape[0] == 1:
        return function([column[0] for column in columns])[None]
    return tf.map_fn(function, columns, fn_output_signature=dtype, parallel_iterations=1)


def crossed(rows: tf.Tensor, weights: Sequence[tf.Tensor]) -> tf.Tensor:
    """Products of every two rows of an example, weighted entry by entry with each of k weights.

    Args:
        rows: `[columns, batch, n]`.
        weights: Each `[n]` or `[batch, 1, n]`; the products have their dtype.

    Returns:
        `[batch, k, columns, columns]`.
    """
    rows = tf.transpose(tf.cast(rows, weights[0].dtype), [1, 0, 2])
    if rows.shape[1] == 1:
        squares = tf.square(rows)
        found = [tf.reduce_sum(squares * c, 2, keepdims=True) for c in weights]
    else:
        found = [tf.matmul(rows * c, rows, transpose_b=True) for c in weights]
    return tf.stack(found, 1)


class Call:
    """One recorded call of a layer: its inputs, and the output whose gradient is taken.

    Args:
        inputs: `[batch, ...]`, in the form that the rule needs.
        outputs: `[batch, ...]`, the output before `finish` of the rule.
    """

    def __init__(self, inputs: tf.Tensor, outputs: tf.Tensor):
        self.inputs = inputs
        self.outputs = outputs


class VariableGradient(abc.ABC, Generic[Given]):
    """How the per-example gradients of one variable follow from the output gradients.

    Every form provides for the gradients `G_n` of a batch: the gradients themselves, their sum of
    squares, each example's squared norm, its products with directions, and the products of its own
    gradients with each other, weighted entry by entry.
    """

    def __init__(self, variable: keras.Variable, calls: list[Call]):
        self.variable = variable
        self.calls = calls
        self.num_rows = calls[0].outputs.shape[0] if calls else 0
        self.dtype = tf.as_dtype(variable.dtype)
        self.wants_norms = True

    @abc.abstractmethod
    def rows(self, gradients: Given, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of the examples from start to stop, `[stop - start, *variable.shape]`."""

    def rows_bytes(self) -> int:
        """Bytes that `rows` needs for one example."""
        return 2 * math.prod(self.variable.shape) * self.dtype.size

    def no_squares(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros in the shapes of the results of `squares`."""
        return tf.zeros(self.variable.shape, self.dtype), tf.zeros([self.num_rows], self.dtype)

    def squares(self, gradients: Given) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum over examples of the squared gradient, and each example's squared norm, `[batch]`.

        The norms are zeros unless `wants_norms`, because they take another pass over the memory.
        """

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            squares = tf.square(self.rows(gradients, start, stop))
            squares = tf.reshape(squares, [-1, math.prod(self.variable.shape)])
            total = tf.reshape(sum_of_rows(squares), self.variable.shape)
            if not self.wants_norms:
                return total, tf.zeros([tf.shape(squares)[0]], self.dtype)
            return total, tf.reduce_sum(squares, 1)

        return self.in_blocks(of_block, tf.zeros(self.variable.shape, self.dtype))

    def slopes(self, gradients: Given, directions: tf.Tensor) -> tf.Tensor:
        """Each example's `sum_w v_w G_nw`, `[batch, k]`, for directions `[k, *variable.shape]`."""
        size = math.prod(self.variable.shape)
        flat = tf.reshape(directions, [-1, size])

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            rows = tf.reshape(self.rows(gradients, start, stop), [-1, size])
            return tf.matmul(rows, flat, transpose_b=True)

        return self.numbers_in_blocks(of_block, (directions.shape[0],))

    def inner_products(self, columns: Tensors, weights: tf.Tensor) -> tf.Tensor:
        """Products `sum_w c_w G_nwi G_nwj` of every two columns of gradients, weight by weight.

        Args:
            columns: The arrays from which all gradients follow, `[columns, batch, ...]`.
            weights: The k arrays c, `[k, *variable.shape]`; the products have their dtype.

        Returns:
            `[batch, k, columns, columns]`.
        """
        size = math.prod(self.variable.shape)
        flat = tf.unstack(tf.reshape(weights, [-1, size]))

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
            rows = self.rows_of_columns(columns, start, stop)
            return crossed(tf.reshape(rows, [columns[0].shape[0], -1, size]), flat)

        return self.products_in_blocks(of_block, columns, flat)

    def rows_of_columns(
        self, columns: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor
    ) -> tf.Tensor:
        """`rows` for every column: `[columns, stop - start, *variable.shape]`."""

        def of_column(column: Any) -> tf.Tensor:
            return self.rows(column, start, stop)

        return of_columns(of_column, columns, self.dtype)

    def products_in_blocks(
        self,
        of_block: Callable[[int | tf.Tensor, int | tf.Tensor], tf.Tensor],
        columns: Tensors,
        weights: Sequence[tf.Tensor],
    ) -> tf.Tensor:
        """The result of `inner_products`, over blocks of examples that fit in the cache."""
        count = columns[0].shape[0]
        shape = (len(weights), count, count)
        return self.numbers_in_blocks(of_block, shape, copies=count, dtype=weights[0].dtype)

    def numbers_in_blocks(
        self,
        of_block: Callable[[int | tf.Tensor, int | tf.Tensor], tf.Tensor],
        shape: tuple[int, ...] = (),
        copies: int = 1,
        dtype: tf.DType | None = None,
    ) -> tf.Tensor:
        """`in_blocks` without a sum: the numbers of each example, `[batch, *shape]`."""
        nothing = tf.zeros([], self.dtype)

        def of_both(*block: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return nothing, of_block(*block)

        return self.in_blocks(of_both, nothing, shape, copies, dtype)[1]

    def in_blocks(
        self,
        of_block: Callable[[int | tf.Tensor, int | tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        zeros: tf.Tensor,
        shape: tuple[int, ...] = (),
        copies: int = 1,
        dtype: tf.DType | None = None,
        example_bytes: int | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A sum, and numbers of each example, over blocks of examples that fit in the cache.

        Args:
            of_block: Function from the range of examples (start, stop) to the sum and the numbers.
            zeros: Initial value of the sum.
            shape: Shape of the numbers of one example.
            copies: Number of gradients per example in a block.
            dtype: Dtype of the numbers; by default that of the variable.
            example_bytes: Bytes of one example in a block; by default those of its gradients.
        """
        example_bytes = example_bytes or max(1, copies * self.rows_bytes())
        block = max(1, min(self.num_rows, BLOCK_BYTES // example_bytes))
        blocks = -(-self.num_rows // block)
        block = -(-self.num_rows // blocks)
        if blocks == 1:
            total, numbers = of_block(0, self.num_rows)
            return total, tf.ensure_shape(numbers, [self.num_rows, *shape])

        def body(
            i: tf.Tensor, total: tf.Tensor, numbers: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            more, of_examples = of_block(i * block, (i + 1) * block)
            return i + 1, total + more, numbers.write(i, of_examples)

        dtype = dtype or self.dtype
        numbers = tf.TensorArray(
            dtype, size=blocks, element_shape=[None, *shape], infer_shape=False
        )
        _, total, numbers = tf.while_loop(
            lambda i, *_: i < blocks,
            body,
            (tf.constant(0), zeros, numbers),
            parallel_iterations=1,
        )
        return total, tf.ensure_shape(numbers.concat(), [self.num_rows, *shape])


class DirectGradient(VariableGradient[Tensors]):
    """Per-example gradients of a small weight, such as a bias, a scale or an offset.

    Args:
        variable: The variable.
        calls: The recorded calls, as passed to a rule's `gradients`.
        gradient: Function from the inputs and the output gradient of a call, both `[batch, ...]`,
            to the gradient of each example, `[batch, *variable.shape]`.
        is_bias: Whether the variable has one number per output of the kernel's block, in its order.

    Example:
        ```python
        import keras
        import numpy as np
        import tensorflow as tf
        from keras_infobottleneck import estimators

        class Scale(keras.layers.Layer):
            def build(self, shape):
                self.factor = self.add_weight(shape=(shape[-1],), name="factor", initializer="ones")

            def call(self, inputs):
                return inputs * self.factor

        class ScaleRule(estimators.LayerRule):
            def variables(self):
                return [self.layer.factor]

            def gradients(self, calls):
                form = lambda x, g: x * g  # of each example, [batch, units]
                return [estimators.DirectGradient(self.layer.factor, calls, gradient=form)]

        estimators.register_rule(Scale, ScaleRule)
        model = keras.Sequential([keras.Input((3,)), Scale()])
        x = np.ones((5, 3), "float32")
        fisher = estimators.fisher_information(model, x, labels="expected", likelihood="normal")
        print(float(fisher.trace()))
        ```

        ```text
        3.0
        ```
    """

    def __init__(
        self,
        variable: keras.Variable,
        calls: list[Call],
        *,
        gradient: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        is_bias: bool = False,
    ):
        super().__init__(variable, calls)
        self._gradient = gradient
        self.is_bias = is_bias

    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of some examples, summed over the calls."""
        return tf.add_n(
            [
                self._gradient(
                    tf.cast(call.inputs[start:stop], self.dtype),
                    tf.cast(g[start:stop], self.dtype),
                )
                for call, g in zip(self.calls, gradients, strict=True)
            ]
        )

    def rows_bytes(self) -> int:
        """Bytes of one example's gradient, which are those of the largest output of the calls."""
        outputs = max(math.prod(call.outputs.shape[1:]) for call in self.calls)
        return 2 * outputs * self.dtype.size
