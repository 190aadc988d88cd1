"""Elements of data: inputs, with or without labels, of the same examples.

Arrays are a single element with all examples; a dataset has one element for each batch.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import described

__all__ = [
    "Arrays",
    "Asked",
    "Element",
    "Source",
    "num_examples_of",
    "num_rows",
    "rows_of",
    "text_as_tensors",
]

# Kinds of data that are not dense arrays of real numbers or text, with advice on each.
ADVICE = {
    "complex numbers": "give real and imaginary parts as numbers of their own",
    "masked arrays": "give `.filled(value)`, since the mask would be lost",
    "ragged arrays": "pad the rows to one length",
    "sparse arrays": "make them dense",
    "dates": "count them in a unit of time",
    "records": "give each field as an array",
    "other objects": "convert them to numbers",
}


Element = tuple[Any, Any]


@dataclass(frozen=True)
class Asked:
    """What a function requires of its data.

    Sample weights are never accepted. Every mean in this package counts each example once, as
    do its standard errors, certificates and prices per example; and Keras divides a weighted loss
    by the number of examples, not by the sum of their weights.

    Attributes:
        name: Name of the argument that holds the data.
        needs_labels: Whether inputs without labels are refused.
        takes: The inputs that the model accepts, in words; empty if unknown.
        may_be_endless: Whether endless data are accepted, because only the start is read.
    """

    name: str = "data"
    needs_labels: bool = True
    takes: str = ""
    may_be_endless: bool = False

    def arrays(self, element: Any) -> tuple[Any, Any]:
        """Inputs and labels (() if there are none) as nests of arrays of equal length.

        Raises:
            TypeError: The data are not dense arrays of real numbers or text.
            ValueError: There are sample weights, labels are missing, or lengths are unequal.
        """
        if type(element) is tuple and len(element) == 2 and _are_plain_rows(*element):
            # The usual batch of a PyDataset, for which the checks below cost more than reading.
            return element
        x, y = self._pair(element)
        if isinstance(x, Iterator):
            raise TypeError(
                f"`{self.name}` must give the same examples in every pass, which a Python "
                "generator or iterator does not; give arrays, a keras.utils.PyDataset, or "
                "`tf.data.Dataset.from_generator` of a function that makes it. "
                f"Received: {self.name}={described(x)}"
            )
        if x is None or isinstance(x, str | bytes | int | float | np.generic) or callable(x):
            raise TypeError(
                f"`{self.name}` must be `(x, y)` arrays, a tf.data.Dataset or a "
                f"keras.utils.PyDataset. Received: {self.name}={described(x)}"
            )
        x, y = (tf.nest.map_structure(self._array, self._joined(part)) for part in (x, y))
        if not tf.nest.flatten(x):
            raise self.nothing()
        self._check_labels(x, y)
        lengths = [num_rows(array) for array in tf.nest.flatten((x, y))]
        if None in lengths:
            raise self._no_batches(described(element))
        if len(set(lengths)) != 1:
            raise ValueError(
                f"`{self.name}` must hold arrays of the same examples, whose number is their first "
                f"axis. Received: {' and '.join(map(str, sorted(set(lengths))))} examples"
            )
        return x, y

    def check_spec(self, spec: Any) -> None:
        """Refuses a `tf.data.Dataset` by its `element_spec`, before an element is read.

        Raises:
            TypeError, ValueError: As in `arrays`.
        """
        if isinstance(spec, tuple):
            # TensorFlow's spec for None has no public name.
            spec = tuple(None if type(p).__name__ == "NoneTensorSpec" else p for p in spec)
        x, y = self._pair(spec)
        for leaf in tf.nest.flatten((x, y)):
            self._check_kind(leaf, leaf)
            if leaf.shape.rank == 0:
                raise self._no_batches(f"elements of {described(spec)}")
        self._check_labels(x, y)

    def _pair(self, element: Any) -> tuple[Any, Any]:
        """The pair (x, y) of an element; y is () if there are no labels."""
        parts = element if isinstance(element, tuple) else (element,)
        if len(parts) == 3 and parts[2] is not None:
            raise ValueError(
                f"`{self.name}` must be `(x, y)` without sample weights, since every mean, error "
                "and price here counts each example once; leave them out, or repeat examples. "
                f"Received: weights {described(parts[2])}"
            )
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"`{self.name}` must be `(x, y)`; several inputs are a list or a dictionary. "
                f"Received: a tuple of {len(parts)}"
            )
        x, y = (*parts, None)[:2]
        return x, () if y is None else y

    def _joined(self, part: Any) -> Any:
        """Converts lists of plain numbers or texts to arrays; other lists are nests of arrays."""
        if isinstance(part, Mapping):
            return {key: self._joined(value) for key, value in part.items()}
        if isinstance(part, list) and part and _is_plain(part):
            try:
                return np.asarray(part)
            except ValueError:  # rows of unequal length
                raise self._refusal("ragged arrays", part) from None
        if type(part) in (list, tuple):
            return type(part)(map(self._joined, part))
        return part

    def _array(self, value: Any) -> Any:
        """A leaf as an array; a tensor is left on its device, and text becomes a tensor."""
        if tf.is_tensor(value):
            self._check_kind(value, value)
            return value
        array = np.asarray(value)
        if array.ndim and not np.ma.is_masked(value) and _is_words(array):
            return tf.constant(array)
        self._check_kind(value, array)
        return array

    def _check_kind(self, value: Any, array: Any) -> None:
        kind = _kind(value) or _kind(array)
        if kind:
            raise self._refusal(kind, value)

    def _check_labels(self, x: Any, y: Any) -> None:
        """Refuses labels that are missing or text, if labels are needed."""
        if not self.needs_labels:
            return
        if isinstance(y, tuple) and not y:
            inputs = f"a list of {len(x)} inputs" if isinstance(x, list) else "inputs"
            raise ValueError(
                f"`{self.name}` must be `(x, y)`, since its labels are used. "
                f"Received: {inputs} without labels"
            )
        for label in tf.nest.flatten(y):
            if _is_text(label):
                raise TypeError(
                    f"`{self.name}` must hold labels that are numbers; number the classes. "
                    f"Received: y={described(label)}"
                )

    def _refusal(self, kind: str, value: Any) -> Exception:
        takes = f"; the model takes {self.takes}" if self.takes else ""
        return (ValueError if kind == "masked arrays" else TypeError)(
            f"`{self.name}` must hold dense arrays of real numbers or text, not {kind}: "
            f"{ADVICE[kind]}{takes}. Received: {_received(value)}"
        )

    def nothing(self) -> ValueError:
        """The exception for data without examples."""
        return ValueError(f"`{self.name}` must hold at least one example. Received: 0 examples")

    def _no_batches(self, received: str) -> ValueError:
        return ValueError(
            f"`{self.name}` must hold arrays with an axis of examples; of a dataset of single "
            f"examples call `.batch(n)`. Received: {received}"
        )


class Source(abc.ABC):
    """Abstract: examples of one kind of data, and what is known about them before reading.

    Attributes:
        is_dataset: Whether the data have batches of their own.
        num_examples: Number of examples; None if unknown.
        num_batches: Number of batches; None if unknown.
    """

    is_dataset = True
    num_examples: int | None = None
    num_batches: int | None = None

    def __init__(self, data: Any, asked: Asked):
        self._data, self._asked = data, asked

    @abc.abstractmethod
    def parts(self, rows: int) -> Iterator[Element]:
        """Inputs and labels, `rows` examples at a time.

        Parts are smaller at the end, and where the shapes of a dataset's batches change.
        """

    @abc.abstractmethod
    def first_batch(self) -> Element:
        """The first batch that is not empty; for arrays, all examples."""

    @abc.abstractmethod
    def for_keras(self, raised: list[BaseException]) -> Any:
        """The inputs in a form for Keras' own loops; exceptions are appended to the list."""

    @abc.abstractmethod
    def check_ends(self, count: int) -> None:
        """Refuses data of unknown length after too many examples."""


