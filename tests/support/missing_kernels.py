"""Operations that TensorFlow has on some devices only, such as channels first on a processor."""

import pytest
import tensorflow as tf


def called_where_the_device_can(layer, inputs):
    """What a plain layer gives for inputs; skips the test where TensorFlow lacks its kernel.

    Without oneDNN, which TensorFlow leaves off on many processors, no convolution with channels
    first runs on a processor.
    """
    try:
        return layer(inputs)
    except tf.errors.OpError:
        pytest.skip("TensorFlow has no such kernel on this device")
