"""Gradients of weights that are small: formed for each example as they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.rule import Call, VariableGradient

__all__ = ["DirectGradient"]


class DirectGradient(VariableGradient):
    """Per-example gradients of a small weight, such as a bias, a scale or an offset.

    Args:
        variable: the variable.
        calls: the recorded calls, as a rule's `gradients` gets them.
        gradient: from the inputs and the output gradient of a call, both `[batch, ...]`, to the
            gradient of each example, `[batch, *variable.shape]`.
        is_bias: whether this is one number per output of the kernel's block, in its order.

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

    def rows(self, gradients, start, stop):
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

    def rows_bytes(self):
        """Bytes of one example's gradient, for which the largest output of the calls counts."""
        outputs = max(math.prod(call.outputs.shape[1:]) for call in self.calls)
        return 2 * outputs * self.dtype.size
