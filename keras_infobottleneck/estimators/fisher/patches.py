"""What each output position of a convolution sees of its input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

__all__ = ["Patches"]


class Patches:
    """Windows of a channels-last tensor, in the order of a Keras kernel's taps.

    Args:
        kernel_size, strides, dilation_rate: one integer per spatial axis.
        padding: as in Keras; "same" follows TensorFlow's rule, "causal" pads in front only.
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
        count, channels = 1, inputs.shape[-1]
        for size in sizes:
            count *= size
        windows = self._windows(inputs, sizes)
        taps = windows.shape[-1] // channels
        return tf.reshape(windows, [-1, count, taps, channels])

    def _windows(self, inputs: tf.Tensor, sizes: list[int]) -> tf.Tensor:
        """Windows of the padded input, taps and channels in the last axis."""
        if len(sizes) == 2 and max(self.kernel_size) > 1:
            return tf.image.extract_patches(
                inputs,
                [1, *self.kernel_size, 1],
                [1, *self.strides, 1],
                [1, *self.dilation_rate, 1],
                "VALID",
            )
        taps = []
        for tap in itertools.product(*(range(k) for k in self.kernel_size)):
            begin = [t * d for t, d in zip(tap, self.dilation_rate, strict=True)]
            window = [
                slice(b, b + (n - 1) * s + 1, s)
                for b, n, s in zip(begin, sizes, self.strides, strict=True)
            ]
            taps.append(inputs[(slice(None), *window, slice(None))])
        return taps[0] if len(taps) == 1 else tf.concat(taps, -1)
