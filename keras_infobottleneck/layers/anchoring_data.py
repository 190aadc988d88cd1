"""Which examples a prior was made from: one fingerprint each, kept in the saved file."""

import hashlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

__all__ = ["AnchoringData", "fingerprints"]


def fingerprints(data) -> np.ndarray:
    """One 64-bit fingerprint per example, int64 of shape ``[examples]``.

    Equal examples have equal fingerprints whatever the width of their numbers: values are hashed
    as float32.

    Args:
        data: ``(x, y)`` arrays, or a finite `tf.data.Dataset` or `keras.utils.PyDataset` of batches
            ``(x, y)`` or ``(x, y, sample_weight)``; x and y may be lists or dictionaries.
    """
    digests = []
    for batch in _batches(data):
        arrays = [np.asarray(array, "float32") for array in keras.tree.flatten(batch)]
        if len({len(array) for array in arrays}) != 1:
            raise ValueError(
                "`data` must hold as many inputs as targets. "
                f"Received: {[len(array) for array in arrays]} examples"
            )
        for example in zip(*arrays, strict=True):
            values = b"".join(array.tobytes() for array in example)
            digests.append(hashlib.blake2b(values, digest_size=8).digest())
    return np.frombuffer(b"".join(digests), "int64").copy()


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


class AnchoringData(keras.layers.Layer):
    """Holds fingerprints; it has no variable until it is built for a number of examples."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._fingerprints = None
        # Without variables there is nothing to build: Keras would trace a model that has unbuilt
        # layers once more at every `fit`.
        self.built = True

    def build(self, num_examples):
        """Make room for `num_examples` fingerprints."""
        self._fingerprints = self.add_weight(
            shape=(num_examples,),
            initializer="zeros",
            name="fingerprints",
            dtype="int64",
            trainable=False,
        )

    def remember(self, data):
        """Keep the fingerprints of the examples; only once, since a prior is anchored once."""
        values = fingerprints(data)
        if not len(values):
            raise ValueError("`data` must hold examples. Received: none")
        if self._fingerprints is not None:
            raise ValueError(
                "The prior is anchored already. "
                f"Received: a second set of {len(values)} anchoring examples"
            )
        self.build(len(values))
        self._fingerprints.assign(values)

    @property
    def fingerprints(self) -> np.ndarray:
        """What was remembered, int64; empty before anchoring."""
        if self._fingerprints is None:
            return np.zeros(0, "int64")
        return self._fingerprints.numpy()
