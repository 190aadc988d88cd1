"""Warnings, each given once: a price that affects nothing, or that collapses the model."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import described
from keras_infobottleneck.introspection.compiled_losses import kind_of_labels, only_loss
from keras_infobottleneck.introspection.contents import noise_weights
from keras_infobottleneck.introspection.weight_decay import decayed
from keras_infobottleneck.layers.noisy_layer import noisy_layers
from keras_infobottleneck.models.anchoring.anchoring import TOLERATED_MISCOUNT
from keras_infobottleneck.models.bounded_crossentropy import BoundedCrossentropy

__all__ = [
    "check_network",
    "check_steps",
    "examples_in",
    "warn_of_collapse",
    "warn_of_decay",
    "warn_of_miscount",
    "warn_of_nothing_charged",
]

COLLAPSED = 1e-3  # nats in the weights per example
HELD = 0.1  # share of the loss of guessing; with fewer nats, activations cannot predict much better
SHARE_OF_GUESSING = 0.98  # a loss above this share of the loss of guessing is no better than it

STEPS = ("train_step", "test_step", "compute_loss")


def check_steps(network: keras.Model) -> None:
    """Refuses a network with its own training steps, which the model that holds it would ignore."""
    own = [name for name in STEPS if getattr(type(network), name) is not getattr(keras.Model, name)]
    if own:
        raise ValueError(
            f"The network's own {', '.join(own)} would not run: give the method to a subclass of "
            "InformationBottleneckModel, where `super()` adds the price, and the network without "
            f"it. Received: {type(network).__name__} with its own {', '.join(own)}"
        )


def check_network(inputs: Any, outputs: Any) -> None:
    """Checks that the arguments are a model, or inputs and outputs, whose weights can be priced."""
    if (outputs is None) != isinstance(inputs, keras.Model):
        raise TypeError(
            "`inputs` must be a Keras model where `outputs` is not given, and symbolic inputs "
            f"where it is. Received: inputs={described(inputs)}, outputs={described(outputs)}"
        )
    if outputs is None:
        check_steps(inputs)


def warn_of_miscount(num_examples: int, examples_per_epoch: float) -> None:
    """Warns if an epoch does not have the number of examples by which the divergence is divided."""
    if abs(examples_per_epoch - num_examples) > TOLERATED_MISCOUNT * num_examples:
        warnings.warn(
            f"The information in the weights is divided by num_examples={num_examples}, but an "
            f"epoch held {examples_per_epoch:.0f} examples; num_examples is the size of the "
            "training set.",
            stacklevel=3,
        )


def warn_of_nothing_charged(network: keras.Model) -> bool:
    """Warns if no layer of a model draws noise; returns whether it warned."""
    is_free = not noisy_layers(network)
    if is_free:
        warnings.warn(
            "Nothing is charged: no layer of the model has a distribution over its weights or "
            "noise on its activations; `make_variational` gives a network the first. "
            f"Received: model={network.name!r}",
            stacklevel=3,
        )
    return is_free


def warn_of_decay(model: keras.Model) -> bool:
    """Warns if weight decay pulls the posterior's standard deviations to one.

    Args:
        model: An `InformationBottleneckModel`.

    Returns:
        Whether it warned.
    """
    scales = [each for each in noise_weights(model.network, "weights") if each.trainable]
    found = decayed(model.optimizer, scales)
    if found:
        warnings.warn(
            "The optimizer's weight decay also acts on the logarithms of the posterior's standard "
            "deviations, and pulls them to 0; call "
            "`optimizer.exclude_from_weight_decay(var_names=['_spread'])` before `compile`. "
            f"Received: optimizer={model.optimizer.name!r}, which decays {len(found)} of them",
            stacklevel=3,
        )
    return bool(found)


def warn_of_collapse(model: keras.Model, history: keras.callbacks.History) -> bool:
    """Warns if the price has removed the information from the model, which therefore guesses.

    Args:
        model: An `InformationBottleneckModel`.
        history: History of its training, whose last epoch is tested.

    Returns:
        Whether it warned.
    """
    logs = {name: values[-1] for name, values in history.history.items()}
    guessing = _loss_of_guessing(model)
    if guessing is None or logs.get("task_loss", 0.0) < SHARE_OF_GUESSING * guessing:
        return False
    if noisy_layers(model, "weights"):
        nats = logs.get("weight_information", math.inf) / model.num_examples
        is_crushed, held, price = nats < COLLAPSED, "weights hold", "model.weight_beta"
    else:  # only activations have a price; one layer without information is enough for a collapse
        paid = [
            logs.get(metric.name, math.inf)
            for layer in noisy_layers(model, "activations")
            for metric in layer.metrics
        ]
        nats = min(paid, default=math.inf)
        is_crushed, held, price = nats < HELD * guessing, "activations tell", "layer.beta"
    if not is_crushed:
        return False
    warnings.warn(
        f"The price collapsed the model: its {held} {nats:.1e} nats an example and it predicts no "
        f"better than guessing (task loss {logs['task_loss']:.3g}, guessing {guessing:.3g}). Raise "
        f"the price slowly, by `BetaSchedule({price})`, or make it smaller.",
        stacklevel=3,
    )
    return True


def _loss_of_guessing(model: keras.Model) -> float | None:
    """Loss of equal probabilities for all classes; None if the loss is not a cross-entropy."""
    try:
        loss = only_loss(model)
        num_classes = model.output.shape[-1]
    except (AttributeError, TypeError, ValueError):  # several outputs, or no graph
        return None
    kind = kind_of_labels(loss)
    if kind == "bits":
        return math.log(2.0)
    if kind in ("sparse", "rows") and num_classes > 1:
        return math.log(num_classes)
    if isinstance(loss, BoundedCrossentropy) and num_classes > 1:
        return math.log(num_classes) / math.log(1.0 / loss.min_probability)
    return None


def examples_in(batch: Any) -> tf.Tensor:
    """Number of examples in a batch, which may be any nest of arrays."""
    return tf.shape(next(x for x in keras.tree.flatten(batch) if x is not None))[0]
