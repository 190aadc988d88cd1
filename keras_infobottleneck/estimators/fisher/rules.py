"""Which layers are linear in which weights, and how.

A rule runs its layer without activation, on weights that the gradient does not flow into, and
says how the per-example gradients of those weights follow from the gradient of that output. The
tape finds any other use of the same weights, so a rule cannot miss one.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import (
    Bilinear,
    Call,
    Direct,
    Tokens,
    VariableGradient,
)
from keras_infobottleneck.estimators.fisher.patches import Patches

__all__ = ["Rule", "rule_for"]


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
        frozen = [(v, tf.stop_gradient(v.value)) for v in self.variables()]
        with keras.StatelessScope(state_mapping=frozen):
            outputs = call(inputs, *args, **kwargs)
        return Call(inputs, outputs), outputs

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        """What follows the recorded output inside the layer."""
        return outputs

    def block(self) -> tuple[int, int, int] | None:
        """Groups, in and out of the kernel, None without a kernel."""
        return None


class _KernelRule(Rule):
    """A layer with a kernel and perhaps a bias."""

    @property
    def kernel(self) -> keras.Variable:
        return self.layer.kernel

    def variables(self):
        bias = self.layer.bias
        return [self.kernel] if bias is None else [self.kernel, bias]

    def run(self, call, inputs, args, kwargs):
        activation = self.layer.activation
        # Past Keras' attribute tracking: nothing about the layer is to change but for this call.
        vars(self.layer)["activation"] = None
        try:
            return super().run(call, inputs, args, kwargs)
        finally:
            vars(self.layer)["activation"] = activation

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


class DenseRule(_KernelRule):
    """`Dense`: every axis between the first and the last is positions."""

    def block(self):
        return 1, *self.kernel.shape

    def positions(self, call):
        return math.prod(call.outputs.shape[1:-1])

    def inputs_of(self, inputs):
        return tf.reshape(inputs, [-1, math.prod(inputs.shape[1:-1]), 1, inputs.shape[-1]])

    outputs_of = inputs_of

    def arrange(self, products):
        return tf.squeeze(products, -3)

    def sum_to_bias(self, gradient):
        return tf.reduce_sum(gradient, range(1, gradient.shape.rank - 1))


class EinsumRule(_KernelRule):
    """`EinsumDense`, read off its equation: letters are batch, positions, groups, in or out."""

    def __init__(self, layer):
        super().__init__(layer)
        left, self.out = layer.equation.replace(" ", "").split("->")
        self.inp, self.ker = left.split(",")

    def _letters(self, rank: int) -> tuple[str, str] | None:
        """Letters of input and output for an input of this rank, None where there is no rule."""
        inp, out = self.inp, self.out
        if "..." in inp + out:
            spare = [c for c in "ABCDEFGHIJ" if c not in inp + out + self.ker]
            dots = "".join(spare[: rank - len(inp.replace("...", ""))])
            inp, out = inp.replace("...", dots), out.replace("...", dots)
        once = all(len(set(s)) == len(s) for s in (inp, out, self.ker))
        known = set(self.ker) <= set(inp + out) and set(inp) <= set(self.ker + out)
        rows = inp[:1] == out[:1] != "" and inp[0] not in self.ker
        if "." in inp + out + self.ker or not (once and known and rows) or len(inp) != rank:
            return None
        return inp, out

    def accepts(self, inputs):
        return self._letters(inputs.shape.rank) is not None

    def _split(self, rank: int) -> tuple[str, str, str, str]:
        """Letters of positions, groups, in and out."""
        inp, out = self._letters(rank)
        return (
            "".join(c for c in out[1:] if c in inp and c not in self.ker),
            "".join(c for c in self.ker if c in inp and c in out),
            "".join(c for c in self.ker if c in inp and c not in out),
            "".join(c for c in out if c in self.ker and c not in inp),
        )

    def _size(self, letters: str) -> int:
        return math.prod(self.kernel.shape[self.ker.index(c)] for c in letters)

    def block(self):
        inp = self.inp.replace("...", "")
        out = self.out.replace("...", "")
        return (
            self._size([c for c in self.ker if c in inp and c in out]),
            self._size([c for c in self.ker if c in inp and c not in out]),
            self._size([c for c in self.ker if c in out and c not in inp]),
        )

    def positions(self, call):
        _, out = self._letters(call.inputs.shape.rank)
        positions = self._split(call.inputs.shape.rank)[0]
        return math.prod(call.outputs.shape[out.index(c)] for c in positions)

    def inputs_of(self, inputs):
        inp, _ = self._letters(self._rank)
        positions, groups, fan_in, _ = self._split(self._rank)
        return self._ordered(inputs, inp, inp[0] + positions + groups + fan_in, self.block()[1])

    def outputs_of(self, gradient):
        inp, out = self._letters(self._rank)
        positions, groups, _, fan_out = self._split(self._rank)
        return self._ordered(gradient, out, inp[0] + positions + groups + fan_out, self.block()[2])

    def _ordered(self, a: tf.Tensor, letters: str, order: str, last: int) -> tf.Tensor:
        """Axes in order, those of positions, groups and the rest merged."""
        positions = self._split(self._rank)[0]
        count = math.prod(a.shape[letters.index(c)] for c in positions)
        a = tf.transpose(a, [letters.index(c) for c in order])
        return tf.reshape(a, [-1, count, self.block()[0], last])

    def arrange(self, products):
        groups, fan_in, fan_out = self._split(self._rank)[1:]
        letters = groups + fan_in + fan_out
        shape = [self.kernel.shape[self.ker.index(c)] for c in letters]
        lead = products.shape.rank - 3
        products = tf.reshape(products, [*_leading(products, lead), *shape])
        order = [lead + letters.index(c) for c in self.ker]
        return tf.transpose(products, [*range(lead), *order])

    def gradients(self, calls):
        self._rank = calls[0].inputs.shape.rank
        return super().gradients(calls)

    @property
    def bias_is_of_block(self):
        _, groups, _, fan_out = self._split(self._rank)
        axes = self.layer.bias_axes or ""
        return not groups and sorted(axes) == sorted(fan_out)

    def sum_to_bias(self, gradient):
        bias = self.layer.bias.shape
        lead = gradient.shape.rank - len(bias)
        gone = [lead + i for i, n in enumerate(bias) if n == 1 and gradient.shape[lead + i] != 1]
        gradient = tf.reduce_sum(gradient, gone, keepdims=True)
        return tf.reduce_sum(gradient, range(1, lead))


class _ConvolutionRule(_KernelRule):
    """What the convolutions share: patches and the channel axis."""

    def __init__(self, layer):
        super().__init__(layer)
        self.patches = Patches(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)

    def _channels_last(self, a: tf.Tensor) -> tf.Tensor:
        if self.layer.data_format == "channels_last":
            return a
        return tf.transpose(a, [0, *range(2, a.shape.rank), 1])

    def sum_to_bias(self, gradient):
        gradient = self._channels_last(gradient)
        return tf.reduce_sum(gradient, range(1, gradient.shape.rank - 1))

    def positions(self, call):
        return math.prod(self._channels_last(call.outputs).shape[1:-1])


class ConvolutionRule(_ConvolutionRule):
    """`Conv1D/2D/3D` with groups, strides, dilation: in is patch and channel of the group."""

    def block(self):
        *taps, channels, filters = self.kernel.shape
        return self.layer.groups, math.prod(taps) * channels, filters // self.layer.groups

    def inputs_of(self, inputs):
        groups, fan_in, _ = self.block()
        x = self.patches.of(self._channels_last(inputs))
        count, taps, channels = x.shape[1:]
        if groups > 1:
            x = tf.reshape(x, [-1, count, taps, groups, channels // groups])
            x = tf.transpose(x, [0, 1, 3, 2, 4])
        return tf.reshape(x, [-1, count, groups, fan_in])

    def outputs_of(self, gradient):
        groups, _, fan_out = self.block()
        d = self._channels_last(gradient)
        return tf.reshape(d, [-1, math.prod(d.shape[1:-1]), groups, fan_out])

    def arrange(self, products):
        groups, fan_in, fan_out = self.block()
        channels = self.kernel.shape[-2]
        lead = products.shape.rank - 3
        leading = _leading(products, lead)
        if groups > 1:
            products = tf.reshape(
                products, [*leading, groups, fan_in // channels, channels, fan_out]
            )
            products = tf.transpose(products, [*range(lead), lead + 1, lead + 2, lead, lead + 3])
        return tf.reshape(products, [*leading, *self.kernel.shape])


class DepthwiseRule(_ConvolutionRule):
    """`DepthwiseConv1D/2D`: each channel is a group, in is the patch, out the multiplier."""

    def block(self):
        *taps, channels, multiplier = self.kernel.shape
        return channels, math.prod(taps), multiplier

    def inputs_of(self, inputs):
        return tf.transpose(self.patches.of(self._channels_last(inputs)), [0, 1, 3, 2])

    def outputs_of(self, gradient):
        channels, _, multiplier = self.block()
        d = self._channels_last(gradient)
        return tf.reshape(d, [-1, math.prod(d.shape[1:-1]), channels, multiplier])

    def arrange(self, products):
        lead = products.shape.rank - 3
        products = tf.transpose(products, [*range(lead), lead + 1, lead, lead + 2])
        return tf.reshape(products, [*_leading(products, lead), *self.kernel.shape])


class TransposeRule(_ConvolutionRule):
    """`Conv1D/2D/3DTranspose`: the patches are of the output's gradient."""

    def block(self):
        *taps, filters, channels = self.kernel.shape
        return 1, channels, math.prod(taps) * filters

    @property
    def bias_is_of_block(self):
        return False

    def positions(self, call):
        return math.prod(self._channels_last(call.inputs).shape[1:-1])

    def inputs_of(self, inputs):
        x = self._channels_last(inputs)
        return tf.reshape(x, [-1, math.prod(x.shape[1:-1]), 1, x.shape[-1]])

    def outputs_of(self, gradient):
        d = self.patches.of(self._channels_last(gradient))
        return tf.reshape(d, [-1, d.shape[1], 1, self.block()[2]])

    def arrange(self, products):
        lead = products.shape.rank - 3
        products = tf.transpose(products, [*range(lead + 1), lead + 2, lead + 1])
        return tf.reshape(products, [*_leading(products, lead), *self.kernel.shape])


