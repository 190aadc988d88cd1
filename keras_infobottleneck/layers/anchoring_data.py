"""Which examples a prior was made from: one fingerprint each, kept in the saved file."""

import hashlib

import keras
import numpy as np

__all__ = ["AnchoringData", "fingerprints"]


def fingerprints(x, y) -> np.ndarray:
    """One 64-bit fingerprint per example, int64 of shape ``[examples]``.

    Equal examples have equal fingerprints whatever the width of their numbers: values are hashed
    as float32.
    """
    x, y = np.asarray(x, "float32"), np.asarray(y, "float32")
    if len(x) != len(y):
        raise ValueError(
            f"`x` and `y` must have as many examples. Received: {len(x)} and {len(y)} examples"
        )
    digests = [
        hashlib.blake2b(a.tobytes() + b.tobytes(), digest_size=8).digest()
        for a, b in zip(x, y, strict=True)
    ]
    return np.frombuffer(b"".join(digests), "int64").copy()


class AnchoringData(keras.layers.Layer):
    """Holds fingerprints; it has no variable until it is built for a number of examples."""

    def build(self, num_examples):
        """Make room for `num_examples` fingerprints."""
        self._fingerprints = self.add_weight(
            shape=(num_examples,),
            initializer="zeros",
            name="fingerprints",
            dtype="int64",
            trainable=False,
        )
        self.built = True

    def remember(self, data):
        """Keep the fingerprints of ``(x, y)`` arrays; only once, since a prior is anchored once."""
        if not isinstance(data, tuple) or len(data) != 2:
            raise TypeError(f"`data` must be a tuple (x, y) of arrays. Received: {type(data)}")
        if self.built:
            raise ValueError(
                "The prior is anchored already. "
                f"Received: a second set of {len(data[0])} anchoring examples"
            )
        values = fingerprints(*data)
        self.build(len(values))
        self._fingerprints.assign(values)

    @property
    def fingerprints(self) -> np.ndarray:
        """What was remembered, int64; empty before anchoring."""
        return self._fingerprints.numpy() if self.built else np.zeros(0, "int64")
