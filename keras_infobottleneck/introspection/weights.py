"""Which weights of a model a measurement is about."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_instance, refusal

__all__ = ["check_finite", "chosen_variables"]


def chosen_variables(
    model: keras.Model, variables: Sequence[keras.Variable] | None
) -> list[keras.Variable]:
    """The variables asked for, or every trainable one.

    Raises:
        ValueError: none, one twice, one that is not the model's, or weights that are not floats
            of one type.
    """
    expected = "a list of weights of the model"
    check_instance("variables", variables, list | tuple, expected, optional=True)
    chosen = list(model.trainable_variables if variables is None else variables)
    if not all(isinstance(variable, keras.Variable) for variable in chosen):
        raise refusal(TypeError, "variables", f"be {expected}", variables)
    if not chosen:
        raise ValueError(
            "There must be at least one weight; name `variables` where none is trainable. "
            "Received: variables=[]"
        )
    own = {id(v) for v in model.weights}
    for variable in chosen:
        if id(variable) not in own:
            raise refusal(ValueError, "variables", "be weights of the model", [variable])
    if len({id(v) for v in chosen}) < len(chosen):
        raise ValueError(
            "`variables` must hold each weight once. "
            f"Received: variables={[v.path for v in chosen]}"
        )
    dtypes = sorted({str(v.dtype) for v in chosen})
    if len(dtypes) > 1 or dtypes[0] not in ("float32", "float64"):
        raise ValueError(
            f"`variables` must be all float32 or all float64. Received: dtypes={dtypes}"
        )
    check_finite(chosen)
    return chosen


def check_finite(variables: Sequence[keras.Variable]) -> None:
    """Refuses weights of which some are NaN or infinite.

    Raises:
        ValueError: with the first of them.
    """
    for variable in variables:
        value = tf.convert_to_tensor(variable.value)
        if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
            raise ValueError(
                "`model` must have weights that are finite. "
                f"Received: {variable.path!r} with NaN or infinite values"
            )
