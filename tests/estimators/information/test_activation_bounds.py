"""Bounds from the noise of the weights, against the layer's own formula."""

import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    activation_information_bounds,
    linear_layer_information,
    noise_variance_of_information,
)

ALPHAS = (0.05, 0.2, 0.5, 1.0)


def layer(inputs=400, units=8, examples=4000):
    rng = np.random.default_rng(0)
    return rng.normal(size=(inputs, units)), rng.normal(size=(examples, inputs))


def test_nats_per_unit_are_the_published_function_with_its_one_half():
    found = [activation_information_bounds(a, [1]).per_unit[0] for a in ALPHAS]
    np.testing.assert_allclose(found, [1.51031, 0.85389, 0.46638, 0.22934], atol=1e-5)
    small = activation_information_bounds(1e-12, [1]).per_unit[0]
    assert small == pytest.approx(-0.5 * np.log(1e-12), rel=1e-9)


def test_layer_information_falls_with_the_noise_and_lies_between_the_bounds():
    kernel, x = layer()
    found = np.array([linear_layer_information(kernel, a, x) for a in ALPHAS])
    assert np.all(np.diff(found) < 0)
    bounds = [activation_information_bounds(a, [8]) for a in ALPHAS]
    assert np.all(found >= [b.lower[0] for b in bounds])
    assert np.all(found <= [b.upper[0] for b in bounds])
    # The constant of the upper bound is O(1 / inputs).
    assert np.all(found - [b.lower[0] for b in bounds] < 8 * 0.02)


def test_layer_information_is_the_formula_written_out():
    kernel, x = layer(inputs=5, units=3, examples=7)
    alpha = np.random.default_rng(1).uniform(0.1, 1.0, kernel.shape)
    covariance = np.cov(x.T, bias=True)
    nats = 0.0
    for j in range(3):
        k, a = kernel[:, j], np.exp(alpha[:, j]) - 1
        mean_noise = np.mean([np.sum(a * k**2 * row**2) for row in x])
        for row in x:
            noise = np.sum(a * k**2 * row**2)
            nats -= 0.5 * np.log(noise / (k @ covariance @ k + mean_noise)) / len(x)
    assert linear_layer_information(kernel, alpha, x) == pytest.approx(nats, rel=1e-12)


def test_a_unit_without_weights_tells_nothing_and_one_without_noise_everything():
    kernel, x = layer(inputs=3, units=2, examples=5)
    alone = linear_layer_information(kernel[:, :1], 0.5, x)
    kernel[:, 1] = 0.0
    assert linear_layer_information(kernel, 0.5, x) == alone
    x[0] = 0.0
    assert linear_layer_information(kernel, 0.5, x) == np.inf


def test_a_stack_tells_no_more_than_its_narrowest_layer():
    alpha, units = np.array([0.1, 0.5, 0.1]), [300, 20, 300]
    bounds = activation_information_bounds(alpha, units)
    assert bounds.network == bounds.upper.min() == 20 * (bounds.per_unit[1] + 1)
    more = activation_information_bounds(alpha / 2, units)
    assert more.network > bounds.network  # less noise, more information in the weights


def test_noise_is_the_inverse_of_the_capped_information():
    sizes, cap = np.array([10, 1000]), 0.4
    alpha = np.array([0.01, 0.4])
    nats = sizes / 2 * np.log(cap / alpha)
    found = noise_variance_of_information(nats, sizes, max_variance=cap)
    np.testing.assert_allclose(found, alpha, rtol=1e-12)
    printed = noise_variance_of_information(3.0, 2, paper_form=True)
    assert printed == pytest.approx(np.exp(-1.5))
    assert noise_variance_of_information(3.0, 2) == pytest.approx(np.exp(-3.0))


def test_linear_gaussian_nuisance_is_bounded_by_what_is_left_after_the_task():
    """I(z; n) <= I(z; x) - I(x; y) for x = y + n and z = x + noise, all Gaussian."""
    for noise in (0.1, 1.0, 10.0):
        variance_y, variance_n = 2.0, 1.0
        total = variance_y + variance_n + noise
        about_nuisance = 0.5 * np.log(total / (total - variance_n))
        about_input = 0.5 * np.log(total / noise)
        about_task = 0.5 * np.log(total / (total - variance_y))  # of z: at most that of x
        assert about_nuisance <= about_input - about_task


BAD = [
    (activation_information_bounds, (0.0, [3]), "alpha"),
    (activation_information_bounds, (np.nan, [3]), "alpha"),
    (activation_information_bounds, ([0.1, 0.2], [3]), "alpha"),
    (activation_information_bounds, (0.1, [0]), "num_units"),
    (activation_information_bounds, (0.1, [1.5]), "num_units", TypeError),
    (activation_information_bounds, (0.1, []), "num_units"),
    (linear_layer_information, (np.ones([3, 2]), 0.1, np.ones([4, 2])), "x"),
    (linear_layer_information, (np.ones(3), 0.1, np.ones([4, 3])), "kernel"),
    (linear_layer_information, (np.ones([3, 2]), [0.1] * 3, np.ones([4, 3])), "alpha"),
    (linear_layer_information, (np.ones([3, 2]), -0.1, np.ones([4, 3])), "alpha"),
    (linear_layer_information, (np.ones([3, 2]), 0.1, np.full([4, 3], np.inf)), "x"),
    (noise_variance_of_information, (-1.0, 3), "nats"),
    (noise_variance_of_information, (1.0, 0), "num_weights"),
    (noise_variance_of_information, ("much", 3), "nats", TypeError),
    (noise_variance_of_information, (1.0, 3.5), "num_weights", TypeError),
    (noise_variance_of_information, ([1.0, 2.0], [1, 2, 3]), "num_weights"),
]


@pytest.mark.parametrize(
    ("function", "arguments", "name", "error"), [(*case, ValueError)[:4] for case in BAD]
)
def test_bad_input_is_one_sentence(function, arguments, name, error):
    with pytest.raises(error, match=rf"`{name}` must .*Received: "):
        function(*arguments)


def test_result_prints_and_converts():
    bounds = activation_information_bounds(0.5, [3, 4])
    assert "2 layers" in repr(bounds)
    assert bounds.to_dict()["upper"] == bounds.upper.tolist()
