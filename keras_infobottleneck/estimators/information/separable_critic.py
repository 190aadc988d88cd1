"""A critic whose scores of pairs are inner products, and the bounds computed from its scores."""

from __future__ import annotations

from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from keras_infobottleneck.estimators.information.critic_steps import (
    PRECISION,
    CriticSteps,
    hidden_layers,
    kept_steps,
    random_kernel,
)
from keras_infobottleneck.estimators.information.critic_training import trainer_on_pairs

__all__ = ["SeparableCritic", "infonce_terms", "nwj_ceiling", "nwj_terms", "smile_terms"]

# Number of examples whose pairs are scored together; InfoNCE is at most its logarithm.
NUM_CONTRASTED = 1024
EMBEDDING = 32
# SMILE clips density ratios of unpaired examples to [exp(-CLIP), exp(CLIP)], as published.
CLIP = 5.0
NUM_CEILINGS = 16  # number of ceilings tried for NWJ


class SeparableCritic:
    """Scores ``f(z_i) . g(x_j)`` of all pairs of a batch, at a cost linear in its examples.

    The optimal score is the log-density ratio ``log p(z, x) / (p(z) p(x))``, for InfoNCE up to a
    function of ``z``.

    Args:
        method: Method whose objective is trained: that of InfoNCE, or for the others the
            cross-entropy of paired against unpaired examples, whose gradient is more stable than
            that of their own bounds.
        shapes: Shape of one `z` and of one `x`.
        learning_rate, batch_size, epochs: Options of the training.
        seed: Seed of the initial weights.
    """

    def __init__(
        self,
        method: Literal["infonce", "nwj", "smile"],
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        *,
        learning_rate: float,
        batch_size: int,
        epochs: int,
        seed: int,
    ):
        steps = kept_steps(_steps_of_scores, method == "infonce", *shapes)
        steps.draw_first_weights(seed)
        self._fit = trainer_on_pairs(steps, learning_rate, batch_size, epochs)
        self._scores = steps.judge
        self._terms = {"infonce": infonce_terms, "nwj": nwj_terms, "smile": smile_terms}[method]
        self._method = method

    def fit(
        self, z: np.ndarray, x: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Trains on these pairs; returns the rows that moved the weights and those held back."""
        moved, held_back = self._fit(z, x, rng)
        if self._method == "nwj":
            highest, offset = np.log(len(moved)), 0.0
            if len(held_back):
                highest, offset = nwj_ceiling(self._tables(z[held_back], x[held_back]), highest)
            self._terms = lambda table: nwj_terms(np.minimum(table, highest) + offset)
        return moved, held_back

    def terms(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The term of each pair, `[num_examples]` float64; the mean of the terms is the bound."""
        return np.concatenate([self._terms(table) for table in self._tables(z, x)])

    def _tables(self, z: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
        """Scores of all pairs, in tables of examples that are scored together, float64."""
        parts = np.array_split(np.arange(len(z)), -(-len(z) // NUM_CONTRASTED))
        return [self._scores(z[part], x[part]).numpy().astype(np.float64) for part in parts]

    @staticmethod
    def cap(num_examples: int) -> float:
        """Upper bound on InfoNCE with this many held-out examples, in nats."""
        smallest = num_examples // -(-num_examples // NUM_CONTRASTED)
        return float(np.log(smallest))


def _steps_of_scores(is_contrastive: bool, *shapes: tuple[int, ...]) -> CriticSteps:
    """Steps with the loss of InfoNCE, or the cross-entropy of paired against unpaired."""
    inputs = [keras.Input(shape, dtype=PRECISION) for shape in shapes]
    embeddings = []
    for number, each in enumerate(inputs):
        # Zero on one side: an untrained critic reports no information.
        initializer = "zeros" if number else random_kernel(5)
        dense = keras.layers.Dense(EMBEDDING, kernel_initializer=initializer, dtype=PRECISION)
        embeddings.append(dense(hidden_layers([each], 2 * number)))
    # What the examples score by themselves needs no product.
    options = {"kernel_initializer": "zeros", "dtype": PRECISION}
    alone = [keras.layers.Dense(1, **options)(each) for each in embeddings]
    model = keras.Model(inputs, [*embeddings, *alone])

    def scores(z: tf.Tensor, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        of_z, of_x, z_alone, x_alone = model([z, x], training=training)
        return tf.matmul(of_z, of_x, transpose_b=True) + z_alone + tf.transpose(x_alone)

    def loss(
        z: tf.Tensor, x: tf.Tensor, rows: tf.Tensor, apart: tf.Tensor, training: bool
    ) -> tf.Tensor:
        table = scores(tf.gather(z, rows), tf.gather(x, rows), training)
        paired = tf.linalg.diag_part(table)
        if is_contrastive:
            among_x, among_z = (tf.reduce_logsumexp(table, axis) for axis in (1, 0))
            return tf.reduce_mean(0.5 * (among_x + among_z) - paired)
        count = tf.cast(tf.shape(table)[0], table.dtype)
        unpaired = tf.reduce_sum(tf.nn.softplus(table)) - tf.reduce_sum(tf.nn.softplus(paired))
        unpaired = tf.math.divide_no_nan(unpaired, count * (count - 1.0))
        return tf.reduce_mean(tf.nn.softplus(-paired)) + unpaired

    return CriticSteps(model, loss, scores)


def infonce_terms(table: np.ndarray) -> np.ndarray:
    """``s_ii - log mean_j exp s_ij`` of a table of scores; the mean is over all examples `x_j`."""
    paired = np.diag(table)
    return paired - np.logaddexp.reduce(table, axis=1) + np.log(len(table))


def nwj_terms(table: np.ndarray) -> np.ndarray:
    """Terms ``s_ii + 1 - mean_{j != i} exp s_ij`` of the NWJ bound, from a table of scores."""
    with np.errstate(over="ignore"):
        ratios = np.exp(table)
    np.fill_diagonal(ratios, 0.0)
    return np.diag(table) + 1.0 - ratios.sum(1) / (len(table) - 1)


def nwj_ceiling(tables: list[np.ndarray], highest: float) -> tuple[float, float]:
    """The ceiling (at most `highest`) and the offset that give the largest NWJ bound.

    NWJ is a lower bound for any scores that are made without the pairs over which it is computed.
    A single unpaired score that is far too high dominates its mean of exponentials; a ceiling
    prevents this. The offset makes this mean equal to one.

    Args:
        tables: Scores of pairs that were not used for training.
        highest: Logarithm of the number of pairs: more nats cannot be shown with confidence.
    """
    paired = np.concatenate([np.diag(table) for table in tables])
    unpaired = np.concatenate([table[~np.eye(len(table), dtype=bool)] for table in tables])

    def log_mean(ceiling: float) -> float:
        return float(logsumexp(np.minimum(unpaired, ceiling)) - np.log(len(unpaired)))

    ceilings = np.linspace(0.0, highest, NUM_CEILINGS)
    means = np.array([log_mean(ceiling) for ceiling in ceilings])
    best = np.argmax(
        [np.minimum(paired, c).mean() - m for c, m in zip(ceilings, means, strict=True)]
    )
    return float(ceilings[best]), -float(means[best])


def smile_terms(table: np.ndarray) -> np.ndarray:
    """``s_ii - log mean_{j != i} exp clip(s_ij)``, with one mean over all unpaired examples."""
    clipped = np.clip(table, -CLIP, CLIP)
    np.fill_diagonal(clipped, -np.inf)
    log_mean = np.logaddexp.reduce(clipped, axis=None) - np.log(len(table) * (len(table) - 1))
    return np.diag(table) - log_mean
