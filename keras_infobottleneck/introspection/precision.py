"""In which precision a model is measured: what its layers compute in, and no TensorFloat-32."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from keras_infobottleneck.introspection.contents import all_layers, own_weights

__all__ = ["full_products", "precision_of"]


def precision_of(model: keras.Model) -> str:
    """Types in which the layers with weights compute, such as "float16 and float32"."""
    found = {layer.compute_dtype for layer in all_layers(model) if own_weights(layer)}
    return " and ".join(sorted(found or {model.compute_dtype}))


class _TensorFloat32:
    """TensorFlow's switch, which is one for the whole process: off while anybody wants it off."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._wanted_off = 0
        self._before = True

    def off(self) -> None:
        """The first to want it off remembers how it was."""
        with self._turn:
            if not self._wanted_off:
                self._before = tf.config.experimental.tensor_float_32_execution_enabled()
                tf.config.experimental.enable_tensor_float_32_execution(False)
            self._wanted_off += 1

    def back(self) -> None:
        """The last to want it off puts it back."""
        with self._turn:
            self._wanted_off -= 1
            if not self._wanted_off:
                tf.config.experimental.enable_tensor_float_32_execution(self._before)


_SWITCH = _TensorFloat32()


@contextmanager
def full_products() -> Iterator[None]:
    """Products of float32 matrices have all of its digits inside, on graphics cards too.

    TensorFloat-32, on by default there, keeps three of them. What other threads run meanwhile is
    as exact, and slower.
    """
    _SWITCH.off()
    try:
        yield
    finally:
        _SWITCH.back()
