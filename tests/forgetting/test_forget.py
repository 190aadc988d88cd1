"""Forgetting: where refitting would have ended, what remains readable, and what is refused."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.forgetting.membership import membership_attack
from tests.support.reference_influence import one_layer, ridge, softmax_regression

DECAY = 0.02


def gaussian_divergence(first, second, covariance_of):
    """KL between normal distributions with means a step apart and one covariance, in nats."""
    step = first - second
    return step @ np.linalg.solve(covariance_of, step) / 2


@pytest.fixture(scope="module")
def linear():
    """A ridge regression of more weights than it can bear: it knows its members."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(360, 100))
    y = x @ rng.normal(size=100) / 10 + rng.normal(size=360)
    return one_layer(ridge(x[:150], y[:150], DECAY)[:, None], "mse"), x, y[:, None]


EXACT = {"structure": "dense", "labels": "expected", "shift": 0.0, "weight_decay": DECAY}


@pytest.mark.quick
def test_of_ridge_regression_the_step_is_refitting_and_the_divergence_known(linear):
    model, x, y = linear
    before = model.layers[0].kernel.numpy().ravel()
    network, result = kib.forget(
        model, (x[:50], y[:50]), (x[50:150], y[50:150]), price=1e-32, seed=0, **EXACT
    )
    refit = ridge(x[50:150], y[50:150].ravel(), DECAY)
    np.testing.assert_allclose(network.layers[0].kernel.numpy().ravel(), refit, atol=1e-6)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy().ravel(), before)
    values, vectors = np.linalg.eigh(x[50:150].T @ x[50:150] / 100 + DECAY * np.eye(100))
    covariance = (vectors * 1e-16 / np.sqrt(values)) @ vectors.T
    exact = gaussian_divergence(before, refit, covariance)
    assert result.nats_before == pytest.approx(exact, rel=1e-6)
    assert result.nats < 1e-12 * result.nats_before
    assert result.descent < 1e-12
    assert result.forgotten_accuracy is None


def test_an_attack_that_works_before_is_at_chance_after(linear):
    model, x, y = linear
    _, result = kib.forget(
        model,
        (x[:50], y[:50]),
        (x[50:150], y[50:150]),
        unseen=(x[150:], y[150:]),
        price=1e-8,
        seed=0,
        **EXACT,
    )
    assert result.attack_before > 0.5 + 4 * result.attack_before.standard_error
    assert abs(result.attack - 0.5) < 2 * result.attack.standard_error
    assert result.forgotten_loss > result.forgotten_loss_before


@pytest.mark.slow
def test_the_noise_has_the_covariance_of_its_formula(linear):
    model, x, y = linear
    parts = (x[:50], y[:50]), (x[50:150], y[50:150])
    refit = ridge(x[50:150], y[50:150].ravel(), DECAY)
    values, vectors = np.linalg.eigh(x[50:150].T @ x[50:150] / 100 + DECAY * np.eye(100))
    networks = [kib.forget(model, *parts, price=1e-4, seed=s, **EXACT)[0] for s in range(8)]
    noise = np.stack([n.layers[0].kernel.numpy().ravel() for n in networks]) - refit
    whitened = (noise @ vectors) * values**0.25 / 1e-4**0.25
    # 800 standard normal numbers.
    assert np.abs(whitened.mean()) < 4 / np.sqrt(800)
    assert np.mean(whitened**2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / 800))


