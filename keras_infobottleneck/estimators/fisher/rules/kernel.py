"""Layers that are linear in a kernel; `Dense` is the plainest of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.gradients import (
    Call,
    DirectGradient,
    Tensors,
    VariableGradient,
    by_example,
)
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, register_rule
from keras_infobottleneck.introspection.replaced_calls import with_attributes

__all__ = [
    "KEPT_BYTES",
    "BilinearGradient",
    "KernelRule",
    "keep_inputs",
    "leading",
]

# Patches of a batch that are kept where they serve several times, of all layers together.
KEPT_BYTES = 96 * 2**20


class BilinearGradient(VariableGradient[Tensors]):
    """`G_n = sum_t x_nt d_nt^T`: the kernel of a layer that is linear in it.

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

    def inputs(
        self,
        start: int | tf.Tensor = 0,
        stop: int | tf.Tensor | None = None,
        *,
        weights: tf.Tensor | None = None,
    ) -> tf.Tensor:
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

    def keep_inputs(self, weights: tf.Tensor | None = None) -> None:
        """Makes x once, where it serves several times; times weights `[batch]`."""
        self._kept = self.inputs(weights=weights)

    def outputs(
        self, gradients: Tensors, start: int | tf.Tensor = 0, stop: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """D of the examples start to stop, the calls side by side."""
        parts = [self._outputs_of(tf.cast(g[start:stop], self.dtype)) for g in gradients]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of the examples start to stop, by one small matrix product each."""
        x, d = self.inputs(start, stop), self.outputs(gradients, start, stop)
        if self.block[0] == 1:
            products = tf.matmul(x[:, :, 0], d[:, :, 0], transpose_a=True)[:, None]
        else:
            products = tf.einsum("btgi,btgo->bgio", x, d)
        return self.arrange(products)

    def norms(self, d: tf.Tensor) -> tf.Tensor:
        """Squared norm of each example's gradient, `[batch]`, from its d as `outputs` gives it.

        `sum_ts (x_t . x_s) (d_t . d_s)`, or by the gradient itself, whichever product is smaller.
        """
        groups, fan_in, fan_out = self.block
        if self.positions == 1:
            x, d = (tf.reduce_sum(tf.square(a), [1, 3]) for a in (self.inputs(), d))
            return tf.reduce_sum(x * d, 1)
        is_by_positions = self.positions * (fan_in + fan_out) < fan_in * fan_out

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x, here = self._by_group(self.inputs(start, stop)), self._by_group(d[start:stop])
            if is_by_positions:
                product = tf.matmul(x, x, transpose_b=True) * tf.matmul(
                    here, here, transpose_b=True
                )
            else:
                product = tf.square(tf.matmul(x, here, transpose_a=True))
            norms = tf.reshape(tf.reduce_sum(product, [1, 2]), [-1, groups])
            return tf.zeros([], self.dtype), tf.reduce_sum(norms, 1)

        return self.in_blocks(of_block, tf.zeros([], self.dtype))[1]

    def _by_group(self, a: tf.Tensor) -> tf.Tensor:
        """`[batch, positions, groups, n]` as `[batch * groups, positions, n]`."""
        if self.block[0] == 1:
            return a[:, :, 0]
        return tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [-1, self.positions, a.shape[3]])

    def rows_bytes(self) -> int:
        """Bytes of one example's product, of its square, and of both factors."""
        groups, fan_in, fan_out = self.block
        entries = groups * (2 * fan_in * fan_out + self.positions * (fan_in + fan_out))
        return entries * self.dtype.size

    def squares(self, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """With one position the square of the product is the product of the squares."""
        if self.positions > 1:
            return super().squares(gradients)
        return self.squares_of_one_position(tf.square(self.outputs(gradients)[:, 0]))

    def squares_of_one_position(self, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `squares` gives, from the squared output gradients `[batch, groups, out]`."""
        x = tf.square(self.inputs()[:, 0])
        norms = tf.reduce_sum(tf.reduce_sum(x, 2) * tf.reduce_sum(d, 2), 1)
        if self.block[0] == 1:
            return self.arrange(tf.matmul(x[:, 0], d[:, 0], transpose_a=True)[None]), norms
        return self.arrange(tf.einsum("bgi,bgo->gio", x, d)), norms


class KernelRule(LayerRule):
    """Rule for a layer with a kernel, `activation(inputs @ kernel + bias)`, the bias optional.

    As it stands it is the rule of `Dense`: the kernel is `[in, out]`, and every axis of the input
    between the first and the last is positions. Where the attributes have other names, override
    the properties `kernel`, `bias` and `activation_name`; where inputs and kernel are arranged in
    another way, the methods from `block` on.

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

    # Attribute of the layer that holds its activation, None where it has none.
    activation_name: str | None = "activation"

    @property
    def kernel(self) -> keras.Variable:
        """The variable in which the layer is linear."""
        return self.layer.kernel

    @property
    def bias(self) -> keras.Variable | None:
        """The variable that is added to every output; None without one."""
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
        """Run the layer without its activation, which is linear in the weights."""
        name = self.activation_name
        if name is None:
            return super().run_on(weights, call, inputs, args, kwargs)
        # A copy that shares the weights: other threads may call the layer itself meanwhile.
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
        """Bring products `[..., groups, in, out]` into the shape of the kernel."""
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
    """Keeps x of kernels with several positions, of as many as `KEPT_BYTES` hold together."""
    left = KEPT_BYTES
    for form in forms:
        if not isinstance(form, BilinearGradient) or form.positions == 1:
            continue
        if form.inputs_bytes() <= left:
            left -= form.inputs_bytes()
            form.keep_inputs(weights)


def leading(a: tf.Tensor, count: int) -> list[int | tf.Tensor]:
    """Sizes of the first axes; tensors where they are not known statically."""
    shape = tf.shape(a)
    return [a.shape[i] if a.shape[i] is not None else shape[i] for i in range(count)]


register_rule(keras.layers.Dense, KernelRule, check=False)
