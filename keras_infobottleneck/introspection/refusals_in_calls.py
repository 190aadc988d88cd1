"""Keeps Keras from adding text to an exception that is raised inside the call of a layer."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["as_it_is"]

E = TypeVar("E", bound=Exception)


def as_it_is(error: E) -> E:
    """Marks the error, so that Keras does not append a description of the layer's call to it."""
    vars(error)["_keras_call_info_injected"] = True  # read by `traceback_utils` of Keras 3.15
    return error
