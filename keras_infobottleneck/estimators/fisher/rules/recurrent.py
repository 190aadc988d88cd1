"""Rules for recurrent layers, whose weights enter each step through one additive term."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.gradients import (
    Call,
    DirectGradient,
    VariableGradient,
)
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, register_rule
from keras_infobottleneck.introspection.cloning import with_attributes

__all__ = ["RecurrentRule"]

layers = keras.layers
# Cells whose bias may be replaced by one that differs from example to example.
CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)
KERNELS = ("kernel", "recurrent_kernel")


class RecurrentRule(LayerRule):
    """Rule for a loop over time steps: `G_n = sum_t x_nt d_nt^T`, by one backward pass.

    A cell is linear in its weights before its gates: `a_t = x_t K + h_{t-1} R + b`. Zeros are added
    to every `a_t` in place of the bias; the gradient of these zeros is the `d_t` of each example
    and step, from which the gradients of all weights follow. The layer's own loop is run, with its
    masks, initial states and time direction.
    """

    def variables(self) -> list[keras.Variable]:
        cell = self.layer.cell
        if type(cell) not in CELLS:
            return []
        found = [cell.kernel, cell.recurrent_kernel]
        return found if cell.bias is None else [*found, cell.bias]

    def accepts(self, inputs: tf.Tensor) -> bool:
        """Whether the input is a sequence, the cell is known, and the layer is not stateful."""
        return type(self.layer.cell) in CELLS and inputs.shape.rank == 3 and not self.layer.stateful

    @property
    def _num_gates(self) -> int:
        """Number of entries of `a_t`, for all gates together."""
        return int(self.layer.cell.kernel.shape[1])

    @property
    def _has_two_terms(self) -> bool:
        """Whether the term of the state is scaled before it is added to the term of the input.

        The reset gate of a GRU does this if it is applied after the recurrent kernel.
        """
        cell = self.layer.cell
        return isinstance(cell, layers.GRUCell) and bool(cell.reset_after)

    def run(
        self,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Call, tf.Tensor]:
        """Records the zeros; the loop itself runs in `finish`, where the zeros are watched."""
        width = self._num_gates * (1 + self._has_two_terms)
        zeros = tf.zeros([*inputs.shape[:2], width], self.layer.compute_dtype)
        self._record = Call(inputs, zeros)
        self._given = args, kwargs
        return self._record, zeros

    def finish(self, outputs: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
        """Runs the layer's own loop, with the previous state of each step as additional output."""
        record, (args, kwargs) = self._record, self._given
        sequence = tf.cast(record.inputs, outputs.dtype)
        cell = _WatchedCell(self.layer.cell, outputs.shape[-1], self._has_two_terms)
        options: dict[str, Any] = {"cell": cell, "return_sequences": True}
        if "use_cudnn" in vars(self.layer):
            options["use_cudnn"] = False  # cuDNN would not call the replaced cell
        loop = with_attributes(self.layer, **options)
        found = loop.call(tf.concat([sequence, outputs], -1), *args, **kwargs)
        found, states = (found[0], found[1:]) if self.layer.return_state else (found, ())
        units = found.shape[-1] // 2
        states_before, found = found[..., units:], found[..., :units]
        if self.layer.go_backwards:
            states_before = tf.reverse(states_before, [1])
        record.inputs = tf.concat([sequence, *self._felt(sequence, states_before)], -1)
        found = found if self.layer.return_sequences else found[:, -1]
        return (found, *states) if self.layer.return_state else found

    def _felt(self, sequence: tf.Tensor, states: tf.Tensor) -> list[tf.Tensor]:
        """Inputs of the recurrent kernel: states, and gated states if the gate comes first."""
        cell = self.layer.cell
        if not isinstance(cell, layers.GRUCell) or cell.reset_after:
            return [states]
        gate = slice(cell.units, 2 * cell.units)
        reset = tf.matmul(sequence, cell.kernel[:, gate])
        reset += tf.matmul(states, cell.recurrent_kernel[:, gate])
        if cell.bias is not None:
            reset += cell.bias[gate]
        return [states, cell.recurrent_activation(reset) * states]

    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        cell, gates = self.layer.cell, self._num_gates
        size, units = cell.kernel.shape[0], cell.recurrent_kernel.shape[0]

        def of_kernel(x: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
            return tf.matmul(x[..., :size], d[..., :gates], transpose_a=True)

        def of_recurrent_kernel(x: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
            h, d = x[..., size : size + units], d[..., -gates:]
            if x.shape[-1] == size + units:
                return tf.matmul(h, d, transpose_a=True)
            first = tf.matmul(h, d[..., : 2 * units], transpose_a=True)
            gated = tf.matmul(x[..., size + units :], d[..., 2 * units :], transpose_a=True)
            return tf.concat([first, gated], -1)

        def of_bias(_: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
            return tf.reshape(tf.reduce_sum(d, 1), [-1, *cell.bias.shape])

        forms = [of_kernel, of_recurrent_kernel, of_bias]
        return [
            _StepsGradient(variable, calls, gradient=form)
            for variable, form in zip(self.variables(), forms, strict=False)
        ]


class _StepsGradient(DirectGradient):
    """Gradient of a weight that may be larger than the inputs and outputs of its steps."""

    def rows_bytes(self) -> int:
        """Bytes of one example's gradient, and of the arrays that it is computed from."""
        return VariableGradient.rows_bytes(self) + super().rows_bytes()


class _WatchedCell:
    """A cell with frozen weights and inputs `[x_t, zeros]`, which also outputs the state before.

    Args:
        cell: The layer's own cell.
        width: Number of zeros.
        has_two_terms: Whether the zeros are two biases, side by side.
    """

    def __init__(self, cell: keras.layers.Layer, width: int, has_two_terms: bool):
        frozen = {name: tf.stop_gradient(getattr(cell, name).value) for name in KERNELS}
        self._bias = None if cell.bias is None else tf.stop_gradient(cell.bias.value)
        self._cell = with_attributes(cell, implementation=2, use_bias=True, **frozen)
        self._width, self._has_two_terms = width, has_two_terms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def __call__(self, inputs: tf.Tensor, states: Any, **kwargs: Any) -> tuple[tf.Tensor, Any]:
        """One step: the output concatenated with the previous state, and the new states."""
        bias = inputs[:, -self._width :]
        if self._bias is not None:
            bias += tf.cast(tf.reshape(self._bias, [1, math.prod(self._bias.shape)]), bias.dtype)
        if self._has_two_terms:
            bias = tf.stack(tf.split(bias, 2, -1))
        cell = with_attributes(self._cell, bias=bias)
        output, new_states = cell.call(inputs[:, : -self._width], states, **kwargs)
        before = states[0] if isinstance(states, (list, tuple)) else states
        return tf.concat([output, before], -1), new_states


for _layer in (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN):
    register_rule(_layer, RecurrentRule, check=False)
