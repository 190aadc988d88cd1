"""The examples that a prior is made from, by their fingerprints."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.fingerprints import example_fingerprints

__all__ = ["anchoring_examples"]


def anchoring_examples(model: keras.Model, data) -> np.ndarray:
    """Fingerprints of the inputs of `data`, int64 of shape ``[num_examples]``, by two passes.

    Raises:
        TypeError, ValueError: data that the model does not take, or others in the second pass.
    """
    del model
    values, again = (_input_fingerprints(data) for _ in range(2))
    if not len(values):
        raise ValueError("`data` must hold examples. Received: none")
    if not np.array_equal(np.sort(values), np.sort(again)):
        raise ValueError(
            "`data` must hold the same examples in every pass: those that shuffling or random "
            f"augmentation brought in before are not known. Received: data={data!r}"
        )
    return values


def _input_fingerprints(data) -> np.ndarray:
    """Fingerprints of the inputs of every example, in order."""
    batches = [example_fingerprints(x, y)[0] for x, y in _batches(data)]
    return np.concatenate([np.zeros(0, "int64"), *batches])


def _batches(data) -> Iterator[tuple]:
    """Pairs of inputs and targets, sample weights left out."""
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise ValueError("`data` must be finite. Received: a PyDataset without num_batches")
        batches = (data[index] for index in range(data.num_batches))
    elif isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("`data` must be finite. Received: an infinite tf.data.Dataset")
        batches = iter(data)
    else:
        batches = iter([data])
    for batch in batches:
        if not isinstance(batch, tuple) or len(batch) not in (2, 3) or batch[1] is None:
            raise TypeError(
                "`data` must be a tuple (x, y) of arrays, or a dataset of such tuples. "
                f"Received: {type(batch).__name__}"
            )
        yield batch[:2]
