"""A compiled function of one batch, run on one batch per replica at a time."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from keras_infobottleneck.introspection.replicas import (
    Replicas,
    measuring_strategy,
    outside_scope,
    replicas_of,
)

__all__ = ["CompiledMap"]


class CompiledMap:
    """Maps a compiled function over batches, one result for each batch.

    Args:
        of_batch: Function from a nest of tensors, whose first axes have any size, to a nest.
        num_free_axes: Number of these first axes.
    """

    def __init__(self, of_batch: Callable[[Any], Any], num_free_axes: int = 1):
        self._of_batch, self._num_free_axes = of_batch, num_free_axes
        self._loops: weakref.WeakKeyDictionary[Replicas, Any] = weakref.WeakKeyDictionary()

    def over(
        self, batches: Iterable[Any], *, strategy: tf.distribute.Strategy | None = None
    ) -> Iterator[Any]:
        """The result of every batch, in order.

        Args:
            batches: Nests of arrays or tensors.
            strategy: Strategy on whose replicas the function runs; by default
                `measuring_strategy()`. With several processes, each process computes and returns
                all results on its own replicas.
        """
        strategy = strategy or measuring_strategy()
        batches = iter(batches)
        while True:
            # The scope is left for one step at a time: in between, the caller's own code runs.
            with outside_scope(strategy):
                replicas = replicas_of(strategy)
                group = list(itertools.islice(batches, replicas.count_here))
                results = self._of_group(replicas, group) if group else []
            if not results:
                return
            yield from results

    def _of_group(self, replicas: Replicas, group: list[Any]) -> list[Any]:
        """Results of at most one batch per replica; the others repeat the last batch."""
        loop = self._loops.get(replicas)
        if loop is None:
            loop = self._loops[replicas] = replicas.compiled(self._of_batch, self._num_free_axes)
        tensors = [tf.nest.map_structure(tf.convert_to_tensor, batch) for batch in group]
        filled = tensors + tensors[-1:] * (replicas.count_here - len(group))
        return loop(filled)[: len(group)]
