"""Where examples come from: arrays, or a dataset that brings batches, read in parts of any size."""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
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

    @abc.abstractmethod
    def parts(self, rows: int) -> Iterator[Element]:
        """Inputs and labels of so many examples at a time.

        Of fewer at the end, and where the shapes of a dataset's batches change.
        """

    @abc.abstractmethod
    def first_batch(self) -> Element:
        """The first batch that holds anything, of arrays everything."""

    @abc.abstractmethod
    def for_keras(self, raised: list[BaseException]) -> Any:
        """The inputs in a form that Keras' own loops take; an exception is added to the list."""

    def check_ends(self, count: int) -> None:
        """Refuses data that do not say how many they are where they seem to have no end."""


class Arrays(Source):
    """Arrays, cut into parts."""

    is_dataset = False

    def __init__(self, data: Any, asked: Asked):
        self._data = asked.arrays(data)
        self.num_examples = _rows(self._data)
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


class Batched(Source):
    """Abstract: batches, joined or cut into parts of the size asked for."""

    def __init__(self, data: Any, asked: Asked):
        self._data, self._asked = data, asked
        self._check_length()

    @abc.abstractmethod
    def _check_length(self) -> None:
        """Finds the number of batches, and refuses what never ends."""

    @abc.abstractmethod
    def _elements(self) -> Iterable[Any]:
        """The batches as they come."""

    def _batches(self) -> Iterator[Element]:
        """The batches that hold anything."""
        return filter(_rows, map(self._asked.arrays, self._elements()))

    def first_batch(self):
        """The first that holds anything."""
        for batch in self._batches():
            return batch
        raise self._asked.nothing()

    def parts(self, rows):
        """Batches joined or cut, on the host."""
        return self._counted(_regrouped(self._batches(), rows))

    def _counted(self, parts: Iterable[Element]) -> Iterator[Element]:
        """The same parts; refused where they never seem to end."""
        count = 0
        for part in parts:
            count += _rows(part)
            self.check_ends(count)
            yield part

    def check_ends(self, count):
        """Refuses a dataset of unknown length beyond `MOST_EXAMPLES`."""
        if self.num_batches is None and count > MOST_EXAMPLES:
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)`, or say how many batches there are "
                "by `.apply(tf.data.experimental.assert_cardinality(n))`. Received: a dataset "
                f"that does not say, of more than {MOST_EXAMPLES:,} examples"
            )

    def _check_finite(self, is_finite: bool) -> None:
        if not is_finite and not self._asked.may_be_endless:
            raise ValueError(
                f"`{self._asked.name}` must end; use `.take(n)` of a dataset and `num_batches` of "
                f"a PyDataset. Received: an infinite {type(self._data).__name__}"
            )


class PyDatasets(Batched):
    """A `keras.utils.PyDataset`."""

    def _check_length(self):
        self.num_batches = self._data.num_batches
        self._check_finite(self.num_batches is not None)

    def _elements(self):
        numbers = itertools.count() if self.num_batches is None else range(self.num_batches)
        return map(self._element, numbers)

    def _element(self, number):
        element = self._data[number]
        # Keras takes a list in the place of the tuple here.
        return tuple(element) if isinstance(element, list) else element

    def for_keras(self, raised):
        """Its batches, checked."""
        return _Inputs(self._data, lambda n: self._asked.arrays(self._element(n))[0], raised)


class Datasets(Batched):
    """A `tf.data.Dataset`, whose batches TensorFlow joins where it knows their shapes.

    An exception of a Python function inside it is TensorFlow's when it comes out, of its own kind
    and with the function's words in it: nothing outside the dataset can tell what it was.
    """

    def _check_length(self):
        self._asked.check_spec(self._data.element_spec)
        length = int(self._data.cardinality())
        self._check_finite(length != tf.data.INFINITE_CARDINALITY)
        self.num_batches = None if length < 0 else length

    def _elements(self):
        return self._data

    def for_keras(self, raised):
        """The dataset; one of unknown length up to where it would be refused."""
        if self.num_batches is not None:
            return self._data
        return self._data.take(MOST_EXAMPLES // _rows(self.first_batch()) + 1)

    def parts(self, rows):
        """Batches joined or cut, inside TensorFlow if possible."""
        if not self._knows_shapes:
            return super().parts(rows)
        return self._counted(self._joined_inside(rows))

    @functools.cached_property
    def _knows_shapes(self) -> bool:
        leaves = tf.nest.flatten(self._data.element_spec)
        return all(
            isinstance(leaf, tf.TensorSpec)
            and leaf.shape.rank is not None
            and leaf.shape[1:].is_fully_defined()
            for leaf in leaves
        )

    def _joined_inside(self, rows):
        try:
            for element in self._data.rebatch(rows).prefetch(1):
                yield self._asked.arrays(element)
        except tf.errors.InvalidArgumentError:
            for _ in self._batches():  # to say it of the batch where it is found, if it is one
                pass
            raise


class _Inputs(keras.utils.PyDataset):
    """The inputs of another one's batches; what it raises is kept before TensorFlow rewords it."""

    def __init__(self, data: keras.utils.PyDataset, inputs: Callable[[int], Any], raised: list):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._num_batches, self._inputs, self._raised = data.num_batches, inputs, raised

    @property
    def num_batches(self):
        """As of the other."""
        return self._num_batches

    def __getitem__(self, index):
        try:
            return (self._inputs(index),)
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
        return Datasets(data, asked)
    if isinstance(data, keras.utils.PyDataset):
        return PyDatasets(data, asked)
    return Arrays(data, asked)


def _rows(element: Element) -> int:
    """Examples of an element."""
    return num_rows(tf.nest.flatten(element)[0])


def _slice(element: Element, start: int, stop: int) -> Element:
    return tf.nest.map_structure(lambda a: a[start:stop], element)


def _form(element: Element) -> Any:
    """What batches must share to be joined."""
    leaves = tf.nest.flatten(element)
    return [(tuple(a.shape[1:]), a.dtype) for a in leaves]


def _regrouped(batches: Iterable[Element], rows: int) -> Iterator[Element]:
    """So many examples at a time, from batches of any size."""
    held, count = [], 0
    for batch in batches:
        if held and _form(batch) != _form(held[0]):
            yield _concatenated(held)
            held, count = [], 0
        held.append(batch)
        count += _rows(batch)
        if count >= rows:
            whole = _concatenated(held)
            for start in range(0, count - rows + 1, rows):
                yield _slice(whole, start, start + rows)
            rest = count % rows
            held, count = ([_slice(whole, count - rest, count)] if rest else []), rest
    if held:
        yield _concatenated(held)


def _concatenated(batches: list[Element]) -> Element:
    if len(batches) == 1:
        return batches[0]
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *batches)
