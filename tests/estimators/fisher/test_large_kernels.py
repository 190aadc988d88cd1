"""Gradients of kernels too large for the cache are squared some rows at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules import bilinear, gradients
from keras_infobottleneck.estimators.fisher.rules.gradients import Call
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule

BATCH, POSITIONS, FAN_IN, FAN_OUT = 7, 3, 37, 5
ROW = 8 * FAN_OUT  # bytes of a row's product and its square, for one example


def squares(block_bytes, wants_norms, monkeypatch):
    """The sum of squares, the norms, and what they must be by NumPy in float64."""
    monkeypatch.setattr(bilinear, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(gradients, "BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, POSITIONS, FAN_IN)).astype("float32")
    d = rng.normal(size=(BATCH, POSITIONS, FAN_OUT)).astype("float32")
    layer = keras.layers.Dense(FAN_OUT, use_bias=False)
    layer.build((None, POSITIONS, FAN_IN))
    call = Call(tf.constant(x), tf.zeros(d.shape))
    (form,) = KernelRule(layer).gradients([call])
    form.wants_norms = wants_norms
    total, norms = tf.function(form.squares)([tf.constant(d)])
    exact = np.einsum("btg,bto->bgo", x.astype("float64"), d.astype("float64")) ** 2
    return total.numpy(), norms.numpy(), exact


@pytest.mark.parametrize(
    "block_bytes",
    [1, ROW, 5 * ROW, 16 * ROW, 40 * ROW, 100 * ROW, BATCH * FAN_IN * ROW - 1, 2**25],
)
@pytest.mark.parametrize("wants_norms", [True, False])
def test_the_size_of_a_block_changes_nothing(block_bytes, wants_norms, monkeypatch):
    total, norms, exact = squares(block_bytes, wants_norms, monkeypatch)
    np.testing.assert_allclose(total, exact.sum(0), rtol=2e-6)
    expected = exact.sum((1, 2)) if wants_norms else np.zeros(BATCH)
    np.testing.assert_allclose(norms, expected, rtol=2e-6)
