"""What a measurement needs, before any work: the model tried on one example, and the memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.information import STRUCTURES, FisherInformation
from keras_infobottleneck.estimators.fisher.rules.checking import check_rule
from keras_infobottleneck.estimators.fisher.rules.gradients import Call
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.rule import (
    LayerRule,
    is_checked,
    registered_rules,
    rules_running,
)
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Measurement
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import all_layers, is_rematerialised
from keras_infobottleneck.results.result import Result

__all__ = [
    "MemoryEstimate",
    "Trial",
    "check_fits",
    "outputs_of_example",
    "try_one_example",
]

# About the second-level cache of one processor core.
CACHE_BYTES = 2 * 2**20
# The outputs of a part are at least this many times as large as the weights.
OUTPUTS_PER_WEIGHTS = 4


@dataclass(frozen=True)
class Trial:
    """What one example tells.

    Attributes:
        num_columns: backward passes that a batch takes.
        largest_output_bytes: of one example, among the outputs of all layers with a rule.
        positions: by identity of a kernel, at how many positions of one example it is used.
        position_bytes: by identity of a kernel, what comes in and goes out of it at all positions
            of one example: of a convolution its patches.
    """

    num_columns: int
    largest_output_bytes: int
    positions: Mapping[int, int] = field(default_factory=dict)
    position_bytes: Mapping[int, int] = field(default_factory=dict)

    def rows_in_cache(self, variables: Sequence[keras.Variable]) -> int | None:
        """Examples whose largest layer output stays in the cache, None for any number.

        Every part of a batch reads the weights again, and adds to sums of their size: no part is
        made whose outputs are not several times as large. A GPU wants its batches whole.
        """
        if self.largest_output_bytes == 0 or tf.config.list_logical_devices("GPU"):
            return None
        threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
        weights = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
        wanted = max(threads * CACHE_BYTES, OUTPUTS_PER_WEIGHTS * weights)
        return max(1, wanted // self.largest_output_bytes)


def try_one_example(model: keras.Model, source: ColumnSource, batches: Batches) -> Trial:
    """Runs the model and the likelihood on one example, once for each kind of request."""

    def make(model_of: Callable[[], keras.Model]) -> Trial:
        sizes = [0]
        positions: dict[int, Any] = {}
        of_positions: dict[Any, Any] = {}

        def note(rule: LayerRule, record: Call) -> None:
            outputs = record.outputs
            sizes.append(math.prod(outputs.shape) * outputs.dtype.size)
            if isinstance(rule, KernelRule):
                groups, fan_in, fan_out = rule.block()
                count, kernel = rule.positions(record), id(rule.kernel)
                size = count * groups * (fan_in + fan_out) * tf.as_dtype(rule.kernel.dtype).size
                positions[kernel] = positions.get(kernel, 0) + count
                of_positions[kernel] = of_positions.get(kernel, 0) + size

        terms = source.likelihood.terms(outputs_of_example(model_of(), inputs, note))
        columns = source.num_samples
        if source.labels == "expected":
            columns = sum(term.num_columns for term in terms)
        return Trial(columns, max(sizes), positions, of_positions)

    inputs = batches.first_inputs()
    shapes = tuple(tuple(a.shape) for a in tf.nest.flatten(inputs))
    return compiled(model, ("trial", source, shapes, registered_rules()), make)


def outputs_of_example(
    model: keras.Model,
    inputs: Any,
    note: Callable[[LayerRule, Call], None] = lambda rule, record: None,
) -> Any:
    """The model's outputs for one example, run by its layers' rules, which are checked.

    Args:
        model: the model, run in inference mode.
        inputs: of the example, with a batch axis of one.
        note: gets every call that a rule covers.

    Raises:
        ValueError: layers that cannot be traced, or a rule that is wrong.
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


@dataclass(frozen=True, repr=False)
class MemoryEstimate(Result):
    """Memory in bytes that a Fisher matrix needs, beside what one pass of the model itself uses.

    Attributes:
        structure: what was asked for.
        num_weights: weights that it is about.
        result_bytes: what the result holds.
        working_bytes: what its making takes on top.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        need = kib.estimators.fisher_information(model, x, structure="dense", dry_run=True)
        print(need.num_weights)
        ```

        ```text
        structure='dense': 15 weights, 0.0 MiB for the result, 0.0 MiB to make it
        15
        ```
    """

    structure: str
    num_weights: int
    result_bytes: int
    working_bytes: int

    @property
    def total_bytes(self) -> int:
        """Bytes of the result and of computing it, together."""
        return self.result_bytes + self.working_bytes

    def numbers(self) -> dict[str, float]:
        """The total number of bytes, its parts, and the number of weights."""
        return {"total_bytes": float(self.total_bytes), **super().numbers()}

    def __str__(self) -> str:
        return (
            f"structure={self.structure!r}: {self.num_weights:,} weights, "
            f"{mebibytes(self.result_bytes)} for the result, "
            f"{mebibytes(self.working_bytes)} to make it"
        )


def check_fits(
    kind: type[FisherInformation],
    measurement: Measurement,
    memory_limit: int | None,
    *,
    quiet: bool = False,
) -> MemoryEstimate:
    """The memory that a structure needs; refused where it exceeds the limit, unless quiet.

    Args:
        kind: the structure.
        measurement: what is to be measured.
        memory_limit: bytes, the system's free memory by default.
        quiet: whether nothing is refused.

    Raises:
        ValueError: too much, naming the bytes and a cheaper structure that fits.
    """
    limit = available_bytes() if memory_limit is None else memory_limit

    def of(kind: type[FisherInformation]) -> MemoryEstimate:
        size = measurement.layout.size
        if limit is not None:
            kind.make_room(measurement, limit)
        return MemoryEstimate(kind.structure, size, *kind.bytes_needed(measurement))

    plan = of(kind)
    if quiet or limit is None or plan.total_bytes <= limit:
        return plan
    cheaper = [of(other) for other in STRUCTURES.values() if kind.structure in other.cheaper_than]
    fitting = [other for other in cheaper if other.total_bytes <= limit]
    advice = ""
    if fitting:  # what holds most tells most
        best = max(fitting, key=lambda other: other.result_bytes)
        advice = f"; structure={best.structure!r} needs {mebibytes(best.total_bytes)}"
    raise ValueError(
        f"structure={kind.structure!r} of {plan.num_weights:,} weights needs "
        f"{mebibytes(plan.total_bytes)} beside the model's own"
        f"{advice}. Received: memory_limit={mebibytes(limit)}"
    )


def _check_rematerialised(model: keras.Model, inputs: Any) -> None:
    """Refuses layers that Keras runs again for their gradients, where it cannot trace them."""
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
