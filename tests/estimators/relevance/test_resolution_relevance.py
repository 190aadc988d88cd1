import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    StateCounts,
    multiscale_relevance,
    relevance_null,
    resolution_relevance,
    resolution_relevance_of_counts,
)
from tests.support.reference_relevance import entropies


def random_states(rng, num_samples, num_units, num_levels=2):
    """States that repeat: few distinct rows, drawn unevenly."""
    rows = rng.integers(num_levels, size=(40, num_units))
    return rows[(40 * rng.random(num_samples) ** 3).astype(int)]


@pytest.mark.parametrize(
    ("counts", "resolution", "relevance"),
    [
        (np.ones(1000, int), 1, 0),
        ([1000], 0, 0),
        ([100] * 10, 1 / 3, 0),
        ([4, 3, 2, 1], 0.55583, 0.55583),
        ([4, 4, 1, 1], 0.51835, 0.21732),
    ],
)
def test_unit_values(counts, resolution, relevance):
    point = resolution_relevance_of_counts(np.asarray(counts))
    assert point.resolution == pytest.approx(resolution, abs=5e-6)
    assert point.relevance == pytest.approx(relevance, abs=5e-6)
    assert point.noise == pytest.approx(resolution - relevance, abs=5e-6)
    assert point.num_samples == sum(counts)
    assert point.num_states == len(counts)


@pytest.mark.parametrize("num_units", [1, 7, 8, 63, 64, 65, 200])
@pytest.mark.parametrize("num_levels", [2, 3, 5])
def test_equals_counting_rows_in_a_dictionary(num_units, num_levels):
    rng = np.random.default_rng(num_units)
    states = random_states(rng, 500, num_units, num_levels)
    point = resolution_relevance(states)
    expected = entropies(states)
    np.testing.assert_allclose((point.resolution_nats, point.relevance_nats), expected, atol=1e-12)
    unit = np.log(500)
    np.testing.assert_allclose(
        (point.resolution, point.relevance), np.array(expected) / unit, atol=1e-12
    )


def test_integer_labels_are_states():
    labels = np.array([-3, 7, 7, 7, -3, 10**12, 0, 0, 0, 7])
    point = resolution_relevance(labels)
    assert (point.resolution_nats, point.relevance_nats) == pytest.approx(entropies(labels))


def test_relevance_never_exceeds_resolution_and_noise_is_their_difference():
    rng = np.random.default_rng(1)
    for _ in range(50):
        counts = rng.zipf(1.5, size=rng.integers(1, 200)) % 1000 + 1
        point = resolution_relevance_of_counts(counts)
        assert 0 <= point.relevance <= point.resolution + 1e-12
        assert point.resolution <= 1 + 1e-12
        assert point.noise == pytest.approx(point.resolution - point.relevance, abs=1e-12)


def test_order_of_samples_and_order_and_sign_of_units_change_nothing():
    rng = np.random.default_rng(2)
    for num_units in (5, 64, 100):
        states = random_states(rng, 300, num_units).astype(bool)
        point = resolution_relevance(states)
        shuffled = states[rng.permutation(300)][:, rng.permutation(num_units)]
        flipped = shuffled ^ rng.integers(2, size=num_units).astype(bool)
        assert resolution_relevance(flipped) == point


def test_relabelling_the_levels_of_units_changes_nothing():
    rng = np.random.default_rng(3)
    states = random_states(rng, 300, 6, num_levels=4)
    relabelled = np.stack([rng.permutation(4)[column] for column in states.T], axis=1)
    assert resolution_relevance(relabelled) == resolution_relevance(states)


def test_binary_states_of_any_dtype_agree():
    states = random_states(np.random.default_rng(4), 100, 10)
    points = [
        resolution_relevance(states.astype(dtype)) for dtype in (bool, np.int8, np.uint8, np.int64)
    ]
    assert len(set(points)) == 1


@pytest.mark.parametrize(
    ("num_states", "resolution", "relevance"),
    [
        (10, 0.209, 0.209),
        (100, 0.419, 0.357),
        (1000, 0.627, 0.311),
        (10_000, 0.829, 0.208),
        (60_000, 0.948, 0.119),
        (10**6, 0.996, 0.021),
    ],
)
def test_uniform_states_show_the_relevance_of_chance(num_states, resolution, relevance):
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(20):
        point = resolution_relevance(rng.integers(num_states, size=60_000))
        draws.append((point.resolution, point.relevance))
    mean, spread = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1)
    # The expected value is itself one draw, printed to three digits.
    tolerance = 4 * spread * np.sqrt(1 + 1 / 20) + 5e-4
    assert np.all(np.abs(mean - (resolution, relevance)) < tolerance)


