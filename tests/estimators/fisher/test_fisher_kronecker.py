"""Kronecker factors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import IMAGES, LOGITS, POINTS, classifier, dense_classifier

pytestmark = pytest.mark.quick

layers = keras.layers


def test_kronecker_is_exact_for_one_dense_layer_and_one_example():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    for labels in ("expected", "sampled"):
        options = {"labels": labels, "likelihood": "categorical", "seed": 1}
        exact = fisher_information(model, x, structure="dense", **options)
        result = fisher_information(model, x, structure="kronecker", **options)
        products = [
            reference.flat(result.matvec(result.layout.split(row))) for row in np.eye(result.size)
        ]
        assert reference.relative_error(products, exact.matrix) < 1e-5


def test_kronecker_factors_equal_the_slow_ones():
    """Second moments of patches and of output gradients, position by position."""
    model, x = classifier("float64"), IMAGES[0].astype(np.float64)
    options = {"labels": "empirical", "likelihood": "categorical"}
    result = fisher_information(model, (x, IMAGES[1]), structure="kronecker", **options)
    patches = np.stack(
        [x[:, i : i + 3, j : j + 3].reshape(11, 9) for i in range(4) for j in range(4)], 1
    )
    with tf.GradientTape() as tape:
        outputs = tf.nn.conv2d(x, model.layers[0].kernel, 1, "VALID") + model.layers[0].bias
        tape.watch(outputs)
        logits = model.layers[2](model.layers[1](tf.tanh(outputs)))
        loss = tf.reduce_sum(
            tf.nn.sparse_softmax_cross_entropy_with_logits(IMAGES[1].astype(np.int32), logits)
        )
    gradient = tape.gradient(loss, outputs).numpy().reshape(11, 16, 3)
    first, second = reference.kronecker_factors(patches, gradient)
    np.testing.assert_allclose(result.blocks[0].inputs[0], first, rtol=1e-10)
    np.testing.assert_allclose(result.blocks[0].outputs[0], second, rtol=1e-10)


def test_kronecker_traces_are_of_the_size_of_the_exact_ones():
    """Without 1/positions in a convolution they would be 49 times too large."""
    model = keras.Sequential(
        [
            keras.Input((7, 7, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(40, 7, 7, 2)).astype(np.float32)
    exact = fisher_information(model, x, **LOGITS).by_variable()
    result = fisher_information(model, x, structure="kronecker", **LOGITS).by_variable()
    for path, row in exact.items():
        assert 1 / 4 < result[path]["trace"] / row["trace"] < 4, path


def test_kronecker_determinant_is_finite_for_singular_factors():
    x, y = POINTS[0][:2], POINTS[1][:2]
    result = fisher_information(dense_classifier(), (x, y), structure="kronecker", **LOGITS)
    assert np.isfinite(result.logdet(1e-6))
    assert result.logdet(0.0) == -np.inf


def test_kronecker_factors_follow_the_size_of_the_images():
    """What is kept with the model holds nothing of the shapes it was first made for."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2D(3, 2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    options = {"structure": "kronecker", "likelihood": "categorical", "seed": 0}
    for size in (4, 6, 4):
        x = np.random.default_rng(0).normal(size=(5, size, size, 2)).astype(np.float32)
        block = fisher_information(model, x, **options).blocks[0]
        assert block.inputs[0, -1, -1] == pytest.approx((size - 1) ** 2)


def test_wide_input_factors_are_put_together_from_their_blocks():
    """387 inputs make two blocks of unequal width, 600 three."""
    rng = np.random.default_rng(0)
    for width in (387, 600):
        model = keras.Sequential([keras.Input((width,)), layers.Dense(2, dtype="float64")])
        x = rng.normal(size=(7, width)).astype(np.float32)
        options = {"structure": "kronecker", "likelihood": "categorical", "batch_size": 4}
        inputs = fisher_information(model, x, **options).blocks[0].inputs[0]
        seen = np.concatenate([x.astype(np.float64), np.ones([7, 1])], 1)
        np.testing.assert_allclose(inputs, seen.T @ seen / 7, rtol=1e-10, atol=1e-12)
