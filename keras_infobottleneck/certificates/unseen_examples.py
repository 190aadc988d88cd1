"""Errors of a deterministic network on examples that it never saw, for `test_set_bound`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.certificates.conditions import (
    CheckedBatches,
    check_outputs,
    ends_in_logits,
    two_examples,
)
from keras_infobottleneck.certificates.trials import class_scores
from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.layers.noisy_layer import resting
from keras_infobottleneck.models.anchoring.anchoring import Anchoring
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = ["errors_on_unseen"]


def errors_on_unseen(
    model: keras.Model,
    data: Any,
    *,
    from_logits: bool | None = None,
    allow_repeats: bool = False,
) -> tuple[int, int]:
    """Number of wrong predictions without noise, and number of examples, in one pass.

    Only who trained the network can know whether it saw the examples; those of `anchor_prior`
    are known, and refused.

    Args:
        model: A classifier; an `InformationBottleneckModel` predicts with its posterior means.
        data, from_logits, allow_repeats: As in `certify`; `from_logits` matters for one output.

    Raises:
        ValueError: The outputs or labels are not classes, or `certify` would refuse the data.
    """
    is_noisy = isinstance(model, InformationBottleneckModel)
    batches = batches_for(model, data)
    x = two_examples(batches)
    outputs = model(x, training=False)
    # With several classes the largest score is the same for logits and probabilities.
    one = tf.is_tensor(outputs) and (outputs.shape.rank == 1 or outputs.shape[-1] == 1)
    logits = ends_in_logits(model, from_logits) if one else True
    num_classes = check_outputs(model, x, logits, [])
    seen = Anchoring(model).fingerprints if is_noisy else np.array([], np.int64)

    def make(reference: Callable[[], keras.Model]) -> CompiledSum:
        def of_batch(batch: Batch) -> tf.Tensor:
            with resting():
                scores = class_scores(reference()(batch.x, training=False), logits)
            labels = pac_bayes.classes(tf.convert_to_tensor(batch.y), num_classes)
            wrong = tf.argmax(scores, -1, tf.int32) != labels
            return tf.reduce_sum(tf.where(wrong, tf.cast(batch.weights, tf.float64), 0.0))

        return CompiledSum(of_batch)

    total = compiled(model, ("errors_on_unseen", logits), make)
    errors = total.over(CheckedBatches(batches, num_classes, seen, allow_repeats))
    count: Any = batches.num_examples  # known after the pass
    return round(float(errors)), int(count)
