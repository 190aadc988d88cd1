"""Rules for layers that are linear in a kernel, of which `Dense` is the simplest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.bilinear import BilinearGradient
from keras_infobottleneck.estimators.fisher.rules.gradients import (
    Call,
    DirectGradient,
    Tensors,
    VariableGradient,
)
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, register_rule
from keras_infobottleneck.introspection.replaced_calls import with_attributes

__all__ = [
    "KEPT_BYTES",
    "KernelRule",
    "keep_inputs",
]

# Limit for the patches of a batch that are kept for several uses, for all layers together.
KEPT_BYTES = 96 * 2**20


class KernelRule(LayerRule):
    """Rule for a layer with a kernel, `activation(inputs @ kernel + bias)`, the bias optional.

    The methods of this class are right for `Dense`: the kernel is `[in, out]`, and all axes of the
    input between the first and the last are positions. If the attributes of a layer have other
    names, override the properties `kernel`, `bias` and `activation_name`; if its inputs and kernel
    are arranged differently, override the methods from `block` on.

    Example:
        ```python
        import keras
        import numpy as np
        from keras_infobottleneck import estimators

        class Mixer(keras.layers.Layer):
            def build(self, shape):
                self.matrix = self.add_weight(shape=(shape[-1], 2), name="matrix")

            def call(self, inputs):
                return keras.ops.matmul(inputs, self.matrix)

        class MixerRule(estimators.KernelRule):
            activation_name = None
            kernel = property(lambda self: self.layer.matrix)
            bias = None

        estimators.register_rule(Mixer, MixerRule)
        model = keras.Sequential([keras.Input((3,)), Mixer()])
        x = np.ones((5, 3), "float32")
        fisher = estimators.fisher_information(model, x, labels="expected", likelihood="normal")
        print(float(fisher.trace()))
        ```

        ```text
        6.0
        ```
    """

    # Attribute of the layer that holds its activation; None if there is none.
    activation_name: str | None = "activation"

    @property
    def kernel(self) -> keras.Variable:
        """The variable in which the layer is linear."""
        return self.layer.kernel

    @property
    def bias(self) -> keras.Variable | None:
        """The variable that is added to every output; None if there is none."""
        return self.layer.bias

    def variables(self) -> list[keras.Variable]:
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def run_on(
        self,
        weights: Tensors,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tf.Tensor:
        """Runs the layer without its activation, so that it is linear in the weights."""
        name = self.activation_name
        if name is None:
            return super().run_on(weights, call, inputs, args, kwargs)
        # A copy that shares the weights, because other threads may call the layer itself.
        linear = with_attributes(self.layer, **{name: None})
        return super().run_on(weights, linear.call, inputs, args, kwargs)

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        name = self.activation_name
        activation = None if name is None else getattr(self.layer, name)
        return outputs if activation is None else activation(outputs)

    def block(self) -> tuple[int, int, int]:
        """Numbers of groups, inputs and outputs of the kernel."""
        return 1, *self.kernel.shape

    def positions(self, call: Call) -> int:
        """Number of positions at which one call uses the kernel."""
        return math.prod(call.outputs.shape[1:-1])

    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        """A call's inputs as x `[batch, positions, groups, in]`."""
        return tf.reshape(inputs, [-1, math.prod(inputs.shape[1:-1]), 1, inputs.shape[-1]])

    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        """A call's output gradient as d `[batch, positions, groups, out]`."""
        return tf.reshape(gradient, [-1, math.prod(gradient.shape[1:-1]), 1, gradient.shape[-1]])

    def arrange(self, products: tf.Tensor) -> tf.Tensor:
        """Brings products `[..., groups, in, out]` into the shape of the kernel."""
        return tf.squeeze(products, -3)

    def sum_to_bias(self, gradient: tf.Tensor) -> tf.Tensor:
        """Output gradient summed over positions, `[batch, *bias.shape]`."""
        return tf.reduce_sum(gradient, range(1, gradient.shape.rank - 1))

    @property
    def bias_is_of_block(self) -> bool:
        """Whether the bias has one number for each (group, out) of the block."""
        return True

    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        found: list[VariableGradient] = [
            BilinearGradient(
                self.kernel,
                calls,
                block=self.block(),
                positions=[self.positions(call) for call in calls],
                inputs_of=self.inputs_of,
                outputs_of=self.outputs_of,
                arrange=self.arrange,
            )
        ]
        if self.bias is not None:
            found.append(
                DirectGradient(
                    self.bias,
                    calls,
                    gradient=lambda _, g: self.sum_to_bias(g),
                    is_bias=self.bias_is_of_block,
                )
            )
        return found


def keep_inputs(forms: Iterable[VariableGradient], weights: tf.Tensor | None = None) -> None:
    """Keeps x of kernels with several positions, for as many kernels as fit in `KEPT_BYTES`."""
    left = KEPT_BYTES
    for form in forms:
        if not isinstance(form, BilinearGradient) or form.positions == 1:
            continue
        if form.inputs_bytes() <= left:
            left -= form.inputs_bytes()
            form.keep_inputs(weights)


register_rule(keras.layers.Dense, KernelRule, check=False)
