"""Nats of one example, against models that are fitted again without it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import (
    UniqueInformation,
    find_wrong_labels,
    fisher_information,
    posterior_influence,
    unique_information,
)
from tests.support.reference_influence import (
    hat_leverages,
    one_layer,
    ridge,
    softmax_curvature,
    softmax_regression,
    without,
)

BETA, SCALE = 0.02, 0.7
SHIFT = BETA / SCALE**2
PRICE = {"beta": BETA, "prior_scale": SCALE}


@pytest.fixture(scope="module")
def linear():
    """A ridge regression at its minimum, its data, and the steps of 30 refits."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    y = x @ rng.normal(size=4) + rng.normal(size=30)
    weights = ridge(x, y, SHIFT)
    steps = np.array([weights - ridge(x, y, SHIFT, without(i, 30)) for i in range(30)])
    return one_layer(weights[:, None], "mse"), (x, y), steps


@pytest.fixture(scope="module")
def classes():
    """A softmax regression at its minimum, its data, and the steps of 200 refits."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    y = np.argmax(x @ rng.normal(size=(3, 3)) + rng.gumbel(size=(200, 3)), axis=1)
    weights = softmax_regression(x, y, 3, SHIFT)
    steps = [
        weights - softmax_regression(x, y, 3, SHIFT, without(i, 200), weights) for i in range(200)
    ]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return one_layer(weights, loss), (x, y), np.array(steps).reshape(200, -1)


@pytest.mark.quick
@pytest.mark.parametrize("structure", ["dense", "gram", "kronecker"])
def test_of_ridge_regression_it_is_exact(linear, structure):
    model, (x, y), steps = linear
    options = {"structure": structure, "labels": "expected", **PRICE}
    found = unique_information(model, (x, y), leverage=True, **options)
    curvature = x.T @ x / 30 + SHIFT * np.eye(4)
    exact = np.einsum("ni,ij,nj->n", steps, curvature / BETA, steps) / 2
    np.testing.assert_allclose(found.nats, exact, rtol=1e-9)
    np.testing.assert_array_equal(found.standard_errors, 0.0)


def test_without_leverage_it_lacks_the_factor_of_the_hat_matrix(linear):
    model, (x, y), _ = linear
    options = {"structure": "gram", "labels": "expected", **PRICE}
    first = unique_information(model, (x, y), **options)
    newton = unique_information(model, (x, y), leverage=True, **options)
    factor = (1 - hat_leverages(x, SHIFT)) ** 2
    np.testing.assert_allclose(first.nats, newton.nats * factor, rtol=1e-9)


def test_in_the_outputs_it_is_how_far_the_predictions_move(linear):
    model, (x, y), steps = linear
    options = {"structure": "dense", "labels": "expected", "leverage": True, **PRICE}
    found = unique_information(model, (x, y), space="outputs", **options)
    np.testing.assert_allclose(found.nats, ((x @ steps.T) ** 2).mean(0) / 2, rtol=1e-8)
    other = np.random.default_rng(5).normal(size=(7, 4))
    found = unique_information(model, (x, y), space="outputs", test_data=other, **options)
    np.testing.assert_allclose(found.nats, ((other @ steps.T) ** 2).mean(0) / 2, rtol=1e-8)


def test_of_softmax_regression_it_goes_with_refits(classes):
    model, (x, y), steps = classes
    weights = model.layers[0].kernel.numpy()
    curvature = softmax_curvature(weights, x) + SHIFT * np.eye(9)
    exact = np.einsum("ni,ij,nj->n", steps, curvature / BETA, steps) / 2
    options = {"structure": "dense", "labels": "expected", **PRICE}
    first = unique_information(model, (x, y), **options).nats
    newton = unique_information(model, (x, y), leverage=True, **options).nats
    assert np.corrcoef(first, exact)[0, 1] > 0.99
    assert np.corrcoef(newton, exact)[0, 1] > 0.999
    # What the example's own curvature adds is seen: the first order is too low.
    assert np.abs(newton - exact).mean() < 0.3 * np.abs(first - exact).mean()


def test_all_examples_together_hold_the_effective_number_of_weights(classes):
    model, data, _ = classes
    fisher = fisher_information(model, data, structure="gram", labels="empirical")
    found = unique_information(model, data, fisher=fisher, **PRICE)
    values = fisher.eigenvalues()
    assert found.nats.sum() == pytest.approx(
        (values / (values + SHIFT)).sum() / (2 * 200 * BETA), rel=1e-9
    )


def test_the_diagonal_is_the_sum_over_weights(classes):
    model, (x, y), _ = classes
    fisher = fisher_information(model, x, labels="expected")
    found = unique_information(model, (x, y), fisher=fisher, **PRICE)
    p = keras.ops.convert_to_numpy(keras.ops.softmax(model(x)))
    gradients = (x[:, :, None] * (p - np.eye(3)[y])[:, None, :]).reshape(200, -1)
    expected = (gradients**2 / (fisher.diagonal()[0].ravel() + SHIFT)).sum(1) / (2 * 200**2 * BETA)
    np.testing.assert_allclose(found.nats, expected, rtol=1e-9)
    np.testing.assert_allclose(found.losses, -np.log(p[np.arange(200), y]), rtol=1e-9)


def test_neither_the_batches_nor_the_kind_of_data_matter(classes):
    model, (x, y), _ = classes
    fisher = fisher_information(model, x, labels="expected")
    whole = unique_information(model, (x, y), fisher=fisher, **PRICE)
    parts = unique_information(model, (x, y), fisher=fisher, batch_size=7, **PRICE)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(11)
    streamed = unique_information(model, stream, fisher=fisher, **PRICE)
    some = unique_information(model, (x[5:9], y[5:9]), fisher=fisher, **PRICE)
    np.testing.assert_allclose(parts.nats, whole.nats, rtol=1e-12)
    np.testing.assert_allclose(streamed.nats, whole.nats, rtol=1e-12)
    np.testing.assert_allclose(some.nats, whole.nats[5:9], rtol=1e-12)


def test_drawn_labels_have_the_error_that_their_spread_shows(classes):
    model, (x, y), _ = classes
    found = [
        unique_information(model, (x, y), structure="dense", labels="sampled", seed=seed, **PRICE)
        for seed in range(12)
    ]
    spread = np.std([each.nats.sum() for each in found], ddof=1)
    stated = np.mean([each.standard_errors.sum() for each in found])
    # An upper estimate, as that of the trace is: it holds the spread of the data too.
    assert 0.5 * spread < stated < 4 * spread


def test_files_and_numbers(classes, tmp_path):
    model, data, _ = classes
    found = unique_information(model, data, labels="expected", **PRICE)
    found.to_npz(tmp_path / "nats")
    again = UniqueInformation.from_npz(tmp_path / "nats.npz")
    np.testing.assert_array_equal(again.nats, found.nats)
    assert again.numbers() == found.numbers()
    assert next(iter(found.numbers())) == "mean_nats"
    assert found.largest(1)[0] == np.argmax(found.nats)
    assert found.top_share(0.5) > 0.5
    assert "and 180 more" in found._repr_html_()
    assert "\n" not in repr(found)
    np.savez(tmp_path / "bad.npz", nats=np.array([-1.0]))
    with pytest.raises(ValueError, match=r"written by `UniqueInformation.to_npz`.* below 0"):
        UniqueInformation.from_npz(tmp_path / "bad.npz")


def test_what_has_no_meaning_is_refused(classes, linear):
    model, data, _ = classes
    with pytest.raises(ValueError, match=r"`structure` must be one whose inverse is known"):
        unique_information(model, data, structure="implicit", **PRICE)
    with pytest.raises(ValueError, match=r"`test_data` is for space='outputs'"):
        unique_information(model, data, test_data=data, **PRICE)
    fisher = fisher_information(model, data[0], labels="expected")
    with pytest.raises(ValueError, match=r"cannot be changed once it has been measured"):
        unique_information(model, data, fisher=fisher, labels="empirical", **PRICE)
    model, (x, y), _ = linear
    few = fisher_information(model, 0.01 * x, labels="expected", structure="dense")
    with pytest.raises(ValueError, match=r"30 of 30 examples with a leverage of one or more"):
        unique_information(model, (x, y), fisher=few, beta=1e-6, prior_scale=1.0, leverage=True)


@pytest.mark.parametrize("is_given", [False, True])
@pytest.mark.parametrize("measure", [unique_information, posterior_influence, find_wrong_labels])
def test_examples_in_another_order_in_each_pass_are_refused(measure, is_given):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = one_layer(rng.normal(size=(3, 2)), loss)
    options = {"labels": "expected"}
    if is_given:
        options = {"fisher": fisher_information(model, (x, y), labels="expected")}
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(30, seed=0).batch(10)
    with pytest.raises(ValueError, match=r"same order in every pass.*Received: others"):
        measure(model, shuffled, beta=0.02, **options)
