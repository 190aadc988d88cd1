"""The training objective: the information bottleneck Lagrangian, or a PAC-Bayes bound."""

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.arguments import check_choice, check_probability
from keras_infobottleneck.models.bounded_crossentropy import BoundedCrossentropy

__all__ = ["check_loss", "check_objective", "price_of_weights"]

OBJECTIVES = ("lagrangian", "pac_bayes_quadratic", "pac_bayes_kl")


def price_of_weights(
    objective: str, task_loss: tf.Tensor, nats: tf.Tensor, num_examples: int, delta: float
) -> tf.Tensor:
    """The term that `objective` adds to the task loss of a batch, for weights that cost `nats`.

    ``"lagrangian"``: ``nats / num_examples``. ``"pac_bayes_quadratic"``, ``"pac_bayes_kl"``: the
    bound at this task loss, minus the task loss. The bounds are concave in the risk, so that their
    mean over batches is slightly below the bound at the mean.
    """
    if objective == "lagrangian":
        return nats / num_examples
    arguments = [keras.ops.cast(a, "float64") for a in (task_loss, nats, num_examples, delta)]
    quadratic = objective == "pac_bayes_quadratic"
    bound = (pac_bayes.quadratic_bound if quadratic else pac_bayes.kl_bound)(*arguments)
    return keras.ops.cast(bound - arguments[0], task_loss.dtype)


def check_objective(objective: Any, delta: Any) -> None:
    """Checks the objective and its probability of failure."""
    check_choice("objective", objective, OBJECTIVES)
    check_probability("delta", delta)


def check_loss(objective: str, loss: Any, sample_weight: Any = None) -> None:
    """Checks that a PAC-Bayes objective has a loss for which its bound holds."""
    if objective != "lagrangian" and sample_weight is not None:
        raise ValueError(
            f"objective={objective!r} bounds the mean loss over examples of equal weight. "
            "Received: a `sample_weight` or `class_weight`"
        )
    if objective != "lagrangian" and not isinstance(loss, BoundedCrossentropy):
        raise ValueError(
            f"objective={objective!r} needs a loss between 0 and 1, "
            f"`keras_infobottleneck.models.BoundedCrossentropy`. Received: loss={loss!r}"
        )
    if objective != "lagrangian" and loss.reduction not in ("sum_over_batch_size", "mean"):
        raise ValueError(
            f"objective={objective!r} needs the mean of the loss over examples. "
            f"Received: reduction={loss.reduction!r}"
        )
