import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    layer_multiscale_relevance,
    multiscale_relevance,
    resolution_relevance,
)
from tests.support import reference_relevance


def bursty_spikes(num_points, seed=0):
    rng = np.random.default_rng(seed)
    rate = 0.05 * np.exp(np.sin(np.arange(num_points) / 50) * 2)
    return (rng.random(num_points) < rate).astype(int)


@pytest.mark.parametrize("num_points", [7, 100, 890, 1234])
def test_equals_the_published_procedure(num_points):
    spikes = bursty_spikes(num_points) + (np.arange(num_points) % 3 == 0)
    expected = reference_relevance.multiscale_relevance(spikes)
    assert multiscale_relevance(spikes).area == pytest.approx(expected, abs=1e-12)


def test_finest_scale_of_single_spikes_has_resolution_one_and_no_relevance():
    result = multiscale_relevance(bursty_spikes(500) > 0)
    assert result.scales[-1] == 500
    assert result.resolution[-1] == pytest.approx(1)
    assert result.relevance[-1] == pytest.approx(0)


def test_modulated_spikes_have_more_area_than_the_same_spikes_shuffled():
    spikes = bursty_spikes(20_000)
    shuffled = np.random.default_rng(1).permutation(spikes)
    assert multiscale_relevance(spikes).area > multiscale_relevance(shuffled).area


@pytest.mark.parametrize("by", ["units", "bits"])
def test_nested_scales_raise_resolution(by):
    activations = np.random.default_rng(2).normal(size=(400, 5)) ** 3
    result = layer_multiscale_relevance(activations, by=by, seed=0)
    assert np.all(np.diff(result.resolution) >= -1e-12)
    assert 0 < result.area < 1


def test_points_are_those_of_the_states():
    activations = np.random.default_rng(3).normal(size=(300, 4))
    all_units = layer_multiscale_relevance(activations, by="units", scales=[4], threshold=0.3)
    assert all_units.relevance[0] == resolution_relevance(activations > 0.3).relevance
    sweep = layer_multiscale_relevance(activations, by="threshold", scales=[0.25])
    cut = np.quantile(activations, 0.25)
    assert sweep.resolution[0] == resolution_relevance(activations > cut).resolution
    halves = layer_multiscale_relevance(activations, by="bits", scales=[1])
    above = activations >= np.sort(activations, axis=0)[150]
    assert halves.resolution[0] == pytest.approx(resolution_relevance(above).resolution, abs=1e-12)


def test_bits_do_not_depend_on_monotone_changes_of_a_unit():
    activations = np.random.default_rng(4).normal(size=(200, 3))
    a = layer_multiscale_relevance(activations, by="bits")
    b = layer_multiscale_relevance(np.exp(activations * [1, 2, 3]), by="bits")
    assert a.to_dict() == b.to_dict()


@pytest.mark.parametrize(
    ("spikes", "error"),
    [
        (np.ones(5), TypeError),
        (np.ones((5, 2), int), ValueError),
        (np.ones(2, int), ValueError),
        (np.array([1, -1, 3]), ValueError),
        (np.array([0, 1, 0, 0]), ValueError),
    ],
)
def test_bad_spikes_give_one_clear_sentence(spikes, error):
    with pytest.raises(error, match="Received: "):
        multiscale_relevance(spikes)


@pytest.mark.parametrize(
    ("activations", "options"),
    [
        (np.ones(5), {}),
        (np.ones((1, 5)), {}),
        (np.full((3, 2), np.nan), {}),
        (np.ones((3, 2)), {"by": "depth"}),
        (np.ones((3, 2)), {"scales": [3]}),
        (np.ones((3, 2)), {"by": "bits", "scales": [9]}),
        (np.ones((3, 2)), {"by": "threshold", "scales": [1.5]}),
        (np.ones((3, 2)), {"scales": []}),
    ],
)
def test_bad_activations_give_one_clear_sentence(activations, options):
    with pytest.raises(ValueError, match="Received: "):
        layer_multiscale_relevance(activations, **options)


@pytest.mark.parametrize("by", ["units", "bits", "threshold"])
def test_booleans_are_activations_of_zero_and_one(by):
    states = np.random.default_rng(0).random((60, 5)) < 0.3
    found = layer_multiscale_relevance(states, by=by, seed=0)
    numbers = layer_multiscale_relevance(states.astype(float), by=by, seed=0)
    np.testing.assert_array_equal(found.relevance, numbers.relevance)
    np.testing.assert_array_equal(found.resolution, numbers.resolution)
