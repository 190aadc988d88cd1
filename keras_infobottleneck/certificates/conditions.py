"""The conditions under which a certificate is valid, for the network and for the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import refusal
from keras_infobottleneck.certificates.class_labels import class_labels
from keras_infobottleneck.certificates.trials import class_scores
from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.introspection.compiled_losses import compiled_losses, takes_logits
from keras_infobottleneck.layers.noisy_layer import resting
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.anchoring.anchoring import Anchoring, example_fingerprints
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = [
    "CheckedBatches",
    "certified_layers",
    "check_outputs",
    "ends_in_logits",
    "two_examples",
]

TOLERANCE = 1e-3  # largest deviation of a sum of probabilities from one


def certified_layers(
    model: keras.Model, anchoring: Anchoring, *, fitted_scales: bool = False
) -> list[VariationalWeights]:
    """Layers with a posterior; raises if their divergence does not cover all that was learned.

    Args:
        model: The model to certify.
        anchoring: Anchoring of the model.
        fitted_scales: Whether priors with fitted scales are accepted, whose price the caller adds.
    """
    if not isinstance(model, InformationBottleneckModel):
        expected = (
            "be an InformationBottleneckModel, such as `make_variational` returns; for a "
            "network without noise use `test_set_bound`, on examples that it never saw"
        )
        raise refusal(TypeError, "model", expected, model)
    layers = anchoring.noisy_layers
    if not layers:
        raise ValueError(
            "`model` has no VariationalWeights, whose posterior is needed. "
            f"Received: model={model.name!r}"
        )
    is_anchored = bool(len(anchoring.fingerprints))
    for layer in layers:
        if not layer.built:
            raise ValueError(
                "`model` has no weights before it is built: call it on a batch first. "
                f"Received: layer={layer.name!r}, not built"
            )
        if not isinstance(layer, VariationalWeights) or layer.posterior_name != "gaussian":
            posterior = getattr(layer, "posterior_name", type(layer).__name__)
            raise ValueError(
                "Only Gaussian posteriors can be certified: the others have no prior that is "
                f"fixed before the data. Received: layer={layer.name!r}, posterior={posterior!r}"
            )
        if not (layer.prior_is_fixed or fitted_scales):
            raise ValueError(
                "The prior follows the posterior, and with it the data; call `model.anchor_prior` "
                f"or give a `prior_scale`, such as 'grid'. Received: layer={layer.name!r}, "
                "prior_scale=None"
            )
        if layer.anchored and not is_anchored:
            raise ValueError(
                "The data on which the prior depends are unknown; anchor it by "
                f"`model.anchor_prior`. Received: layer={layer.name!r}, anchored by itself"
            )
    moved = anchoring.moved
    if moved:
        must = (
            "Priors, and weights without a posterior, must be unchanged since the prior was "
            "anchored, since the divergence does not include what they have learned"
            if is_anchored
            else "Without an anchored prior every weight must have a posterior, since the "
            "divergence does not include what the others have learned"
        )
        of_normalisation = (
            "freeze normalisation before `model.anchor_prior`"
            if is_anchored
            else "where normalisation has weights, freeze it and call `model.anchor_prior` on "
            "other examples"
        )
        raise ValueError(
            f"{must}; use `variational_bias=True` and "
            f"`InformationDropout(VariationalWeights(layer), ...)`, and {of_normalisation}. "
            f"Received: {', '.join(weight.path for weight in moved)}"
        )
    return layers


def ends_in_logits(model: keras.Model, from_logits: bool | None) -> bool:
    """The given value, or that of the compiled loss; raises if neither is known."""
    if from_logits is None:
        losses = compiled_losses(model)
        if len(losses) > 1:
            raise ValueError(
                "`model` must have one output of shape [batch, classes], or of two classes "
                f"[batch, 1]. Received: {len(losses)} compiled losses"
            )
        from_logits = takes_logits(losses[0]) if losses else None
    if not isinstance(from_logits, bool):
        names = [getattr(loss, "__name__", type(loss).__name__) for loss in compiled_losses(model)]
        raise ValueError(
            "`from_logits` must be True or False if the compiled loss is not a cross-entropy of "
            "Keras, and in any case the labels must be classes. "
            f"Received: from_logits={from_logits!r}, loss={', '.join(names) or None}"
        )
    return from_logits


def two_examples(batches: Batches) -> Any:
    """The first example, twice: enough to tell whether rows are examples."""
    x = tf.nest.map_structure(lambda a: tf.concat([a, a], 0), batches.first_inputs())
    example_fingerprints(x)  # refuses inputs that are not numbers
    return x


def check_outputs(
    network: keras.Model, x: Any, from_logits: bool, pricing_weights: list[keras.Variable]
) -> int:
    """Number of classes; raises unless the outputs are rows of class scores, a function of x."""
    with keras.StatelessScope() as scope, resting():
        outputs = network(x, training=False)
    changed = [v.path for v in network.variables if scope.get_current_value(v) is not None]
    if changed:
        raise ValueError(
            "Predictions must not draw or change anything except by the posterior; remove "
            f"`training=True` from the layers that do. Received: changes of {', '.join(changed)}"
        )
    if not tf.is_tensor(outputs) or outputs.shape.rank not in (1, 2):
        shapes = tf.nest.map_structure(lambda a: tuple(a.shape), outputs)
        raise ValueError(
            "`model` must have one output of shape [batch, classes], or of two classes [batch, 1]. "
            f"Received: {shapes}"
        )
    others = [(weight, weight.value + 1.0) for weight in pricing_weights]
    with keras.StatelessScope(state_mapping=others), resting():
        again = network(x, training=False)
    if not np.array_equal(outputs, again, equal_nan=True):
        raise ValueError(
            "Predictions must not depend on weights that price noise, which may move after the "
            f"prior is anchored. Received: one that reads {', '.join(w.path for w, _ in others)}"
        )
    scores = class_scores(outputs, from_logits)
    sums = tf.reduce_sum(scores, -1).numpy()
    if not from_logits and (np.min(scores) < 0 or np.abs(sums - 1.0).max() > TOLERANCE):
        raise ValueError(
            "The outputs must be probabilities if `from_logits` is False. "
            f"Received: a row that sums to {sums[0]:.4g}"
        )
    return scores.shape[-1]


class CheckedBatches:
    """Batches that are checked as they are read, so that the data are read once.

    Raises, at the batch in which it occurs, for labels that are not classes, for an example on
    which the prior depends, and for a repeated example.

    Args:
        batches: The data.
        num_classes: Number of classes of the network.
        anchoring_inputs: Fingerprints of the inputs on which the prior depends, whose labels may
            have had another form.
        allow_repeats: Whether equal examples are accepted.
    """

    def __init__(
        self,
        batches: Batches,
        num_classes: int,
        anchoring_inputs: np.ndarray,
        allow_repeats: bool,
    ):
        self.num_batches = batches.num_batches
        self._batches, self._num_classes = batches, num_classes
        self._anchoring_inputs, self._allow_repeats = anchoring_inputs, allow_repeats

    def stacks(self, most: int | None = None) -> Iterator[Batch]:
        """Stacks of batches, as returned by `Batches.stacks`, each checked."""
        found, count, checked = [], 0, 0
        for stack in self._batches.stacks(most):
            is_example = np.ravel(stack.weights) > 0

            def rows(a: tf.Tensor, is_example: np.ndarray = is_example) -> np.ndarray:
                return np.reshape(a, [-1, *a.shape[2:]])[is_example]

            x, y = (tf.nest.map_structure(rows, part) for part in (stack.x, stack.y))
            inputs, examples = example_fingerprints(x, y)
            class_labels(y, self._num_classes)  # refuses other labels
            known = int(np.isin(inputs, self._anchoring_inputs).sum())
            if known:
                raise ValueError(
                    "`data` must not hold examples on which the prior depends. Received: "
                    f"{known} of {len(inputs)} examples among those of `anchor_prior`"
                )
            found.append(examples)
            count += len(examples)
            if count >= 2 * checked:  # sorting all of them at every batch would take longer
                self._check_repeats(found)
                checked = count
            yield stack
        self._check_repeats(found)

    def _check_repeats(self, found: list[np.ndarray]) -> None:
        examples = np.concatenate(found)
        repeats = len(examples) - len(np.unique(examples))
        if repeats and not self._allow_repeats:
            raise ValueError(
                "`data` must hold every example once; if equal ones are independent draws, set "
                "allow_repeats=True. "
                f"Received: {repeats} repeats among {len(examples)} examples"
            )
