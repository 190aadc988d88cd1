"""Influences of examples on a loss, from the inverse of the curvature at a minimum."""

from __future__ import annotations

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.mean_gradient import mean_gradient
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_products import example_slopes
from keras_infobottleneck.estimators.influence.without_one import norms_of_removals
from keras_infobottleneck.estimators.information.minimum import variables_of

__all__ = ["on_test", "on_themselves"]


def on_themselves(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    fisher: FisherInformation,
    shift: float,
    verbose: int,
) -> tuple[np.ndarray, ...]:
    """Losses, each example's influence on its own loss, and the influence's slope by `log F`."""
    losses, whole, of_shift = norms_of_removals(
        model, fisher, shift, likelihood, batches, verbose=verbose
    )
    return losses, -whole / fisher.num_examples, (whole - of_shift) / fisher.num_examples


def on_test(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    test: Batches,
    fisher: FisherInformation,
    shift: float,
    verbose: int,
) -> tuple[np.ndarray, ...]:
    """`on_themselves` for the mean test loss; one product with the inverse serves all examples."""
    variables = variables_of(model, fisher)
    gradient = mean_gradient(model, variables, likelihood, test)
    once = fisher.power_product(gradient[None], -1.0, shift)
    twice = fisher.power_product(once, -1.0, shift)
    pairs = zip(fisher.layout.split(once[0]), fisher.layout.split(twice[0]), strict=True)
    directions = [np.stack(pair) for pair in pairs]
    losses, both = example_slopes(
        model, variables, likelihood, batches, directions, verbose=verbose
    )
    influences, slopes = -both[:, 0], both[:, 0] - shift * both[:, 1]
    return losses, influences / fisher.num_examples, slopes / fisher.num_examples
