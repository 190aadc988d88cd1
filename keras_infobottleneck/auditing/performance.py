"""Loss, accuracy and confidence of a network on its task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.estimators.fisher import terms
from keras_infobottleneck.estimators.fisher.independent_outputs import (
    Bernoulli,
    BernoulliProbabilities,
    Normal,
)
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each, losses_of
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.masked_positions import without_masked
from keras_infobottleneck.results.result import Result

__all__ = ["TaskPerformance", "task_performance"]


@dataclasses.dataclass(frozen=True, repr=False)
class TaskPerformance(Result):
    """Means over examples. What only classes have is None for other likelihoods.

    Attributes:
        loss: Negative log-likelihood of an example's labels, nats.
        loss_standard_error: Standard error of its mean, over the examples.
        num_examples: Number of examples.
        likelihood: Name of the distribution.
        labels_per_example: Number of labels over which the loss is summed, such as outputs or
            positions, or their mean if a mask excludes some; None if a custom distribution does not
            say.
        accuracy: Share of labels that are the most probable class.
        accuracy_standard_error: Standard error over the examples.
        prediction_entropy: Entropy of the predicted distribution, nats per label.
        label_entropy: Entropy of the labels' frequencies, nats per label: an upper bound on their
            information.
        most_frequent: Share of the most frequent class, the accuracy of always predicting it.
    """

    loss: float
    loss_standard_error: float
    num_examples: int
    likelihood: str
    labels_per_example: float | None = None
    accuracy: float | None = None
    accuracy_standard_error: float | None = None
    prediction_entropy: float | None = None
    label_entropy: float | None = None
    most_frequent: float | None = None


def task_performance(
    model: keras.Model,
    sample: Sample,
    likelihood: str | Callable | None = None,
    batch_size: int | None = None,
) -> TaskPerformance:
    """Loss, accuracy and entropy of the predictions, in inference mode, in one pass.

    Exact for the given examples; standard errors are over them.

    Raises:
        ValueError: There are no labels, the labels do not match, or no likelihood can be found.
    """
    if not sample.has_labels:
        raise ValueError("`data` holds no labels. Received: y=None")
    batches = Batches(sample.data, batch_size)
    found = find_likelihood(model, likelihood)
    columns: dict[str, list[np.ndarray]] = {}
    targets, counts = [], []
    for batch in batches:
        parts = found.terms(model(batch.x, training=False))
        labels = label_of_each(parts, batch.y)
        rows = int(np.sum(batch.weights))
        columns.setdefault("loss", []).append(losses_of(parts, batch.y)[:rows].numpy())
        counts.append(_labels_of_examples(parts, rows))
        if len(parts) == 1 and (of_classes := _of_classes(parts[0], labels[0])) is not None:
            probabilities, target = of_classes
            right = tf.argmax(probabilities, -1) == tf.argmax(target, -1)
            entropy = -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), -1)
            for name, value in (("accuracy", right), ("prediction_entropy", entropy)):
                value = without_masked(tf.cast(value, tf.float64), parts[0].masks)
                columns.setdefault(name, []).append(terms.sum_example(value)[:rows].numpy())
            # Masked positions belong to no class.
            target = without_masked(target, parts[0].masks)[:rows]
            targets.append(tf.reduce_sum(tf.reshape(target, [-1, target.shape[-1]]), 0))
    count = np.concatenate(counts)
    means, errors = {}, {}
    for name, of_batches in columns.items():
        values = np.concatenate(of_batches).astype(np.float64)
        if name != "loss":  # a sum over an example's labels; the others are means over all labels
            values /= count.mean()
        means[name] = float(values.mean())
        if name != "loss":  # error of a ratio, whose denominator also differs between examples
            values -= means[name] * (count / count.mean() - 1)
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        errors[name] = float(spread / np.sqrt(len(values)))
    if not np.isfinite(means["loss"]):
        raise ValueError(
            "The loss must be finite; look for NaN in the data, labels outside the classes or "
            f"overflow in the model. Received: a mean of {means['loss']}"
        )
    classes = {}
    if targets:
        share = np.sum([t.numpy() for t in targets], 0, dtype=np.float64) / count.sum()
        present = share[share > 0]
        classes = {
            "accuracy": means["accuracy"],
            "accuracy_standard_error": errors["accuracy"],
            "prediction_entropy": means["prediction_entropy"],
            "label_entropy": float(np.sum(present * np.log(1 / present))),
            "most_frequent": float(share.max()),
        }
    mean = float(count.mean())
    each = None if np.isnan(mean) else int(mean) if mean.is_integer() else mean
    return TaskPerformance(means["loss"], errors["loss"], sample.size, found.name, each, **classes)


def _of_classes(term: terms.Term, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor] | None:
    """Predicted and true probabilities of the classes, two for a bit; None without classes."""
    if isinstance(term, terms.Categorical | terms.CategoricalProbabilities):
        pair = term.probabilities, term.target(label)
    elif isinstance(term, Bernoulli | BernoulliProbabilities) and term.num_outputs == 1:
        # A custom distribution may have no axis for a single bit.
        ones = [tf.reshape(p, [-1, 1]) for p in (term.probabilities, term.target(label))]
        pair = [tf.concat([1 - p, p], -1) for p in ones]
    else:
        return None
    return tf.cast(pair[0], tf.float64), pair[1]


def _labels_of_examples(found: list[terms.Term], rows: int) -> np.ndarray:
    """Number of classes at positions, bits and numbers in the log-probability of each example.

    NaN if a distribution does not say.
    """
    count = np.zeros(rows)
    for term in found:
        ones = tf.ones_like(term.eta[0])
        if isinstance(term, terms.Categorical | terms.CategoricalProbabilities):
            ones = ones[..., 0]
        elif not isinstance(term, Bernoulli | BernoulliProbabilities | Normal):
            return np.full(rows, np.nan)
        count += terms.sum_example(without_masked(ones, term.masks))[:rows].numpy()
    return count
