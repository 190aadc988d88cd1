"""How often each hidden state occurred: a streaming, mergeable, exact table of counts.

States become sortable keys, and sorted keys become counts.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_instance, check_integers, described
from keras_infobottleneck.results.archives import Archive, with_suffix, write_arrays
from keras_infobottleneck.results.result import Result, plain

__all__ = [
    "StateCounts",
    "check_states",
    "state_keys",
    "tally",
]

# Below this many keys the way to the GPU and back costs more than the sort.
MIN_KEYS_FOR_GPU = 100_000
ROWS_AT_ONCE = 1 << 18


def check_states(states) -> np.ndarray:
    """States as an array of booleans or integers, `[num_samples, units]` or labels.

    Raises:
        TypeError: for real activations, and other values that are neither bool nor integer.
        ValueError: for another rank, no samples or no units.
    """
    words = "integers or booleans, which `hidden_states` makes of activations by a threshold"
    states = check_integers("states", states, booleans=True, words=words)
    if states.ndim not in (1, 2) or 0 in states.shape:
        raise ValueError(
            "`states` must have the shape [num_samples, units], or [num_samples] for labels, and "
            f"not be empty. Received: states={described(states)}"
        )
    return states


def state_keys(states: np.ndarray, num_levels: int = 2) -> np.ndarray:
    """One key per state: equal states have equal keys.

    States of up to 64 bits become their own bits (one lane, exact); wider states a 128-bit
    fingerprint (two lanes).

    Args:
        states: as `check_states` gives them; units with values in 0..num_levels-1.
        num_levels: levels of each unit.

    Returns:
        uint64 `[num_samples, lanes]`.

    Raises:
        ValueError: for values outside the levels.
    """
    if states.ndim == 1:
        if states.dtype == np.uint64 and states.max() > np.iinfo(np.int64).max:
            raise ValueError(
                f"Labels in `states` must be below 2^63. Received: states up to {states.max()}"
            )
        return states.astype(np.int64).view(np.uint64)[:, None]
    if states.dtype != bool:
        low, high = states.min(), states.max()
        if low < 0 or high >= num_levels:
            raise ValueError(
                f"`states` must lie in 0..{num_levels - 1} (`num_levels`). "
                f"Received: states between {low} and {high}"
            )
    if states.dtype == bool and states.shape[1] == 64:
        return _packed_words(states, num_levels)
    chunks = np.split(states, range(ROWS_AT_ONCE, len(states), ROWS_AT_ONCE))
    return np.concatenate([_keys_of_rows(chunk, num_levels) for chunk in chunks])


def _keys_of_rows(states, num_levels):
    """Keys of a few rows at once, so that padding and bit planes take little memory."""
    words = _packed_words(states, num_levels)
    return words if words.shape[1] == 1 else _fingerprints(words)


def _packed_words(states, num_levels):
    """Bits of each state, plane by plane, in 64-bit words `[num_samples, words]`."""
    if states.dtype != bool and num_levels > 2:
        planes = range((int(num_levels) - 1).bit_length())
        states = np.concatenate([(states >> plane) & 1 for plane in planes], axis=1)
    num_samples, num_bits = states.shape
    if num_bits % 64:
        padded = np.zeros((num_samples, num_bits + -num_bits % 64), bool)
        padded[:, :num_bits] = states
        states = padded
    # Flat, because `packbits` along an axis costs six times as much on short rows.
    return np.packbits(states.reshape(-1)).reshape(num_samples, -1).view(np.uint64)


def _fingerprints(words):
    """Two 64-bit hashes of each row, each a chain of splitmix64 steps with its own start."""
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

    Exact. One sort: on the GPU where there is one and the keys are many, else in NumPy.

    Args:
        keys: uint64 `[num_keys, lanes]`.
        weights: int64 `[num_keys]` or None.

    Returns:
        uint64 `[num_distinct, lanes]` and int64 `[num_distinct]`.
    """
    if len(keys) >= MIN_KEYS_FOR_GPU and tf.config.list_physical_devices("GPU"):
        return _tally_in_tensorflow(keys, weights)
    if keys.shape[1] == 1 and weights is None:
        ordered = np.sort(keys, axis=0)
    else:
        # A stable sort of two sorted tables laid end to end is a merge.
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
    first = np.flatnonzero(is_first)
    if weights is None:
        counts = np.empty(len(first), np.int64)
        np.subtract(first[1:], first[:-1], out=counts[:-1])
        counts[-1] = len(ordered) - first[-1]
        return ordered[first], counts
    return ordered[first], np.add.reduceat(weights[order], first)


