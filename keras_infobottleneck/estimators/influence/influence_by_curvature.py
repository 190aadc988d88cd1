"""Influences of examples on a loss, by the inverse of the curvature at a minimum."""

from __future__ import annotations

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_rows import example_rows
from keras_infobottleneck.estimators.influence.without_one import removals
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
    parts = []
    for part in removals(model, fisher, shift, likelihood, batches, verbose=verbose):
        whole = np.einsum("nw,nw->n", part.gradients, part.solved)
        of_shift = shift * np.einsum("nw,nw->n", part.solved, part.solved)
        parts.append((part.losses, -whole, whole - of_shift))
    losses, influences, slopes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return losses, influences / fisher.num_examples, slopes / fisher.num_examples


def on_test(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    test: Batches,
    fisher: FisherInformation,
    shift: float,
    verbose: int,
) -> tuple[np.ndarray, ...]:
    """As `on_themselves`, on the mean test loss: one product with the inverse serves all."""
    variables = variables_of(model, fisher)
    gradient = np.zeros(fisher.size)
    for part in example_rows(model, variables, likelihood, test, verbose=verbose):
        gradient += part.rows.sum((0, 1), dtype=np.float64)
    gradient /= test.num_examples
    once = fisher.power_product(gradient[None], -1.0, shift)
    twice = fisher.power_product(once, -1.0, shift)
    parts = []
    for part in example_rows(model, variables, likelihood, batches, verbose=verbose):
        both = part.rows[:, 0] @ np.concatenate([once, twice]).T
        parts.append((part.losses, -both[:, 0], both[:, 0] - shift * both[:, 1]))
    losses, influences, slopes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return losses, influences / fisher.num_examples, slopes / fisher.num_examples
