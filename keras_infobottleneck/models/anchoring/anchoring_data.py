"""What a prior was made from, as fingerprints in the saved file: examples, and fixed weights."""

import keras
import numpy as np

from keras_infobottleneck.fingerprints import weight_fingerprints

__all__ = ["AnchoringData"]


class AnchoringData(keras.layers.Layer):
    """Fingerprints of the examples a prior was made from, of the prior, and of fixed weights.

    Args:
        num_examples, num_weights: how many fingerprints of each there are.
        **kwargs: as of `keras.layers.Layer`.
    """

    def __init__(self, num_examples: int, num_weights: int, **kwargs):
        super().__init__(**kwargs)
        self._fingerprints = self._add_fingerprints("fingerprints", num_examples)
        self._weight_fingerprints = self._add_fingerprints("weight_fingerprints", num_weights)
        # Keras would trace a model that has unbuilt layers once more at every `fit`.
        self.built = True

    def _add_fingerprints(self, name, size):
        return self.add_weight(
            shape=(size,), initializer="zeros", name=name, dtype="int64", trainable=False
        )

    def remember(self, examples: np.ndarray, weights):
        """Keep the fingerprints of examples, and of weights that must not move from now on."""
        self._fingerprints.assign(examples)
        self._weight_fingerprints.assign(weight_fingerprints(weights))

    @property
    def fingerprints(self) -> np.ndarray:
        """Those of the examples, int64."""
        return self._fingerprints.numpy()

    def moved(self, weights) -> list:
        """Those of the weights that are not as they were remembered."""
        pairs = zip(
            weights, weight_fingerprints(weights), self._weight_fingerprints.numpy(), strict=True
        )
        return [weight for weight, now, then in pairs if now != then]
