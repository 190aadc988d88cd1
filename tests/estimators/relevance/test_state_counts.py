from collections import Counter

import numpy as np
import pytest

from keras_infobottleneck.estimators import StateCounts, resolution_relevance
from keras_infobottleneck.estimators.relevance.state_keys import (
    _fingerprints,
    _tally_in_tensorflow,
    state_keys,
    tally,
)


def zipf_states(num_samples, num_units, seed=0):
    """Rows of a fixed table, drawn with a heavy tail."""
    rng = np.random.default_rng(seed)
    rows = np.random.default_rng(99).random((300, num_units)) < 0.5
    return rows[np.minimum(rng.zipf(1.5, num_samples), 300) - 1]


def dictionary_counts(states):
    return sorted(Counter(map(bytes, np.ascontiguousarray(states))).values())


@pytest.mark.parametrize("num_units", [3, 64, 90])
def test_batches_give_the_counts_of_the_whole(num_units):
    states = zipf_states(5000, num_units)
    table = StateCounts()
    for batch in np.array_split(states, 37):
        table.update(batch)
    assert sorted(table.counts) == dictionary_counts(states)
    assert table.num_samples == 5000
    assert table.num_states == len(dictionary_counts(states))
    assert resolution_relevance(table) == resolution_relevance(states)


@pytest.mark.parametrize("num_units", [3, 64, 90])
def test_merging_shards_equals_the_whole_in_any_grouping(num_units):
    states = zipf_states(3000, num_units)
    a, b, c = (StateCounts().update(part) for part in np.array_split(states, 3))
    whole = dictionary_counts(states)
    assert sorted(((a + b) + c).counts) == whole
    assert sorted((a + (b + c)).counts) == whole
    assert sorted((c + a + b).counts) == whole
    assert a.num_samples == b.num_samples == c.num_samples == 1000


def test_an_empty_table_changes_nothing():
    table = StateCounts().update(zipf_states(100, 10))
    assert sorted((StateCounts() + table + StateCounts()).counts) == sorted(table.counts)
    assert StateCounts().num_states == StateCounts().num_samples == 0


def test_the_table_does_not_grow_with_the_number_of_batches():
    table = StateCounts()
    for seed in range(200):
        table.update(zipf_states(1000, 64, seed))
    held = sum(len(counts) for _, counts in table._runs)
    assert held <= 2 * table.num_states <= 600


def test_labels_and_levels_are_counted_in_batches():
    labels = np.random.default_rng(1).integers(-5, 5, size=500)
    table = StateCounts().update(labels[:200]).update(labels[200:])
    assert sorted(table.counts) == sorted(Counter(labels.tolist()).values())
    levels = np.random.default_rng(2).integers(4, size=(500, 2))
    table = StateCounts(num_levels=4).update(levels[:100]).update(levels[100:])
    assert sorted(table.counts) == dictionary_counts(levels)


@pytest.mark.parametrize("num_units", [20, 64, 130])
@pytest.mark.parametrize("weighted", [False, True])
def test_tensorflow_and_numpy_count_alike(num_units, weighted):
    keys = state_keys(zipf_states(2000, num_units))
    weights = np.random.default_rng(3).integers(1, 9, len(keys)) if weighted else None
    for ours, theirs in zip(tally(keys, weights), _tally_in_tensorflow(keys, weights), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("num_units", [3, 64, 100])
@pytest.mark.parametrize("num_levels", [2, 5])
@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_levels_that_are_not_given_are_the_largest_value_plus_one(num_units, num_levels, kind):
    states = np.random.default_rng(6).integers(num_levels, size=(50, num_units)).astype(kind)
    assert states.max() == num_levels - 1
    np.testing.assert_array_equal(state_keys(states, None), state_keys(states, num_levels))
    if kind is np.int64:
        with pytest.raises(ValueError, match="must lie in 0"):
            state_keys(-states, None)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(40, 64), (40, 8), (40,)])
def test_what_is_counted_stays_as_it_is(kind, shape):
    states = np.random.default_rng(7).integers(2, size=shape).astype(kind)[::-1]
    before = states.copy()
    StateCounts().update(states)
    np.testing.assert_array_equal(states, before)


@pytest.mark.parametrize("kind", ["i8", "u8", "i4", "u2"])
@pytest.mark.parametrize(("shape", "num_levels"), [((40, 64), 2), ((40, 8), 5), ((40,), 5)])
def test_states_of_another_byte_order_are_those_of_the_native_one(kind, shape, num_levels):
    states = np.random.default_rng(8).integers(num_levels, size=shape)
    ours = StateCounts(num_levels).update(states)
    for order in "<>":
        theirs = StateCounts(num_levels).update(states.astype(order + kind))
        np.testing.assert_array_equal(theirs.counts, ours.counts)


def test_keys_of_one_lane_are_sorted_where_they_are():
    keys = np.array([[3], [1], [2]], np.uint64)
    distinct, _ = tally(keys)
    assert distinct is keys
    assert keys.ravel().tolist() == [1, 2, 3]
    pairs = np.array([[3, 0], [1, 0]], np.uint64)
    tally(pairs)
    tally(keys[::-1], np.ones(3, np.int64))
    assert pairs[:, 0].tolist() == [3, 1]
    assert keys.ravel().tolist() == [1, 2, 3]


def test_keys_that_share_their_first_lane_are_told_apart():
    rng = np.random.default_rng(4)
    keys = np.stack([rng.integers(3, size=500), rng.integers(4, size=500)], axis=1)
    keys = keys.astype(np.uint64)
    distinct, counts = np.unique(keys, axis=0, return_counts=True)
    for ours in (tally(keys), _tally_in_tensorflow(keys)):
        np.testing.assert_array_equal(ours[0], distinct)
        np.testing.assert_array_equal(ours[1], counts)


