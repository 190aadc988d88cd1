import numpy as np
import pytest

from keras_infobottleneck.estimators import relevance_null, resolution_relevance


def test_independent_units_lie_on_their_own_null():
    states = np.random.default_rng(0).random((20_000, 18)) < 0.2
    point = resolution_relevance(states)
    for kind in ("shuffled", "independent"):
        null = relevance_null(states, kind=kind, num_draws=10, seed=1)
        deviation = 4 * np.sqrt(1.1)
        assert abs(point.resolution - null.resolution) < deviation * null.resolution_std
        assert abs(point.relevance - null.relevance) < deviation * null.relevance_std


def test_shuffling_keeps_what_does_not_depend_on_the_order_of_one_unit():
    states = np.zeros((1000, 2), bool)
    states[:300, 0] = True
    null = relevance_null(states, num_draws=3, seed=0)
    point = resolution_relevance(states)
    assert null.relevance == pytest.approx(point.relevance, abs=1e-12)
    assert null.relevance_std == pytest.approx(0, abs=1e-12)
    assert relevance_null(states, kind="independent", num_draws=3, seed=0).relevance_std > 0


def test_null_of_copies_of_one_unit_has_the_resolution_of_independent_ones():
    unit = np.random.default_rng(2).random((50_000, 1)) < 0.5
    null = relevance_null(np.repeat(unit, 4, axis=1), num_draws=4, seed=0)
    assert resolution_relevance(np.repeat(unit, 4, axis=1)).resolution_nats == pytest.approx(
        np.log(2), abs=1e-3
    )
    assert null.resolution == pytest.approx(4 * np.log(2) / np.log(50_000), abs=1e-3)


def test_the_null_at_its_own_resolution_is_the_null():
    states = np.random.default_rng(3).random((5000, 12)) < 0.3
    null = relevance_null(states, num_draws=3, seed=0)
    assert null.at(null.resolution) == pytest.approx((null.relevance, null.relevance_std))
    assert null.at(0.0) == (0.0, 0.0)
    assert np.isnan(null.at(1.0)[0])


def test_a_seed_repeats_the_draws_and_levels_are_allowed():
    states = np.random.default_rng(4).integers(3, size=(500, 4))
    first, second, third = (relevance_null(states, num_draws=2, seed=s) for s in (5, 5, 6))
    assert first.to_dict() == second.to_dict()
    assert first.to_dict() != third.to_dict()


@pytest.mark.parametrize(
    ("states", "options", "error"),
    [
        (np.zeros((5, 1), bool), {}, ValueError),
        (np.arange(5), {}, ValueError),
        (np.zeros((5, 2)), {}, TypeError),
        (np.zeros((5, 2), bool), {"kind": "permuted"}, ValueError),
        (np.zeros((5, 2), bool), {"num_draws": 1}, ValueError),
        (np.full((5, 2), 7), {"num_levels": 3}, ValueError),
    ],
)
def test_bad_input_gives_one_clear_sentence(states, options, error):
    with pytest.raises(error, match="Received: "):
        relevance_null(states, **options)
