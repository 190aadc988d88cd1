"""Networks in which one layer sits in two models: copies have it once, and predict the same."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib

X = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")


def of_dense(name):
    return keras.layers.Dense(5, "relu", name=name)


def noisy(name):
    return kib.layers.VariationalWeights(of_dense(None), initial_scale=0.5, name=name)


def two_sequentials(make):
    """One layer in two sequential models."""
    shared = make("shared")
    first = keras.Sequential([keras.Input([5]), shared, keras.layers.Dense(4)], name="first")
    second = keras.Sequential([keras.Input([5]), shared, keras.layers.Dense(4)], name="second")
    inputs = keras.Input([5])
    return keras.Model(inputs, keras.layers.Dense(3)(first(inputs) + second(inputs)))


def inside_and_outside(make):
    """One layer in a model, and beside it."""
    shared = make("shared")
    inputs = keras.Input([5])
    inner_inputs = keras.Input([5])
    inner = keras.Model(inner_inputs, keras.layers.Dense(5)(shared(inner_inputs)))
    return keras.Model(inputs, keras.layers.Dense(3)(shared(inner(inputs))))


def deeper(make):
    """One layer in a model inside a model, and used twice elsewhere."""
    shared = make("shared")
    core = keras.Sequential([keras.Input([5]), shared], name="core")
    shell = keras.Sequential([keras.Input([5]), core, keras.layers.Dense(5)], name="shell")
    inputs = keras.Input([5])
    return keras.Model(inputs, keras.layers.Dense(3)(shared(shared(shell(inputs)))))


STRUCTURES = [two_sequentials, inside_and_outside, deeper]


@pytest.fixture(params=STRUCTURES, ids=lambda build: build.__name__)
def build(request):
    keras.utils.set_random_seed(0)
    return request.param


def test_without_noise_it_is_one_layer(build):
    model = kib.InformationBottleneckModel(build(noisy), num_examples=20)
    plain = kib.make_deterministic(model)
    expected = [tuple(v.shape) for v in build(of_dense).weights]
    assert sorted(tuple(v.shape) for v in plain.weights) == sorted(expected)
    np.testing.assert_allclose(plain.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


def test_pruned_it_is_pruned_once(build):
    model = kib.InformationBottleneckModel(build(noisy), num_examples=20)
    (layer,) = model.variational_layers
    pruned = kib.make_deterministic(model, prune_below=0.5)
    (ratio,) = layer.signal_to_noise().values()
    kernel = np.where(ratio < 0.5, 0.0, layer.layer.kernel)
    assert np.any(kernel == 0)
    (found,) = [v for v in pruned.weights if v.path.startswith("shared") and len(v.shape) == 2]
    np.testing.assert_array_equal(found, kernel)
    layer.layer.kernel.assign(kernel)
    np.testing.assert_allclose(pruned.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


def test_converted_it_has_one_distribution(build):
    plain = build(of_dense)
    model = kib.make_variational(plain, num_examples=20, include=["shared"], verbose=0)
    assert len(model.variational_layers) == 1
    assert [row.layer for row in model.conversion if row.estimator] == ["shared"]
    np.testing.assert_allclose(plain.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


def test_quantised_it_has_one_kernel(build):
    plain = build(of_dense)
    quantized = kib.estimators.quantize_to(plain, 16)
    assert len(quantized.weights) == len(plain.weights)
    np.testing.assert_allclose(plain.predict(X), quantized.predict(X), atol=1e-2)


def test_it_is_audited(build):
    model = build(of_dense)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    y = np.arange(20) % 3
    report = kib.audit(model, (X, y), include=["task", "weights"])
    assert report.task.loss == pytest.approx(model.evaluate(X, y, verbose=0), rel=1e-5)
    assert sum(report.weights.by_variable.values()) == pytest.approx(report.weights.nats)


def test_batch_normalisation_that_is_shared_is_recalibrated():
    norm = keras.layers.BatchNormalization()
    first = keras.Sequential([keras.Input([5]), norm])
    second = keras.Sequential([keras.Input([5]), norm])
    inputs = keras.Input([5])
    model = keras.Model(inputs, first(inputs) + second(inputs))
    kib.recalibrate_batch_normalization(model, X)
    np.testing.assert_allclose(norm.moving_mean, X.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, X.var(0), rtol=1e-4)
