"""Conversion of states to sortable keys, and of keys to counts, for `StateCounts`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_integers, described

__all__ = ["check_states", "check_sum", "state_keys", "tally"]

# For fewer keys than this, the transfer to the GPU and back takes longer than the sort.
MIN_KEYS_FOR_GPU = 100_000
ROWS_AT_ONCE = 1 << 18
BYTES_AT_ONCE = 1 << 22


def check_states(states: ArrayLike) -> np.ndarray:
    """States as an array of booleans or integers, `[num_samples, units]`, or labels.

    Raises:
        TypeError: The states are real activations, or other values that are neither bool nor
            integer.
        ValueError: The rank is wrong, or there are no samples or no units.
    """
    words = "integers or booleans, which `hidden_states` makes of activations by a threshold"
    states = check_integers("states", states, booleans=True, words=words)
    if states.ndim not in (1, 2) or 0 in states.shape:
        raise ValueError(
            "`states` must have the shape [num_samples, units], or [num_samples] for labels, and "
            f"not be empty. Received: states={described(states)}"
        )
    return states


def check_sum(name: str, counts: np.ndarray, least: int, words: str) -> int:
    """The sum of non-negative integers, at least `least` and below 2^63, where int64 overflows.

    Args:
        name: Name of the argument.
        counts: The counts, already checked to be non-negative integers.
        least: Smallest sum.
        words: What the argument must be, for the message if the sum is smaller.

    Raises:
        ValueError: The sum is outside this range.
    """
    total = int(counts.sum())
    if counts.sum(dtype=np.float64) > 2.0**62:  # rounded; Python's integers do not overflow
        total = sum(counts.tolist())
    if least <= total < 2**63:
        return total
    expected = words if total < least else "add up to less than 2^63"
    raise ValueError(
        f"`{name}` must {expected}. Received: {name}={described(counts)}, in all {total}"
    )


def state_keys(states: np.ndarray, num_levels: int | None = 2) -> np.ndarray:
    """One key for each state; equal states have equal keys.

    States of up to 64 bits become their own bits (one lane, exact); wider states are hashed to a
    128-bit fingerprint (two lanes).

    Args:
        states: States as returned by `check_states`, with values in 0..num_levels-1.
        num_levels: Number of levels of each unit; None for the largest value plus one.

    Returns:
        New uint64 array `[num_samples, lanes]`.

    Raises:
        ValueError: Values are outside the levels.
    """
    if states.ndim == 1:
        if states.dtype == np.uint64 and states.max() > np.iinfo(np.int64).max:
            raise ValueError(
                f"Labels in `states` must be below 2^63. Received: states up to {states.max()}"
            )
        return states.astype(np.int64).view(np.uint64)[:, None]
    if states.dtype == bool or num_levels in (None, 2):
        keys = _keys_of_bits(states)
        if keys is not None:
            return keys
    num_levels = num_levels or max(2, int(states.max()) + 1)
    # One pass also finds negative values: as unsigned numbers they are larger than all levels.
    if states.view(f"u{states.dtype.itemsize}").max() >= num_levels:
        raise ValueError(
            f"`states` must lie in 0..{num_levels - 1} (`num_levels`). "
            f"Received: states between {states.min()} and {states.max()}"
        )
    chunks = np.split(states, range(ROWS_AT_ONCE, len(states), ROWS_AT_ONCE))
    return np.concatenate([_keys_of_rows(chunk, num_levels) for chunk in chunks])


def _keys_of_bits(states: np.ndarray) -> np.ndarray | None:
    """Keys of states of 0 and 1; None if there are other values."""
    num_samples, num_units = states.shape
    size = states.dtype.itemsize
    # States that must be padded or converted first are processed in parts, to save memory.
    is_whole = size == 1 and num_units % 64 == 0
    rows = num_samples if is_whole else max(1, BYTES_AT_ONCE // (num_units * size))
    keys = []
    for start in range(0, num_samples, rows):
        part = states[start : start + rows]
        if part.dtype != bool:
            # Any other value sets a bit above the lowest; this check is faster than a maximum.
            if np.bitwise_or.reduce(part.view(f"u{size}"), axis=None) > 1:
                return None
            part = part.view(bool) if size == 1 else part
        keys.append(_keys_of_rows(part, 2))
    return keys[0] if len(keys) == 1 else np.concatenate(keys)


def _keys_of_rows(states: np.ndarray, num_levels: int) -> np.ndarray:
    """Keys of a few rows at a time, so that padding and bit planes need little memory."""
    words = _packed_words(states, num_levels)
    return words if words.shape[1] == 1 else _fingerprints(words)


def _packed_words(states: np.ndarray, num_levels: int) -> np.ndarray:
    """Bits of each state, plane by plane, in 64-bit words `[num_samples, words]`."""
    if states.dtype != bool and num_levels > 2:
        planes = range((int(num_levels) - 1).bit_length())
        states = np.concatenate([(states >> plane) & 1 for plane in planes], axis=1)
    num_samples, num_bits = states.shape
    if num_bits % 64:
        padded = np.zeros((num_samples, num_bits + -num_bits % 64), bool)
        padded[:, :num_bits] = states
        states = padded
    # Flat, because `packbits` along an axis is six times slower on short rows.
    return np.packbits(states.reshape(-1)).reshape(num_samples, -1).view(np.uint64)


def _fingerprints(words: np.ndarray) -> np.ndarray:
    """Two 64-bit hashes of each row, each a chain of splitmix64 steps from its own start value."""
    lanes = np.empty((len(words), 2), np.uint64)
    for lane, start in enumerate((0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)):
        digest = np.full(len(words), start, np.uint64)
        for word in words.T:
            digest ^= word
            digest += np.uint64(0x9E3779B97F4A7C15)
            digest ^= digest >> np.uint64(30)
            digest *= np.uint64(0xBF58476D1CE4E5B9)
            digest ^= digest >> np.uint64(27)
            digest *= np.uint64(0x94D049BB133111EB)
            digest ^= digest >> np.uint64(31)
        lanes[:, lane] = digest
    return lanes


def tally(keys: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, sorted, and the sum of the weights (1 each by default) of each.

    Exact. One sort: on the GPU if there is one and the keys are many, otherwise in NumPy.

    Args:
        keys: Keys, uint64 `[num_keys, lanes]`; with one lane and no weights, sorted in place.
        weights: Weights, int64 `[num_keys]`, or None.

    Returns:
        uint64 `[num_distinct, lanes]` and int64 `[num_distinct]`. The first is `keys` itself if
        these were sorted in place and are all distinct.
    """
    if len(keys) >= MIN_KEYS_FOR_GPU and tf.config.list_physical_devices("GPU"):
        return _tally_in_tensorflow(keys, weights)
    if keys.shape[1] == 1 and weights is None:
        keys[:, 0].sort()
        ordered = keys
    else:
        # A stable sort of two concatenated sorted tables is a merge.
        order = np.argsort(keys[:, 0], kind="stable" if weights is not None else None)
        ordered = keys[order]
        if keys.shape[1] > 1 and _mixed_lanes(ordered):
            order = np.lexsort((keys[:, 1], keys[:, 0]))
            ordered = keys[order]
    is_first = np.empty(len(ordered), bool)
    is_first[0] = True
    np.not_equal(ordered[1:, 0], ordered[:-1, 0], out=is_first[1:])
    if keys.shape[1] > 1:
        is_first[1:] |= ordered[1:, 1] != ordered[:-1, 1]
    if weights is None and is_first.all():
        return ordered, np.ones(len(ordered), np.int64)
    first = np.flatnonzero(is_first)
    if weights is None:
        counts = np.empty(len(first), np.int64)
        np.subtract(first[1:], first[:-1], out=counts[:-1])
        counts[-1] = len(ordered) - first[-1]
        return ordered[first], counts
    return ordered[first], np.add.reduceat(weights[order], first)


