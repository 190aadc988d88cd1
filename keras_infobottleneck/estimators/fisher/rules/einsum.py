"""`EinsumDense`, whose equation determines which axes are positions."""

from __future__ import annotations

import math
from collections.abc import Iterable

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.bilinear import leading
from keras_infobottleneck.estimators.fisher.rules.gradients import Call, VariableGradient
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.rule import register_rule

__all__ = ["EinsumRule"]


class EinsumRule(KernelRule):
    """`EinsumDense`: by the equation each letter is batch, position, group, in or out."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(layer)
        left, self.out = layer.equation.replace(" ", "").split("->")
        self.inp, self.ker = left.split(",")

    def _letters(self, rank: int) -> tuple[str, str] | None:
        """Letters of input and output for inputs of this rank; None if the rule does not apply."""
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

    def accepts(self, inputs: tf.Tensor) -> bool:
        return self._letters(inputs.shape.rank) is not None

    def _accepted(self, rank: int) -> tuple[str, str]:
        """Letters of inputs and outputs, for inputs that were accepted."""
        letters = self._letters(rank)
        assert letters is not None
        return letters

    def _split(self, rank: int) -> tuple[str, str, str, str]:
        """Letters of positions, groups, in and out."""
        inp, out = self._accepted(rank)
        return (
            "".join(c for c in out[1:] if c in inp and c not in self.ker),
            "".join(c for c in self.ker if c in inp and c in out),
            "".join(c for c in self.ker if c in inp and c not in out),
            "".join(c for c in out if c in self.ker and c not in inp),
        )

    def _size(self, letters: Iterable[str]) -> int:
        return math.prod(self.kernel.shape[self.ker.index(c)] for c in letters)

    def block(self) -> tuple[int, int, int]:
        inp = self.inp.replace("...", "")
        out = self.out.replace("...", "")
        return (
            self._size([c for c in self.ker if c in inp and c in out]),
            self._size([c for c in self.ker if c in inp and c not in out]),
            self._size([c for c in self.ker if c in out and c not in inp]),
        )

    def positions(self, call: Call) -> int:
        _, out = self._accepted(call.inputs.shape.rank)
        positions = self._split(call.inputs.shape.rank)[0]
        return math.prod(call.outputs.shape[out.index(c)] for c in positions)

    def inputs_of(self, inputs: tf.Tensor) -> tf.Tensor:
        inp, _ = self._accepted(self._rank)
        positions, groups, fan_in, _ = self._split(self._rank)
        return self._ordered(inputs, inp, inp[0] + positions + groups + fan_in, self.block()[1])

    def outputs_of(self, gradient: tf.Tensor) -> tf.Tensor:
        inp, out = self._accepted(self._rank)
        positions, groups, _, fan_out = self._split(self._rank)
        return self._ordered(gradient, out, inp[0] + positions + groups + fan_out, self.block()[2])

    def _ordered(self, a: tf.Tensor, letters: str, order: str, last: int) -> tf.Tensor:
        """Axes in the given order; those of positions, of groups and of the rest are merged."""
        positions = self._split(self._rank)[0]
        count = math.prod(a.shape[letters.index(c)] for c in positions)
        a = tf.transpose(a, [letters.index(c) for c in order])
        return tf.reshape(a, [-1, count, self.block()[0], last])

    def arrange(self, products: tf.Tensor) -> tf.Tensor:
        groups, fan_in, fan_out = self._split(self._rank)[1:]
        letters = groups + fan_in + fan_out
        shape = [self.kernel.shape[self.ker.index(c)] for c in letters]
        lead = products.shape.rank - 3
        products = tf.reshape(products, [*leading(products, lead), *shape])
        order = [lead + letters.index(c) for c in self.ker]
        return tf.transpose(products, [*range(lead), *order])

    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        self._rank = calls[0].inputs.shape.rank
        return super().gradients(calls)

    @property
    def bias_is_of_block(self) -> bool:
        _, groups, _, fan_out = self._split(self._rank)
        axes = self.layer.bias_axes or ""
        return not groups and sorted(axes) == sorted(fan_out)

    def sum_to_bias(self, gradient: tf.Tensor) -> tf.Tensor:
        bias = self.layer.bias.shape
        lead = gradient.shape.rank - len(bias)
        gone = [lead + i for i, n in enumerate(bias) if n == 1 and gradient.shape[lead + i] != 1]
        gradient = tf.reduce_sum(gradient, gone, keepdims=True)
        return tf.reduce_sum(gradient, range(1, lead))


register_rule(keras.layers.EinsumDense, EinsumRule, check=False)
