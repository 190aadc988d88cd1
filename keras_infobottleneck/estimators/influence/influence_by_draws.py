"""Influences of examples on a loss: its posterior covariance with the examples' losses."""

from __future__ import annotations

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_losses import ExampleLosses
from keras_infobottleneck.models.posterior_draws import PosteriorDraws

__all__ = ["by_draws"]


def by_draws(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    test: Batches | None,
    num_draws: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean losses, influences (minus the covariance with the observed loss), and jackknife errors.

    Args:
        model: A model with `VariationalWeights`.
        likelihood: Maps the model's outputs to the label's distribution.
        batches: The examples.
        test: Data whose mean loss is observed; None for each example's own loss.
        num_draws: Number of draws of the weights, at least 3.
        seed: Seed of the draws.
    """
    draws = PosteriorDraws(model)
    of_data = ExampleLosses(model, likelihood, batches, draws.variables)
    losses = np.stack([of_data.at(draws.values(seed, k))[0] for k in range(num_draws)])
    mean = losses.mean(0, dtype=np.float64)
    spread = losses - mean
    observed = spread
    if test is not None:
        of_test = ExampleLosses(model, likelihood, test, draws.variables)
        means = [
            of_test.at(draws.values(seed, k))[0].mean(dtype=np.float64) for k in range(num_draws)
        ]
        observed = (np.array(means) - np.mean(means))[:, None]
    products = spread * observed
    # Leaving out a draw changes the covariance in proportion to its product's distance from the
    # mean.
    n = num_draws
    variance = n / ((n - 1) * (n - 2) ** 2) * ((products - products.mean(0)) ** 2).sum(0)
    return mean, -products.sum(0) / (n - 1), np.sqrt(variance)
