"""Datasets, which have batches of their own, read in parts of any size."""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.elements import (
    Asked,
    Element,
    Source,
    num_examples_of,
    rows_of,
)

__all__ = ["Datasets", "PyDatasets"]

# A dataset that does not say how many batches it has is taken to be endless beyond this number.
MOST_EXAMPLES = 10_000_000


class _Batched(Source):
    """Abstract: a source of batches, which are joined or cut into parts of the requested size."""

    def __init__(self, data: Any, asked: Asked):
        super().__init__(data, asked)
        self._check_length()

    @abc.abstractmethod
    def _check_length(self) -> None:
        """Finds the number of batches, and refuses endless data."""

    @abc.abstractmethod
    def _all(self) -> Iterator[Element]:
        """The batches in their own sizes, checked."""

    def _batches(self) -> Iterator[Element]:
        """The batches that are not empty."""
        return filter(num_examples_of, self._all())

    def first_batch(self) -> Element:
        """The first batch that is not empty."""
        for batch in self._batches():
            return batch
        raise self._asked.nothing()

    def parts(self, rows: int) -> Iterator[Element]:
        """Parts of `rows` examples, joined or cut from batches."""
        if self.num_batches is None:
            rows = min(rows, MOST_EXAMPLES + 1)
        count = 0
        for part in self._joined(rows):
            count += num_examples_of(part)
            self.check_ends(count)
            yield part

    def check_ends(self, count: int) -> None:
        """Refuses a dataset of unknown length after more than `MOST_EXAMPLES` examples."""
        if self.num_batches is None and count > MOST_EXAMPLES:
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)`, or say how many batches there are "
                "by `.apply(tf.data.experimental.assert_cardinality(n))`. Received: a dataset "
                f"that does not say, of more than {MOST_EXAMPLES:,} examples"
            )

    def _joined(self, rows: int) -> Iterator[Element]:
        """Parts of `rows` examples, put together on the host."""
        return _regrouped(self._batches(), rows)

    def _check_finite(self, is_finite: bool) -> None:
        if not is_finite and not self._asked.may_be_endless:
            kind = "PyDataset" if isinstance(self._data, keras.utils.PyDataset) else "Dataset"
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)` of a dataset and `num_batches` of "
                f"a PyDataset. Received: an infinite {kind}"
            )


class PyDatasets(_Batched):
    """A `keras.utils.PyDataset`."""

    def _check_length(self) -> None:
        self.num_batches = self._data.num_batches
        self._check_finite(self.num_batches is not None)

    def _all(self) -> Iterator[Element]:
        numbers = itertools.count() if self.num_batches is None else range(self.num_batches)
        return map(self.batch, numbers)

    def batch(self, number: int) -> Element:
        """One batch, checked."""
        element = self._data[number]
        # Keras accepts a list instead of a tuple here.
        return self._asked.arrays(tuple(element) if isinstance(element, list) else element)

    def for_keras(self, raised: list[BaseException]) -> Any:
        """A `PyDataset` of the inputs, checked."""
        return _Inputs(self._data, self, raised)


class Datasets(_Batched):
    """A `tf.data.Dataset`; TensorFlow joins its batches if it knows their shapes.

    An exception raised by a Python function inside the dataset arrives as an exception of
    TensorFlow that quotes the original; its type cannot be recovered outside the dataset.
    """

    # The part size of the last pass, and the dataset rebatched to it.
    _last_joined: tuple[int, tf.data.Dataset] | None = None

    def _check_length(self) -> None:
        self._asked.check_spec(self._data.element_spec)
        length = int(self._data.cardinality())
        self._check_finite(length != tf.data.INFINITE_CARDINALITY)
        self.num_batches = None if length < 0 else length

    def _all(self) -> Iterator[Element]:
        return map(self._asked.arrays, self._data)

    def for_keras(self, raised: list[BaseException]) -> Any:
        """The dataset; if its length is unknown, cut where `check_ends` would refuse it."""
        if self.num_batches is not None:
            return self._data
        return self._data.take(MOST_EXAMPLES // num_examples_of(self.first_batch()) + 1)

    @functools.cached_property
    def _knows_shapes(self) -> bool:
        leaves = tf.nest.flatten(self._data.element_spec)
        return all(
            isinstance(leaf, tf.TensorSpec)
            and leaf.shape.rank is not None
            and leaf.shape[1:].is_fully_defined()
            for leaf in leaves
        )

    def _joined(self, rows: int) -> Iterator[Element]:
        if not self._knows_shapes:
            yield from super()._joined(rows)
            return
        held = self._last_joined
        if held is None or held[0] != rows:  # rebatching costs as much as reading 2 MiB
            held = self._last_joined = rows, self._data.rebatch(rows).prefetch(1)
        try:
            for element in held[1]:
                yield self._asked.arrays(element)
        except tf.errors.InvalidArgumentError:
            for _ in self._batches():  # raises the error of the faulty batch itself, if it is one
                pass
            raise


class _Inputs(keras.utils.PyDataset):
    """The inputs of another `PyDataset`; keeps its exceptions, which TensorFlow would reword."""

    def __init__(self, data: keras.utils.PyDataset, source: PyDatasets, raised: list):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._source, self._raised = source, raised

    @property
    def num_batches(self) -> int | None:
        """Number of batches of the wrapped dataset."""
        return self._source.num_batches

    def __getitem__(self, index: int) -> tuple[Any]:
        try:
            return (self._source.batch(index)[0],)
        except Exception as error:
            self._raised.append(error)
            raise


def _regrouped(batches: Iterable[Element], rows: int) -> Iterator[Element]:
    """Parts of `rows` examples, copied from batches of any size."""
    held, form, count = None, None, 0
    for batch in batches:
        arrays = [np.asarray(array) for array in tf.nest.flatten(batch)]
        if held is not None and form != [(a.shape[1:], a.dtype) for a in arrays]:
            yield rows_of(tf.nest.pack_sequence_as(batch, held), 0, count)
            held = None
        start, size = 0, len(arrays[0])
        while start < size:
            if held is None:
                held = [np.empty([rows, *a.shape[1:]], a.dtype) for a in arrays]
                form, count = [(a.shape[1:], a.dtype) for a in arrays], 0
            stop = start + min(rows - count, size - start)
            for room, array in zip(held, arrays, strict=True):
                room[count : count + stop - start] = array[start:stop]
            start, count = stop, count + stop - start
            if count == rows:
                yield tf.nest.pack_sequence_as(batch, held)
                held = None
    if held is not None:
        yield rows_of(tf.nest.pack_sequence_as(batch, held), 0, count)
