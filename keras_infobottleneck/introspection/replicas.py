"""What a measurement runs on: whose replicas, outside their scope, without TensorFloat-32.

Inside `strategy.scope()` and outside `strategy.run` a variable is several at once, which no tape
watches and no function captures. Measuring therefore leaves the scope, and passes over data enter
the replicas again by `strategy.run`.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_instance

__all__ = [
    "Replicas",
    "creating_weights_of",
    "full_products",
    "is_chief",
    "measuring_strategy",
    "on_replicas",
    "outside_scope",
    "replicas_of",
]

P = ParamSpec("P")
R = TypeVar("R")

# Of the measurement that this thread is at, after it left the scope.
_measuring: ContextVar[tf.distribute.Strategy | None] = ContextVar("measuring", default=None)


def measuring_strategy() -> tf.distribute.Strategy | None:
    """The strategy on whose replicas passes over data run, None for the one device.

    That of the measurement that is under way, else the one in whose scope the caller is.
    """
    if _measuring.get() is not None or not tf.distribute.has_strategy():
        return _measuring.get()
    return tf.distribute.get_strategy() if tf.distribute.in_cross_replica_context() else None


@contextlib.contextmanager
def outside_scope(strategy: tf.distribute.Strategy | None) -> Iterator[None]:
    """Outside any strategy's scope, with a strategy for passes over data.

    Variables are read from the first replica, and new ones are plain ones.
    """
    # The lists are of this thread alone. TensorFlow 2.20 and 2.21 keep there which strategy is
    # entered and who creates variables, and have no public way out.
    graph = tf.compat.v1.get_default_graph()
    stacks = graph._distribution_strategy_stack, graph._variable_creator_stack
    before = _measuring.set(strategy)
    graph._distribution_strategy_stack, graph._variable_creator_stack = [], []
    try:
        yield
    finally:
        graph._distribution_strategy_stack, graph._variable_creator_stack = stacks
        _measuring.reset(before)


def on_replicas(measure: Callable[P, R]) -> Callable[P, R]:
    """A function that measures, made to run the same inside a strategy's scope as outside.

    Its argument `strategy`, if it has one, says on whose replicas: by default those of the scope.
    """

    @functools.wraps(measure)
    def measured(*args: P.args, **kwargs: P.kwargs) -> R:
        strategy = kwargs.get("strategy")
        if strategy is None:
            strategy = measuring_strategy()
        kind = tf.distribute.Strategy
        check_instance("strategy", strategy, kind, "a tf.distribute.Strategy", optional=True)
        with outside_scope(strategy):
            return measure(*args, **kwargs)

    return measured


def creating_weights_of(model: keras.Model) -> contextlib.AbstractContextManager:
    """The scope in which a model was made, or none, for what makes weights of it later."""
    with outside_scope(None):
        strategy, none = model.distribute_strategy, tf.distribute.get_strategy()
    return outside_scope(measuring_strategy()) if strategy is none else strategy.scope()


def is_chief(model: keras.Model) -> bool:
    """Whether this process is the one, of all that train the model, that writes files."""
    resolver = model.distribute_strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "chief"):
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return not has_chief and (resolver.task_type, resolver.task_id) == ("worker", 0)


class _TensorFloat32:
    """TensorFlow's switch, which is one for the whole process: off while anybody wants it off."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._wanted_off = 0
        self._before = True

    def off(self) -> None:
        """The first to want it off remembers how it was."""
        with self._turn:
            if not self._wanted_off:
                self._before = tf.config.experimental.tensor_float_32_execution_enabled()
                tf.config.experimental.enable_tensor_float_32_execution(False)
            self._wanted_off += 1

    def back(self) -> None:
        """The last to want it off puts it back."""
        with self._turn:
            self._wanted_off -= 1
            if not self._wanted_off:
                tf.config.experimental.enable_tensor_float_32_execution(self._before)


_SWITCH = _TensorFloat32()


