"""A refusal from inside the call of a layer or model that stays one sentence."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["as_it_is"]

E = TypeVar("E", bound=Exception)


def as_it_is(error: E) -> E:
    """The error, to which Keras adds no words about the call that it comes out of."""
    vars(error)["_keras_call_info_injected"] = True  # Keras 3.15 asks for it in `traceback_utils`
    return error
