"""Checks of the arguments of `VariationalWeights`."""

from typing import Any

import keras

from keras_infobottleneck.arguments import (
    check_choice,
    check_flag,
    check_positive,
    check_seed,
    refusal,
)
from keras_infobottleneck.introspection.contents import all_layers, own_metrics
from keras_infobottleneck.layers.linear_part import has_linear_part
from keras_infobottleneck.layers.noisy_layer import NoisyLayer
from keras_infobottleneck.layers.posteriors import INITIAL_LOG_SCALE
from keras_infobottleneck.layers.prior_scales import GRIDS

__all__ = ["NOTHING_CHARGED", "check_layer", "check_options"]

NOTHING_CHARGED = (
    "Nothing is charged for the information in the weights: train the layer's model as an "
    "InformationBottleneckModel, which adds their divergence. Received: layer={!r} in a model "
    "that Keras trains"
)


def check_options(
    *,
    posterior: Any = "gaussian",
    prior_scale: Any = None,
    max_variance: Any = 1.0,
    estimator: str = "local",
    initial_scale: Any = None,
    variational_bias: Any = False,
    seed: Any = None,
    **_: Any,
) -> None:
    """Checks that every option is known and in range, and that the options are compatible."""
    check_choice("posterior", posterior, ("gaussian", "log_normal", "truncated_log_normal"))
    check_choice("estimator", estimator, ("local", "flipout", "sample"))
    if isinstance(prior_scale, str) and prior_scale not in GRIDS:
        names = " or ".join(map(repr, GRIDS))
        raise refusal(ValueError, "prior_scale", f"be a positive number or {names}", prior_scale)
    if not isinstance(prior_scale, str):
        check_positive("prior_scale", prior_scale, optional=True)
    check_positive("initial_scale", initial_scale, optional=True)
    check_positive("max_variance", max_variance)
    check_flag("variational_bias", variational_bias)
    check_seed("seed", seed)
    if posterior != "gaussian" and estimator == "flipout":
        raise ValueError(
            'estimator="flipout" needs a symmetric posterior, posterior="gaussian". '
            f"Received: posterior={posterior!r}"
        )
    if posterior != "gaussian" and prior_scale is not None:
        raise ValueError(
            '`prior_scale` belongs to posterior="gaussian". '
            f"Received: prior_scale={prior_scale!r}, posterior={posterior!r}"
        )
    if posterior != "gaussian" and (initial_scale or INITIAL_LOG_SCALE) ** 2 >= max_variance:
        raise ValueError(
            "`initial_scale`, squared, must be under `max_variance`. "
            f"Received: initial_scale={initial_scale!r}, max_variance={max_variance!r}"
        )


def check_layer(layer: keras.layers.Layer, estimator: str) -> None:
    """Checks that the layer can be wrapped, and supports the estimator."""
    for inner in all_layers(layer):
        if isinstance(inner, NoisyLayer) or own_metrics(inner):
            raise ValueError(
                "`layer` must not contain layers that draw noise or own metrics; nest the other "
                "way, as in InformationDropout(VariationalWeights(layer), beta). "
                f"Received: layer={layer!r}, containing {inner!r}"
            )
        if inner.activity_regularizer is not None:
            raise ValueError(
                "`layer` must not have an activity regularizer; give it to VariationalWeights. "
                f"Received: layer={layer!r}, containing {inner!r}"
            )
    if layer.built and not layer.weights:
        raise ValueError(
            f"`layer` has no weights to put a distribution on. Received: layer={layer!r}"
        )
    if estimator != "sample" and not has_linear_part(layer):
        raise ValueError(
            f'estimator="{estimator}" needs a layer that is linear in its one kernel; use '
            f'estimator="sample". Received: layer={layer!r}'
        )
