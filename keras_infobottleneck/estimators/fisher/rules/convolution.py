"""Convolutions: plain, grouped, depthwise and transposed."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.bilinear import leading
from keras_infobottleneck.estimators.fisher.rules.gradients import Call
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.patches import Patches
from keras_infobottleneck.estimators.fisher.rules.rule import register_rule

__all__ = ["ConvolutionRule", "DepthwiseRule", "TransposeRule"]


class _ConvolutionRule(KernelRule):
    """Common code of convolutions: patches and the channel axis."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(layer)
        self.patches = Patches(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)

    def _channels_last(self, a: tf.Tensor) -> tf.Tensor:
        if self.layer.data_format == "channels_last":
            return a
        return tf.transpose(a, [0, *range(2, a.shape.rank), 1])

    def sum_to_bias(self, gradient: tf.Tensor) -> tf.Tensor:
        gradient = self._channels_last(gradient)
        return tf.reduce_sum(gradient, range(1, gradient.shape.rank - 1))

    def positions(self, call: Call) -> int:
        return math.prod(self._channels_last(call.outputs).shape[1:-1])


class ConvolutionRule(_ConvolutionRule):
    """`Conv1D/2D/3D` with groups, strides, dilation; "in" is the patch and channel of a group."""

    def block(self) -> tuple[int, int, int]:
        *taps, channels, filters = self.kernel.shape
        return self.layer.groups, math.prod(taps) * channels, filters // self.layer.groups

    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        groups, fan_in, _ = self.block()
        x = self.patches.of(self._channels_last(inputs))
        count, taps, channels = x.shape[1:]
        if groups > 1:
            x = tf.reshape(x, [-1, count, taps, groups, channels // groups])
            x = tf.transpose(x, [0, 1, 3, 2, 4])
        return tf.reshape(x, [-1, count, groups, fan_in])

    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        groups, _, fan_out = self.block()
        d = self._channels_last(gradient)
        return tf.reshape(d, [-1, math.prod(d.shape[1:-1]), groups, fan_out])

    def arrange(self, products: tf.Tensor) -> tf.Tensor:
        groups, fan_in, fan_out = self.block()
        channels = self.kernel.shape[-2]
        lead = products.shape.rank - 3
        first = leading(products, lead)
        if groups > 1:
            products = tf.reshape(products, [*first, groups, fan_in // channels, channels, fan_out])
            products = tf.transpose(products, [*range(lead), lead + 1, lead + 2, lead, lead + 3])
        return tf.reshape(products, [*first, *self.kernel.shape])


class DepthwiseRule(_ConvolutionRule):
    """`DepthwiseConv1D/2D`: each channel is a group, "in" is the patch, "out" the multiplier."""

    def block(self) -> tuple[int, int, int]:
        *taps, channels, multiplier = self.kernel.shape
        return channels, math.prod(taps), multiplier

    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.transpose(self.patches.of(self._channels_last(inputs)), [0, 1, 3, 2])

    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        channels, _, multiplier = self.block()
        d = self._channels_last(gradient)
        return tf.reshape(d, [-1, math.prod(d.shape[1:-1]), channels, multiplier])

    def arrange(self, products: tf.Tensor) -> tf.Tensor:
        lead = products.shape.rank - 3
        products = tf.transpose(products, [*range(lead), lead + 1, lead, lead + 2])
        return tf.reshape(products, [*leading(products, lead), *self.kernel.shape])


class TransposeRule(_ConvolutionRule):
    """`Conv1D/2D/3DTranspose`: patches are taken from the output's gradient."""

    def block(self) -> tuple[int, int, int]:
        *taps, filters, channels = self.kernel.shape
        return 1, channels, math.prod(taps) * filters

    @property
    def bias_is_of_block(self) -> bool:
        return False

    def positions(self, call: Call) -> int:
        return math.prod(self._channels_last(call.inputs).shape[1:-1])

    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self._channels_last(inputs)
        return tf.reshape(x, [-1, math.prod(x.shape[1:-1]), 1, x.shape[-1]])

    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        d = self.patches.of(self._channels_last(gradient))
        return tf.reshape(d, [-1, d.shape[1], 1, self.block()[2]])

    def arrange(self, products: tf.Tensor) -> tf.Tensor:
        lead = products.shape.rank - 3
        products = tf.transpose(products, [*range(lead + 1), lead + 2, lead + 1])
        return tf.reshape(products, [*leading(products, lead), *self.kernel.shape])


for convolution in (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D):
    register_rule(convolution, ConvolutionRule, check=False)
for depthwise in (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D):
    register_rule(depthwise, DepthwiseRule, check=False)
for transposed in (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
):
    register_rule(transposed, TransposeRule, check=False)