class Arrays(Source):
    """Arrays: one element with all examples, cut into parts."""

    is_dataset = False

    def __init__(self, data: Any, asked: Asked):
        super().__init__(asked.arrays(data), asked)
        self.num_examples: int = num_examples_of(self._data)
        if self.num_examples == 0:
            raise asked.nothing()

    def parts(self, rows: int) -> Iterator[Element]:
        """Slices of the arrays."""
        for start in range(0, self.num_examples, rows):
            yield rows_of(self._data, start, start + rows)

    def first_batch(self) -> Element:
        """All examples."""
        return self._data

    def for_keras(self, raised: list[BaseException]) -> Any:
        """The arrays."""
        return self._data[0]

    def check_ends(self, count: int) -> None:
        """Does nothing: arrays always end."""


def num_rows(array: Any) -> Any:
    """Number of examples in an array; None if it has no axes."""
    return int(array.shape[0]) if len(array.shape) else None


def num_examples_of(element: Element) -> int:
    """Number of examples in an element."""
    return num_rows(tf.nest.flatten(element)[0])


def text_as_tensors(nest: Any) -> Any:
    """The arrays unchanged, or all of them as tensors if one of them is text.

    NumPy stores text as arbitrary objects, which Keras does not accept, and Keras does not accept a
    mixture of tensors and arrays in one call either.
    """
    leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(nest)]
    if not any(leaf.dtype.kind in "OSU" for leaf in leaves):
        return nest
    return tf.nest.pack_sequence_as(nest, [tf.constant(leaf) for leaf in leaves])


