"""Positions of a sequence that hold no label, because the mask of the output leaves them out.

Keras leaves them out of the compiled loss, and so does everything that is measured. A mask with
more axes than the losses is of other positions, such as time steps that a layer has summed over
although it passes their mask on. Such a mask leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_infobottleneck.introspection.contents import mask_of

__all__ = ["constant_where_masked", "masks_of", "masks_of_losses", "without_masked"]


def masks_of(output: Any) -> list[tf.Tensor]:
    """The mask of an output, true where it holds a label; none where it has no mask."""
    mask = mask_of(output)
    return [] if mask is None else [tf.cast(tf.convert_to_tensor(mask), tf.bool)]


def masks_of_losses(masks: Sequence[tf.Tensor], rank: int | None) -> list[tf.Tensor]:
    """The masks that can be of losses with `rank` axes, by the rule of Keras.

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
    """The tensor with zeros at masked positions, whatever stands there."""
    for mask in masks:
        tensor = _chosen(mask, tensor, tf.zeros_like)
    return tensor


def constant_where_masked(tensor: tf.Tensor, masks: Sequence[tf.Tensor]) -> tf.Tensor:
    """The tensor, which does not depend on the weights at masked positions."""
    for mask in masks:
        tensor = _chosen(mask, tensor, tf.stop_gradient)
    return tensor


def _chosen(
    mask: tf.Tensor, tensor: tf.Tensor, elsewhere: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """The tensor, and what is made of it at masked positions.

    A tensor without these positions, such as the log-probability of a whole sequence under a
    distribution that has dealt with them itself, is left as it is.
    """
    tensor = tf.convert_to_tensor(tensor)
    rank, shape = mask.shape.rank, tensor.shape
    if shape.rank < rank or not shape[1:rank].is_compatible_with(mask.shape[1:]):
        return tensor
    axes = [1] * (shape.rank - rank)
    return tf.where(tf.reshape(mask, [-1, *shape[1:rank], *axes]), tensor, elsewhere(tensor))
