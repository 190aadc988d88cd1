"""Centred kernel alignment: invariances, its null, its sums against their definition."""

import itertools

import numpy as np
import pytest

from keras_infobottleneck.estimators import centered_kernel_alignment
from keras_infobottleneck.estimators.geometry.centred_products import unbiased_products


def test_of_a_rotation_is_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100, 8)) * np.arange(1.0, 9.0)
    rotated = 3.0 * z @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 5.0
    found = centered_kernel_alignment(z, rotated, seed=0)
    assert found.debiased == pytest.approx(1.0, abs=1e-9)
    assert found.biased == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("units", [5, 400])
def test_of_independent_layers_is_zero_only_if_debiased(units):
    first, second = np.random.default_rng(1).normal(size=(2, 150, units))
    found = centered_kernel_alignment(first, second, seed=0)
    assert abs(found.debiased) < 4.0 * found.standard_error
    assert abs(found.null) < 4.0 * found.standard_error
    assert found.biased == pytest.approx(found.biased_null, rel=0.3)
    # Of independent Gaussian units: about d / (d + N).
    assert found.biased == pytest.approx(units / (units + 150), rel=0.3)


def test_of_shared_units_is_the_share_of_squared_covariance():
    # Both see 4 common units of variance 1 beside 12 own ones: 4 / 16.
    rng = np.random.default_rng(2)
    common = rng.normal(size=(800, 4))
    first, second = (np.concatenate([common, rng.normal(size=(800, 12))], 1) for _ in range(2))
    found = centered_kernel_alignment(first, second, seed=0)
    assert abs(found.debiased - 0.25) < 4.0 * found.standard_error


def test_the_unbiased_sum_is_that_over_four_different_examples():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 7, 2))
    b += a
    k, l = a @ a.T, b @ b.T  # noqa: E741
    total, count = 0.0, 0
    for i, j, m, n in itertools.permutations(range(7), 4):
        total += k[i, j] * (l[i, j] + l[m, n] - 2.0 * l[i, m])
        count += 1
    assert unbiased_products(a, b) == pytest.approx(total / count, rel=1e-9)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (np.ones([50, 2]), "`second` must vary"),
        (np.ones([49, 2]), "`second` must"),
    ],
    ids=["constant", "lengths"],
)
def test_layers_of_no_use_are_refused(second, sentence):
    first = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(ValueError, match=f"{sentence}.*Received: second="):
        centered_kernel_alignment(first, second)