def test_fingerprints_of_close_states_differ_in_half_their_bits():
    rng = np.random.default_rng(5)
    words = rng.integers(2**63, size=(2000, 4)).astype(np.uint64)
    changed = words.copy()
    changed[np.arange(2000), rng.integers(4, size=2000)] ^= np.uint64(1) << rng.integers(
        64, size=2000
    ).astype(np.uint64)
    difference = _fingerprints(words) ^ _fingerprints(changed)
    flipped = np.bitwise_count(difference).sum(axis=1)
    # 128 fair bits: mean 64, standard deviation sqrt(32) each.
    assert abs(flipped.mean() - 64) < 4 * np.sqrt(32 / 2000)
    assert flipped.min() > 64 - 7 * np.sqrt(32)


def test_wide_states_that_differ_in_one_unit_are_distinct():
    states = np.concatenate([np.zeros((1, 1000), bool), np.eye(1000, dtype=bool)])
    assert StateCounts().update(states).num_states == 1001


def test_tables_of_different_kinds_are_not_mixed():
    table = StateCounts().update(np.zeros((2, 5), bool))
    with pytest.raises(ValueError, match=r"same kind.*Received: 6 units"):
        table.update(np.zeros((2, 6), bool))
    with pytest.raises(ValueError, match="same kind"):
        table.update(np.arange(4))
    with pytest.raises(ValueError, match=r"2 levels.*Received"):
        table.merge(StateCounts(3).update(np.zeros((2, 5), int)))
    with pytest.raises(TypeError, match=r"StateCounts.*Received"):
        table.merge([1, 2])
    assert table.num_samples == 2


def test_levels_do_not_matter_to_labels():
    table = StateCounts(3).update(np.array([4, 4, 7])) + StateCounts(2).update(np.array([7]))
    assert sorted(table.counts) == [2, 2]


def test_a_refused_batch_leaves_the_table_as_it_was():
    table = StateCounts().update(np.array([[0, 1], [1, 1]]))
    with pytest.raises(ValueError, match="`states` must lie"):
        table.update(np.array([[0, 2]]))
    assert table.num_samples == table.num_states == 2


@pytest.mark.parametrize(
    ("num_levels", "error"),
    [(1, ValueError), (0, ValueError), (2.5, TypeError), ("two", TypeError)],
)
def test_a_wrong_number_of_levels_is_refused(num_levels, error):
    with pytest.raises(error, match=r"num_levels.*Received"):
        StateCounts(num_levels)


@pytest.mark.parametrize("num_units", [0, 3, 64, 90])
def test_tables_in_files_add_up_to_the_whole(num_units, tmp_path):
    states = zipf_states(3000, max(num_units, 1))
    if not num_units:
        states = np.random.default_rng(1).integers(-5, 50, 3000)  # labels
    halves = [StateCounts().update(part) for part in np.array_split(states, 2)]
    for number, half in enumerate(halves):
        half.to_npz(tmp_path / f"half_{number}")
    read = [StateCounts.from_npz(tmp_path / f"half_{number}") for number in range(2)]
    whole = StateCounts().update(states)
    together = read[0] + read[1]
    assert sorted(together.counts) == sorted(whole.counts)
    assert together.num_samples == 3000
    with pytest.raises(ValueError, match="same kind of state"):
        read[0].update(zipf_states(10, 5))


def test_an_empty_table_in_a_file_takes_any_states(tmp_path):
    StateCounts(num_levels=3).to_npz(tmp_path / "empty.npz")
    read = StateCounts.from_npz(tmp_path / "empty.npz")
    assert read.num_levels == 3
    assert read.update(np.array([[0, 2], [0, 2]])).num_states == 1


COMPLETE = {
    "state_counts": 1,
    "num_levels": 2,
    "num_units": 3,
    "keys": np.array([[1], [5]], np.uint64),
    "counts": np.array([4, 2]),
}
WRONG = {
    "state_counts": [2, 0],
    "num_levels": [1, 2.0, "two"],
    "num_units": [-1, 70, np.array([3])],
    "keys": [
        np.array([[1], [1]], np.uint64),
        np.array([[1], [5]], np.int64),
        np.array([[1], [5]], np.uint32),
        np.array([1, 5], np.uint64),
        np.array([[1, 2], [5, 6]], np.uint64),
    ],
    "counts": [np.array([4, 0]), np.array([4]), np.array([4.0, 2.0]), np.array([4, 2], np.int32)],
    "besides": [1],
}


@pytest.mark.parametrize(
    ("field", "number"), [(field, i) for field, values in WRONG.items() for i in range(len(values))]
)
def test_every_field_of_a_file_is_checked(field, number, tmp_path):
    np.savez(tmp_path / "table.npz", **COMPLETE)
    assert StateCounts.from_npz(tmp_path / "table.npz").num_samples == 6
    np.savez(tmp_path / "table.npz", **{**COMPLETE, field: WRONG[field][number]})
    with pytest.raises(ValueError, match="must be a file written by"):
        StateCounts.from_npz(tmp_path / "table.npz")


@pytest.mark.parametrize("field", [name for name in COMPLETE if name != "keys"])
def test_a_file_without_a_field_is_refused(field, tmp_path):
    np.savez(tmp_path / "table.npz", **{k: v for k, v in COMPLETE.items() if k != field})
    with pytest.raises(ValueError, match=f"without {field}"):
        StateCounts.from_npz(tmp_path / "table.npz")
