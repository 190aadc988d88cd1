"""Examples in batches of one fixed shape, from arrays, a `tf.data.Dataset` or a `PyDataset`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count

__all__ = ["Batch", "Batches"]

DEFAULT_BATCH_SIZE = 128
# Arrays are handed over in stacks of batches of about this size.
STACK_BYTES = 32 * 2**20


class Batch(NamedTuple):
    """One batch, or a stack of them with one more axis in front.

    Attributes:
        x: inputs. Rows that only fill the batch up repeat an earlier one and have weight 0.
        y: labels, () where there are none.
        weights: 1 for each example, `[batch]`.
        first: number of the first example.
    """

    x: Any
    y: Any
    weights: tf.Tensor
    first: tf.Tensor


class Batches:
    """Examples as `Batch`; every full pass is checked to hold the same ones.

    The last batch is filled up, so that a compiled function sees one shape only.

    Args:
        data: `(x, y)` arrays, or `x` alone where labels are not needed, or a `tf.data.Dataset` or
            `keras.utils.PyDataset` of `(x, y)` batches. `x` and `y` may be nests of arrays.
        batch_size: examples per batch, for arrays only; a dataset brings its own batches.
        needs_labels: whether data without labels is refused.

    Raises:
        TypeError: data of another kind.
        ValueError: empty or infinite data, arrays of unequal length, missing labels, sample
            weights, or a `batch_size` that is not a positive integer or comes with a dataset.
    """

    def __init__(self, data: Any, batch_size: int | None = None, *, needs_labels: bool = True):
        self.needs_labels = needs_labels
        self.is_dataset = isinstance(data, (tf.data.Dataset, keras.utils.PyDataset))
        self.num_examples: Any = None  # of a data set known after the first pass
        self.num_batches: int | None = None
        self._fingerprint: int | None = None
        self._size = 0
        self._most_rows: int | None = None
        check_count("batch_size", batch_size, optional=True)
        if self.is_dataset:
            if batch_size is not None:
                raise ValueError(
                    "`batch_size` is for arrays; a dataset brings its own batches. "
                    f"Received: batch_size={batch_size}"
                )
            self._data = data
            self.num_batches = _dataset_length(data)
        else:
            self._data = self._arrays(data)
            self.num_examples = len(tf.nest.flatten(self._data[0])[0])
            self._size = min(batch_size or DEFAULT_BATCH_SIZE, self.num_examples)
            self.num_batches = -(-self.num_examples // self._size)

    def split(self, rows: int | None) -> None:
        """From now on no batch is larger than `rows`, if given: larger ones are split evenly."""
        self._most_rows = rows
        if not self.is_dataset:
            self._size = self._part(self._size)
            self.num_batches = -(-self.num_examples // self._size)

    def _part(self, rows: int) -> int:
        """Size of a batch made of so many examples, or of its equal parts."""
        return -(-rows // -(-rows // (self._most_rows or rows)))

    def _arrays(self, data: Any) -> tuple[Any, Any]:
        """The pair (x, y) as nests of arrays of equal length."""
        if isinstance(data, Iterator):
            raise TypeError(
                "`data` must give the same examples in every pass, which a Python generator or "
                "iterator does not; give arrays, a keras.utils.PyDataset, or "
                "`tf.data.Dataset.from_generator` of a function that makes it. "
                f"Received: data={data!r}"
            )
        x, y = _pair(data)
        if isinstance(x, (str, bytes)) or x is None or callable(x):
            raise TypeError(
                "`data` must be `(x, y)` arrays, a tf.data.Dataset or a keras.utils.PyDataset. "
                f"Received: data={data!r}"
            )
        x = tf.nest.map_structure(_as_input, _joined(x))
        y = tf.nest.map_structure(_as_array, _joined(y))
        self._check_labels(y)
        leaves = tf.nest.flatten((x, y))
        lengths = sorted({len(a) if a.ndim else 0 for a in leaves})
        if len(lengths) != 1:
            raise ValueError(
                f"All arrays in `data` must hold the same examples. Received: lengths={lengths}"
            )
        if lengths[0] == 0:
            raise ValueError("`data` must hold at least one example. Received: 0 examples")
        return x, y

    def _check_labels(self, y: Any) -> None:
        if self.needs_labels and isinstance(y, tuple) and not y:
            raise ValueError(
                "These labels come from `data`, which must be `(x, y)`. Received: y=None"
            )

    def __iter__(self) -> Iterator[Batch]:
        for stack in self.stacks():
            for i in range(stack.weights.shape[0]):
                yield tf.nest.map_structure(lambda a, i=i: a[i], stack)

    def stacks(self, most: int | None = None) -> Iterator[Batch]:
        """Batches in stacks, for a compiled loop over each; a dataset's come one by one.

        Args:
            most: at most so many batches in one stack.
        """
        first, fingerprint = 0, 0
        for x, y in self._raw(most):
            rows = int(tf.nest.flatten(x)[0].shape[0])
            if rows == 0:
                continue
            if self.is_dataset:
                for leaf in tf.nest.flatten((x, y)):
                    fingerprint = zlib.crc32(_content(leaf), fingerprint)
                self._size = max(self._size, self._part(rows))
            yield self._stack(x, y, rows, first)
            first += rows
        if first == 0:
            raise ValueError("`data` must hold at least one example. Received: 0 examples")
        if self._fingerprint is not None and self._fingerprint != fingerprint:
            raise ValueError(
                "`data` must give the same examples in the same order in every pass; shuffling or "
                f"random augmentation changed them. Received: data={self._data!r}"
            )
        self._fingerprint = fingerprint
        self.num_examples = first

    @property
    def size(self) -> int:
        """Examples per batch, of a dataset the most seen so far."""
        return self._size or len(tf.nest.flatten(self._first()[0])[0])

    def count(self) -> int:
        """Number of examples; a dataset is passed over once to learn it."""
        if self.num_examples is None:
            for _ in self:
                pass
        return self.num_examples

    def first_inputs(self) -> Any:
        """Inputs of the first example, with a batch axis of one."""
        x, _ = self._first()
        return tf.nest.map_structure(lambda a: tf.convert_to_tensor(a[:1]), x)

    def _first(self) -> tuple[Any, Any]:
        """The first batch that holds anything."""
        for x, y in self._raw(1):
            if len(tf.nest.flatten(x)[0]):
                return x, y
        raise ValueError("`data` must hold at least one example. Received: 0 examples")

    def _raw(self, most: int | None) -> Iterator[tuple[Any, Any]]:
        """Examples as they come, arrays in parts of whole batches."""
        if not self.is_dataset:
            example = sum(np.asarray(a[:1]).nbytes for a in tf.nest.flatten(self._data))
            count = max(1, STACK_BYTES // max(1, example * self._size))
            part = self._size * min(count, most or count)
            for start in range(0, self.num_examples, part):
                yield tf.nest.map_structure(lambda a, s=start: a[s : s + part], self._data)
            return
        if isinstance(self._data, keras.utils.PyDataset):
            elements = (self._data[i] for i in range(len(self._data)))
        else:
            elements = iter(self._data)
        for element in elements:
            x, y = _pair(element)
            self._check_labels(y)
            x, y = tf.nest.map_structure(_as_input, x), tf.nest.map_structure(_as_array, y)
            shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten((x, y))]
            if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
                raise ValueError(
                    "A dataset must give batches, whose arrays hold the same examples; call "
                    f"`.batch(n)`. Received: arrays of shapes {shapes}"
                )
            yield x, y

    def _stack(self, x: Any, y: Any, rows: int, first: int) -> Batch:
        """The rows as a stack of batches of the fixed size, the last filled up."""
        count = -(-rows // self._size)
        missing = count * self._size - rows

        def stacked(a: Any) -> tf.Tensor:
            a = tf.convert_to_tensor(a)
            if missing:
                a = tf.concat([a, tf.repeat(a[:1], missing, axis=0)], 0)
            return tf.reshape(a, [count, self._size, *a.shape[1:]])

        weights = np.ones(count * self._size, np.float32)
        weights[rows:] = 0.0
        return Batch(
            tf.nest.map_structure(stacked, x),
            tf.nest.map_structure(stacked, y),
            tf.constant(weights.reshape(count, self._size)),
            tf.constant(first + self._size * np.arange(count), tf.int64),
        )


def _pair(element: Any) -> tuple[Any, Any]:
    """(x, y) of one element; y is () where there is none."""
    if not isinstance(element, tuple):
        return element, ()
    if len(element) == 3 and element[2] is None:
        element = element[:2]
    if len(element) not in (1, 2):
        raise ValueError(
            "`data` must be `(x, y)`; sample weights are not taken, a mean over examples weighs "
            f"each the same. Received: a tuple of {len(element)}"
        )
    x, y = element if len(element) == 2 else (*element, None)
    return x, () if y is None else y


def _joined(a: Any) -> Any:
    """A list of plain numbers is one array; any other list is a nest of arrays."""
    numbers = (int, float, np.number, np.bool_)
    if isinstance(a, list) and all(isinstance(n, numbers) for n in tf.nest.flatten(a)):
        return np.asarray(a)
    return a


def _as_input(a: Any) -> Any:
    """As `_as_array`; text too, as objects, which is how Keras takes it."""
    if not tf.is_tensor(a):
        a = np.asarray(a)
        if a.dtype == object and all(isinstance(each, str) for each in a.flat):
            return tf.constant(a)
    return _as_array(a)


def _as_array(a: Any) -> Any:
    """Anything array-like; tensors stay where they are."""
    if isinstance(a, (tf.SparseTensor, tf.RaggedTensor)):
        raise TypeError(f"`data` must hold dense arrays. Received: {type(a).__name__}")
    if tf.is_tensor(a):
        return a
    a = np.asarray(a)
    if a.dtype == object:
        raise TypeError(f"`data` must hold numeric arrays. Received: dtype={a.dtype}")
    return a


def _content(leaf: Any) -> Any:
    """What is hashed; of text its letters, not where in memory they are."""
    array = np.ascontiguousarray(leaf)
    return b"\0".join(array.ravel().tolist()) if array.dtype == object else array


def _dataset_length(data: tf.data.Dataset | keras.utils.PyDataset) -> int | None:
    """Number of batches, None where a dataset cannot say."""
    if isinstance(data, keras.utils.PyDataset):
        length = len(data)
    else:
        length = int(data.cardinality())
        if length == tf.data.UNKNOWN_CARDINALITY:
            return None
    if length == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`data` must end; use `.take(n)`. Received: an infinite dataset")
    return length
