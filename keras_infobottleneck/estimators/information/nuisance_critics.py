"""Networks that score how well a representation and a nuisance fit: discriminator, classifier.

Each is trained on some examples and gives the log-density ratio `log p(z, n) / (p(z) p(n))` for
others.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_steps import (
    PRECISION,
    CriticSteps,
    hidden_layers,
    kept_steps,
)
from keras_infobottleneck.estimators.information.critic_training import trainer

__all__ = ["Classifier", "Discriminator"]

# Number of pairs that a discriminator scores at once, and of logits that a classifier makes at
# once.
NUM_PAIRS, NUM_LOGITS = 2**16, 2**22
# Options of the Gaussian classifier, chosen on validation examples: a factor of its log-densities,
# and the probability of a class drawn from the shares instead.
SHARPNESS = (0.1, 0.3, 0.6, 1.0)
DOUBT = (1e-4, 0.003, 0.02, 0.1)
# Smallest variance of a standardised unit. A unit that is constant within every class would
# otherwise separate the classes with certainty.
SMALLEST_VARIANCE = 1e-6


class Discriminator:
    """Distinguishes paired from unpaired examples; its logit is the log-density ratio.

    Args:
        model: Model from `[z, n]` to logits `[batch, 1]`; None for two hidden layers on both
            inputs, flattened.
        shapes: Shape of one `z` and of one `n`, as numbers.
        learning_rate, batch_size, epochs: Options of the training.
        seed: Seed of the default model.
    """

    def __init__(
        self,
        model: keras.Model | None,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        *,
        learning_rate: float,
        batch_size: int,
        epochs: int,
        seed: int,
    ):
        if model is None:
            steps = kept_steps(_default_discriminator, *shapes)
            steps.draw_first_weights(seed)
        else:
            steps = _steps_of_discriminator(model)
        self._logits = steps.judge
        self.fit = trainer(steps, learning_rate, batch_size, epochs)

    def log_ratios(self, z: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Log-density ratios of pairs, `[num_examples]` float64."""
        starts = range(0, len(n), NUM_PAIRS)
        parts = [self._logits(z[i : i + NUM_PAIRS], n[i : i + NUM_PAIRS]) for i in starts]
        return np.concatenate(parts).astype(np.float64)

    def log_total(self, z: np.ndarray, values: np.ndarray, log_shares: np.ndarray) -> np.ndarray:
        """`log sum_m share_m ratio(z, m)` over values m of the nuisance, `[num_examples]`."""
        rows, totals = max(1, NUM_PAIRS // len(values)), []
        for i in range(0, len(z), rows):
            part = z[i : i + rows]
            pairs = np.repeat(part, len(values), axis=0), np.tile(values, (len(part), 1))
            ratios = np.reshape(self.log_ratios(*pairs), [len(part), -1])
            totals.append(np.logaddexp.reduce(ratios + log_shares, axis=1))
        return np.concatenate(totals)


class Classifier:
    """Predicts the class from `z`; the ratio is the probability of the class over its share.

    Two classifiers are trained: a network, and a Gaussian classifier with class means and one
    common variance for each unit, which is much better if classes have few examples each. The one
    with the smaller cross-entropy on the validation part of the training examples is used.

    Args:
        shape: Shape of one `z`.
        log_shares: Logarithms of the classes' shares, `[num_classes]`.
        learning_rate, batch_size, epochs, seed: As in `Discriminator`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        log_shares: np.ndarray,
        *,
        learning_rate: float,
        batch_size: int,
        epochs: int,
        seed: int,
    ):
        steps = kept_steps(_network_of_classes, shape, len(log_shares))
        steps.draw_first_weights(seed)
        # At the start every class has its share, for every `z`: no information.
        steps.model.layers[-1].bias.assign(log_shares)
        self._log_shares, self._judge = log_shares, steps.judge
        self._train = trainer(steps, learning_rate, batch_size, epochs)
        self._logits: Callable[[np.ndarray], np.ndarray] = self._of_network

    def fit(self, z: np.ndarray, n: np.ndarray, rng: np.random.Generator) -> None:
        """Trains the network and the Gaussian classifier, and keeps the better of the two."""
        training, validation = self._train(z, n, rng)
        held = z[validation], n[validation]
        self._logits = self._of_network
        least = -self.log_ratios(*held).mean()
        of_means = _logits_of_means(z[training], n[training], self._log_shares)
        best = self._logits
        for sharpness, doubt in itertools.product(SHARPNESS, DOUBT):
            self._logits = functools.partial(of_means, sharpness=sharpness, doubt=doubt)
            value = -self.log_ratios(*held).mean()
            if value < least:
                least, best = value, self._logits
        self._logits = best

    def _of_network(self, z: np.ndarray) -> np.ndarray:
        return self._judge(z).numpy().astype(np.float64)

    def log_ratios(self, z: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Log-density ratios of pairs, with `n` as class numbers, `[num_examples]` float64."""
        rows, ratios = max(1, NUM_LOGITS // len(self._log_shares)), []
        for i in range(0, len(z), rows):
            logits, own = self._logits(z[i : i + rows]), n[i : i + rows]
            log_prob = np.take_along_axis(logits, own[:, None], 1)[:, 0]
            log_prob -= np.logaddexp.reduce(logits, axis=1)
            ratios.append(log_prob - self._log_shares[own])
        return np.concatenate(ratios)


def _default_discriminator(*shapes: tuple[int, ...]) -> CriticSteps:
    """Two hidden layers on both inputs. It starts at no information: its last layer is zero."""
    inputs = [keras.Input(shape, dtype=PRECISION) for shape in shapes]
    dense = keras.layers.Dense(1, kernel_initializer="zeros", dtype=PRECISION)
    output = dense(hidden_layers(inputs))
    return _steps_of_discriminator(keras.Model(inputs, output))


def _steps_of_discriminator(model: keras.Model) -> CriticSteps:
    """The steps of a model from `[z, n]` to logits, by the cross-entropy of paired, unpaired."""

    def loss(
        z: tf.Tensor, n: tf.Tensor, rows: tf.Tensor, apart: tf.Tensor, training: bool
    ) -> tf.Tensor:
        joint = model([tf.gather(z, rows), tf.gather(n, rows)], training=training)
        unpaired = model([tf.gather(z, apart), tf.gather(n, rows)], training=training)
        return tf.reduce_mean(tf.nn.softplus(-joint)) + tf.reduce_mean(tf.nn.softplus(unpaired))

    return CriticSteps(model, loss, lambda z, n: model([z, n], training=False)[:, 0])


def _network_of_classes(shape: tuple[int, ...], num_classes: int) -> CriticSteps:
    """Two hidden layers and a logit for each class, by the cross-entropy of the classes."""
    inputs = keras.Input(shape, dtype=PRECISION)
    dense = keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype=PRECISION)
    output = dense(hidden_layers([inputs]))
    model = keras.Model(inputs, output)

    def loss(
        z: tf.Tensor, n: tf.Tensor, rows: tf.Tensor, apart: tf.Tensor, training: bool
    ) -> tf.Tensor:
        logits = model(tf.gather(z, rows), training=training)
        labels = tf.gather(n, rows)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )

    return CriticSteps(model, loss, lambda z: model(z, training=False))


def _logits_of_means(
    z: np.ndarray, n: np.ndarray, log_shares: np.ndarray
) -> Callable[..., np.ndarray]:
    """Gaussian classifier with class means, as a function from `z` to log-probabilities."""
    z = z.reshape(len(z), -1).astype(np.float64)
    count = np.bincount(n, minlength=len(log_shares))
    means = np.zeros([len(log_shares), z.shape[1]])
    np.add.at(means, n, z)
    means /= np.maximum(count, 1)[:, None]  # an unseen class has the mean of all examples, zero
    # Unbiased: an example is nearer to a mean that includes it, and single examples have no
    # variance.
    freedom = max(len(z) - np.count_nonzero(count), 1)
    scale = np.sqrt(np.sum((z - means[n]) ** 2, axis=0) / freedom + SMALLEST_VARIANCE)
    means /= scale

    def logits(z: np.ndarray, sharpness: float, doubt: float) -> np.ndarray:
        z = z.reshape(len(z), -1) / scale
        logits = sharpness * (z @ means.T - 0.5 * np.sum(means**2, axis=1)) + log_shares
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return np.logaddexp(logits + np.log1p(-doubt), log_shares + np.log(doubt))

    return logits