@contextlib.contextmanager
def full_products() -> Iterator[None]:
    """Products of float32 matrices have all of its digits inside, on graphics cards too.

    TensorFloat-32, on by default there, keeps three of them. What other threads run meanwhile is
    as exact, and slower.
    """
    _SWITCH.off()
    try:
        yield
    finally:
        _SWITCH.back()


class Replicas:
    """The replicas of a strategy on which passes over data run; of none, the one device.

    Every process of a strategy that has several passes over the same data, and takes its share.

    Args:
        strategy: whose replicas, or None.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None):
        self._strategy = strategy
        self.count = 1
        self._numbers = [0]
        if strategy is not None:
            self.count = strategy.num_replicas_in_sync
            numbers = self._each(lambda number: number)
            self._numbers = [int(n) for n in strategy.experimental_local_results(numbers)]

    @property
    def count_here(self) -> int:
        """How many of them this process has."""
        return len(self._numbers)

    def shares(self, stack: Any) -> list[Any]:
        """The part of a nest of tensors, along their first axis, of each replica of this process.

        All are of nearly the same height, which may be 0.
        """
        if self.count == 1:
            return [stack]
        height = tf.nest.flatten(stack)[0].shape[0]
        ends = [height * number // self.count for number in range(self.count + 1)]
        return [
            tf.nest.map_structure(lambda a, n=n: a[ends[n] : ends[n + 1]], stack)
            for n in self._numbers
        ]

    def compiled(
        self, function: Callable[..., Any], num_free_axes: int = 1
    ) -> Callable[..., list[Any]]:
        """A compiled function from one nest of tensors for each replica to each replica's results.

        The replicas work at the same time, and without TensorFloat-32.

        Args:
            function: from a nest of tensors, and further arguments, to a nest of tensors.
            num_free_axes: first axes of the nest that may have any size without another trace.
        """
        strategy = self._strategy

        def on_all(parts: list[Any], *arguments: Any) -> list[Any]:
            if strategy is None:
                return [function(parts[0], *arguments)]

            def on_one() -> Any:
                replica = tf.distribute.get_replica_context()
                number = tf.get_static_value(replica.replica_id_in_sync_group)
                return function(parts[int(number) % len(parts)], *arguments)

            results = strategy.run(on_one)
            leaves = [strategy.experimental_local_results(r) for r in tf.nest.flatten(results)]
            return [
                tf.nest.pack_sequence_as(results, [leaf[n % len(leaf)] for leaf in leaves])
                for n in range(len(parts))
            ]

        traced: list[Any] = []

        def run(parts: list[Any], *arguments: Any) -> list[Any]:
            any_height = tf.nest.map_structure(
                lambda a: tf.TensorSpec(
                    [None] * num_free_axes + list(a.shape[num_free_axes:]), a.dtype
                ),
                parts,
            )
            compiled = traced[0] if traced else tf.function(on_all, autograph=False)
            concrete = compiled.get_concrete_function(any_height, *arguments)
            traced[:] = [compiled]  # one whose first trace fails gives None ever after
            with full_products():
                return concrete(parts, *arguments)

        return run

    def sum_of_processes(self, value: np.ndarray) -> np.ndarray:
        """The sum of what each process has, given to all of them."""
        strategy: Any = self._strategy
        first = self._numbers[0]
        values = self._each(lambda number: value if number == first else np.zeros_like(value))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()

    def _each(self, value: Callable[[int], Any]) -> Any:
        """One value for each replica of this process, by its number among all."""
        strategy: Any = self._strategy
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(value(context.replica_id_in_sync_group))
        )


_one_device = Replicas(None)
_known: weakref.WeakKeyDictionary[tf.distribute.Strategy, Replicas] = weakref.WeakKeyDictionary()


def replicas_of(strategy: tf.distribute.Strategy | None) -> Replicas:
    """The replicas of a strategy, the same object for every call."""
    if strategy is None:
        return _one_device
    if strategy not in _known:
        _known[strategy] = Replicas(strategy)
    return _known[strategy]
