"""Gradients of weights that no rule covers: the model is run on one example at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.gradients import Tensors, VariableGradient

__all__ = ["ExampleLoop", "LoopGradient"]


class LoopGradient(VariableGradient["ExampleLoop"]):
    """Per-example gradients of a weight that no rule covers; see `ExampleLoop`."""

    def __init__(self, variable: keras.Variable, num_rows: int):
        super().__init__(variable, [])
        self.num_rows = num_rows

    def rows(
        self, gradients: ExampleLoop, start: int | tf.Tensor, stop: int | tf.Tensor
    ) -> tf.Tensor:
        """Gradients of the examples from start to stop, taken from those of all examples."""
        return gradients.rows(self.variable)[start:stop]

    def rows_of_columns(
        self, columns: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor
    ) -> tf.Tensor:
        """Gradients of all columns, which the loop has stacked."""
        return columns[0][:, start:stop]

    def slopes(self, gradients: ExampleLoop, directions: tf.Tensor) -> tf.Tensor:
        """Uses the gradients of all examples: a loop over blocks would copy them."""
        rows = tf.reshape(gradients.rows(self.variable), [self.num_rows, -1])
        return tf.matmul(rows, tf.reshape(directions, [directions.shape[0], -1]), transpose_b=True)

    def squares(self, gradients: ExampleLoop) -> tuple[tf.Tensor, tf.Tensor]:
        """Sums of squares, added up inside the loop, so that the gradients are not stacked."""
        return gradients.squares(self.variable)


class ExampleLoop:
    """Per-example gradients by a compiled loop; each kind of result is computed once.

    Args:
        num_rows: Number of examples.
        variables: The weights.
        gradient: Function from the number of an example to its gradients.
    """

    def __init__(
        self,
        num_rows: int,
        variables: list[keras.Variable],
        gradient: Callable[[tf.Tensor], Tensors],
    ):
        self._num_rows = num_rows
        self._index = {id(v): i for i, v in enumerate(variables)}
        self._variables = variables
        self._gradient = gradient
        self._made: dict[str, Any] = {}

    def squares(self, variable: keras.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum of squared gradients, and squared norms `[batch]`."""
        if "squares" not in self._made:
            self._made["squares"] = self._sum_squares()
        totals, norms = self._made["squares"]
        index = self._index[id(variable)]
        return totals[index], norms[:, index]

    def rows(self, variable: keras.Variable) -> tf.Tensor:
        """The gradients of all examples, `[batch, *variable.shape]`."""
        if "rows" not in self._made:
            self._made["rows"] = tf.map_fn(
                self._gradient,
                tf.range(self._num_rows),
                fn_output_signature=[tf.TensorSpec(v.shape, v.dtype) for v in self._variables],
                parallel_iterations=1,
            )
        return self._made["rows"][self._index[id(variable)]]

    def _sum_squares(self) -> tuple[Tensors, tf.Tensor]:
        """Sums of squared gradients by variable, and squared norms `[batch, variables]`."""
        dtype = self._variables[0].dtype

        def body(
            n: tf.Tensor, totals: Tensors, norms: tf.TensorArray
        ) -> tuple[tf.Tensor, Tensors, tf.TensorArray]:
            squares = [tf.square(g) for g in self._gradient(n)]
            norm = tf.stack([tf.cast(tf.reduce_sum(s), dtype) for s in squares])
            totals = [total + s for total, s in zip(totals, squares, strict=True)]
            return n + 1, totals, norms.write(n, norm)

        norms = tf.TensorArray(dtype, size=self._num_rows, element_shape=[len(self._variables)])
        totals = [tf.zeros(v.shape, v.dtype) for v in self._variables]
        _, totals, norms = tf.while_loop(
            lambda n, *_: n < self._num_rows,
            body,
            (tf.constant(0), totals, norms),
            parallel_iterations=1,
        )
        return totals, norms.stack()
