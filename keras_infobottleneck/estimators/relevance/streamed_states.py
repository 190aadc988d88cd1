"""States of layers while their model runs over data; many batches at a time, none of them kept."""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_model,
    check_numbers,
    check_verbose,
    described,
)
from keras_infobottleneck.data.batches import STACK_BYTES, Batches
from keras_infobottleneck.introspection.activations import (
    activations_model,
    joint_activations_model,
)
from keras_infobottleneck.introspection.compiled_maps import CompiledMap
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.model_data import batches_for

__all__ = ["StatesOfLayers"]

BATCH_SIZE = 256


class StatesOfLayers:
    """The states of layers for each example, in inference mode, in one pass over the data.

    Args:
        model: Any Keras model.
        data: As in `hidden_states`.
        layers: Layers, their names or their indices.
        threshold, batch_size, verbose: As in `hidden_states`.

    Raises:
        TypeError, ValueError: As in `hidden_states`.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Any,
        layers: Sequence[str | int | keras.layers.Layer],
        *,
        threshold: float | Sequence[float] | np.ndarray,
        batch_size: int | None,
        verbose: int,
    ):
        check_model("model", model)
        self._verbose = check_verbose("verbose", verbose)
        levels = check_numbers("threshold", threshold, increasing=True)
        if levels.ndim > 1 or not 1 <= levels.size <= 255:
            raise ValueError(
                "`threshold` must be one number, or one to 255 increasing ones. "
                f"Received: threshold={described(threshold)}"
            )
        self._is_binary = levels.ndim == 0
        thresholds = tuple(levels.reshape(-1).tolist())
        self.num_levels = len(thresholds) + 1
        self.names = [activations_model(model, layer).name for layer in layers]
        self._levels_of = _compiled(model, layers, thresholds)
        self._batches: Batches = batches_for(
            model, data, batch_size, needs_labels=False, default_batch_size=BATCH_SIZE
        )

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields an array `[examples, units]` for each layer, one part of the data at a time."""
        bar = keras.utils.Progbar(self._batches.num_batches, verbose=self._verbose)
        rows: collections.deque[int] = collections.deque()

        def inputs() -> Iterator[Any]:
            for stack in self._batches.stacks(self._batches_at_once()):
                # The rows after these only pad the last batch.
                rows.append(int(np.sum(stack.weights)))
                yield stack.x

        for levels, has_nan in self._levels_of.over(inputs()):
            if np.any(has_nan):
                raise ValueError(
                    "Activations must not be NaN. Received: NaN in a batch of activations"
                )
            yield [self._states(each.numpy(), rows[0]) for each in levels]
            bar.add(-(-rows.popleft() // self._batches.size))

    def _batches_at_once(self) -> int:
        """Number of batches whose states take about as much memory as a stack of inputs."""
        first, size = self._batches.first_inputs(), self._batches.size
        batch = tf.nest.map_structure(lambda a: tf.repeat(a, size, axis=0)[None], first)
        levels, _ = next(self._levels_of.over([batch]))
        return max(1, STACK_BYTES // max(1, sum(each.shape[-1] for each in levels) * size))

    def _states(self, levels: np.ndarray, rows: int) -> np.ndarray:
        """Levels `[batches, batch, units]` as states of the first `rows` examples."""
        states = levels.reshape(-1, levels.shape[-1])[:rows]
        return states.view(bool) if self._is_binary else states


def _compiled(
    model: keras.Model, layers: Sequence[Any], thresholds: tuple[float, ...]
) -> CompiledMap:
    """Compiled map from a stack of inputs to levels of each layer, kept for the next call."""
    outputs = joint_activations_model(model, layers)
    cuts = tuple(id(activations_model(model, layer)) for layer in layers)

    def of_batch(inputs: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
        found = outputs(inputs)
        for activations in found:
            if not tf.is_tensor(activations):
                raise ValueError(
                    "The layer must have one output. "
                    f"Received: {len(keras.tree.flatten(activations))} outputs"
                )
        rows = [tf.reshape(a, [tf.shape(a)[0], -1]) for a in found]
        has_nan = [tf.reduce_any(tf.math.is_nan(tf.cast(a, tf.float32))) for a in rows]
        return [_levels(a, thresholds) for a in rows], tf.reduce_any(has_nan)

    def of_stack(stack: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
        specs = [tf.TensorSpec([None, None], tf.uint8)] * len(layers), tf.TensorSpec([], tf.bool)
        return tf.map_fn(of_batch, stack, fn_output_signature=specs, parallel_iterations=1)

    make = functools.partial(CompiledMap, num_free_axes=2)  # batches, and examples in each
    return compiled(model, ("states", cuts, thresholds), lambda _: make(of_stack))


def _levels(activations: tf.Tensor, thresholds: tuple[float, ...]) -> tf.Tensor:
    """Number of thresholds that each activation exceeds, uint8."""
    exceeded = [activations > tf.cast(value, activations.dtype) for value in thresholds]
    return tf.cast(tf.add_n([tf.cast(each, tf.int32) for each in exceeded]), tf.uint8)