class NormalizationRule(Rule):
    """Scale and offset after a normalisation: `y = normalised * gamma + beta`."""

    def variables(self):
        return [v for v in (self.layer.gamma, self.layer.beta) if v is not None]

    def run(self, call, inputs, args, kwargs):
        """The normalised input is the layer's own output at scale one and offset zero."""
        gamma, beta = self.layer.gamma, self.layer.beta
        neutral = [] if gamma is None else [(gamma, tf.ones_like(gamma.value))]
        neutral += [] if beta is None else [(beta, tf.zeros_like(beta.value))]
        with keras.StatelessScope(state_mapping=neutral):
            normalised = call(inputs, *args, **kwargs)
        outputs = normalised
        if gamma is not None:
            outputs *= self._spread(tf.stop_gradient(gamma.value), normalised)
        if beta is not None:
            outputs += self._spread(tf.stop_gradient(beta.value), normalised)
        outputs = tf.identity(outputs)
        return Call(normalised, outputs), outputs

    def _axes(self, rank: int) -> list[int]:
        axis = self.layer.axis
        axes = [axis] if isinstance(axis, int) else list(axis)
        return [a % rank for a in axes]

    def _spread(self, weights: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        axes = self._axes(like.shape.rank)
        shape = [n if i in axes else 1 for i, n in enumerate(like.shape)]
        return tf.cast(tf.reshape(weights, shape), like.dtype)

    def gradients(self, calls):
        gone = [
            i
            for i in range(1, calls[0].outputs.shape.rank)
            if i not in self._axes(calls[0].outputs.shape.rank)
        ]
        found = []
        if self.layer.gamma is not None:
            found.append(
                Direct(
                    self.layer.gamma,
                    calls,
                    gradient=lambda x, g: tf.reduce_sum(x * g, gone),
                )
            )
        if self.layer.beta is not None:
            found.append(
                Direct(self.layer.beta, calls, gradient=lambda _, g: tf.reduce_sum(g, gone))
            )
        return found

    def accepts(self, inputs):
        axes = self._axes(inputs.shape.rank)
        return axes == sorted(axes) and 0 not in axes


class EmbeddingRule(Rule):
    """`Embedding`: a look-up, linear in the table."""

    def variables(self):
        return [self.layer.embeddings]

    def gradients(self, calls):
        return [Tokens(self.layer.embeddings, calls)]


def _leading(a: tf.Tensor, count: int) -> Sequence:
    """The first axes' sizes, dynamic where they have to be."""
    shape = tf.shape(a)
    return [a.shape[i] if a.shape[i] is not None else shape[i] for i in range(count)]


def rule_for(layer: keras.layers.Layer) -> Rule | None:
    """The layer's rule. A subclass may compute anything, so only the layers themselves have one."""
    kind = type(layer)
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return None
    if kind is keras.layers.Dense:
        return DenseRule(layer)
    if kind is keras.layers.EinsumDense:
        return EinsumRule(layer)
    if kind in (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D):
        return ConvolutionRule(layer)
    if kind in (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D):
        return DepthwiseRule(layer)
    if kind in (
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    ):
        return TransposeRule(layer)
    if kind in (
        keras.layers.BatchNormalization,
        keras.layers.LayerNormalization,
        keras.layers.GroupNormalization,
    ):
        return NormalizationRule(layer)
    if kind is keras.layers.Embedding:
        return EmbeddingRule(layer)
    return None
