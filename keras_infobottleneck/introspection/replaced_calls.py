"""A layer is another for a while, for one thread; what other threads call is the layer as it is.

An attribute of the instance hides its class's method, past Keras' attribute tracking, which would
take a function for state. Seen to work in Keras 3.15.
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

# By identity of the layer: what this thread calls in the place of the layer's own `call`.
_of_this_thread: ContextVar[Mapping[int, Callable]] = ContextVar(
    "replaced_calls",
    default=MappingProxyType({}),
)

# By identity of the layer: it (kept, so that no other takes its identity), its own call, what its
# attributes held, and how many contexts are open in all threads.
_open: dict[int, list[Any]] = {}
_changing = threading.Lock()


@contextmanager
def replaced_call(
    layer: keras.layers.Layer, make: Callable[[Callable], Callable]
) -> Iterator[None]:
    """Inside, this thread's calls of the layer run what `make` gives, from the call so far."""
    call = _install(layer)
    before = _of_this_thread.get()
    _of_this_thread.set({**before, id(layer): make(before.get(id(layer), call))})
    try:
        yield
    finally:
        _of_this_thread.set(before)
        _remove(layer)


def has_call_of_its_own(layer: keras.layers.Layer) -> bool:
    """Whether the instance, for this thread, runs another `call` than its class has."""
    with _changing:
        if id(layer) in _open:
            return id(layer) in _of_this_thread.get() or bool(_open[id(layer)][2])
        return "call" in vars(layer)


def with_attributes(layer: L, **attributes: Any) -> L:
    """The layer itself under another identity, the same variables and layers, some attributes set.

    For a call in which a layer must be other than it is, while other threads call it as it is. A
    `call` that is put in the place of its class's for a while is none of its attributes.
    """
    view = object.__new__(type(layer))
    # Past Keras' attribute tracking.
    vars(view).update(vars(layer), **attributes)
    vars(view).pop("call", None)
    return view


def _install(layer: keras.layers.Layer) -> Callable:
    """The layer's own call, after one that asks which thread runs it has been put in its place."""
    with _changing:
        if id(layer) not in _open:
            call, own = layer.call, vars(layer)

            @functools.wraps(call)  # with its signature, which tells whether it takes a mask
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
