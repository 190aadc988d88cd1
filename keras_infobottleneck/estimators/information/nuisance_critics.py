"""Networks that judge how likely a representation is with a nuisance: discriminator, classifier.

Each is trained on some examples and gives the log-density ratio `log p(z, n) / (p(z) p(n))` of
others. `fit` starts from the network's first weights, so that folds are independent.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

__all__ = ["Classifier", "Discriminator"]

# Share of the training examples that decides when to stop.
VALIDATION_SHARE = 0.15
PATIENCE = 8
# Pairs that a discriminator judges at once, and logits that a classifier makes at once.
NUM_PAIRS, NUM_LOGITS = 2**16, 2**22
# Options of the Gaussian classifier, chosen by the validation examples: what its log-densities
# are multiplied by, and the probability that the class is none that it can know.
SHARPNESS = (0.1, 0.3, 0.6, 1.0)
DOUBT = (1e-4, 0.003, 0.02, 0.1)
# Smallest variance of a standardised unit: one that is constant within every class tells the
# classes apart exactly.
SMALLEST_VARIANCE = 1e-6


class Discriminator:
    """Tells paired from unpaired examples; its logit is the log-density ratio.

    Args:
        model: from `[z, n]` to logits `[batch, 1]`; None for two hidden layers on both, flattened.
        shapes: of one `z` and of one `n`, as numbers.
        learning_rate, batch_size, epochs: of the training.
        seed: of the default model.
    """

    def __init__(self, model, shapes, *, learning_rate, batch_size, epochs, seed):
        if model is None:
            inputs = [keras.Input(shape) for shape in shapes]
            # Zero at the start, so that an untrained discriminator reports no information.
            output = keras.layers.Dense(1, kernel_initializer="zeros")(_hidden(inputs, seed))
            model = keras.Model(inputs, output)
        self.model = model

        def loss(z, n, rows, apart, training):
            joint = model([tf.gather(z, rows), tf.gather(n, rows)], training=training)
            unpaired = model([tf.gather(z, apart), tf.gather(n, rows)], training=training)
            return tf.reduce_mean(tf.nn.softplus(-joint)) + tf.reduce_mean(tf.nn.softplus(unpaired))

        self.fit = _trainer(model, loss, learning_rate, batch_size, epochs)
        self._logits = tf.function(
            lambda z, n: model([z, n], training=False)[:, 0],
            autograph=False,
            reduce_retracing=True,
        )

    def log_ratios(self, z, n) -> np.ndarray:
        """Log-density ratios of pairs, `[num_examples]` float64."""
        starts = range(0, len(n), NUM_PAIRS)
        parts = [self._logits(z[i : i + NUM_PAIRS], n[i : i + NUM_PAIRS]) for i in starts]
        return np.concatenate(parts).astype(np.float64)

    def log_total(self, z, values, log_shares) -> np.ndarray:
        """`log sum_m share_m ratio(z, m)` over values of the nuisance, `[num_examples]`."""
        rows, totals = max(1, NUM_PAIRS // len(values)), []
        for i in range(0, len(z), rows):
            part = z[i : i + rows]
            pairs = np.repeat(part, len(values), axis=0), np.tile(values, (len(part), 1))
            ratios = np.reshape(self.log_ratios(*pairs), [len(part), -1])
            totals.append(np.logaddexp.reduce(ratios + log_shares, axis=1))
        return np.concatenate(totals)


class Classifier:
    """Names the class from `z`; the ratio is the probability of the class over its share.

    Two are trained: a network, and the Gaussian classifier by class means with one common variance
    for each unit, which is much the better one where classes have few examples each. The one with
    the smaller cross-entropy on the validation part of the training examples judges.

    Args:
        shape: of one `z`.
        log_shares: logarithms of the classes' shares, `[num_classes]`.
        learning_rate, batch_size, epochs, seed: as of `Discriminator`.
    """

    def __init__(self, shape, log_shares, *, learning_rate, batch_size, epochs, seed):
        inputs = keras.Input(shape)
        # At the start every class has its share, whatever `z`: no information.
        output = keras.layers.Dense(
            len(log_shares),
            kernel_initializer="zeros",
            bias_initializer=lambda shape, dtype: tf.constant(log_shares, dtype),
        )(_hidden([inputs], seed))
        self.model = model = keras.Model(inputs, output)
        self._log_shares = log_shares

        def loss(z, n, rows, apart, training):
            logits = model(tf.gather(z, rows), training=training)
            labels = tf.gather(n, rows)
            return tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )

        self._train = _trainer(model, loss, learning_rate, batch_size, epochs)
        self._logits = self._of_network

    def fit(self, z, n, rng) -> None:
        """Trains both and keeps the better one."""
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

    def _of_network(self, z) -> np.ndarray:
        return self.model.predict_on_batch(z).astype(np.float64)

    def log_ratios(self, z, n) -> np.ndarray:
        """Log-density ratios of pairs, `n` as numbers of classes, `[num_examples]` float64."""
        rows, ratios = max(1, NUM_LOGITS // len(self._log_shares)), []
        for i in range(0, len(z), rows):
            logits, own = self._logits(z[i : i + rows]), n[i : i + rows]
            log_prob = np.take_along_axis(logits, own[:, None], 1)[:, 0]
            log_prob -= np.logaddexp.reduce(logits, axis=1)
            ratios.append(log_prob - self._log_shares[own])
        return np.concatenate(ratios)


def _logits_of_means(z, n, log_shares) -> Callable:
    """Logarithms of the classes' probabilities by their means, as a function of `z`."""
    z = z.reshape(len(z), -1).astype(np.float64)
    count = np.bincount(n, minlength=len(log_shares))
    means = np.zeros([len(log_shares), z.shape[1]])
    np.add.at(means, n, z)
    means /= np.maximum(count, 1)[:, None]  # a class that was not seen is taken for the mean of all
    # An example is nearer to a mean that it is part of; classes of one example tell no variance.
    freedom = max(len(z) - np.count_nonzero(count), 1)
    scale = np.sqrt(np.sum((z - means[n]) ** 2, axis=0) / freedom + SMALLEST_VARIANCE)
    means /= scale

    def logits(z, sharpness, doubt):
        z = z.reshape(len(z), -1) / scale
        logits = sharpness * (z @ means.T - 0.5 * np.sum(means**2, axis=1)) + log_shares
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return np.logaddexp(logits + np.log1p(-doubt), log_shares + np.log(doubt))

    return logits


