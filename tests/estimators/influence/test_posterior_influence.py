"""Influence on a loss: covariances in closed form, and models fitted again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators import PosteriorInfluence, posterior_influence
from keras_infobottleneck.estimators.fisher.likelihoods import NamedLikelihood
from keras_infobottleneck.estimators.influence.example_losses import ExampleLosses
from keras_infobottleneck.models.posterior_draws import PosteriorDraws
from tests.support.reference_influence import (
    covariance_of_squares,
    one_layer,
    ridge,
    softmax_losses,
    softmax_regression,
    without,
)

BETA, SCALE = 0.02, 0.7
SHIFT = BETA / SCALE**2


@pytest.fixture(scope="module")
def drawn():
    """A linear network with a posterior of known scales, and its data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype("float32")
    y = (x.sum(1) + rng.normal(size=40)).astype("float32")
    layer = kib.layers.VariationalWeights(keras.layers.Dense(1, use_bias=False))
    inputs = keras.Input((3,))
    model = kib.InformationBottleneckModel(inputs, layer(inputs), num_examples=40, weight_beta=0.5)
    mean, scale = np.array([0.8, 1.1, 0.9]), np.array([0.1, 0.2, 0.3])
    kernel = layer.layer.kernel
    kernel.assign(mean[:, None])
    (spread,) = (w for w in layer.weights if w is not kernel)
    spread.assign(np.log(scale)[:, None])
    model.compile(loss="mse")
    return model, (x, y), mean, scale


@pytest.mark.quick
@pytest.mark.parametrize("own", [False, True], ids=["test loss", "own loss"])
def test_by_draws_it_is_the_covariance_within_its_jackknife_errors(drawn, own):
    model, (x, y), mean, scale = drawn
    train, test = (x[:30], y[:30]), (x[30:], y[30:])
    found = posterior_influence(model, train, None if own else test, num_draws=200, seed=3)
    other = train if own else test
    matrix = covariance_of_squares(*train, mean, scale, *other)
    exact = -(np.diag(matrix) if own else matrix.mean(1)) / 0.5  # weight_beta
    deviations = (found.influences - exact) / found.standard_errors
    assert np.abs(deviations).max() < 5
    assert 0.4 < np.sqrt(np.mean(deviations**2)) < 1.7
    assert np.corrcoef(found.influences, exact)[0, 1] > 0.98
    assert found.method == "draws"
    assert found.beta == pytest.approx(0.5 / 40)


def test_the_error_is_the_jackknife_over_draws(drawn):
    model, (x, y), *_ = drawn
    found = posterior_influence(model, (x[:30], y[:30]), (x[30:], y[30:]), num_draws=7, seed=1)
    draws = PosteriorDraws(model)
    batches, test = Batches((x[:30], y[:30])), Batches((x[30:], y[30:]))
    of = [
        ExampleLosses(model, NamedLikelihood("normal"), data, draws.variables)
        for data in (batches, test)
    ]
    losses = np.stack([of[0].at(draws.values(1, k))[0] for k in range(7)])
    phi = np.array([of[1].at(draws.values(1, k))[0].mean() for k in range(7)])

    def covariances(kept):
        spread = losses[kept] - losses[kept].mean(0)
        return spread.T @ (phi[kept] - phi[kept].mean()) / (len(kept) - 1)

    left = np.stack([covariances(np.delete(np.arange(7), k)) for k in range(7)])
    error = np.sqrt(6 / 7 * ((left - left.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.influences, -covariances(np.arange(7)) / 0.5, rtol=1e-4)
    np.testing.assert_allclose(found.standard_errors, error / 0.5, rtol=1e-4)


def test_draws_belong_to_the_seed_and_not_to_the_batches(drawn):
    model, data, *_ = drawn
    one, two, other = (
        posterior_influence(model, data, num_draws=5, seed=seed, batch_size=size).influences
        for seed, size in ((1, 40), (1, 7), (2, 40))
    )
    np.testing.assert_allclose(one, two, rtol=1e-4)
    assert not np.allclose(one, other, rtol=1e-2)


def test_by_curvature_it_goes_with_refits_of_softmax_regression():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(240, 3))
    y = np.argmax(x @ rng.normal(size=(3, 3)) + rng.gumbel(size=(240, 3)), axis=1)
    train, test = (x[:200], y[:200]), (x[200:], y[200:])
    weights = softmax_regression(*train, 3, SHIFT)
    refits = [softmax_regression(*train, 3, SHIFT, without(i, 200), weights) for i in range(200)]
    model = one_layer(weights, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    options = {
        "beta": BETA,
        "prior_scale": SCALE,
        "structure": "dense",
        "labels": "expected",
    }
    found = posterior_influence(model, train, test, **options)
    before = softmax_losses(weights, *test).mean()
    exact = np.array([before - softmax_losses(w, *test).mean() for w in refits])
    assert np.corrcoef(found.influences, exact)[0, 1] > 0.99
    assert set(found.most_harmful(5)) & set(np.argsort(-exact)[:5])
    own = posterior_influence(model, train, **options)
    before = softmax_losses(weights, *train)
    exact = [
        before[i] - softmax_losses(w, x[i : i + 1], y[i : i + 1])[0] for i, w in enumerate(refits)
    ]
    assert np.corrcoef(own.influences, exact)[0, 1] > 0.99


def test_by_curvature_it_is_the_derivative_of_ridge_regression():
    rng = np.random.default_rng(2)
    x, test = rng.normal(size=(30, 4)), rng.normal(size=(9, 4))
    y, of_test = rng.normal(size=30), rng.normal(size=9)
    weights = ridge(x, y, SHIFT)
    options = {"beta": BETA, "prior_scale": SCALE, "structure": "gram", "labels": "expected"}
    model = one_layer(weights[:, None], "mse")
    found = posterior_influence(model, (x, y), (test, of_test), **options)

    def loss(counts):
        return np.mean((test @ ridge(x, y, SHIFT, counts) - of_test) ** 2) / 2

    step = 1e-5 * np.eye(30)
    exact = [(loss(1 + row) - loss(1 - row)) / 2e-5 for row in step]
    np.testing.assert_allclose(found.influences, exact, rtol=1e-6)


def test_files_and_numbers(drawn, tmp_path):
    model, data, *_ = drawn
    found = posterior_influence(model, data, num_draws=4, seed=0)
    found.to_npz(tmp_path / "influences")
    again = PosteriorInfluence.from_npz(tmp_path / "influences.npz")
    np.testing.assert_array_equal(again.influences, found.influences)
    assert again.numbers() == found.numbers()
    assert next(iter(found.numbers())) == "mean_influence"
    assert "and 20 more" in found._repr_html_()
    assert "own loss" in repr(found)


def test_what_has_no_meaning_is_refused(drawn):
    model, data, *_ = drawn
    with pytest.raises(ValueError, match=r"`fisher` and its options are for plain networks"):
        posterior_influence(model, data, labels="expected")
    shuffled = tf.data.Dataset.from_tensor_slices(data).shuffle(40, seed=0).batch(10)
    with pytest.raises(ValueError, match=r"same order in every pass.*Received: others"):
        posterior_influence(model, shuffled, num_draws=3, seed=0)
