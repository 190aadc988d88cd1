"""Number of occurrences of each hidden state: a streaming, mergeable, exact table of counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_instance, check_integers, refusal
from keras_infobottleneck.estimators.relevance.state_keys import check_states, state_keys, tally
from keras_infobottleneck.estimators.relevance.streamed_states import StatesOfLayers
from keras_infobottleneck.introspection.contents import numbered
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.archives import Archive, with_suffix, write_arrays
from keras_infobottleneck.results.result import Result, plain

__all__ = ["StateCounts", "check_counts"]

# Version of the file format; a file of a later version is refused.
FORMAT = 1


class StateCounts(Result):
    """Counts of distinct states, updated batch by batch.

    A state is a row of binary or k-level units, or one integer label. States of up to 64 bits are
    counted exactly; wider ones are identified by a 128-bit fingerprint, so that a wrong count has
    probability about `num_states^2 / 2^129` (1e-25 at ten million states).

    Cost: one sort per batch. Memory: 24 to 48 bytes per distinct state, for any number of
    batches. Tables of disjoint shards of the data add up: `a + b` equals the table of all data.

    Args:
        num_levels: Number of levels of each unit; 2 for binary states. Ignored for labels.

    Raises:
        ValueError: There are fewer than 2 levels.

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
        # Sorted tables (keys [n, lanes], counts [n]), each at most half of the one before.
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    @classmethod
    def from_model(
        cls,
        model: keras.Model,
        data: Any,
        layer: str | int | keras.layers.Layer,
        *,
        threshold: float | Sequence[float] | np.ndarray = 0.0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> StateCounts:
        """Counts of the states of a layer, in one pass over data that need not fit in memory.

        The result equals that of `update(hidden_states(...))`, in the memory of one stack of
        batches and of the distinct states.

        Args:
            model, data, layer, threshold, batch_size, verbose: As in `hidden_states`.

        Raises:
            TypeError, ValueError: As in `hidden_states`.

        Example:
            ```python
            import keras
            import tensorflow as tf
            import keras_infobottleneck as kib

            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
            stream = tf.data.Dataset.range(10_000).batch(100).map(lambda i: tf.ones([100, 4]))
            counts = kib.estimators.StateCounts.from_model(model, stream, "hidden")
            print(counts.num_samples, counts.num_states)
            ```

            ```text
            10000 1
            ```
        """
        options: dict[str, Any] = {"threshold": threshold, "batch_size": batch_size}
        options["verbose"] = verbose
        return cls.by_layer(model, data, [layer], **options).popitem()[1]

    @classmethod
    @on_replicas
    def by_layer(
        cls,
        model: keras.Model,
        data: Any,
        layers: Sequence[str | int | keras.layers.Layer],
        *,
        threshold: float | Sequence[float] | np.ndarray = 0.0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> dict[str, StateCounts]:
        """Counts of the states of several layers, by their names, in one pass for all of them.

        Args:
            model, data, threshold, batch_size, verbose: As in `hidden_states`.
            layers: One or more layers, their names or their indices. A second layer of a name is
                called `name #2`.

        Raises:
            TypeError, ValueError: As in `hidden_states`; or `layers` is not a sequence, or is
                empty.
        """
        if isinstance(layers, str) or not isinstance(layers, Sequence):
            raise refusal(TypeError, "layers", "be a sequence of layers, names or indices", layers)
        if not layers:
            raise refusal(ValueError, "layers", "name at least one layer", layers)
        states = StatesOfLayers(
            model, data, layers, threshold=threshold, batch_size=batch_size, verbose=verbose
        )
        tables = {name: cls(states.num_levels) for name in numbered(states.names)}
        for parts in states:
            for table, part in zip(tables.values(), parts, strict=True):
                table.update(part)
        return tables

    def update(self, states: ArrayLike) -> StateCounts:
        """Adds a batch of states, `[num_samples, units]`, or of labels, `[num_samples]`."""
        states = check_states(states)
        keys = state_keys(states, self.num_levels)
        self._check_units(states.shape[1] if states.ndim == 2 else 0)
        self._runs.append(tally(keys))
        self._settle(ratio=2)
        return self

    def merge(self, other: StateCounts) -> StateCounts:
        """Adds the counts of another table of states of the same kind."""
        check_instance("other", other, StateCounts, "a StateCounts")
        if other._num_units is not None:
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
        """Numbers of states and samples, and the number of levels of a unit."""
        names = ("num_states", "num_samples", "num_levels")
        return {name: float(getattr(self, name)) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts, largest first, and the entries of `numbers`."""
        counts = np.sort(self.counts)[::-1]
        return plain({name: int(n) for name, n in self.numbers().items()} | {"counts": counts})

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes the table to a NumPy archive without pickled objects, atomically.

        Tables of shards of the data, counted on different machines, can be read and added up.

        Args:
            path: Path of the file, in an existing folder; `.npz` is added if it is missing.

        Raises:
            ValueError: The path is not one of a file in an existing folder.
            OSError: The file cannot be written.
        """
        self._settle(ratio=np.inf)
        arrays: dict[str, Any] = {"state_counts": FORMAT, "num_levels": self.num_levels}
        if self._runs:
            keys, counts = self._runs[0]
            arrays |= {"num_units": self._num_units, "keys": keys, "counts": counts}
        write_arrays(with_suffix(path), arrays)

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> StateCounts:
        """Reads a table written by `to_npz`; `.npz` may be left out of the path.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file was not written by `to_npz`, or is damaged.
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
            # Labels, and states of up to 64 bits, are their own keys.
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

    def __repr__(self) -> str:
        return f"StateCounts(num_samples={self.num_samples}, num_states={self.num_states})"

    def _check_units(self, num_units: int) -> None:
        """Checks that a batch has as many units as earlier ones, or labels if those had labels."""
        if self._num_units is None:
            self._num_units = num_units
        elif self._num_units != num_units:
            kind = f"{self._num_units} units" if self._num_units else "integer labels"
            raise ValueError(
                f"Every batch must have the same kind of state ({kind}). "
                f"Received: {num_units} units"
            )

    def _settle(self, ratio: float) -> None:
        """Merges the last runs while their sizes are similar, so that a key is moved log2 times."""
        while len(self._runs) > 1 and len(self._runs[-2][1]) <= ratio * len(self._runs[-1][1]):
            (keys, counts), (more_keys, more_counts) = self._runs[-2:]
            keys, counts = np.concatenate([keys, more_keys]), np.concatenate([counts, more_counts])
            self._runs[-2:] = [tally(keys, counts)]


def check_counts(counts: ArrayLike | StateCounts) -> np.ndarray:
    """Counts of states, given or taken from a table, as non-negative integers `[num_states]`.

    Raises:
        TypeError: The counts are not integers.
        ValueError: The shape is wrong, or counts are negative.
    """
    given = counts.counts if isinstance(counts, StateCounts) else counts
    return check_integers("counts", given, "[num_states]", 0)
