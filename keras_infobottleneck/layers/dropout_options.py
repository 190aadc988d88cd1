"""Checks of the arguments of `InformationDropout`."""

from collections.abc import Callable
from typing import Any

import keras

from keras_infobottleneck.arguments import (
    check_choice,
    check_flag,
    check_layer,
    check_positive,
    check_price,
    refusal,
)
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = ["check_options", "output_activation"]

NON_NEGATIVE = {
    "log_uniform": (keras.activations.relu, keras.activations.relu6),
    "log_normal": (
        keras.activations.softplus,
        keras.activations.exponential,
        keras.activations.sigmoid,
    ),
}


def check_options(
    layer: Any,
    beta: Any,
    prior: Any,
    max_alpha: Any,
    alpha_layer: Any,
    activation_is_nonnegative: Any,
) -> None:
    """Checks the options and the activation of the layer, and that `alpha_layer` can be made."""
    check_price("beta", beta)
    check_choice("prior", prior, NON_NEGATIVE)
    check_positive("max_alpha", max_alpha)
    check_flag("activation_is_nonnegative", activation_is_nonnegative)
    if check_layer("alpha_layer", alpha_layer, optional=True) is layer:
        raise refusal(ValueError, "alpha_layer", "be a layer of its own", alpha_layer)
    activation = output_activation(layer)
    if activation not in NON_NEGATIVE[prior] and not activation_is_nonnegative:
        names = ", ".join(function.__name__ for function in NON_NEGATIVE[prior])
        raise ValueError(
            f'`layer` must end in a non-negative activation: with prior="{prior}" one of {names}, '
            "or any that activation_is_nonnegative=True vouches for. "
            f"Received: layer={layer!r}, activation={activation!r}"
        )
    affine = layer.layer if isinstance(layer, VariationalWeights) else layer
    if alpha_layer is None and not _has_twin(affine):
        raise ValueError(
            "`alpha_layer` must be given for a layer that is not just weights and an activation. "
            f"Received: layer={layer!r}, alpha_layer=None"
        )


def output_activation(layer: Any) -> Callable | None:
    """The activation function at the end of a layer; None if it is unknown."""
    if isinstance(layer, VariationalWeights):
        return output_activation(layer.layer)
    if isinstance(layer, keras.Sequential) and layer.layers:
        return output_activation(layer.layers[-1])
    if isinstance(layer, keras.layers.ReLU):
        return keras.activations.relu if layer.negative_slope == 0 else None
    activation = getattr(layer, "activation", None)
    if isinstance(activation, keras.layers.Layer):
        return output_activation(activation)
    return activation


def _has_twin(layer: Any) -> bool:
    """Whether the configuration describes weights followed by an activation."""
    config = layer.get_config()
    return "activation" in config and any(key.endswith("_initializer") for key in config)