def test_of_softmax_regression_hardly_anything_is_left():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 4))
    y = np.argmax(x @ rng.normal(size=(4, 3)) + rng.gumbel(size=(200, 3)), axis=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = softmax_regression(x, y, 3, DECAY)
    refit = softmax_regression(x[40:], y[40:], 3, DECAY)
    model = one_layer(weights, loss)
    network, result = kib.forget(
        model, (x[:40], y[:40]), (x[40:], y[40:]), price=1e-20, seed=0, **EXACT
    )
    left = np.linalg.norm(network.layers[0].kernel.numpy() - refit)
    assert left < 0.1 * np.linalg.norm(weights - refit)
    assert 0 < result.nats < 0.02 * result.nats_before
    assert result.retained_accuracy > 0.5


@pytest.fixture(scope="module")
def normalised():
    """A small network with batch normalisation, trained by steps of all examples, and its data."""
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(120, 4)) + 3 * (np.arange(120)[:, None] < 30)).astype("float32")
    y = (x @ np.array([1.0, -1.0, 0.5, 0.0]) > 0.3).astype(int)
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((4,)),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    model.fit(x, y, epochs=30, batch_size=120, verbose=0)
    return model, x, y


def test_statistics_and_the_optimizer_forget_too(normalised):
    model, x, y = normalised
    before = [w.numpy() for w in model.weights]
    network, result = kib.forget(
        model, (x[:30], y[:30]), (x[30:], y[30:]), price=1e-8, shift=0.1, labels="expected", seed=1
    )
    norm = network.layers[0]
    np.testing.assert_allclose(norm.moving_mean, x[30:].mean(0), atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, x[30:].var(0), rtol=1e-3)
    assert int(model.optimizer.iterations) > 0
    assert int(network.optimizer.iterations) == 0
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
    right = network.predict(x[:30], verbose=0).argmax(-1) == y[:30]
    assert result.forgotten_accuracy == pytest.approx(right.mean())
    assert next(iter(result.numbers())) == "nats"
    assert "\n" not in repr(result)
    assert "<td>forgotten_loss</td>" in result._repr_html_()
    assert result.to_dict()["num_forgotten"] == 30


def test_where_the_approximation_cannot_hold_it_is_refused_with_numbers(normalised, linear):
    model, x, y = normalised
    fresh = keras.models.clone_model(model)
    fresh.compile("adam", loss=model.loss)
    with pytest.raises(ValueError, match=r"must be at a minimum .* would lower by [\d.]+ nats"):
        kib.forget(fresh, (x[:30], y[:30]), (x[30:], y[30:]), price=1e-6)
    subclass = kib.make_variational(model, num_examples=120, verbose=0)
    with pytest.raises(TypeError, match=r"`model` must be a sequential or functional model"):
        kib.forget(subclass, (x[:30], y[:30]), (x[30:], y[30:]), price=1e-6)
    with pytest.raises(ValueError, match=r"`shift` must be above zero"):
        kib.forget(model, (x[:30], y[:30]), (x[30:], y[30:]), price=1e-6, shift=0.0)


def test_a_step_that_leaves_the_quadratic_is_refused_with_numbers():
    # One weight w, outputs exp(w): all examples balance at w = 0, those that are kept at w = 3.
    layer = keras.layers.Dense(1, "exponential", use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile("sgd", loss="mse")
    x, kept = np.ones((4, 1), "float32"), np.full((4, 1), np.exp(3), "float32")
    words = r"loss of the retained examples by 182 nats and raised it by [\d.e+]+"
    with pytest.raises(ValueError, match=words):
        kib.forget(model, (x, 2 - kept), (x, kept), price=1e-6, shift=1e-6, labels="expected")
    # A step to w = 3.5 lowers the loss of what is kept, and ends where it is steeper than before.
    with pytest.warns(UserWarning, match=r"More can be read .*: [\d.e+]+ nats instead of [\d.e+]+"):
        kib.forget(model, (x, 2 - kept), (x, kept), price=1e-6, shift=4.45, labels="expected")


def test_the_attack_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 5, 30).astype(float), rng.integers(1, 7, 40).astype(float)
    pairs = np.sign(others[None] - members[:, None])
    assert membership_attack(members, others) == pytest.approx((pairs.mean() + 1) / 2)
    chance = [membership_attack(rng.normal(size=30), rng.normal(size=40)) for _ in range(200)]
    spread = np.std(chance)
    assert np.mean([each.standard_error for each in chance]) == pytest.approx(spread, rel=0.2)
