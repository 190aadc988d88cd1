"""Positions of a sequence without a label, because the mask of the output excludes them.

Keras excludes them from the compiled loss, and all estimators do too. A mask with more axes than
the losses belongs to other positions, such as time steps that a layer has summed over although it
passes their mask on. Such a mask excludes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_infobottleneck.introspection.contents import mask_of

__all__ = ["constant_where_masked", "masks_of", "masks_of_losses", "without_masked"]


def masks_of(output: Any) -> list[tf.Tensor]:
    """The mask of an output, true where there is a label, in a list; empty without a mask."""
    mask = mask_of(output)
    return [] if mask is None else [tf.cast(tf.convert_to_tensor(mask), tf.bool)]


def masks_of_losses(masks: Sequence[tf.Tensor], rank: int | None) -> list[tf.Tensor]:
    """The masks that can apply to losses with `rank` axes, by the rule of Keras.

    A superfluous last axis of size one is dropped. Without a rank, all masks are kept.
    """
    if rank is None:
        return list(masks)
    cut = [
        tf.squeeze(mask, -1) if mask.shape.rank == rank + 1 and mask.shape[-1] == 1 else mask
        for mask in masks
    ]
    return [mask for mask in cut if mask.shape.rank <= rank]


def without_masked(tensor: tf.Tensor, masks: Sequence[tf.Tensor]) -> tf.Tensor:
    """The tensor with zeros at masked positions, even instead of NaN."""
    for mask in masks:
        tensor = _chosen(mask, tensor, tf.zeros_like)
    return tensor


def constant_where_masked(tensor: tf.Tensor, masks: Sequence[tf.Tensor]) -> tf.Tensor:
    """The tensor with its gradient stopped at masked positions."""
    for mask in masks:
        tensor = _chosen(mask, tensor, tf.stop_gradient)
    return tensor


def _chosen(
    mask: tf.Tensor, tensor: tf.Tensor, elsewhere: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """The tensor, with `elsewhere(tensor)` at masked positions.

    A tensor without these positions is left as it is, such as the log-probability of a whole
    sequence under a distribution that handles the mask itself.
    """
    tensor = tf.convert_to_tensor(tensor)
    rank, shape = mask.shape.rank, tensor.shape
    if shape.rank < rank or not shape[1:rank].is_compatible_with(mask.shape[1:]):
        return tensor
    axes = [1] * (shape.rank - rank)
    return tf.where(tf.reshape(mask, [-1, *shape[1:rank], *axes]), tensor, elsewhere(tensor))
