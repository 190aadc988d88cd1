"""Replaces the `call` of a layer temporarily, for one thread; other threads call the original.

The instance gets an attribute that hides its class's method. It is set without Keras' attribute
tracking, which would treat a function as state. Seen to work in Keras 3.15.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

import keras

__all__ = ["has_call_of_its_own", "replaced_call", "with_attributes"]

L = TypeVar("L", bound=keras.layers.Layer)

# By the id of a layer: the function that this thread calls instead of the layer's own `call`.
_of_this_thread: ContextVar[Mapping[int, Callable]] = ContextVar(
    "replaced_calls",
    default=MappingProxyType({}),
)

# By the id of a layer: the layer (kept, so that its id is not reused), its own call, the attributes
# that were hidden, and the number of open contexts in all threads.
_open: dict[int, list[Any]] = {}
_changing = threading.Lock()


@contextmanager
def replaced_call(
    layer: keras.layers.Layer, make: Callable[[Callable], Callable]
) -> Iterator[None]:
    """Inside, this thread's calls of the layer run `make(call)`; `call` is the present one."""
    call = _install(layer)
    before = _of_this_thread.get()
    _of_this_thread.set({**before, id(layer): make(before.get(id(layer), call))})
    try:
        yield
    finally:
        _of_this_thread.set(before)
        _remove(layer)


def has_call_of_its_own(layer: keras.layers.Layer) -> bool:
    """Whether the instance, in this thread, has another `call` than its class."""
    with _changing:
        if id(layer) in _open:
            return id(layer) in _of_this_thread.get() or bool(_open[id(layer)][2])
        return "call" in vars(layer)


def with_attributes(layer: L, **attributes: Any) -> L:
    """A second object for the layer: the same variables and layers, some attributes changed.

    For calls in which a layer must behave differently while other threads call it as it is. A
    `call` that is replaced temporarily is not copied.
    """
    view = object.__new__(type(layer))
    # Without Keras' attribute tracking.
    vars(view).update(vars(layer), **attributes)
    vars(view).pop("call", None)
    return view


def _install(layer: keras.layers.Layer) -> Callable:
    """Replaces the layer's call by one that depends on the thread, and returns the original."""
    with _changing:
        if id(layer) not in _open:
            call, own = layer.call, vars(layer)

            @functools.wraps(call)  # its signature tells Keras whether it takes a mask
            def call_of_this_thread(*args: Any, **kwargs: Any) -> Any:
                return _of_this_thread.get().get(id(layer), call)(*args, **kwargs)

            before = {"call": own["call"]} if "call" in own else {}
            own["call"] = call_of_this_thread
            _open[id(layer)] = [layer, call, before, 0]
        entry = _open[id(layer)]
        entry[3] += 1
        return entry[1]


def _remove(layer: keras.layers.Layer) -> None:
    with _changing:
        entry = _open[id(layer)]
        entry[3] -= 1
        if entry[3] == 0:
            del vars(layer)["call"]
            vars(layer).update(entry[2])
            del _open[id(layer)]
