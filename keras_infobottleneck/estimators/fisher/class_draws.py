"""Draws of class labels where there are very many classes, as in a vocabulary."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

__all__ = ["MANY_CLASSES", "class_of_many"]

# Above this number of classes, draws of labels are looked up in blocks.
MANY_CLASSES = 256


def class_of_many(probabilities: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The class whose interval of the cumulative distribution contains a number, `[samples, ...]`.

    Classes are grouped in blocks. A number is first looked up among the cumulative sums of blocks,
    then within one block, so that no cumulative sum over all classes is needed.

    Args:
        probabilities: `[..., classes]`.
        noise: Uniform numbers in [0, 1), `[samples, ...]`.
    """
    classes = probabilities.shape[-1]
    size = math.isqrt(classes - 1) + 1
    blocks = -(-classes // size)
    rows = math.prod(probabilities.shape[:-1])
    p = tf.pad(tf.reshape(probabilities, [rows, classes]), [[0, 0], [0, blocks * size - classes]])
    p = tf.reshape(p, [rows, blocks, size])
    u = tf.transpose(tf.reshape(noise, [noise.shape[0], rows]))
    sums = tf.reduce_sum(p, 2)
    until = tf.cumsum(sums, axis=1)
    # Rounding may make the last sum differ from one; the noise is scaled to it.
    u = u * until[:, -1:]
    block = tf.minimum(tf.searchsorted(until, u, side="right"), blocks - 1)
    before = tf.gather(until - sums, block, batch_dims=1)
    within = tf.cumsum(tf.gather(p, block, batch_dims=1), axis=2)
    # The same for the last sum within the block, which the number must stay below.
    share = (u - before) / tf.gather(sums, block, batch_dims=1)
    rounding = float(np.finfo(p.dtype.as_numpy_dtype).eps)
    share = tf.clip_by_value(share, 0.0, 1.0 - 2.0 * rounding)
    below = within <= share[..., None] * within[..., -1:]
    found = block * size + tf.reduce_sum(tf.cast(below, tf.int32), 2)
    return tf.reshape(tf.transpose(tf.minimum(found, classes - 1)), noise.shape)
