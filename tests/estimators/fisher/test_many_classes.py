"""Labels of very many classes: drawn in blocks, and their scores in one pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information
from keras_infobottleneck.estimators.fisher.class_draws import MANY_CLASSES, class_of_many
from keras_infobottleneck.estimators.fisher.terms import Categorical

pytestmark = pytest.mark.quick


def probabilities(rows, classes, seed=0):
    """Of very unlike sizes, some of them zero."""
    rng = np.random.default_rng(seed)
    p = rng.exponential(size=(rows, classes)) ** 4 * (rng.random((rows, classes)) > 0.2)
    return (p / p.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("classes", [257, 1000, 1025, 20_000])
def test_a_class_is_where_the_cumulative_distribution_passes_the_number(classes):
    p, rng = probabilities(6, classes), np.random.default_rng(1)
    noise = rng.random((500, 6), np.float32)
    noise[0], noise[1] = 0.0, np.nextafter(np.float32(1), np.float32(0))
    found = class_of_many(tf.constant(p), tf.constant(noise)).numpy()
    until = np.cumsum(p, 1, dtype=np.float64)
    until /= until[:, -1:]
    for row in range(6):
        here = found[:, row]
        assert np.all(p[row, here] > 0)
        # Rounding of float32 decides between neighbours only.
        assert np.all(noise[:, row] <= until[row, here] + 1e-6)
        assert np.all(noise[:, row] >= until[row, here] - p[row, here] - 1e-6)
        exact = np.searchsorted(until[row], noise[:, row], side="right")
        assert np.mean(here == exact) > 0.98


def test_axes_of_examples_and_positions_stay():
    p = probabilities(6, 400).reshape(2, 3, 400)
    noise = np.random.default_rng(0).random((5, 2, 3), np.float32)
    found = class_of_many(tf.constant(p), tf.constant(noise)).numpy()
    flat = class_of_many(tf.constant(p.reshape(6, 400)), tf.constant(noise.reshape(5, 6)))
    np.testing.assert_array_equal(found, flat.numpy().reshape(5, 2, 3))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_a_weighed_score_is_the_score_weighed(shape):
    rng = np.random.default_rng(0)
    eta = rng.normal(size=(4, 11) if len(shape) == 1 or shape[1] == 1 else (*shape, 11))
    term = Categorical(tf.constant(eta, tf.float32))
    weights = tf.constant([1.0, 0.5, 0.0, 2.0])
    labels = tf.constant(rng.integers(11, size=shape))
    for y in (labels, tf.one_hot(tf.reshape(labels, eta.shape[:-1]), 11)):
        (weighed,), (score,) = term.weighed_score(y, weights), term.score(y)
        expected = score * tf.reshape(weights, [4, *[1] * (len(eta.shape) - 1)])
        np.testing.assert_allclose(weighed, expected, atol=1e-7)


def test_labels_outside_the_classes_are_no_numbers():
    term = Categorical(tf.zeros([3, 5]))
    (score,) = term.weighed_score(tf.constant([1, 5, -1]), tf.ones([3]))
    np.testing.assert_array_equal(np.isnan(score.numpy()).all(1), [False, True, True])
    assert np.isfinite(score[0]).all()


def test_drawn_labels_of_many_classes_belong_to_examples():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3, 4)), keras.layers.Dense(2 * MANY_CLASSES, dtype="float64")]
    )
    x = np.random.default_rng(0).normal(size=(10, 3, 4))
    options = {"likelihood": "categorical", "seed": 0, "num_samples": 40}
    whole, parts = (fisher_information(model, x, batch_size=n, **options) for n in (10, 3))
    np.testing.assert_allclose(parts.diagonal()[0], whole.diagonal()[0], rtol=1e-9)
    # Of the bias the trace is that of `diag(p) - p p^T` at each position, which are independent.
    p = tf.nn.softmax(model(x)).numpy()
    exact = np.sum(p * (1 - p), axis=(1, 2)).mean()
    assert whole.by_variable()[whole.variables[1]]["trace"] == pytest.approx(exact, rel=0.05)
