"""Runs measurements on the replicas of a strategy, outside its scope, without TensorFloat-32.

Inside `strategy.scope()` but outside `strategy.run`, a variable stands for several copies, which a
tape cannot watch and a function cannot capture. Measuring therefore leaves the scope, and passes
over data enter the replicas again by `strategy.run`.
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

# The strategy of the measurement that this thread is making, after it left the scope.
_measuring: ContextVar[tf.distribute.Strategy | None] = ContextVar("measuring", default=None)


def measuring_strategy() -> tf.distribute.Strategy | None:
    """The strategy on whose replicas passes over data run; None for a single device.

    This is the strategy of the current measurement, or else the one in whose scope the caller is.
    """
    if _measuring.get() is not None or not tf.distribute.has_strategy():
        return _measuring.get()
    return tf.distribute.get_strategy() if tf.distribute.in_cross_replica_context() else None


@contextlib.contextmanager
def outside_scope(strategy: tf.distribute.Strategy | None) -> Iterator[None]:
    """Leaves the scope of any strategy, and sets the strategy for passes over data.

    Inside, variables are read from the first replica, and new variables are plain ones.
    """
    # In these lists of the thread's graph, TensorFlow 2.20 and 2.21 keep the strategies entered and
    # the functions that create variables. There is no public way to leave a scope.
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
    """Decorator: the function gives the same results inside the scope of a strategy as outside.

    The keyword argument `strategy`, if there is one, chooses the replicas; by default those of the
    scope.
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
    """The scope in which the model was made, or none, for code that makes weights of it later."""
    with outside_scope(None):
        strategy, none = model.distribute_strategy, tf.distribute.get_strategy()
    return outside_scope(measuring_strategy()) if strategy is none else strategy.scope()


def is_chief(model: keras.Model) -> bool:
    """Whether this process, among those that train the model, is the one that writes files."""
    resolver = model.distribute_strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "chief"):
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return not has_chief and (resolver.task_type, resolver.task_id) == ("worker", 0)


class _TensorFloat32:
    """Switches TensorFloat-32 off for the whole process while at least one user asks for it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._wanted_off = 0
        self._before = True

    def off(self) -> None:
        """Switches it off; the first call remembers the previous setting."""
        with self._turn:
            if not self._wanted_off:
                self._before = tf.config.experimental.tensor_float_32_execution_enabled()
                tf.config.experimental.enable_tensor_float_32_execution(False)
            self._wanted_off += 1

    def back(self) -> None:
        """Ends one request; the last call restores the previous setting."""
        with self._turn:
            self._wanted_off -= 1
            if not self._wanted_off:
                tf.config.experimental.enable_tensor_float_32_execution(self._before)


_SWITCH = _TensorFloat32()


@contextlib.contextmanager
def full_products() -> Iterator[None]:
    """Inside, products of float32 matrices have full float32 precision, on GPUs too.

    TensorFloat-32, the default there, keeps three decimal digits. It is switched off for all
    threads, which become slower but not less exact.
    """
    _SWITCH.off()
    try:
        yield
    finally:
        _SWITCH.back()


class Replicas:
    """The replicas of a strategy on which passes over data run, or the single device.

    With several processes, every process reads the same data and takes its share.

    Args:
        strategy: The strategy, or None for the single device.
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
        """Number of replicas in this process."""
        return len(self._numbers)

    def shares(self, stack: Any) -> list[Any]:
        """Splits a nest of tensors along the first axis into one part for each local replica.

        The parts have nearly equal heights, which may be 0.
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
        """A compiled function from a list of nests, one per local replica, to the list of results.

        The replicas run in parallel, without TensorFloat-32.

        Args:
            function: Function from a nest of tensors and further arguments to a nest of tensors.
            num_free_axes: Number of first axes that may have any size without a new trace.
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
            traced[:] = [compiled]  # a function whose first trace failed would always return None
            with full_products():
                return concrete(parts, *arguments)

        return run

    def sum_of_processes(self, value: np.ndarray) -> np.ndarray:
        """The sum of the values of all processes, returned to each of them."""
        strategy: Any = self._strategy
        first = self._numbers[0]
        values = self._each(lambda number: value if number == first else np.zeros_like(value))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()

    def _each(self, value: Callable[[int], Any]) -> Any:
        """A distributed value, by the number of each local replica among all replicas."""
        strategy: Any = self._strategy
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(value(context.replica_id_in_sync_group))
        )


_one_device = Replicas(None)
_known: weakref.WeakKeyDictionary[tf.distribute.Strategy, Replicas] = weakref.WeakKeyDictionary()


def replicas_of(strategy: tf.distribute.Strategy | None) -> Replicas:
    """The replicas of a strategy; always the same object for one strategy."""
    if strategy is None:
        return _one_device
    if strategy not in _known:
        _known[strategy] = Replicas(strategy)
    return _known[strategy]
