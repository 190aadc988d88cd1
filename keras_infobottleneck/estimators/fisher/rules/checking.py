"""Compares a user's rule with the gradient that TensorFlow computes for the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule

__all__ = ["check_rule"]

# Relative: far above rounding in float32, far below the effect of a mistake.
TOLERANCE = 1e-3


def check_rule(
    rule: LayerRule,
    call: Callable[..., tf.Tensor],
    inputs: tf.Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Compares outputs and gradients of one call on one example, in a random direction.

    Raises:
        ValueError: The rule gives other outputs or another gradient, or the output is not linear
            in the kernel although the rule says so.
    """
    values = [v.value for v in rule.variables()]
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(values)
        outputs = call(inputs, *args, **kwargs)
        record, recorded = rule.run(call, inputs, args, kwargs)
        tape.watch(recorded)
        finished = rule.finish(recorded)
    _compare(rule, "outputs", finished, outputs)
    direction = tf.random.stateless_normal(outputs.shape, [1, 2], dtype=outputs.dtype)
    zero = tf.UnconnectedGradients.ZERO
    own = tape.gradient(outputs, values, direction, unconnected_gradients=zero)
    gradient = tape.gradient(finished, recorded, direction, unconnected_gradients=zero)
    places = {id(v): number for number, v in enumerate(rule.variables())}
    for form in rule.gradients([record]):
        exact = tf.convert_to_tensor(own[places[id(form.variable)]])
        row = form.rows([gradient], 0, 1)
        _compare(rule, f"a gradient of {form.variable.path!r}", row, exact[None])
    if isinstance(rule, KernelRule):
        doubled = rule.run_on([2 * value for value in values], call, inputs, args, kwargs)
        _compare(rule, "outputs at twice the weights", doubled, 2 * recorded)


def _compare(rule: LayerRule, what: str, given: tf.Tensor, exact: tf.Tensor) -> None:
    """Refuses a value that differs from TensorFlow's by more than rounding."""
    given, exact = np.asarray(given, np.float64), np.asarray(exact, np.float64)
    name = f"rule {type(rule).__name__} of layer {rule.layer.name!r}"
    if given.shape != exact.shape:
        raise ValueError(
            f"A rule must give {what} of the shape of the layer's own, {exact.shape}. "
            f"Received: {name}, shape {given.shape}"
        )
    distance = np.abs(given - exact).max(initial=0.0)
    if distance > TOLERANCE * np.abs(exact).max(initial=0.0):
        raise ValueError(
            f"A rule must give {what} equal to the layer's own. Received: {name}, apart by "
            f"{distance:.3g} where the layer's own reach {np.abs(exact).max():.3g}"
        )
