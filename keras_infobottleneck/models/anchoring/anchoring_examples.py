"""The examples that a prior is made from, by their fingerprints."""

import keras
import numpy as np

from keras_infobottleneck.arguments import described
from keras_infobottleneck.fingerprints import example_fingerprints
from keras_infobottleneck.introspection.model_data import batches_for

__all__ = ["anchoring_examples"]


def anchoring_examples(model: keras.Model, data) -> np.ndarray:
    """Fingerprints of the inputs of `data`, int64 of shape ``[num_examples]``, by two passes.

    Raises:
        TypeError, ValueError: data that the model does not take, or others in the second pass.
    """
    values, again = (_input_fingerprints(model, data) for _ in range(2))
    if not np.array_equal(np.sort(values), np.sort(again)):
        raise ValueError(
            "`data` must hold the same examples in every pass: those that shuffling or random "
            f"augmentation brought in before are not known. Received: data={described(data)}"
        )
    return values


def _input_fingerprints(model: keras.Model, data) -> np.ndarray:
    """Of one pass; another order is another reader's."""
    parts = batches_for(model, data).parts()
    return np.concatenate([example_fingerprints(x, y)[0] for x, y in parts])
