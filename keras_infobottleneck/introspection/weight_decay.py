"""The variables that an optimizer's weight decay acts on."""

from __future__ import annotations

from collections.abc import Iterable

import keras

__all__ = ["decayed"]


def decayed(
    optimizer: keras.optimizers.Optimizer | None, variables: Iterable[keras.Variable]
) -> list[keras.Variable]:
    """Those of the variables that the optimizer multiplies by less than one in every step.

    Keras has no public way to ask which variables `exclude_from_weight_decay` left out.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if optimizer is None or not optimizer.weight_decay:
        return []
    return [variable for variable in variables if optimizer._use_weight_decay(variable)]
