"""Runs one example before the measurement, to learn the sizes that determine its cost."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.rules.checking import check_rule
from keras_infobottleneck.estimators.fisher.rules.gradients import Call
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.rule import (
    LayerRule,
    is_checked,
    registered_rules,
    rules_running,
)
from keras_infobottleneck.estimators.fisher.scores import ColumnSource
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import all_layers, is_rematerialised

__all__ = [
    "Trial",
    "outputs_of_example",
    "try_one_example",
]

# About the second-level cache of one processor core.
CACHE_BYTES = 2 * 2**20
# Factor by which the outputs of a part of a batch exceed the weights, at least.
OUTPUTS_PER_WEIGHTS = 4


@dataclass(frozen=True)
class Trial:
    """Sizes that were found with one example.

    Attributes:
        num_columns: Backward passes per batch.
        largest_output_bytes: Largest output of a layer with a rule, for one example.
        positions: By identity of a kernel, the number of positions in one example at which it is
            used.
        position_bytes: By identity of a kernel, the bytes of its inputs and outputs at all
            positions of one example; for a convolution, of its patches.
        gradient_bytes: By identity of a kernel that is used at several positions, the bytes of its
            gradient for one example, and of the square.
        parameter_bytes: Bytes of the parameters of one example's label, such as the logits.
        covered: Identities of the weights that rules cover; for others each gradient is formed.
    """

    num_columns: int
    largest_output_bytes: int
    positions: Mapping[int, int] = field(default_factory=dict)
    position_bytes: Mapping[int, int] = field(default_factory=dict)
    gradient_bytes: Mapping[int, int] = field(default_factory=dict)
    parameter_bytes: int = 0
    covered: Set[int] = frozenset()

    def rows_in_cache(self, variables: Sequence[keras.Variable]) -> int | None:
        """Number of examples whose largest layer output fits in the cache; None for any number.

        Every part of a batch reads the weights again, and adds to sums of their size, so the
        outputs of a part are made several times as large. On a GPU batches are not split.
        """
        if self.largest_output_bytes == 0 or tf.config.list_logical_devices("GPU"):
            return None
        threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
        weights = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
        wanted = max(threads * CACHE_BYTES, OUTPUTS_PER_WEIGHTS * weights)
        return max(1, wanted // self.largest_output_bytes)


def try_one_example(model: keras.Model, source: ColumnSource, batches: Batches) -> Trial:
    """Runs the model and the likelihood on one example; the result is kept for each request."""

    def make(model_of: Callable[[], keras.Model]) -> Trial:
        sizes = [0]
        positions: dict[int, Any] = {}
        of_positions: dict[Any, Any] = {}
        of_gradients: dict[int, int] = {}
        covered: set[int] = set()

        def note(rule: LayerRule, record: Call) -> None:
            outputs = record.outputs
            covered.update(map(id, rule.variables()))
            sizes.append(math.prod(outputs.shape) * outputs.dtype.size)
            if isinstance(rule, KernelRule):
                groups, fan_in, fan_out = rule.block()
                count, kernel = rule.positions(record), id(rule.kernel)
                item = tf.as_dtype(rule.kernel.dtype).size
                size = count * groups * (fan_in + fan_out) * item
                if count > 1:
                    of_gradients[kernel] = 2 * groups * fan_in * fan_out * item
                positions[kernel] = positions.get(kernel, 0) + count
                of_positions[kernel] = of_positions.get(kernel, 0) + size

        terms = source.likelihood.terms(outputs_of_example(model_of(), inputs, note))
        columns = source.num_samples
        if source.labels == "expected":
            columns = sum(term.num_columns for term in terms)
        parameters = sum(math.prod(e.shape) * e.dtype.size for t in terms for e in t.eta)
        return Trial(
            columns, max(sizes), positions, of_positions, of_gradients, parameters, covered
        )

    inputs = batches.first_inputs()
    shapes = tuple(tuple(a.shape) for a in tf.nest.flatten(inputs))
    return compiled(model, ("trial", source, shapes, registered_rules()), make)


def outputs_of_example(
    model: keras.Model,
    inputs: Any,
    note: Callable[[LayerRule, Call], None] = lambda rule, record: None,
) -> Any:
    """The model's outputs for one example, computed by its layers' rules, which are checked.

    Args:
        model: The model, run in inference mode.
        inputs: Inputs of the example, with a batch axis of length one.
        note: Called with the rule and the record of every call that a rule covers.

    Raises:
        ValueError: A layer cannot be traced, or a rule is wrong.
    """

    def run(
        rule: LayerRule,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tf.Tensor:
        if is_checked(rule):
            check_rule(rule, call, inputs, args, kwargs)
        record, outputs = rule.run(call, inputs, args, kwargs)
        note(rule, record)
        return outputs

    _check_rematerialised(model, inputs)
    with rules_running(model, run, num_rows=1):
        return model(inputs, training=False)


def _check_rematerialised(model: keras.Model, inputs: Any) -> None:
    """Refuses layers that Keras runs again for their gradients, if they cannot be traced."""
    layers = [layer.name for layer in all_layers(model) if is_rematerialised(layer)]
    if not layers:
        return
    try:
        tf.function(lambda: model(inputs, training=False)).get_concrete_function()
    except ValueError as error:
        raise ValueError(
            "Layers made under `keras.RematScope` cannot be traced; make the model again outside "
            f"it and copy its weights. Received: layers {', '.join(layers)}"
        ) from error
