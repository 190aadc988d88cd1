"""The model tried on one example, before any work."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.recording import rules_running
from keras_infobottleneck.estimators.fisher.rules.rule import KernelRule
from keras_infobottleneck.estimators.fisher.scores import ColumnSource
from keras_infobottleneck.introspection.compiled_passes import compiled

__all__ = ["Trial", "check_rematerialised", "try_one_example"]

# About the second-level cache of one processor core.
CACHE_BYTES = 2 * 2**20
# The outputs of a part are at least so many times as large as the weights.
OUTPUTS_PER_WEIGHTS = 4


@dataclass(frozen=True)
class Trial:
    """What one example tells.

    Attributes:
        num_columns: backward passes that a batch takes.
        largest_output_bytes: of one example, among the outputs of all layers with a rule.
        position_bytes: by identity of a kernel, what comes in and goes out of it at all positions
            of one example: of a convolution its patches.
    """

    num_columns: int
    largest_output_bytes: int
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
        sizes, of_positions = [0], {}

        def run(rule, call, inputs, args, kwargs):
            record, outputs = rule.run(call, inputs, args, kwargs)
            sizes.append(math.prod(outputs.shape) * outputs.dtype.size)
            if isinstance(rule, KernelRule):
                groups, fan_in, fan_out = rule.block()
                entries = rule.positions(record) * groups * (fan_in + fan_out)
                size = entries * tf.as_dtype(rule.kernel.dtype).size
                of_positions[id(rule.kernel)] = of_positions.get(id(rule.kernel), 0) + size
            return outputs

        model = model_of()
        check_rematerialised(model, inputs)
        with rules_running(model, run, num_rows=1):
            terms = source.likelihood.terms(model(inputs, training=False))
        if source.labels == "expected":
            return Trial(sum(term.num_columns for term in terms), max(sizes), of_positions)
        return Trial(source.num_samples, max(sizes), of_positions)

    inputs = batches.first_inputs()
    shapes = tuple(tuple(a.shape) for a in tf.nest.flatten(inputs))
    return compiled(model, ("trial", source, shapes), make)


def check_rematerialised(model: keras.Model, inputs: Any) -> None:
    """Refuses layers that Keras runs again for their gradients, where it cannot trace them."""
    layers = [layer.name for layer in model._flatten_layers() if layer._remat_mode is not None]
    if not layers:
        return
    try:
        tf.function(lambda: model(inputs, training=False)).get_concrete_function()
    except ValueError as error:
        raise ValueError(
            "Layers made under `keras.RematScope` cannot be traced; make the model again outside "
            f"it and copy its weights. Received: layers {', '.join(layers)}"
        ) from error
