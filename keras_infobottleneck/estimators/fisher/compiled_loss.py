"""The likelihood of which a model's compiled loss is minus the logarithm."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["likelihood_of_loss"]

LIKELIHOODS = {
    "binary_crossentropy": "bernoulli",
    "BinaryCrossentropy": "bernoulli",
    "categorical_crossentropy": "categorical",
    "CategoricalCrossentropy": "categorical",
    "sparse_categorical_crossentropy": "categorical",
    "SparseCategoricalCrossentropy": "categorical",
    # Divided by a number and cut off at a least probability, both of which say what training is
    # charged: the network predicts a distribution over classes, and everything here is about that.
    "keras_infobottleneck>BoundedCrossentropy": "categorical",
    "mean_squared_error": "normal",
    "MeanSquaredError": "normal",
}
# No logarithm of a likelihood, although the network predicts that of the same outputs.
FOCAL = {
    "binary_focal_crossentropy": "bernoulli",
    "BinaryFocalCrossentropy": "bernoulli",
    "categorical_focal_crossentropy": "categorical",
    "CategoricalFocalCrossentropy": "categorical",
}
# What makes a loss one of other labels than those given, and the value at which it does not.
OF_OTHER_LABELS = {"label_smoothing": 0.0, "ignore_class": None}
GIVE = "a name such as 'normal', or a callable from outputs to a TFP distribution"


def likelihood_of_loss(model: keras.Model) -> str:
    """Name of the likelihood.

    Raises:
        ValueError: no loss, several, or one that is minus the logarithm of no known likelihood.
    """
    losses = [loss for loss in keras.tree.flatten(getattr(model, "loss", None)) if loss is not None]
    if not losses:
        raise ValueError(
            f"`likelihood` must be given where the model has no compiled loss: {GIVE}. "
            "Received: likelihood=None, loss=None"
        )
    names = [_name(loss) for loss in losses]
    if len(losses) > 1:
        raise ValueError(
            "`likelihood` cannot be read from several losses; give a callable from the outputs to "
            "a nest of independent TFP distributions, one for each label. "
            f"Received: likelihood=None, losses {names}"
        )
    name = names[0]
    config = losses[0].get_config() if isinstance(losses[0], keras.losses.Loss) else {}
    found = LIKELIHOODS.get(name) or FOCAL.get(name)
    if found is None:
        raise ValueError(
            f"`likelihood` cannot be read from the compiled loss; give {GIVE}. "
            f"Received: likelihood=None, loss={name}"
        )
    if found != "normal" and not config.get("from_logits", False):
        found += "_probabilities"
    axis = config.get("axis", -1)
    if found.startswith("categorical") and axis != -1:
        raise ValueError(
            "`likelihood` cannot be read from a loss with classes on another axis than the last; "
            "give a callable such as `lambda o: tfd.Categorical(logits=keras.ops.moveaxis(o, "
            f"{axis}, -1))`, or likelihood={found!r} where {axis} is the last. "
            f"Received: likelihood=None, loss={name}"
        )
    reasons = [
        f"{key}={config[key]}"
        for key, unused in OF_OTHER_LABELS.items()
        if config.get(key, unused) != unused
    ]
    if name in FOCAL:
        reasons.append("weights that follow the predictions")
    if reasons:
        raise ValueError(
            f"`likelihood` cannot be read from a loss with {' and '.join(reasons)}; give "
            f"likelihood={found!r}, the distribution that the network predicts. "
            f"Received: likelihood=None, loss={name}"
        )
    return found


def _name(loss: Any) -> str:
    """Under which Keras knows a loss, or that of a function."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return keras.saving.get_registered_name(type(loss))
    return getattr(loss, "__name__", type(loss).__name__)
