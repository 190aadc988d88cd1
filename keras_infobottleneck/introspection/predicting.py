"""`keras.Model.predict` on data that `Batches` reads."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches

__all__ = ["predict"]


def predict(
    model: keras.Model, batches: Batches, *, batch_size: int | None = None, verbose: int | str = 0
) -> Any:
    """Predictions by Keras' own loop, with its replicas and its progress bar.

    An exception of a `PyDataset` is raised unchanged; Keras would raise one of TensorFlow instead.

    Args:
        model: Any Keras model.
        batches: The data; labels are ignored.
        batch_size, verbose: As in `keras.Model.predict`.

    Raises:
        ValueError: The data have no end.
    """
    data, raised = batches.for_keras()
    try:
        outputs = model.predict(data, batch_size=batch_size, verbose=verbose)
    except tf.errors.OpError:
        if raised:
            raise raised[0] from None
        raise
    batches.check_ends(len(keras.tree.flatten(outputs)[0]))
    return outputs