def _mixed_lanes(ordered):
    """Whether two keys share the first lane and not the second (chance 2^-64 per pair)."""
    return bool(np.any((ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] != ordered[:-1, 1])))


def _tally_in_tensorflow(keys, weights=None):
    """`tally` with TensorFlow operations, which run on the default device."""
    lanes = [tf.constant(np.ascontiguousarray(lane).view(np.int64)) for lane in keys.T]
    order = tf.argsort(lanes[-1], stable=True)
    for lane in lanes[-2::-1]:  # least significant lane first: each later sort is stable
        order = tf.gather(order, tf.argsort(tf.gather(lane, order), stable=True))
    ordered = tf.stack([tf.gather(lane, order) for lane in lanes], axis=1)
    changes = tf.reduce_any(ordered[1:] != ordered[:-1], axis=1)
    group = tf.cumsum(tf.concat([[0], tf.cast(changes, tf.int32)], axis=0))
    weights = tf.ones(len(keys), tf.int64) if weights is None else tf.gather(weights, order)
    counts = tf.math.unsorted_segment_sum(weights, group, group[-1] + 1)
    first = tf.concat([[0], tf.cast(tf.where(changes)[:, 0] + 1, tf.int32)], axis=0)
    distinct = tf.gather(ordered, first).numpy().view(np.uint64)
    return _in_unsigned_order(distinct, counts.numpy())


def _in_unsigned_order(keys, counts):
    """Signed sorting puts the upper half of the unsigned keys first; this turns it back."""
    start = np.searchsorted(keys[:, 0].view(np.int64), 0)
    return np.roll(keys, -start, axis=0), np.roll(counts, -start)


# Version of the files; a file of a later version is refused.
FORMAT = 1


