"""Where examples come from: arrays, or a dataset that brings batches, read in parts of any size."""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.elements import Asked, num_rows

__all__ = ["Source", "source_of"]

# A dataset that cannot say how many batches it has is taken for one without an end beyond these.
MOST_EXAMPLES = 10_000_000

Element = tuple[Any, Any]


class Source(abc.ABC):
    """Abstract: examples of one kind of data, and what is known of them before they are read.

    Attributes:
        is_dataset: whether it brings batches of its own.
        num_examples: None where that is not known.
        num_batches: likewise.
    """

    is_dataset = True
    num_examples: int | None = None
    num_batches: int | None = None

    def __init__(self, data: Any, asked: Asked):
        self._data, self._asked = data, asked

    @abc.abstractmethod
    def parts(self, rows: int) -> Iterator[Element]:
        """Inputs and labels, this many examples at a time.

        Of fewer at the end, and where the shapes of a dataset's batches change.
        """

    @abc.abstractmethod
    def first_batch(self) -> Element:
        """The first batch that holds anything, of arrays everything."""

    @abc.abstractmethod
    def for_keras(self, raised: list[BaseException]) -> Any:
        """The inputs in a form that Keras' own loops take; an exception is added to the list."""

    def check_ends(self, count: int) -> None:
        """Refuses data of unknown length, of which this many examples have been read."""
        if self.num_batches is None and self.num_examples is None and count > MOST_EXAMPLES:
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)`, or say how many batches there are "
                "by `.apply(tf.data.experimental.assert_cardinality(n))`. Received: a dataset "
                f"that does not say, of more than {MOST_EXAMPLES:,} examples"
            )


class _Arrays(Source):
    """Arrays, cut into parts."""

    is_dataset = False

    def __init__(self, data: Any, asked: Asked):
        super().__init__(asked.arrays(data), asked)
        self.num_examples: int = _rows(self._data)
        if self.num_examples == 0:
            raise asked.nothing()

    def parts(self, rows):
        """Slices of the arrays."""
        for start in range(0, self.num_examples, rows):
            yield _slice(self._data, start, start + rows)

    def first_batch(self):
        """All of them."""
        return self._data

    def for_keras(self, raised):
        """The arrays."""
        return self._data[0]


class _Batched(Source):
    """Abstract: batches, joined or cut into parts of the size asked for."""

    def __init__(self, data: Any, asked: Asked):
        super().__init__(data, asked)
        self._check_length()

    @abc.abstractmethod
    def _check_length(self) -> None:
        """Finds the number of batches, and refuses what never ends."""

    @abc.abstractmethod
    def _all(self) -> Iterator[Element]:
        """The batches as they come, checked."""

    def _batches(self) -> Iterator[Element]:
        """Those that hold anything."""
        return filter(_rows, self._all())

    def first_batch(self):
        """The first that holds anything."""
        for batch in self._batches():
            return batch
        raise self._asked.nothing()

    def parts(self, rows):
        """Batches joined or cut."""
        if self.num_batches is None:
            rows = min(rows, MOST_EXAMPLES + 1)
        count = 0
        for part in self._joined(rows):
            count += _rows(part)
            self.check_ends(count)
            yield part

    def _joined(self, rows: int) -> Iterator[Element]:
        """So many examples at a time, put together on the host."""
        return _regrouped(self._batches(), rows)

    def _check_finite(self, is_finite: bool) -> None:
        if not is_finite and not self._asked.may_be_endless:
            kind = "PyDataset" if isinstance(self._data, keras.utils.PyDataset) else "Dataset"
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)` of a dataset and `num_batches` of "
                f"a PyDataset. Received: an infinite {kind}"
            )


class _PyDatasets(_Batched):
    """A `keras.utils.PyDataset`."""

    def _check_length(self):
        self.num_batches = self._data.num_batches
        self._check_finite(self.num_batches is not None)

    def _all(self):
        numbers = itertools.count() if self.num_batches is None else range(self.num_batches)
        return map(self.batch, numbers)

    def batch(self, number: int) -> Element:
        """One batch, checked."""
        element = self._data[number]
        # Keras takes a list in the place of the tuple here.
        return self._asked.arrays(tuple(element) if isinstance(element, list) else element)

    def for_keras(self, raised):
        """Its batches, checked."""
        return _Inputs(self._data, self, raised)


class _Datasets(_Batched):
    """A `tf.data.Dataset`, whose batches TensorFlow joins where it knows their shapes.

    An exception of a Python function inside it is TensorFlow's when it comes out, of its own kind
    and with the function's words in it: nothing outside the dataset can tell what it was.
    """

    def _check_length(self):
        self._asked.check_spec(self._data.element_spec)
        length = int(self._data.cardinality())
        self._check_finite(length != tf.data.INFINITE_CARDINALITY)
        self.num_batches = None if length < 0 else length

    def _all(self):
        return map(self._asked.arrays, self._data)

    def for_keras(self, raised):
        """The dataset; one of unknown length up to where it would be refused."""
        if self.num_batches is not None:
            return self._data
        return self._data.take(MOST_EXAMPLES // _rows(self.first_batch()) + 1)

    @functools.cached_property
    def _knows_shapes(self) -> bool:
        leaves = tf.nest.flatten(self._data.element_spec)
        return all(
            isinstance(leaf, tf.TensorSpec)
            and leaf.shape.rank is not None
            and leaf.shape[1:].is_fully_defined()
            for leaf in leaves
        )

    def _joined(self, rows):
        if not self._knows_shapes:
            yield from super()._joined(rows)
            return
        try:
            for element in self._data.rebatch(rows).prefetch(1):
                yield self._asked.arrays(element)
        except tf.errors.InvalidArgumentError:
            for _ in self._batches():  # to say it of the batch where it is found, if it is one
                pass
            raise


class _Inputs(keras.utils.PyDataset):
    """The inputs of another one's batches; what it raises is kept before TensorFlow rewords it."""

    def __init__(self, data: keras.utils.PyDataset, source: _PyDatasets, raised: list):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._source, self._raised = source, raised

    @property
    def num_batches(self):
        """As of the other."""
        return self._source.num_batches

    def __getitem__(self, index):
        try:
            return (self._source.batch(index)[0],)
        except Exception as error:
            self._raised.append(error)
            raise


def source_of(data: Any, asked: Asked) -> Source:
    """The source of data of any kind.

    Raises:
        TypeError: data of another kind.
        ValueError: what `Asked` refuses, data without examples, or without an end.
    """
    if isinstance(data, tf.data.Dataset):
        return _Datasets(data, asked)
    if isinstance(data, keras.utils.PyDataset):
        return _PyDatasets(data, asked)
    return _Arrays(data, asked)


def _rows(element: Element) -> int:
    """Examples of an element."""
    return num_rows(tf.nest.flatten(element)[0])


def _slice(element: Element, start: int, stop: int) -> Element:
    return tf.nest.map_structure(lambda a: a[start:stop], element)


def _regrouped(batches: Iterable[Element], rows: int) -> Iterator[Element]:
    """So many examples at a time, copied from batches of any size."""
    held, form, count = None, None, 0
    for batch in batches:
        arrays = [np.asarray(array) for array in tf.nest.flatten(batch)]
        if held is not None and form != [(a.shape[1:], a.dtype) for a in arrays]:
            yield _slice(tf.nest.pack_sequence_as(batch, held), 0, count)
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
        yield _slice(tf.nest.pack_sequence_as(batch, held), 0, count)
