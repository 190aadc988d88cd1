"""`keras.Model.predict` on data of the one reader."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches

__all__ = ["predict"]


def predict(
    model: keras.Model, batches: Batches, *, batch_size: int | None = None, verbose: int | str = 0
) -> Any:
    """Predictions in Keras' own loop, with its replicas and its progress bar.

    An exception of a `PyDataset` comes out as it is, where Keras would have TensorFlow's.

    Args:
        model: any Keras model.
        batches: the data; labels are left out.
        batch_size, verbose: as of `keras.Model.predict`.

    Raises:
        ValueError: data without an end.
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
