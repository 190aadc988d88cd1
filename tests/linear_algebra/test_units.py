"""Units on scales of their own are brought to one, and lose nothing by it."""

import numpy as np
import pytest

from keras_infobottleneck.estimators.coding.probe import mdl_probe
from keras_infobottleneck.linear_algebra.units import of_order_one, standardised

Z = np.random.default_rng(0).normal(size=(50, 4))


@pytest.mark.parametrize("power", [-1000, -700, 0, 500, 1000])
def test_powers_of_two_leave_every_digit(power):
    np.testing.assert_array_equal(of_order_one(np.ldexp(Z, power)), of_order_one(Z))
    assert np.all((np.abs(of_order_one(Z)).max(0) >= 0.5) & (np.abs(of_order_one(Z)).max(0) < 1))
    scaled = np.ldexp(Z, [power, 0, -power, 3])
    np.testing.assert_array_equal(standardised(scaled), standardised(Z))


def test_standardised_units_have_mean_zero_and_variance_one_and_constant_ones_are_zero():
    images = np.random.default_rng(1).normal(3.0, 2.0, size=(40, 3, 3, 2))
    images[:, 0, 0, 0] = 0.1  # whose mean is not 0.1 to the last bit
    images[:, 0, 0, 1] = 0.0
    found = standardised(images)
    rest = images[:, 1:]
    np.testing.assert_allclose(found[:, 1:], (rest - rest.mean(0)) / rest.std(0), rtol=1e-9)
    np.testing.assert_array_equal(found[:, 0, 0], 0.0)
    np.testing.assert_array_equal(standardised(images > 3.0).std(0).round(12)[1:], 1.0)


def test_a_probe_finds_the_same_whatever_the_scale_of_the_units():
    labels = (Z[:, 0] > 0).astype(int)
    one, other = (mdl_probe(z, labels, blocks=3, seed=0) for z in (Z, np.ldexp(Z, 900)))
    assert one.code.nats == other.code.nats < one.control.nats
