"""Examples in batches of one fixed shape, from data of any kind."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count
from keras_infobottleneck.data.datasets import Datasets, PyDatasets
from keras_infobottleneck.data.elements import Arrays, Asked, Source, num_rows

__all__ = ["Batch", "Batches"]

DEFAULT_BATCH_SIZE = 128
# Batches are stacked to about this size: large enough that the dispatch of one stack costs little,
# small enough that the several stacks in memory take few bytes.
STACK_BYTES = 5 * 2**20


class Batch(NamedTuple):
    """One batch, or a stack of batches with one more axis in front.

    Attributes:
        x: Inputs. Rows that only fill up the last batch repeat an earlier row and have weight 0.
        y: Labels, or () if there are none.
        weights: `[batch]`, 1 for each example and 0 for each row that fills up the batch.
        first: Number of the first example.
    """

    x: Any
    y: Any
    weights: tf.Tensor
    first: tf.Tensor


class Batches:
    """Reads data in batches of one size; every full pass is checked to hold the same examples.

    The last batch is filled up, so that a compiled function sees one shape only. The batches of a
    dataset are joined into stacks as arrays are, so that their size affects only memory and speed.

    An exception raised by the data while they are read is passed on unchanged.

    Args:
        data: `(x, y)` arrays, or `x` alone if labels are not needed, or a `tf.data.Dataset` or
            `keras.utils.PyDataset` of `(x, y)` batches. `x` and `y` may be nests of arrays.
        batch_size: Number of examples per batch, for arrays only; a dataset has its own batches.
        needs_labels: Whether data without labels are refused.
        first_example: Number of the first example, if the data are a shard of a larger set.
        name: Name of the argument that holds the data, for messages.
        takes: The inputs that the model accepts, in words, for messages.
        check: Called with the inputs of one example of each new shape.
        default_batch_size: Batch size of arrays if `batch_size` is None.
        may_be_endless: Whether endless data are accepted, of which only the start is read.

    Raises:
        TypeError: The data are of another kind.
        ValueError: The data hold no examples, have no end, are arrays of unequal length, lack
            labels or have sample weights; or `batch_size` is not a count or is given with a
            dataset.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int | None = None,
        *,
        needs_labels: bool = True,
        first_example: int = 0,
        name: str = "data",
        takes: str = "",
        check: Callable[[Any], None] | None = None,
        default_batch_size: int = DEFAULT_BATCH_SIZE,
        may_be_endless: bool = False,
    ):
        self.first_example = check_count("first_example", first_example, 0)
        if batch_size is not None:
            batch_size = check_count("batch_size", batch_size)
        self._asked = Asked(name, needs_labels, takes, may_be_endless)
        self._check = check
        self._checked: set[Any] = set()
        self._source = _source_of(data, self._asked)
        self.is_dataset = self._source.is_dataset
        # Known for a dataset only after its first batch, or after a full pass.
        self.num_examples: Any = self._source.num_examples
        self.num_batches: Any = self._source.num_batches
        self._first: Any = None
        self._fingerprint: dict[int, int] | None = None
        self._size: Any = None  # known for a dataset after its first batch
        if not self.is_dataset:
            rows: int = self.num_examples or 0  # never 0: empty arrays were refused above
            self._size = min(batch_size or default_batch_size, rows)
            self.num_batches = -(-rows // self._size)
        elif batch_size is not None:
            raise ValueError(
                "`batch_size` is for arrays; a dataset brings its own batches. "
                f"Received: batch_size={batch_size}"
            )

    @property
    def size(self) -> int:
        """Number of examples per batch; for a dataset, the size of its first batch."""
        self.first_inputs()
        return self._size

    def split(self, rows: int | None) -> None:
        """Limits the batch size to `rows`, if given; larger batches are split evenly."""
        self._size = -(-self.size // -(-self.size // (rows or self.size)))
        if self.num_examples is not None:
            self.num_batches = -(-self.num_examples // self._size)
        elif rows is not None:
            self.num_batches = None

    def count(self) -> int:
        """Number of examples; for a dataset this may take one pass."""
        if self.num_examples is None:
            for _ in self.parts():
                pass
        return self.num_examples

    def checksum(self) -> int:
        """Checksum of the examples and labels; one pass over the data.

        It depends on the types of the arrays, but not on the order of the examples, and is an
        integer that float64 represents exactly.
        """
        total = 0
        for part in self.parts():
            for row in zip(*map(_rows, tf.nest.flatten(part)), strict=True):
                total += functools.reduce(lambda value, leaf: zlib.crc32(leaf, value), row, 0)
        return total % 2**53

    def first_inputs(self) -> Any:
        """Inputs of the first example, with a batch axis of length one."""
        if self._first is None:
            self.first_batch()
        return self._first

    def first_batch(self) -> tuple[Any, Any]:
        """Inputs and labels of the first batch; for arrays, all examples."""
        batch = self._source.first_batch()
        if self._first is None:
            self._size = self._size or num_rows(tf.nest.flatten(batch)[0])
            self._check_form(batch)
            self._first = _one(batch[0])
        return batch

    def parts(self, most: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Inputs and labels as arrays or tensors, many batches at a time, without filling rows.

        Args:
            most: Largest number of batches at a time.
        """
        first = self.first_inputs()
        example = sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(first))
        batches = max(1, STACK_BYTES // max(1, example * self._size))
        seen: Any = 0
        fingerprint: dict[int, int] = {}
        for part in self._source.parts(self._size * min(batches, most or batches)):
            self._check_form(part)
            if self.is_dataset:
                for number, leaf in enumerate(tf.nest.flatten(part)):
                    before = fingerprint.get(number, 0)
                    fingerprint[number] = zlib.crc32(_content(leaf), before)
            seen += num_rows(tf.nest.flatten(part)[0])
            yield part
        if self._fingerprint not in (None, fingerprint):
            raise ValueError(
                f"`{self._asked.name}` must give the same examples in the same order in every "
                "pass; shuffling or random augmentation changed them. "
                f"Received: others among {seen} in this pass"
            )
        self._fingerprint, self.num_examples = fingerprint, seen

    def stacks(self, most: int | None = None) -> Iterator[Batch]:
        """Batches in stacks, so that a compiled loop can run over each stack.

        Args:
            most: Largest number of batches in one stack.
        """
        first = self.first_example
        for x, y in self.parts(most):
            rows = num_rows(tf.nest.flatten(x)[0])
            yield _stack(x, y, rows, self._size, first)
            first += rows

    def __iter__(self) -> Iterator[Batch]:
        for stack in self.stacks():
            for i in range(stack.weights.shape[0]):
                yield tf.nest.map_structure(lambda a, i=i: a[i], stack)

    def for_keras(self) -> tuple[Any, list[BaseException]]:
        """The inputs in a form for Keras' own loops, and a list that collects what they raise."""
        raised: list[BaseException] = []
        return self._source.for_keras(raised), raised

    def check_ends(self, count: int) -> None:
        """Refuses data of unknown size after more examples than any finite data would have."""
        self._source.check_ends(count)

    def _check_form(self, part: tuple[Any, Any]) -> None:
        """Passes one example of each new shape to the check."""
        if self._check is not None:
            leaves = tf.nest.flatten(part[0])
            form = tuple((tuple(a.shape[1:]), str(a.dtype)) for a in leaves)
            if form not in self._checked:
                self._check(_one(part[0]))
                self._checked.add(form)


def _source_of(data: Any, asked: Asked) -> Source:
    """The source that reads data of this kind.

    Raises:
        TypeError: The data are of another kind.
        ValueError: The data do not satisfy `asked`, hold no examples, or have no end.
    """
    if isinstance(data, tf.data.Dataset):
        return Datasets(data, asked)
    if isinstance(data, keras.utils.PyDataset):
        return PyDatasets(data, asked)
    return Arrays(data, asked)


def _one(x: Any) -> Any:
    """The first example, as tensors with a batch axis of length one."""
    return tf.nest.map_structure(lambda a: tf.convert_to_tensor(a[:1]), x)


def _stack(x: Any, y: Any, rows: int, size: int, first: int) -> Batch:
    """The rows as a stack of batches of one size; the last one is filled up."""
    count = -(-rows // size)
    filled_up = np.pad(np.arange(rows), (0, count * size - rows))  # with the first row

    def stacked(a: Any) -> tf.Tensor:
        a = tf.gather(a, filled_up) if len(filled_up) > rows else tf.convert_to_tensor(a)
        return tf.reshape(a, [count, size, *a.shape[1:]])

    weights = np.ones(count * size, np.float32)
    weights[rows:] = 0.0
    return Batch(
        tf.nest.map_structure(stacked, x),
        tf.nest.map_structure(stacked, y),
        tf.constant(weights.reshape(count, size)),
        tf.constant(first + size * np.arange(count), tf.int64),
    )


def _rows(leaf: Any) -> list[Any]:
    """The bytes of each example, for hashing."""
    array = np.ascontiguousarray(leaf)
    return [_content(row) for row in array.reshape(len(array), -1)]


def _content(leaf: Any) -> Any:
    """The bytes of an array, for hashing; of text its letters, not their addresses."""
    array = np.ascontiguousarray(leaf)
    if array.dtype == object:
        return b"".join(b"%d:%b" % (len(text), text) for text in array.ravel().tolist())
    return array.view(np.uint8)  # types unknown to NumPy, such as bfloat16, have no buffer