@pytest.mark.parametrize(
    ("num_units", "resolution", "relevance"),
    [(15, 0.670, 0.391), (20, 0.842, 0.279), (25, 0.943, 0.151), (30, 0.984, 0.062), (60, 1, 0)],
)
def test_independent_bits_show_the_relevance_of_chance(num_units, resolution, relevance):
    rng = np.random.default_rng(6)
    draws = []
    for _ in range(10):
        point = resolution_relevance(rng.random((60_000, num_units)) < 0.2)
        draws.append((point.resolution, point.relevance))
    mean, spread = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1)
    assert np.all(np.abs(mean - (resolution, relevance)) < 4 * spread * np.sqrt(1.1) + 5e-4)


@pytest.mark.parametrize(
    ("num_units", "resolution", "relevance"),
    [(15, 0.642, 0.359), (20, 0.743, 0.297), (30, 0.840, 0.211)],
)
def test_critical_hierarchical_feature_model(num_units, resolution, relevance):
    rng = np.random.default_rng(7)
    last = np.arange(num_units + 1)  # index of the last active unit; 0: none
    energy = np.maximum(last - 1, 0)
    weight = np.where(last > 0, 2.0**energy, 1.0) * np.exp(-np.log(2) * energy)
    draws = []
    for _ in range(10):
        tops = rng.choice(num_units + 1, size=60_000, p=weight / weight.sum())
        states = rng.random((60_000, num_units)) < 0.5
        unit = np.arange(1, num_units + 1)
        states = (states & (unit < tops[:, None])) | (unit == tops[:, None])
        point = resolution_relevance(states)
        draws.append((point.resolution, point.relevance))
    mean, spread = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1)
    assert np.all(np.abs(mean - (resolution, relevance)) < 4 * spread * np.sqrt(1.1) + 5e-4)


@pytest.mark.parametrize(
    ("states", "error", "message"),
    [
        (np.random.default_rng(0).random((5, 3)), TypeError, "threshold"),
        (np.array([["a"]]), TypeError, "integers or booleans"),
        (np.zeros((0, 3), bool), ValueError, "not be empty"),
        (np.zeros((3, 0), bool), ValueError, "not be empty"),
        (np.zeros((3, 2, 2), bool), ValueError, "num_samples, units"),
        (np.array([[-1, 0], [1, 0]]), ValueError, "`states` must lie in"),
        (np.array([[True, False]]), ValueError, "at least 2 samples"),
        (np.array([2**63, 1], np.uint64), ValueError, "below 2\\^63"),
    ],
)
def test_bad_states_give_one_clear_sentence(states, error, message):
    with pytest.raises(error, match=f"(?s){message}.*Received: "):
        resolution_relevance(states)


def test_a_value_outside_the_stated_levels_is_refused():
    with pytest.raises(ValueError, match=r"num_levels.*Received"):
        resolution_relevance(np.array([[0, 3], [1, 1]]), num_levels=3)


@pytest.mark.parametrize(
    ("counts", "error"),
    [([0.5, 1.0], TypeError), ([-1, 3], ValueError), ([[1, 2]], ValueError), ([1], ValueError)],
)
def test_bad_counts_give_one_clear_sentence(counts, error):
    with pytest.raises(error, match="Received: "):
        resolution_relevance_of_counts(np.array(counts))


@pytest.mark.parametrize(
    "states", [np.zeros((1, 3), int), np.array([7]), StateCounts().update([[1, 0]]), StateCounts()]
)
def test_too_few_samples_are_refused_by_the_name_of_the_argument(states):
    with pytest.raises(ValueError, match=r"^`states` must be of at least 2 samples\. Received: st"):
        resolution_relevance(states)


def test_counts_of_any_integers_are_taken_up_to_the_largest_sum():
    large = np.array([2**62, 2**61, 2**61 - 1])
    expected = resolution_relevance_of_counts([2**31, 2**30, 2**30 - 1])
    found = resolution_relevance_of_counts(large)
    assert found.resolution_nats == pytest.approx(expected.resolution_nats, rel=1e-6)
    assert found.num_samples == 2**63 - 1
    for counts in (large + 1, [2**62] * 3, np.array([2**63, 1], "u8")):
        with pytest.raises(ValueError, match=r"^`counts` must add up to less than 2\^63\. Rec"):
            resolution_relevance_of_counts(counts)
    with pytest.raises(ValueError, match=r"^`spikes` must add up to less than 2\^63\. Received: s"):
        multiscale_relevance([2**62] * 3)


def test_the_null_says_why_it_takes_no_counts():
    with pytest.raises(TypeError, match=r"not their counts, which .* Received: states=StateCounts"):
        relevance_null(StateCounts().update([[1, 0], [0, 1]]))
