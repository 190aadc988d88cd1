"""A step of the weights, and the change of each layer that is linear in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, rules_running
from keras_infobottleneck.estimators.fisher.second_derivatives import (
    check_differentiable_again,
    exact_moments,
)

__all__ = ["Step"]

Tensors = list[tf.Tensor]


class Step:
    """A direction `v` in the space of weights, along which a model is differentiated.

    The output of a layer with a kernel changes by the layer's output with `v` in place of its
    weights, `conv(x, dW) + db`, which is one fused operation. The weights of these layers are
    taken off the tapes, so that tapes find all other uses of weights; the parts are added.

    Args:
        variables: The weights.
        tangents: `v`, one tensor per variable.
    """

    def __init__(self, variables: Sequence[keras.Variable], tangents: Iterable[tf.Tensor]):
        self._index = {id(v): i for i, v in enumerate(variables)}
        self._tangents = list(tangents)
        self._values = [v.value for v in variables]
        self._cut = [tf.stop_gradient(value) for value in self._values]
        self._calls: list[tuple[KernelRule, tf.Tensor, tf.Tensor]] = []

    def run(self, model: keras.Model, inputs: Any, num_rows: int, *tapes: tf.GradientTape) -> Any:
        """The model's outputs in inference mode, watched by the given open tapes."""

        def watch(tensors: Any) -> None:
            for tape in tapes:
                tape.watch(tensors)

        def run(
            rule: KernelRule,
            call: Callable[..., tf.Tensor],
            inputs: tf.Tensor,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> tf.Tensor:
            variables = rule.variables()
            # A bias is not watched: its gradient is a sum of the output's gradient.
            watch([self._weight(rule.kernel)])
            outputs = rule.run_on([self._weight(v) for v in variables], call, inputs, args, kwargs)
            moved = rule.run_on([self._tangent(v) for v in variables], call, inputs, args, kwargs)
            watch(outputs)
            self._calls.append((rule, outputs, moved))
            return outputs

        watch(self._values)
        with exact_moments(), rules_running(model, run, num_rows, self._is_for):
            return model(inputs, training=False)

    def _is_for(self, rule: LayerRule) -> bool:
        """Whether the kernel or bias of the rule's layer is among the variables."""
        return isinstance(rule, KernelRule) and any(id(v) in self._index for v in rule.variables())

    def _weight(self, variable: keras.Variable) -> tf.Tensor:
        i = self._index.get(id(variable))
        return tf.stop_gradient(variable.value) if i is None else self._cut[i]

    def _tangent(self, variable: keras.Variable) -> tf.Tensor:
        i = self._index.get(id(variable))
        return tf.zeros_like(variable.value) if i is None else self._tangents[i]

    def slopes(
        self, tape: tf.GradientTape, targets: Any, output_gradients: Any = None
    ) -> tuple[Tensors, Tensors]:
        """Gradients with respect to everything that changes, and these changes.

        The sum of their products is the derivative of the targets along the step.

        Raises:
            ValueError: A gradient cannot be differentiated again.
        """
        places = [outputs for _, outputs, _ in self._calls] + self._values
        moves = [moved for *_, moved in self._calls] + self._tangents
        found = tape.gradient(targets, places, output_gradients=output_gradients)
        check_differentiable_again()
        # The gradient of an embedding is `IndexedSlices`, which a tape does not differentiate.
        pairs = [
            (tf.convert_to_tensor(slope), move)
            for slope, move in zip(found, moves, strict=True)
            if slope is not None
        ]
        return [slope for slope, _ in pairs], [move for _, move in pairs]

    def gradients(self, tape: tf.GradientTape, targets: Any, output_gradients: Any) -> Tensors:
        """Gradients with respect to the variables."""
        outputs = [outputs for _, outputs, _ in self._calls]
        found = tape.gradient(
            targets,
            [self._values, self._cut, outputs],
            output_gradients=output_gradients,
        )
        parts: list[list[tf.Tensor]] = [[] for _ in self._values]
        for gradients in found[:2]:
            for i, gradient in enumerate(gradients):
                if gradient is not None:
                    parts[i].append(tf.convert_to_tensor(gradient))
        for (rule, *_), gradient in zip(self._calls, found[2], strict=True):
            i = self._index.get(id(rule.bias))
            if i is not None and gradient is not None:
                # Summed separately: the fused operation for kernel and bias is slower than both.
                gradient = tf.cast(gradient, self._values[i].dtype)
                parts[i].append(tf.reduce_sum(rule.sum_to_bias(gradient), 0))
        return [
            tf.add_n(part) if part else tf.zeros_like(value)
            for part, value in zip(parts, self._values, strict=True)
        ]
