"""What a prior was made from, as fingerprints in the saved file: examples, and fixed weights."""

import keras
import numpy as np

from keras_infobottleneck.fingerprints import weight_fingerprints

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
