"""What a layer rule is.

A rule runs its layer without activation, on weights that the gradient does not flow into, and
says how the per-example gradients of those weights follow from the gradient of that output. The
tape finds any other use of the same weights, so a rule cannot miss one.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import (
    Bilinear,
    Call,
    Direct,
    VariableGradient,
)
from keras_infobottleneck.introspection.cloning import with_attributes

__all__ = ["KernelRule", "Rule", "leading"]


class Rule(abc.ABC):
    """How one layer is run and differentiated. A rule is made for one layer."""

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer

    @abc.abstractmethod
    def variables(self) -> list[keras.Variable]:
        """The weights that the rule covers."""

    @abc.abstractmethod
    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        """The form of each weight's gradient, given every call of the layer."""

    def accepts(self, inputs: tf.Tensor) -> bool:
        """Whether this input is of the shape that the rule is for."""
        return True

    def run(self, call, inputs, args, kwargs) -> tuple[Call, tf.Tensor]:
        """Runs the layer up to its activation. Returns the record and that output."""
        frozen = [tf.stop_gradient(v.value) for v in self.variables()]
        outputs = self.run_on(frozen, call, inputs, args, kwargs)
        return Call(inputs, outputs), outputs

    def run_on(self, weights: list[tf.Tensor], call, inputs, args, kwargs) -> tf.Tensor:
        """The layer's output with these in the place of its weights."""
        mapping = list(zip(self.variables(), weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return call(inputs, *args, **kwargs)

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        """What follows the recorded output inside the layer."""
        return outputs

    def block(self) -> tuple[int, int, int] | None:
        """Groups, in and out of the kernel, None without a kernel."""
        return None


class KernelRule(Rule):
    """A layer with a kernel and perhaps a bias."""

    @property
    def kernel(self) -> keras.Variable:
        """The variable by which the layer is linear."""
        return self.layer.kernel

    def variables(self):
        bias = self.layer.bias
        return [self.kernel] if bias is None else [self.kernel, bias]

    def run_on(self, weights, call, inputs, args, kwargs):
        """Without activation; linear in the weights."""
        del call
        linear = with_attributes(self.layer, activation=None)
        return super().run_on(weights, linear.call, inputs, args, kwargs)

    def finish(self, outputs):
        return outputs if self.layer.activation is None else self.layer.activation(outputs)

    @abc.abstractmethod
    def positions(self, call: Call) -> int:
        """Positions of one call."""

    @abc.abstractmethod
    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        """See `Bilinear`."""

    @abc.abstractmethod
    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        """See `Bilinear`."""

    @abc.abstractmethod
    def arrange(self, products):
        """See `Bilinear`."""

    @abc.abstractmethod
    def sum_to_bias(self, gradient: tf.Tensor) -> tf.Tensor:
        """Output gradient summed over positions, `[batch, *bias.shape]`."""

    @property
    def bias_is_of_block(self) -> bool:
        """Whether the bias has one number for each (group, out) of the block."""
        return True

    def gradients(self, calls):
        found: list[VariableGradient] = [
            Bilinear(
                self.kernel,
                calls,
                block=self.block(),
                positions=[self.positions(call) for call in calls],
                inputs_of=self.inputs_of,
                outputs_of=self.outputs_of,
                arrange=self.arrange,
            )
        ]
        if self.layer.bias is not None:
            found.append(
                Direct(
                    self.layer.bias,
                    calls,
                    gradient=lambda _, g: self.sum_to_bias(g),
                    is_bias=self.bias_is_of_block,
                )
            )
        return found


def leading(a: tf.Tensor, count: int) -> Sequence:
    """The first axes' sizes, dynamic where they have to be."""
    shape = tf.shape(a)
    return [a.shape[i] if a.shape[i] is not None else shape[i] for i in range(count)]