def _mixed_lanes(ordered: np.ndarray) -> bool:
    """Whether two keys share the first lane but not the second (probability 2^-64 per pair)."""
    return bool(np.any((ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] != ordered[:-1, 1])))


def _tally_in_tensorflow(
    keys: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`tally` by TensorFlow operations on the default device."""
    lanes = [tf.constant(np.ascontiguousarray(lane).view(np.int64)) for lane in keys.T]
    order = tf.argsort(lanes[-1], stable=True)
    for lane in lanes[-2::-1]:  # least significant lane first, since each later sort is stable
        order = tf.gather(order, tf.argsort(tf.gather(lane, order), stable=True))
    ordered = tf.stack([tf.gather(lane, order) for lane in lanes], axis=1)
    changes = tf.reduce_any(ordered[1:] != ordered[:-1], axis=1)
    group = tf.cumsum(tf.concat([[0], tf.cast(changes, tf.int32)], axis=0))
    weights = tf.ones(len(keys), tf.int64) if weights is None else tf.gather(weights, order)
    counts = tf.math.unsorted_segment_sum(weights, group, group[-1] + 1)
    first = tf.concat([[0], tf.cast(tf.where(changes)[:, 0] + 1, tf.int32)], axis=0)
    distinct = tf.gather(ordered, first).numpy().view(np.uint64)
    return _in_unsigned_order(distinct, counts.numpy())


def _in_unsigned_order(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys and counts, rotated from the order of signed integers to that of unsigned ones."""
    start = np.searchsorted(keys[:, 0].view(np.int64), 0)
    return np.roll(keys, -start, axis=0), np.roll(counts, -start)
