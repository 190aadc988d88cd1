"""Samples of examples determined by a seed, from data of any kind, in one pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.elements import text_as_tensors

__all__ = ["Sample", "draw_sample", "first_examples"]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Examples drawn without replacement, in random order: any first few are a sample too.

    Attributes:
        x: Inputs, a nest of arrays.
        y: Labels, or () if there are none.
        indices: `[size]`, number of each example in the data.
        num_examples: Number of examples in the data.
    """

    x: Any
    y: Any
    indices: np.ndarray
    num_examples: int

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return not (isinstance(self.y, tuple) and not self.y)

    @property
    def size(self) -> int:
        """Number of examples drawn."""
        return len(self.indices)

    @property
    def inputs(self) -> Any:
        """`x` as a tuple of one: estimators would read a tuple of two inputs as `(x, y)`."""
        return (self.x,)

    @property
    def data(self) -> Any:
        """The data as estimators accept them: `(x, y)`, or `x` alone."""
        return (self.x, self.y) if self.has_labels else self.inputs

    def first(self, count: int) -> Sample:
        """The first `count` examples, or all if there are fewer."""
        x, y = keras.tree.map_structure(lambda a: a[:count], (self.x, self.y))
        return Sample(x, y, self.indices[:count], self.num_examples)


def draw_sample(batches: Batches, count: int, seed: int) -> Sample:
    """A uniform sample of at most `count` examples, by reservoir sampling in one pass.

    Raises:
        ValueError: The data hold no examples.
    """
    rng = np.random.default_rng(seed)
    count = min(count, batches.num_examples or count)
    kept: Any = None  # a buffer for each leaf, made when the first part arrives
    indices = np.zeros(count, np.int64)
    seen = 0
    for part in batches.parts():
        arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(part)]
        rows = len(arrays[0])
        if kept is None:
            structure = part
            kept = [np.empty([count, *a.shape[1:]], a.dtype) for a in arrays]
        numbers = seen + np.arange(rows)
        # An example beyond the first `count` replaces a random one, with decreasing probability.
        places = np.where(numbers < count, numbers, rng.integers(numbers + 1))
        enters = places < count
        for buffer, array in zip(kept, arrays, strict=True):
            buffer[places[enters]] = array[enters]
        indices[places[enters]] = numbers[enters]
        seen += rows
    order = rng.permutation(min(count, seen))
    x, y = map(text_as_tensors, tf.nest.pack_sequence_as(structure, [b[order] for b in kept]))
    return Sample(x, y, indices[order], seen)


def first_examples(batches: Batches, count: int, num_examples: int) -> Sample:
    """The first examples, at most `count`: for trials, without a full pass."""
    kept: list[list[np.ndarray]] = []
    seen = 0
    for batch in batches:
        rows = int(np.sum(batch.weights))
        kept.append([np.asarray(leaf)[:rows] for leaf in tf.nest.flatten((batch.x, batch.y))])
        structure, seen = (batch.x, batch.y), seen + rows
        if seen >= count:
            break
    arrays = [np.concatenate(leaves)[:count] for leaves in zip(*kept, strict=True)]
    x, y = map(text_as_tensors, tf.nest.pack_sequence_as(structure, arrays))
    return Sample(x, y, np.arange(min(count, seen)), num_examples)