def _hidden(inputs, seed):
    """Two hidden layers of 128 units on all inputs, flattened."""
    flat = [keras.layers.Flatten()(each) for each in inputs]
    hidden = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    for layer in range(2):
        initializer = keras.initializers.GlorotUniform(seed=seed + layer)
        hidden = keras.layers.Dense(128, "silu", kernel_initializer=initializer)(hidden)
    return hidden


def _trainer(
    model: keras.Model, loss: Callable, learning_rate: float, batch_size: int, epochs: int
) -> Callable:
    """Makes a function that trains the model on `(z, n)`, with early stopping on a part of them.

    Args:
        loss: of `z`, `n`, the rows of a batch, as many rows for unpairing, and the training mode.
    """
    initial = model.get_weights()
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    clean = [variable.numpy() for variable in optimizer.variables]

    @tf.function(reduce_retracing=True)
    def epoch(z, n, order, apart):
        size = tf.minimum(batch_size, tf.shape(order)[0])
        for start in tf.range(0, tf.shape(order)[0] - size + 1, size):
            with tf.GradientTape() as tape:
                rows, others = order[start : start + size], apart[start : start + size]
                value = loss(z, n, rows, others, True)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)

    validation_loss = tf.function(
        lambda z, n, rows, apart: loss(z, n, rows, apart, False), reduce_retracing=True
    )

    def fit(z, n, rng) -> tuple[np.ndarray, np.ndarray]:
        """Trains from the first weights. Returns the rows trained on, and those held back."""
        model.set_weights(initial)
        for variable, value in zip(optimizer.variables, clean, strict=True):
            variable.assign(value)
        order = rng.permutation(len(z))
        validation, training = np.split(order, [int(len(z) * VALIDATION_SHARE)])
        if not model.trainable_variables:
            return training, validation
        # Several unpairings of the same examples, for a steadier decision when to stop.
        paired = np.tile(validation, 4)
        apart = np.concatenate([rng.permutation(validation) for _ in range(4)])
        z, n = tf.constant(z), tf.constant(n)
        best, best_weights, waited = np.inf, model.get_weights(), 0
        for _ in range(epochs):
            epoch(z, n, rng.permutation(training), rng.permutation(training))
            value = float(validation_loss(z, n, paired, apart))
            if value < best:
                best, best_weights, waited = value, model.get_weights(), 0
            else:
                waited += 1
                if waited == PATIENCE:
                    break
        model.set_weights(best_weights)
        return training, validation

    return fit