class StateCounts(Result):
    """Counts of distinct states, fed batch by batch.

    A state is a row of binary or k-level units, or one integer label. States of up to 64 bits are
    counted exactly; wider ones are told apart by a 128-bit fingerprint, so that a wrong count has
    probability about `num_states^2 / 2^129` (1e-25 at ten million states).

    Cost: one sort per batch. Memory: 24 to 48 bytes per distinct state, whatever the number of
    batches. Tables of disjoint shards of the data add up: `a + b` equals the table of the whole.

    Args:
        num_levels: levels of each unit; 2 for binary states. Ignored for labels.

    Raises:
        ValueError: for fewer than 2 levels.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        counts = kib.estimators.StateCounts()
        counts.update(np.array([[0, 1], [0, 1]]))  # one batch, [examples, units]
        counts.update(np.array([[1, 1]]))
        print(counts.num_samples, counts.num_states)
        ```

        ```text
        3 2
        ```
    """

    def __init__(self, num_levels: int = 2):
        self.num_levels = check_count("num_levels", num_levels, 2)
        self._num_units: int | None = None  # 0 for labels, known after the first batch
        self._runs: list[
            tuple
        ] = []  # sorted tables (keys [n, lanes], counts [n]), each half of the one before

    def update(self, states: ArrayLike) -> StateCounts:
        """Add a batch of states, `[num_samples, units]` or labels `[num_samples]`."""
        states = check_states(states)
        keys = state_keys(states, self.num_levels)
        self._check_units(states.shape[1] if states.ndim == 2 else 0)
        self._runs.append(tally(keys))
        self._settle(ratio=2)
        return self

    def merge(self, other: StateCounts) -> StateCounts:
        """Add the counts of another table, of states of the same kind."""
        check_instance("other", other, StateCounts, "a StateCounts")
        if other._runs:
            if other._num_units and other.num_levels != self.num_levels:
                raise ValueError(
                    f"Both tables must count states of {self.num_levels} levels. "
                    f"Received: other.num_levels={other.num_levels}"
                )
            self._check_units(other._num_units)
            self._runs.extend(other._runs)
            self._settle(ratio=np.inf)
        return self

    def __add__(self, other: StateCounts) -> StateCounts:
        return StateCounts(self.num_levels).merge(self).merge(other)

    @property
    def counts(self) -> np.ndarray:
        """Count of each distinct state, int64 `[num_states]`, in no particular order."""
        self._settle(ratio=np.inf)
        return self._runs[0][1] if self._runs else np.zeros(0, np.int64)

    @property
    def num_samples(self) -> int:
        """Number of states seen."""
        return sum(int(counts.sum()) for _, counts in self._runs)

    @property
    def num_states(self) -> int:
        """Number of distinct states seen."""
        return len(self.counts)

    def numbers(self) -> dict[str, float]:
        """How many states and samples, and the levels of a unit."""
        names = ("num_states", "num_samples", "num_levels")
        return {name: float(getattr(self, name)) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts, largest first, and the entries of `numbers`."""
        counts = np.sort(self.counts)[::-1]
        return plain({name: int(n) for name, n in self.numbers().items()} | {"counts": counts})

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes the table to a NumPy archive without pickled objects, whole or not at all.

        Tables of shards of the data, counted on different machines, are read and added up.

        Args:
            path: of the file, in a folder that exists; `.npz` is added where it is missing.

        Raises:
            ValueError: no file in a folder that exists.
            OSError: the file cannot be written.
        """
        self._settle(ratio=np.inf)
        arrays: dict[str, Any] = {"state_counts": FORMAT, "num_levels": self.num_levels}
        if self._runs:
            keys, counts = self._runs[0]
            arrays |= {"num_units": self._num_units, "keys": keys, "counts": counts}
        write_arrays(with_suffix(path), arrays)

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> StateCounts:
        """Reads what `to_npz` wrote; `.npz` may be left out, as there.

        Raises:
            FileNotFoundError: no file.
            ValueError: a file that `to_npz` did not write, or that was damaged since.
        """
        if isinstance(path, str | os.PathLike) and not os.path.exists(path):
            path = with_suffix(path)
        archive = Archive(path, "`path` must be a file written by `StateCounts.to_npz`")
        version = archive.count("state_counts")
        if version > FORMAT:
            archive.refuse(f"in format {version}, of a later version")
        table = cls(archive.count("num_levels", 2))
        if "keys" in archive:
            table._num_units = archive.count("num_units", 0)
            num_bits = table._num_units * (table.num_levels - 1).bit_length()
            # Labels, and states of up to 64 bits, are their own key.
            keys = archive.array("keys", (None, 1 if num_bits <= 64 else 2), kinds="u")
            counts = archive.array("counts", (len(keys),), kinds="i", least=1)
            if keys.dtype != np.uint64 or counts.dtype != np.int64:
                archive.refuse(f"with keys of {keys.dtype} and counts of {counts.dtype}")
            run = tally(keys, counts)
            if len(run[1]) < len(keys):
                archive.refuse(f"with {len(keys) - len(run[1])} states twice")
            table._runs.append(run)
        archive.close()
        return table

    def __repr__(self):
        return f"StateCounts(num_samples={self.num_samples}, num_states={self.num_states})"

    def _check_units(self, num_units):
        """Every batch must have states of one kind."""
        if self._num_units is None:
            self._num_units = num_units
        elif self._num_units != num_units:
            kind = f"{self._num_units} units" if self._num_units else "integer labels"
            raise ValueError(
                f"Every batch must have the same kind of state ({kind}). "
                f"Received: {num_units} units"
            )

    def _settle(self, ratio):
        """Merge the last runs while they are of like size, so that each key moves log2 times."""
        while len(self._runs) > 1 and len(self._runs[-2][1]) <= ratio * len(self._runs[-1][1]):
            (keys, counts), (more_keys, more_counts) = self._runs[-2:]
            keys, counts = np.concatenate([keys, more_keys]), np.concatenate([counts, more_counts])
            self._runs[-2:] = [tally(keys, counts)]
