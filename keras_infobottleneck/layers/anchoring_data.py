"""What a prior was made from, as fingerprints in the saved file: examples, and fixed weights."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.fingerprints import example_fingerprints, weight_fingerprints

__all__ = ["AnchoringData"]


class AnchoringData(keras.layers.Layer):
    """Fingerprints of the examples a prior was made from, of the prior, and of fixed weights.

    It has no variables until it is built for a number of each.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._fingerprints = self._weight_fingerprints = None
        # Without variables there is nothing to build: Keras would trace a model that has unbuilt
        # layers once more at every `fit`.
        self.built = True

    def build(self, num_examples, num_weights):
        """Make room for the fingerprints."""
        self._fingerprints = self._add_fingerprints("fingerprints", num_examples)
        self._weight_fingerprints = self._add_fingerprints("weight_fingerprints", num_weights)

    def _add_fingerprints(self, name, size):
        return self.add_weight(
            shape=(size,), initializer="zeros", name=name, dtype="int64", trainable=False
        )

    def examples(self, data) -> np.ndarray:
        """Fingerprints of the inputs of `data`, for `remember`; twice read, once remembered."""
        values = _input_fingerprints(data)
        if not len(values):
            raise ValueError("`data` must hold examples. Received: none")
        if self._fingerprints is not None:
            raise ValueError(
                "The prior is anchored already. "
                f"Received: a second set of {len(values)} anchoring examples"
            )
        again = _input_fingerprints(data)
        if not np.array_equal(np.sort(values), np.sort(again)):
            raise ValueError(
                "`data` must hold the same examples in every pass: those that shuffling or random "
                f"augmentation brought in before are not known. Received: data={data!r}"
            )
        return values

    def remember(self, examples: np.ndarray, weights):
        """Keep the fingerprints of examples, and of weights that must not move from now on."""
        self.build(len(examples), len(weights))
        self._fingerprints.assign(examples)
        self._weight_fingerprints.assign(weight_fingerprints(weights))

    @property
    def fingerprints(self) -> np.ndarray:
        """What was remembered, int64; empty before anchoring."""
        if self._fingerprints is None:
            return np.zeros(0, "int64")
        return self._fingerprints.numpy()

    def moved(self, weights) -> list:
        """Those of the weights that are not as they were remembered: all, where nothing was."""
        if self._weight_fingerprints is None:
            return list(weights)
        pairs = zip(
            weights, weight_fingerprints(weights), self._weight_fingerprints.numpy(), strict=True
        )
        return [weight for weight, now, then in pairs if now != then]


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
