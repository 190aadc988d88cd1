"""A model that is measured, and afterwards is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

__all__ = ["undisturbed"]


@contextlib.contextmanager
def undisturbed(model: keras.Model) -> Iterator[None]:
    """Puts back what a forward pass may move, after an exception too: metrics, seeds, statistics.

    Nothing that measures assigns a trainable weight or the optimizer's variables: they are left
    out, which spares a copy of the model.
    """
    trainable = {id(variable) for variable in model.trainable_variables}
    movable = {
        id(variable): variable
        for variable in [*model.variables, *model.metrics_variables]
        if id(variable) not in trainable
    }
    before = [(variable, variable.numpy()) for variable in movable.values()]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
