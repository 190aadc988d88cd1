"""Patches of a convolution: the part of the input that each output position reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

__all__ = ["Patches"]


class Patches:
    """Windows of a channels-last tensor, in the order of the kernel positions in Keras.

    Args:
        kernel_size, strides, dilation_rate: One integer per spatial axis.
        padding: As in Keras; "same" follows TensorFlow's rule, "causal" pads in front only.
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        dilation_rate: Sequence[int],
        padding: Literal["valid", "same", "causal"],
    ):
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.dilation_rate = tuple(dilation_rate)
        self.padding = padding

    def of(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[batch, *spatial, channels]` to `[batch, positions, taps, channels]`."""
        margins, sizes = [], []
        for n, k, s, d in zip(
            inputs.shape[1:-1], self.kernel_size, self.strides, self.dilation_rate, strict=True
        ):
            reach = (k - 1) * d + 1
            missing = 0
            if self.padding == "same":
                missing = max((-(-n // s) - 1) * s + reach - n, 0)
            elif self.padding == "causal":
                missing = reach - 1
            front = missing if self.padding == "causal" else missing // 2
            margins.append([front, missing - front])
            sizes.append((n + missing - reach) // s + 1)
        if any(front or back for front, back in margins):
            inputs = tf.pad(inputs, [[0, 0], *margins, [0, 0]])
        places = self._places(inputs.shape[1:-1], sizes)
        channels = inputs.shape[-1]
        # A gather copies whole pixels. On the CPU it is about three times as fast as
        # tf.image.extract_patches and ten times as fast as slices, and works for 1 to 3 dimensions.
        windows = tf.gather(
            tf.reshape(inputs, [-1, math.prod(inputs.shape[1:-1]), channels]), places, axis=1
        )
        count, taps = math.prod(sizes), math.prod(self.kernel_size)
        return tf.reshape(windows, [-1, count, taps, channels])

    def _places(self, spatial: tf.TensorShape, sizes: Sequence[int]) -> np.ndarray:
        """Flat indices of the pixels under each kernel position of each window."""
        rank = len(sizes)
        places = np.zeros([1] * (2 * rank), np.int32)
        axes = zip(spatial, sizes, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        for axis, (length, size, taps, stride, dilation) in enumerate(axes):
            along = np.arange(size)[:, None] * stride + np.arange(taps) * dilation
            shape = [1] * (2 * rank)
            shape[axis], shape[rank + axis] = along.shape
            places = places * length + along.reshape(shape)
        return places.reshape(-1).astype(np.int32)