def rows_of(element: Element, start: int, stop: int) -> Element:
    """The examples of an element from `start` to `stop`."""
    return tf.nest.map_structure(lambda a: a[start:stop], element)


def _are_plain_rows(x: Any, y: Any) -> bool:
    """Whether both are non-scalar NumPy arrays of numbers of equal length, which are accepted."""
    return all(
        type(array) is np.ndarray and array.ndim > 0 and array.dtype.kind in "biuf"
        for array in (x, y)
    ) and len(x) == len(y)


def _is_text(array: Any) -> bool:
    """Whether an array, tensor or spec is of text; arrays of text are tensors by now."""
    return array.dtype == tf.string


def _is_words(array: np.ndarray) -> bool:
    if array.dtype == object:
        return all(isinstance(each, str | bytes) for each in array.flat)
    return array.dtype.kind in "SU"


def _is_plain(part: list) -> bool:
    plain = (int, float, complex, str, bytes, np.generic)
    return all(isinstance(each, plain) for each in tf.nest.flatten(part))


def _received(value: Any) -> str:
    if not hasattr(value, "shape"):
        return described(value)
    dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype  # of a table
    dtype = getattr(dtype, "name", dtype)
    return f"{type(value).__name__} of shape {tuple(value.shape)} and dtype {dtype}"


def _kind(value: Any) -> str | None:
    """The key of `ADVICE` for an array, tensor, spec or other object; None if it is accepted."""
    if isinstance(value, tf.SparseTensor | tf.SparseTensorSpec | tf.IndexedSlices):
        return "sparse arrays"
    if type(value).__module__.startswith("scipy.sparse"):
        return "sparse arrays"
    if isinstance(value, tf.RaggedTensor | tf.RaggedTensorSpec):
        return "ragged arrays"
    if np.ma.is_masked(value):
        return "masked arrays"
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, tf.DType):
        if dtype.is_complex:
            return "complex numbers"
        return "other objects" if dtype in (tf.variant, tf.resource) else None
    if not isinstance(dtype, np.dtype):
        return None if hasattr(value, "__array__") else "other objects"
    if dtype.names:
        return "records"
    kinds = {"c": "complex numbers", "m": "dates", "M": "dates", "O": "other objects"}
    # 16-bit floats of other libraries have the kind "V" too.
    return "other objects" if dtype.type is np.void else kinds.get(dtype.kind)
