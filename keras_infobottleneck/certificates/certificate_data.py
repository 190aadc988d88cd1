"""What data a certificate may be taken on: each condition without which it would be untrue."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.fingerprints import example_fingerprints

__all__ = ["check_data", "two_examples"]


def two_examples(batches: Batches):
    """The first example, twice: enough to tell rows that are examples from others."""
    x = tf.nest.map_structure(lambda a: tf.concat([a, a], 0), batches.first_inputs())
    example_fingerprints(x)  # refuses what is not numbers
    return x


def check_data(
    batches: Batches, num_classes: int, anchoring_inputs: np.ndarray, allow_repeats: bool
) -> None:
    """Raise on labels that are no classes, and on examples counted twice or seen by the prior.

    One reading of the data, known by fingerprints afterwards.

    Args:
        batches: the data.
        num_classes: of the network.
        anchoring_inputs: fingerprints of the inputs that the prior depends on, whose labels may
            have come in another form.
        allow_repeats: whether equal examples are accepted.
    """
    found = []
    for x, y in batches.parts():
        found.append(example_fingerprints(x, y))
        _check_labels(y, num_classes)
    inputs, examples = (np.concatenate(parts) for parts in zip(*found, strict=True))
    seen = np.isin(inputs, anchoring_inputs).sum()
    if seen:
        raise ValueError(
            "`data` must hold no example that the prior depends on. "
            f"Received: {seen} of {len(examples)} examples among those of `anchor_prior`"
        )
    repeats = len(examples) - len(np.unique(examples))
    if repeats and not allow_repeats:
        raise ValueError(
            "`data` must hold every example once; if equal ones are independent draws, say "
            f"allow_repeats=True. Received: {repeats} repeats among {len(examples)} examples"
        )


def _check_labels(y, num_classes: int) -> None:
    if tf.nest.is_nested(y):
        raise ValueError(f"The labels must be one array. Received: y={type(y).__name__}")
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[-1] == num_classes:  # one-hot
        valid = np.all((y == 0) | (y == 1)) and np.all(y.sum(-1) == 1)
    else:
        valid = y.size == len(y) and np.all((y >= 0) & (y < num_classes) & (y == np.floor(y)))
    if not valid:
        raise ValueError(
            f"The labels must be classes from 0 to {num_classes - 1}, or one-hot rows. "
            f"Received: shape={y.shape}, values from {y.min()} to {y.max()}"
        )
