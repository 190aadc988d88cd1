"""The losses and accuracies of a network on several sets of examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.terms import (
    Categorical,
    CategoricalProbabilities,
    Likelihood,
    Term,
)
from keras_infobottleneck.estimators.influence.example_losses import ExampleLosses

__all__ = ["Performance"]


@dataclasses.dataclass(frozen=True)
class Performance:
    """Losses and accuracy on each set.

    Attributes:
        losses: For each set, minus the log-probability of each label, in nats, `[examples]`.
        accuracies: For each set, the share of labels that are the most probable class; None if
            there are no classes.
    """

    losses: dict[str, np.ndarray]
    accuracies: dict[str, float | None]

    @classmethod
    def of(
        cls, model: keras.Model, likelihood: Likelihood, sets: Mapping[str, Batches]
    ) -> Performance:
        """Measures a model in one pass over each set, without gradients."""
        losses: dict[str, np.ndarray] = {}
        accuracies: dict[str, float | None] = {}
        for name, batches in sets.items():
            found, classes = ExampleLosses(model, likelihood, batches, (), _most_probable).at([])
            losses[name] = found
            accuracies[name] = None
            if classes.shape[1:] == (1,):
                terms = likelihood.terms(model(batches.first_inputs(), training=False))
                labels = [_classes(label_of_each(terms, y)[0]) for _, y in batches.parts()]
                accuracies[name] = float(np.mean(classes[:, 0] == np.concatenate(labels)))
        return cls(losses, accuracies)


def _most_probable(terms: list[Term]) -> tf.Tensor:
    """The most probable class, `[batch, 1]`, or `[batch, 0]` if there are no classes."""
    term = terms[0]
    is_classes = isinstance(term, Categorical | CategoricalProbabilities)
    eta = term.eta[0]
    if len(terms) > 1 or not is_classes or eta.shape.rank != 2:
        return tf.zeros([eta.shape[0], 0])
    return tf.cast(tf.argmax(eta, -1)[:, None], tf.float32)


def _classes(y: np.ndarray) -> np.ndarray:
    """Labels as integer classes, from integers or one-hot rows."""
    y = np.asarray(y)
    return y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
