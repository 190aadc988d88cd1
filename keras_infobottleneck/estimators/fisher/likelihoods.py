"""The likelihood of a model: the one given, or that of its compiled loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import refusal
from keras_infobottleneck.estimators.fisher.distribution_likelihood import DistributionLikelihood
from keras_infobottleneck.estimators.fisher.independent_outputs import (
    Bernoulli,
    BernoulliProbabilities,
    Normal,
)
from keras_infobottleneck.estimators.fisher.masked_positions import (
    constant_where_masked,
    masks_of_losses,
)
from keras_infobottleneck.estimators.fisher.terms import (
    Categorical,
    CategoricalProbabilities,
    Likelihood,
    Term,
    as_float,
)
from keras_infobottleneck.introspection.compiled_losses import compiled_losses, takes_logits

__all__ = [
    "Labels",
    "NamedLikelihood",
    "find_likelihood",
    "likelihood_of_loss",
]

Labels = Literal["expected", "sampled", "empirical"]

TOLERANCE = 1e-2  # for the sum of probabilities in half precision

NAMES = (
    "categorical",
    "categorical_probabilities",
    "bernoulli",
    "bernoulli_probabilities",
    "normal",
)


# Maps a loss, by its Keras name, to the likelihood whose negative logarithm it is.
LIKELIHOODS = {
    "binary_crossentropy": "bernoulli",
    "BinaryCrossentropy": "bernoulli",
    "categorical_crossentropy": "categorical",
    "CategoricalCrossentropy": "categorical",
    "sparse_categorical_crossentropy": "categorical",
    "SparseCategoricalCrossentropy": "categorical",
    # Scaled, and cut off at a smallest probability. Both belong to the training loss: the network
    # predicts a distribution over classes, which all estimators are about.
    "keras_infobottleneck>BoundedCrossentropy": "categorical",
    "mean_squared_error": "normal",
    "MeanSquaredError": "normal",
}
# These are not logarithms of a likelihood, although the outputs are the same as for one.
FOCAL = {
    "binary_focal_crossentropy": "bernoulli",
    "BinaryFocalCrossentropy": "bernoulli",
    "categorical_focal_crossentropy": "categorical",
    "CategoricalFocalCrossentropy": "categorical",
}
# Options that change the labels of a loss, and the values at which they do not.
OF_OTHER_LABELS = {"label_smoothing": 0.0, "ignore_class": None}
GIVE = "a name such as 'categorical' or 'normal', or a callable from outputs to a TFP distribution"


class NamedLikelihood(Likelihood):
    """Likelihood by its name, one of `NAMES`, for a model with one output."""

    def __init__(self, name: str):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedLikelihood) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def _terms(self, outputs: Any, masks: list[list[tf.Tensor]]) -> list[Term]:
        """The term of the output; probabilities made by one operation are replaced by logits."""
        leaves = tf.nest.flatten(outputs)
        if len(leaves) != 1 or not tf.is_tensor(leaves[0]):
            raise ValueError(
                f"`likelihood={self.name!r}` is for one output tensor; give a callable from the "
                f"outputs to a TFP distribution. Received: outputs={type(outputs).__name__}"
            )
        eta = as_float(leaves[0])
        is_of_classes = self.name.startswith("categorical")
        if eta.shape.rank < (2 if is_of_classes else 1) or None in eta.shape[1:]:
            raise ValueError(
                "The model's output must have the shape [batch, ..., "
                f"{'classes]' if is_of_classes else 'outputs] or [batch]'}. "
                f"Received: shape={tuple(eta.shape)}"
            )
        if tf.executing_eagerly():  # in the trial with one example, before tracing
            self._check_probabilities(eta)
        kind, eta = self._kind(eta)
        eta = eta if is_of_classes else _with_last_axis(eta)
        # Keras' losses are means or sums over the last axis of the outputs.
        of_losses = masks_of_losses(masks[0], eta.shape.rank - 1)
        term = kind(constant_where_masked(eta, of_losses))
        term.masks = of_losses
        return [term]

    def _kind(self, eta: tf.Tensor) -> tuple[Callable[[tf.Tensor], Term], tf.Tensor]:
        """The class of the term, and its parameters."""
        if self.name == "normal":
            return Normal, eta
        if self.name == "categorical":
            return Categorical, eta
        if self.name == "bernoulli":
            return Bernoulli, eta
        # Gradients through a saturated softmax or sigmoid vanish; those of its logits do not.
        if self.name == "categorical_probabilities":
            logits = _input_of(eta, "Softmax")
            return (CategoricalProbabilities, eta) if logits is None else (Categorical, logits)
        logits = _input_of(eta, "Sigmoid")
        return (BernoulliProbabilities, eta) if logits is None else (Bernoulli, logits)

    def _check_probabilities(self, eta: tf.Tensor) -> None:
        """Refuses logits if the name, or the loss it was read from, requires probabilities."""
        values, sums = eta.numpy(), tf.reduce_sum(eta, -1).numpy()
        if not self.name.endswith("_probabilities") or not np.all(np.isfinite(values)):
            return
        is_share = np.all((values >= 0) & (values <= 1 + TOLERANCE))
        if is_share and (self.name.startswith("bernoulli") or np.allclose(sums, 1, atol=TOLERANCE)):
            return
        logits = self.name.removesuffix("_probabilities")
        raise ValueError(
            "The outputs must be probabilities, as a loss without `from_logits=True` takes them; "
            "where they are logits compile with that, such as "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, or write "
            f"likelihood={logits!r}. Received: outputs from {values.min():.4g} to "
            f"{values.max():.4g}, the first sum {np.ravel(sums)[0]:.4g}"
        )


def find_likelihood(
    model: keras.Model, likelihood: str | Callable[[Any], Any] | None
) -> Likelihood:
    """The likelihood given, or the one whose negative logarithm is the compiled loss."""
    if likelihood is None:
        return NamedLikelihood(likelihood_of_loss(model))
    if callable(likelihood) and not isinstance(likelihood, type):
        return DistributionLikelihood(likelihood)
    if isinstance(likelihood, str) and likelihood in NAMES:
        return NamedLikelihood(likelihood)
    kind = ValueError if isinstance(likelihood, str) else TypeError
    expected = f"be one of {NAMES}, a callable from outputs to a TFP distribution, or None"
    raise refusal(kind, "likelihood", expected, likelihood)


def likelihood_of_loss(model: keras.Model) -> str:
    """Name of the likelihood of the compiled loss.

    Raises:
        ValueError: There is no loss or there are several, or no known likelihood has this loss.
    """
    losses = compiled_losses(model)
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
    if found != "normal" and not takes_logits(losses[0]):
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
    """The registered Keras name of a loss, or the name of a function."""
    kind = type(loss) if isinstance(loss, keras.losses.Loss) else loss
    if isinstance(kind, type):
        name = keras.saving.get_registered_name(kind)
    else:
        name = getattr(kind, "__name__", type(kind).__name__)
    # A loss of a user may have the name of a Keras loss.
    if getattr(keras.losses, name, kind) is not kind:
        return f"{name} of module {kind.__module__!r}"
    return name


def _with_last_axis(eta: tf.Tensor) -> tf.Tensor:
    """Outputs `[batch]` as `[batch, 1]`; others unchanged."""
    return eta[:, None] if eta.shape.rank == 1 else eta


def _input_of(tensor: tf.Tensor, kind: str) -> tf.Tensor | None:
    """Input of the traced operation of this kind that made the tensor; None for other kinds."""
    if tf.executing_eagerly() or tensor.op.type != kind:
        return None
    return as_float(tensor.op.inputs[0])
