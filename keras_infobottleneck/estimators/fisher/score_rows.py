"""The scores of the examples of a batch as rows, with a number for each weight."""

from __future__ import annotations

import tensorflow as tf

from keras_infobottleneck.estimators.fisher.scores import Scores

__all__ = ["all_rows", "score_rows"]


def score_rows(scores: Scores, k: int | tf.Tensor) -> tf.Tensor:
    """Scores of column k, `[batch, weights]`."""
    rows = [
        tf.reshape(form.rows(g, 0, scores.num_rows), [scores.num_rows, -1])
        for form, g in zip(scores.forms, scores.gradients(k), strict=True)
    ]
    return tf.concat(rows, 1)


def all_rows(scores: Scores) -> tf.Tensor:
    """All scores of the batch, `[columns, batch, weights]`."""
    if scores.num_columns == 1:
        return score_rows(scores, 0)[None]
    return tf.map_fn(
        lambda k: score_rows(scores, k),
        tf.range(scores.num_columns),
        fn_output_signature=scores.forms[0].dtype,
        parallel_iterations=1,
    )
