"""The mean squared Jacobian against networks whose derivative is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import mean_squared_jacobian

X = np.random.default_rng(0).normal(size=(13, 4)).astype("float32")


def linear():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def curved():
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(5, "tanh")
    return keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3)])


def test_of_a_linear_network_is_the_squared_norm_of_its_kernel():
    model = linear()
    found = mean_squared_jacobian(model, X)
    assert float(found) == pytest.approx(np.sum(model.layers[0].kernel.numpy() ** 2), rel=1e-5)
    assert found.standard_error < 1e-3


@pytest.mark.parametrize("batch_size", [None, 5])
def test_of_a_curved_network_is_that_of_its_jacobian(batch_size):
    model = curved()
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x)
    each = np.sum(tape.batch_jacobian(outputs, x).numpy() ** 2, (1, 2))
    found = mean_squared_jacobian(model, X, batch_size=batch_size)
    assert float(found) == pytest.approx(each.mean(), rel=1e-5)
    assert found.standard_error == pytest.approx(each.std(ddof=1) / np.sqrt(13), rel=1e-3)


def test_probes_are_unbiased_and_do_not_depend_on_the_batch_size():
    model = curved()
    exact = float(mean_squared_jacobian(model, X))
    few = [float(mean_squared_jacobian(model, X, num_probes=2, seed=seed)) for seed in range(30)]
    assert abs(np.mean(few) - exact) < 4.0 * np.std(few) / np.sqrt(30)
    parts = mean_squared_jacobian(model, X, num_probes=2, seed=3, batch_size=5)
    assert float(parts) == pytest.approx(few[3], rel=1e-5)


def test_whole_numbers_have_no_derivative():
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 2)])
    for kind in ("int32", "float32"):
        with pytest.raises(TypeError, match=f"floats. Received: x={kind} for a model of int32"):
            mean_squared_jacobian(model, np.ones([4, 2], kind))


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_whole_numbers_are_cast_to_the_floats_that_a_model_takes(kind):
    model, x = curved(), np.abs(3.0 * X).astype(kind)
    expected = mean_squared_jacobian(model, x.astype("float32"))
    found = mean_squared_jacobian(model, x)
    assert float(found) == float(expected)
    assert found.standard_error == expected.standard_error


def test_one_example_has_no_error_and_what_is_not_finite_is_refused():
    model = curved()
    assert np.isnan(mean_squared_jacobian(model, X[:1]).standard_error)
    with pytest.raises(ValueError, match=r"derivatives must be finite.*Received: a mean of nan"):
        mean_squared_jacobian(model, np.nan * X)
