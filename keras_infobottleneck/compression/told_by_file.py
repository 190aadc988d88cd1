"""The errors of a file's network on data, and the bound that follows from the file's length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import described
from keras_infobottleneck.certificates.class_labels import class_labels
from keras_infobottleneck.certificates.conditions import ends_in_logits
from keras_infobottleneck.certificates.fixed_network_bounds import occam_bound
from keras_infobottleneck.certificates.trials import class_scores
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.model_data import batches_for

__all__ = ["bits_of_file", "bound_of_file", "fitting", "has_logits"]

# Number of predictions at a time.
ROWS = 1_000


def fitting(data: Any, batches: Batches, epochs: int, batch_size: int) -> Callable[[Any], Any]:
    """A function that trains a network on the data, for an integer `finetune`."""
    arguments, options = (data,), {}
    if not batches.is_dataset:
        arguments, options = tuple(data), {"batch_size": batch_size}
    return lambda network: network.fit(*arguments, epochs=epochs, verbose=0, **options)


def bits_of_file(num_bytes: int) -> int:
    """Length of a file in a prefix-free code.

    A file does not say where it ends, so its number of bytes is coded before it, in Elias' gamma
    code, `2 floor(log2 bytes) + 1` bits.
    """
    return 8 * num_bytes + 2 * (num_bytes.bit_length() - 1) + 1


def has_logits(model: keras.Model, batches: Batches) -> bool:
    """Whether the outputs are logits, which does not matter for errors if there are several.

    Raises:
        ValueError: The outputs are not a row of class scores, the compiled loss does not say what a
            single score is, or the labels are not classes; for a dataset only the labels of the
            first batch are checked.
    """
    outputs = model(batches.first_inputs(), training=False)
    if not keras.ops.is_tensor(outputs) or len(outputs.shape) not in (1, 2):
        raise ValueError(
            "`data` are for a model with one output of shape [batch, classes], or of two classes "
            f"[batch, 1]. Received: outputs={described(outputs)}"
        )
    is_score = len(outputs.shape) == 1 or outputs.shape[-1] == 1
    class_labels(batches.first_batch()[1], 2 if is_score else outputs.shape[-1])
    return ends_in_logits(model, None) if is_score else True


def bound_of_file(
    network: keras.Model, data: Any, num_bytes: int, delta: float, from_logits: bool
) -> dict[str, Any]:
    """Fields of a `CompressedFile`: errors of its network, examples, and the Occam bound.

    Args:
        network: Network of the file.
        data: Inputs and labels.
        num_bytes: Size of the file.
        delta: Probability with which the bound may fail.
        from_logits: Whether the outputs are logits.
    """
    errors, num_examples = 0, 0
    for x, y in batches_for(network, data).parts():
        outputs = keras.ops.convert_to_tensor(network.predict(x, batch_size=ROWS, verbose=0))
        scores = class_scores(outputs, from_logits)
        labels = class_labels(y, scores.shape[-1])
        errors += int(np.sum(np.argmax(scores, -1) != labels))
        num_examples += len(labels)
    bound = occam_bound(bits_of_file(num_bytes), errors, num_examples, delta)
    return {"num_errors": errors, "num_examples": num_examples, "occam_bound": float(bound)}
