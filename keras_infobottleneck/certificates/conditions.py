"""What models may be certified: each condition without which a certificate would be untrue."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import refusal

__all__ = [
    "check_certifiable",
    "check_outputs",
    "ends_in_logits",
]

TOLERANCE = 1e-3  # by which probabilities may miss a sum of one


def check_certifiable(model):
    """Raise where the divergence would not hold all that the network knows of the data."""
    layers = getattr(model, "variational_layers", None)
    if not isinstance(model, keras.Model) or layers is None:
        raise refusal(TypeError, "model", "be an InformationBottleneckModel", model)
    if not layers:
        raise ValueError(
            f"`model` has no VariationalWeights to certify. Received: model={model.name!r}"
        )
    for layer in layers:
        if not layer.built:
            raise ValueError(
                "`model` has no weights before it is built: call it on a batch first. "
                f"Received: layer={layer.name!r}, not built"
            )
        if layer.posterior_name != "gaussian":
            raise ValueError(
                "Only Gaussian posteriors can be certified: the others have no prior that is "
                "fixed before the data. "
                f"Received: layer={layer.name!r}, posterior={layer.posterior_name!r}"
            )
        if not layer.prior_is_fixed:
            raise ValueError(
                "The prior follows the posterior, and with it the data; call `model.anchor_prior` "
                f"or give a `prior_scale`. Received: layer={layer.name!r}, prior_scale=None"
            )
        if layer.anchored and not len(model.anchoring_fingerprints):
            raise ValueError(
                "The data on which the prior depends are not known; anchor it by "
                f"`model.anchor_prior`. Received: layer={layer.name!r}, anchored by itself"
            )
    if model.unanchored_weights:
        must = (
            "Priors, and weights without a distribution, must be as they were when the prior was "
            "anchored, for what they have learned since is in no divergence"
            if len(model.anchoring_fingerprints)
            else "Where no prior was anchored every weight must have a distribution, for what the "
            "others have learned is in no divergence"
        )
        raise ValueError(
            f"{must}; use `variational_bias=True` and "
            "`InformationDropout(VariationalWeights(layer), ...)`, and freeze normalisation before "
            f"`model.anchor_prior`. Received: {', '.join(model.unanchored_weights)}"
        )


def ends_in_logits(model, from_logits) -> bool:
    """What was said, or what the compiled loss says."""
    if from_logits is None:
        loss = getattr(model, "loss", None)
        if isinstance(loss, str):
            loss = keras.losses.get(loss)
        config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        from_logits = config.get("from_logits")
    if not isinstance(from_logits, bool):
        raise ValueError(
            "`from_logits` must be True or False where the compiled loss does not say. "
            f"Received: from_logits={from_logits!r}"
        )
    return from_logits


def check_outputs(model, x, from_logits) -> int:
    """Number of classes; raises unless the outputs are a row of class scores, a function of x."""
    with keras.StatelessScope() as scope:
        outputs = model(x)
    changed = [v.path for v in model.variables if scope.get_current_value(v) is not None]
    if changed:
        raise ValueError(
            "Predictions must draw nothing and change nothing but by the posterior; remove "
            f"`training=True` from the layers that do. Received: changes of {', '.join(changed)}"
        )
    if not tf.is_tensor(outputs) or outputs.shape.rank != 2 or outputs.shape[-1] < 2:
        shapes = tf.nest.map_structure(lambda a: tuple(a.shape), outputs)
        raise ValueError(
            "`model` must have one output of shape [batch, classes], two classes or more. "
            f"Received: {shapes}"
        )
    others = [(weight, weight.value + 1.0) for weight in model.pricing_weights]
    with keras.StatelessScope(state_mapping=others):
        again = model(x)
    if not np.array_equal(outputs, again, equal_nan=True):
        raise ValueError(
            "Predictions must not depend on what prices noise, which may move after the prior is "
            f"anchored. Received: one that reads {', '.join(w.path for w, _ in others)}"
        )
    sums = tf.reduce_sum(outputs, -1).numpy()
    if not from_logits and (np.min(outputs) < 0 or np.abs(sums - 1.0).max() > TOLERANCE):
        raise ValueError(
            "The outputs must be probabilities where `from_logits` is False. "
            f"Received: a row that sums to {sums[0]:.4g}"
        )
    return outputs.shape[-1]
