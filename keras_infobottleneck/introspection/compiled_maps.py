"""A compiled function of a batch, run on as many batches at a time as there are replicas."""

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
    """The results of a function of a batch, for one batch after the other.

    Args:
        of_batch: from a nest of tensors, whose first axes have any size, to a nest of tensors.
        num_free_axes: how many of them.
    """

    def __init__(self, of_batch: Callable[[Any], Any], num_free_axes: int = 1):
        self._of_batch, self._num_free_axes = of_batch, num_free_axes
        self._loops: weakref.WeakKeyDictionary[Replicas, Any] = weakref.WeakKeyDictionary()

    def over(
        self, batches: Iterable[Any], *, strategy: tf.distribute.Strategy | None = None
    ) -> Iterator[Any]:
        """The result of every batch, in order.

        Args:
            batches: nests of arrays or tensors.
            strategy: on whose replicas; by default `measuring_strategy`. Of one with several
                processes each process has all results, by its own replicas.
        """
        strategy = strategy or measuring_strategy()
        batches = iter(batches)
        while True:
            # The scope is left for each step: in between, the caller's own code runs.
            with outside_scope(strategy):
                replicas = replicas_of(strategy)
                group = list(itertools.islice(batches, replicas.count_here))
                results = self._of_group(replicas, group) if group else []
            if not results:
                return
            yield from results

    def _of_group(self, replicas: Replicas, group: list[Any]) -> list[Any]:
        """Results of at most one batch for each replica; those without one repeat the last."""
        loop = self._loops.get(replicas)
        if loop is None:
            loop = self._loops[replicas] = replicas.compiled(self._of_batch, self._num_free_axes)
        tensors = [tf.nest.map_structure(tf.convert_to_tensor, batch) for batch in group]
        filled = tensors + tensors[-1:] * (replicas.count_here - len(group))
        return loop(filled)[: len(group)]
