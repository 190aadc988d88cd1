"""Which weights of a model its noise is made of, as the layers say themselves."""

from __future__ import annotations

from typing import Literal

import keras

from keras_infobottleneck.introspection.walking import all_layers

__all__ = ["noise_weights"]


def noise_weights(
    model: keras.Model, noise: Literal["weights", "activations"] | None = None
) -> list[keras.Variable]:
    """Scales, priors and prices of noisy layers; predictions without noise read none of them.

    Noisy layers name theirs in `noise_weights`; see `keras_infobottleneck.layers.NoisyLayer`.

    Args:
        model: the model.
        noise: only of layers whose noise is on these.
    """
    found: dict[int, keras.Variable] = {}
    for layer in all_layers(model):
        if noise in (None, getattr(layer, "noise", None)):
            found |= {id(weight): weight for weight in getattr(layer, "noise_weights", ())}
    return list(found.values())
