"""The discrete states of a layer: its activations, compared with one or more thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.relevance.streamed_states import StatesOfLayers
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["hidden_states"]


@on_replicas
def hidden_states(
    model: keras.Model,
    data: Any,
    layer: str | int | keras.layers.Layer,
    *,
    threshold: float | Sequence[float] | np.ndarray = 0.0,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 0,
) -> np.ndarray:
    """States of a layer for each example: which units exceed the threshold, in inference mode.

    Exact. Cost: one pass over the data; memory of one byte per unit and example. If only their
    counts are needed, `StateCounts.from_model` stores none of the states.

    Args:
        model: Any Keras model whose forward pass calls the layer once; the layer may be part of
            another layer or of a nested model.
        data: Inputs `[num_examples, ...]`, for several inputs a list `[x1, x2]` or a dictionary of
            arrays; `(inputs, labels)`; a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        layer: A layer, its name or its index in `model.layers`. All axes but the first are
            flattened.
        threshold: One value, which a unit must strictly exceed, for binary states; increasing
            values for levels `0..len(threshold)`, the number of thresholds exceeded.
        batch_size: Number of examples per batch, for arrays; 256 by default.
        strategy: Strategy on whose replicas it runs; by default that of the current scope.
        verbose: 1 for a progress bar.

    Returns:
        A bool array `[num_examples, units]`, or uint8 for several thresholds.

    Raises:
        TypeError: The model or the layer has another type.
        ValueError: The layer is unknown, has several outputs, is not called, or is called several
            times or in a loop; the thresholds are wrong; the model does not accept the data; the
            data are empty or without an end; or activations are NaN.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
        states = kib.estimators.hidden_states(model, np.ones((10, 4), "float32"), "hidden")
        print(states.shape, states.dtype)
        ```

        ```text
        (10, 3) bool
        ```
    """
    states = StatesOfLayers(
        model, data, [layer], threshold=threshold, batch_size=batch_size, verbose=verbose
    )
    return np.concatenate([part for (part,) in states])
