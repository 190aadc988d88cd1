"""What may be certified, on what data: each condition without which it would be untrue."""

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

TOLERANCE = 1e-3  # by which probabilities may miss a sum of one


def certified_layers(
    model: keras.Model, anchoring: Anchoring, *, fitted_scales: bool = False
) -> list[VariationalWeights]:
    """Layers with a distribution; raises where their divergence is not all the network knows.

    Args:
        model: what may be certified.
        anchoring: of the model.
        fitted_scales: whether priors of fitted scales are taken, whose price is then to be paid.
    """
    if not isinstance(model, InformationBottleneckModel):
        expected = (
            "be an InformationBottleneckModel, such as `make_variational` makes of a network; a "
            "network as it is has the bound `test_set_bound` on examples that it never saw"
        )
        raise refusal(TypeError, "model", expected, model)
    layers = anchoring.noisy_layers
    if not layers:
        raise ValueError(
            "`model` has no VariationalWeights, whose posterior is asked for. "
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
                "The data on which the prior depends are not known; anchor it by "
                f"`model.anchor_prior`. Received: layer={layer.name!r}, anchored by itself"
            )
    moved = anchoring.moved
    if moved:
        must = (
            "Priors, and weights without a distribution, must be as they were when the prior was "
            "anchored, for what they have learned since is in no divergence"
            if is_anchored
            else "Where no prior was anchored every weight must have a distribution, for what the "
            "others have learned is in no divergence"
        )
        raise ValueError(
            f"{must}; use `variational_bias=True` and "
            "`InformationDropout(VariationalWeights(layer), ...)`, and freeze normalisation before "
            f"`model.anchor_prior`. Received: {', '.join(weight.path for weight in moved)}"
        )
    return layers


def ends_in_logits(model: keras.Model, from_logits: bool | None) -> bool:
    """What was said, or what the compiled loss says, of which there must be one."""
    if from_logits is None:
        losses = compiled_losses(model)
        if len(losses) > 1:
            raise ValueError(
                "`model` must have one output of shape [batch, classes], or of two classes "
                f"[batch, 1]. Received: {len(losses)} compiled losses"
            )
        from_logits = takes_logits(losses[0]) if losses else None
    if not isinstance(from_logits, bool):
        raise ValueError(
            "`from_logits` must be True or False where the compiled loss does not say. "
            f"Received: from_logits={from_logits!r}"
        )
    return from_logits


def two_examples(batches: Batches) -> Any:
    """The first example, twice: enough to tell rows that are examples from others."""
    x = tf.nest.map_structure(lambda a: tf.concat([a, a], 0), batches.first_inputs())
    example_fingerprints(x)  # refuses what is not numbers
    return x


def check_outputs(
    network: keras.Model, x: Any, from_logits: bool, pricing_weights: list[keras.Variable]
) -> int:
    """Number of classes; raises unless the outputs are a row of class scores, a function of x."""
    with keras.StatelessScope() as scope, resting():
        outputs = network(x, training=False)
    changed = [v.path for v in network.variables if scope.get_current_value(v) is not None]
    if changed:
        raise ValueError(
            "Predictions must draw nothing and change nothing but by the posterior; remove "
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
            "Predictions must not depend on what prices noise, which may move after the prior is "
            f"anchored. Received: one that reads {', '.join(w.path for w, _ in others)}"
        )
    scores = class_scores(outputs, from_logits)
    sums = tf.reduce_sum(scores, -1).numpy()
    if not from_logits and (np.min(scores) < 0 or np.abs(sums - 1.0).max() > TOLERANCE):
        raise ValueError(
            "The outputs must be probabilities where `from_logits` is False. "
            f"Received: a row that sums to {sums[0]:.4g}"
        )
    return scores.shape[-1]


class CheckedBatches:
    """Batches that are checked as they are read, so that data is read once.

    Raises, at the batch in which it shows, on labels that are no classes, on an example that the
    prior depends on, and on one that came before.

    Args:
        batches: the data.
        num_classes: of the network.
        anchoring_inputs: fingerprints of the inputs that the prior depends on, whose labels may
            have come in another form.
        allow_repeats: whether equal examples are accepted.
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
        """Stacks of batches, as `Batches.stacks` gives them, each checked."""
        found, count, checked = [], 0, 0
        for stack in self._batches.stacks(most):
            is_example = np.ravel(stack.weights) > 0

            def rows(a: tf.Tensor, is_example: np.ndarray = is_example) -> np.ndarray:
                return np.reshape(a, [-1, *a.shape[2:]])[is_example]

            x, y = (tf.nest.map_structure(rows, part) for part in (stack.x, stack.y))
            inputs, examples = example_fingerprints(x, y)
            class_labels(y, self._num_classes)  # refuses others
            known = int(np.isin(inputs, self._anchoring_inputs).sum())
            if known:
                raise ValueError(
                    "`data` must hold no example that the prior depends on. Received: "
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
                "`data` must hold every example once; if equal ones are independent draws, say "
                "allow_repeats=True. "
                f"Received: {repeats} repeats among {len(examples)} examples"
            )
