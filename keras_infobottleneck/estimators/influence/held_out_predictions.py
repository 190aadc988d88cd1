"""Predictions for each training example by the network that would be trained without it."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.independent_outputs import (
    Bernoulli,
    BernoulliProbabilities,
)
from keras_infobottleneck.estimators.fisher.terms import (
    TINY_PROBABILITY,
    Categorical,
    CategoricalProbabilities,
    Likelihood,
    Term,
)
from keras_infobottleneck.estimators.influence.example_losses import ExampleLosses
from keras_infobottleneck.estimators.influence.example_products import example_products
from keras_infobottleneck.estimators.influence.label_noise import log_softmax
from keras_infobottleneck.models.posterior_draws import PosteriorDraws

__all__ = ["by_curvature", "by_draws", "class_log_probabilities"]

# Largest leverage with which a step is taken. At one the step would be infinite, and a Fisher
# matrix without some entries can give more than one. Of 0.5 and 0.9, the former gave shares of
# wrong labels nearer to the truth on digits, for every number of epochs tried.
MOST_LEVERAGE = 0.5


def class_log_probabilities(terms: list[Term]) -> tf.Tensor:
    """Log-probabilities of every class, `[batch, classes]`.

    Raises:
        ValueError: The distribution is not over the classes of one label for each example.
    """
    term = terms[0]
    eta = term.eta[0]
    flat = eta.shape.rank == 2 and len(terms) == 1
    if flat and isinstance(term, Categorical):
        return tf.nn.log_softmax(eta)
    if flat and isinstance(term, CategoricalProbabilities):
        return tf.math.log(tf.maximum(eta, TINY_PROBABILITY))
    if flat and eta.shape[1] == 1 and isinstance(term, Bernoulli):
        return tf.concat([-tf.nn.softplus(eta), -tf.nn.softplus(-eta)], 1)
    if flat and eta.shape[1] == 1 and isinstance(term, BernoulliProbabilities):
        both = tf.concat([1.0 - eta, eta], 1)
        return tf.math.log(tf.maximum(both, TINY_PROBABILITY))
    raise ValueError(
        "`likelihood` must be over the classes of one label for each example. "
        f"Received: {type(term).__name__} of shape {tuple(eta.shape)}"
    )


def by_curvature(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    fisher: FisherInformation,
    shift: float,
    verbose: int,
) -> np.ndarray:
    """Held-out logits, `[examples, classes]`, by a Newton step that removes each example.

    With J the logits' derivative by the weights, L the label's Fisher information about them,
    `H = J (F + shift I)^-1 J^T / N` and r the loss's gradient by them, the logits change by
    `H (I - L H)^-1 r`. This is exact if the loss is quadratic in the weights and F is its Hessian.
    """
    found = []
    for products, numbers in example_products(
        model, likelihood, batches, fisher, shift, (-1.0,), of_outputs=True, verbose=verbose
    ):
        spread = products[:, 0] / fisher.num_examples
        leverages = np.linalg.eigvals(numbers.curvatures @ spread).real.max(1)
        spread *= np.minimum(1.0, MOST_LEVERAGE / np.maximum(leverages, 1e-30))[:, None, None]
        inner = np.eye(spread.shape[1]) - numbers.curvatures @ spread
        slopes = np.linalg.solve(inner, numbers.slopes[:, :, None])
        found.append(numbers.parameters + (spread @ slopes)[:, :, 0])
    scores = np.concatenate(found)
    if scores.shape[1] == 1:  # a single logit, that of the second class
        scores = np.concatenate([np.zeros_like(scores), scores], 1)
    return scores


def by_draws(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    num_draws: int,
    seed: int,
) -> np.ndarray:
    """Held-out log-probabilities, `[examples, classes]`, by importance weights of drawn networks.

    Networks that predict the label of an example well count less for it, by `1 / p(label)`, which
    removes the label from their mean, once. In a posterior that a price below one has sharpened,
    the example counts `1 / (N beta)` times. But a weight to that power would depend on very few
    draws of a factorised posterior, and was measured to find too many wrong labels. Weights are
    limited to their mean times the root of their number, which keeps the variance finite.
    """
    draws = PosteriorDraws(model)
    of = ExampleLosses(model, likelihood, batches, draws.variables, class_log_probabilities)
    found = [of.at(draws.values(seed, k)) for k in range(num_draws)]
    losses = np.stack([losses for losses, _ in found]).astype(np.float64)
    weights = np.exp(losses - losses.max(0))
    weights = np.minimum(weights, weights.mean(0) * np.sqrt(num_draws))
    weights /= weights.sum(0)
    mean = np.zeros(found[0][1].shape)
    for weight, (_, logs) in zip(weights, found, strict=True):
        mean += weight[:, None] * np.exp(logs.astype(np.float64))
    return log_softmax(np.log(np.maximum(mean, TINY_PROBABILITY)))
