"""Information that a representation holds about a nuisance, by a cross-fitted discriminator."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_model,
    check_numbers,
    check_positive,
    check_seed,
    check_verbose,
    described,
)
from keras_infobottleneck.results.result import Result

__all__ = ["NuisanceInformation", "nuisance_information"]

# Share of the training folds that decides when to stop.
VALIDATION_SHARE = 0.15
PATIENCE = 8
# Drawn values over which the ratio is normalised, where the nuisance has more or is continuous.
NUM_VALUES = 128


@dataclasses.dataclass(frozen=True)
class NuisanceInformation(Result):
    """An estimate of `I(z; n)` with its null.

    Attributes:
        nats: mean held-out log-density ratio.
        standard_error: of `nats`, over the held-out examples; not of the discriminator.
        null: mean of the same estimator with the nuisance permuted over the examples (truth: 0).
        null_std: standard deviation of those; NaN for a single permutation.
        lower_bound: variational lower bound from the same discriminator: below `I(z; n)` in
            expectation, however poor the discriminator.
        upper_bound: entropy `H(n)` of the nuisance in the data where it is discrete, else infinite.
        num_examples: number of held-out examples: all of them.
    """

    nats: float
    standard_error: float
    null: float
    null_std: float
    lower_bound: float
    upper_bound: float
    num_examples: int

    def __repr__(self):
        return (
            f"NuisanceInformation({self.nats:.4g} ± {self.standard_error:.2g} nats, null "
            f"{self.null:.2g}, between {self.lower_bound:.4g} and {self.upper_bound:.4g}, "
            f"{self.num_examples} examples)"
        )


def nuisance_information(
    z,
    n,
    *,
    discriminator: keras.Model | None = None,
    normalize: bool = True,
    num_folds: int = 5,
    num_permutations: int = 1,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int | None = None,
    verbose: int = 0,
) -> NuisanceInformation:
    """Estimate `I(z; n)`, nats, from a discriminator of joint from unpaired examples.

    A network `D(z, n)` learns to tell `z ~ p(z|n)` from `z ~ p(z)`; near its optimum
    `log D / (1 - D) = log p(z|n) / p(z)`, whose mean over the joint is the information:

        I(z; n) = E_n E_{z ~ p(z|n)} log [ D / (1 - D) ]

    By default the ratio is normalised first: averaged over the nuisance it must be 1 for every `z`,
    so `log sum_m p(m) D(z, m) / (1 - D(z, m))` is taken off, over all classes or 128 drawn values.
    Errors of the discriminator then enter to second order only. `normalize=False` is the published
    form.

    Every example is judged by a network trained without its fold (early stopping on a part of the
    other folds), so that memory is not taken for information. Consistent as the discriminator nears
    its optimum, mostly low; its standard error leaves out the discriminator's own error.
    `lower_bound` is a bound in expectation.

    Cost: `num_folds * (1 + num_permutations)` trainings of the discriminator.

    Args:
        z: representation `[num_examples, ...]`.
        n: nuisance: integers or bool `[num_examples]` or `[num_examples, 1]` (discrete), or real
            `[num_examples, ...]`.
        discriminator: model from `[z, n]` to logits `[batch, 1]`, `z` standardised, `n` one-hot or
            standardised; trained from its present weights, which are put back. By default two
            hidden layers of 128 units on the flattened inputs.
        normalize: whether to normalise the density ratio over the nuisance.
        num_folds: folds of the cross-fitting, at least 2.
        num_permutations: runs of the null, at least 1.
        epochs: at most so many passes over the training folds.
        seed: for folds, pairs, permutations and the default discriminator.
        verbose: 1 for a progress bar over trainings.

    Raises:
        TypeError: for a discriminator that is not a Keras model.
        ValueError: for wrong shapes or options, values that are not finite, or a constant nuisance.

    References:
        Achille, Soatto (2018), Emergence of Invariance and Disentanglement, arXiv 1706.01350;
        Nguyen, Wainwright, Jordan (2010), arXiv 0809.0853, for the lower bound.
    """
    check_flag("normalize", normalize)
    check_count("num_folds", num_folds, 2)
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        check_count(name, value, most=2**31 - 1)  # as TensorFlow counts rows
    check_count("num_permutations", num_permutations)
    check_positive("learning_rate", learning_rate)
    check_seed("seed", seed)
    check_verbose("verbose", verbose)
    if discriminator is not None:
        check_model("discriminator", discriminator)
    z, n, upper_bound = _standardised_pairs(z, n)
    is_discrete = np.isfinite(upper_bound)
    if len(z) < 10 * num_folds:
        raise ValueError(
            "`num_folds` must leave at least 10 examples per fold. "
            f"Received: num_folds={num_folds} of {len(z)} examples"
        )
    rng = np.random.default_rng(seed)
    if discriminator is None:
        keras_seed = int(rng.integers(2**31))
        discriminator = _default_discriminator(z.shape[1:], n.shape[1:], keras_seed)
    initial = discriminator.get_weights()
    folds = np.array_split(rng.permutation(len(z)), num_folds)
    progress = keras.utils.Progbar(num_folds * (1 + num_permutations), verbose=verbose)
    train = _trainer(discriminator, learning_rate, batch_size)
    log_ratio_of = _log_ratio_function(discriminator, normalize)

    def cross_fitted(n):
        """Held-out log-ratio of every example, and the mean of the lower bound."""
        log_ratio, bounds = np.empty(len(z)), []
        for fold in folds:
            others = np.setdiff1d(np.arange(len(z)), fold)
            discriminator.set_weights(initial)
            train(z[others], n[others], epochs, rng)
            values = _nuisance_values(n[others], is_discrete, rng)
            log_ratio[fold] = log_ratio_of(z[fold], n[fold], *values)
            unpaired = [n[rng.permutation(fold)] for _ in range(4)]
            apart = [log_ratio_of(z[fold], each, *values) for each in unpaired]
            bounds.append(np.mean(log_ratio[fold]) - np.mean(np.exp(apart)) + 1)
            progress.add(1)
        return log_ratio, float(np.mean(bounds))

    try:
        log_ratio, lower_bound = cross_fitted(n)
        nulls = [
            cross_fitted(n[rng.permutation(len(n))])[0].mean() for _ in range(num_permutations)
        ]
    finally:
        discriminator.set_weights(initial)
    return NuisanceInformation(
        nats=float(log_ratio.mean()),
        standard_error=float(log_ratio.std(ddof=1) / np.sqrt(len(z))),
        null=float(np.mean(nulls)),
        null_std=float(np.std(nulls, ddof=1)) if num_permutations > 1 else float("nan"),
        lower_bound=lower_bound,
        upper_bound=upper_bound,
        num_examples=len(z),
    )


def _standardised_pairs(z, n):
    """Standardised `z`, encoded `n` (one-hot or standardised), and the upper bound in nats."""
    z = check_numbers("z", z, "[num_examples, units, ...]")
    n = check_numbers("n", n, f"[{len(z)}, ...]", booleans=True, dtype=None)
    if np.all(n == n[:1]):
        raise ValueError(f"`n` must vary. Received: n={described(n)}, all alike")
    if n.shape == (len(n), 1) and n.dtype.kind in "biu":  # classes as many data sets store them
        n = n[:, 0]
    if n.ndim == 1 and n.dtype.kind in "biu":
        values, index, counts = np.unique(n, return_inverse=True, return_counts=True)
        share = counts / len(n)
        entropy = -float(np.sum(share * np.log(share)))
        return _standardised(z), np.eye(len(values), dtype=np.float32)[index], entropy
    return _standardised(z), _standardised(n.reshape(len(n), -1)), float("inf")


def _standardised(values):
    """Mean 0 and standard deviation 1 per unit; constant units become 0."""
    values = values.astype(np.float64, copy=False)
    scale = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return scaled.astype(np.float32)


def _default_discriminator(z_shape, n_shape, seed):
    """Two hidden layers on both inputs, flattened."""
    inputs = [keras.Input(z_shape), keras.Input(n_shape)]
    both = keras.layers.Concatenate()([keras.layers.Flatten()(each) for each in inputs])
    hidden = both
    for layer in range(2):
        initializer = keras.initializers.GlorotUniform(seed=seed + layer)
        hidden = keras.layers.Dense(128, "silu", kernel_initializer=initializer)(hidden)
    # Zero at the start, so that an untrained discriminator reports no information.
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(hidden))


def _nuisance_values(n, is_discrete, rng):
    """Values of the nuisance and their log-probabilities: all classes if few, else drawn."""
    if is_discrete and n.shape[1] <= NUM_VALUES:
        values, share = np.eye(n.shape[1], dtype=np.float32), n.mean(axis=0)
        present = share > 0
        return values[present], np.log(share[present])
    values = n[rng.integers(len(n), size=NUM_VALUES)]
    return values, np.full(NUM_VALUES, -np.log(NUM_VALUES), np.float32)


def _log_ratio_function(discriminator, normalize):
    """Make a function from pairs to log-density ratios, `[num_examples]`."""

    @tf.function(reduce_retracing=True)
    def log_ratio(z, n, values, log_shares):
        logits = discriminator([z, n], training=False)[:, 0]
        if not normalize:
            return logits
        total = tf.fill(tf.shape(logits), -np.inf)
        for index in tf.range(tf.shape(values)[0]):
            value = tf.broadcast_to(values[index], tf.shape(n))
            other = discriminator([z, value], training=False)[:, 0] + log_shares[index]
            total = tf.reduce_logsumexp([total, other], axis=0)
        return logits - total

    def in_batches(z, n, *values):
        starts = range(0, len(z), 4096)
        parts = [log_ratio(z[i : i + 4096], n[i : i + 4096], *values) for i in starts]
        return np.concatenate(parts).astype(np.float64)

    return in_batches


def _trainer(discriminator, learning_rate, batch_size):
    """Make a function that trains the discriminator on joint against unpaired examples."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(discriminator.trainable_variables)
    clean = [variable.numpy() for variable in optimizer.variables]

    def loss(z, n, z_apart, training):
        joint = discriminator([z, n], training=training)
        apart = discriminator([z_apart, n], training=training)
        return tf.reduce_mean(tf.nn.softplus(-joint)) + tf.reduce_mean(tf.nn.softplus(apart))

    @tf.function(reduce_retracing=True)
    def epoch(z, n, order, apart):
        size = tf.minimum(batch_size, tf.shape(order)[0])
        for start in tf.range(0, tf.shape(order)[0] - size + 1, size):
            rows, others = order[start : start + size], apart[start : start + size]
            with tf.GradientTape() as tape:
                value = loss(tf.gather(z, rows), tf.gather(n, rows), tf.gather(z, others), True)
            variables = discriminator.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)

    validation_loss = tf.function(lambda *pairs: loss(*pairs, False), reduce_retracing=True)

    def train(z, n, epochs, rng):
        for variable, value in zip(optimizer.variables, clean, strict=True):
            variable.assign(value)
        held = int(len(z) * VALIDATION_SHARE)
        order = rng.permutation(len(z))
        validation, training = order[:held], order[held:]
        # Several unpairings of the same examples, for a steadier decision when to stop.
        paired = np.tile(validation, 4)
        apart = np.concatenate([rng.permutation(validation) for _ in range(4)])
        z_valid, n_valid, z_apart = (tf.constant(a) for a in (z[paired], n[paired], z[apart]))
        z, n = tf.constant(z), tf.constant(n)
        best, best_weights, waited = np.inf, discriminator.get_weights(), 0
        for _ in range(epochs):
            epoch(z, n, rng.permutation(training), rng.permutation(training))
            value = float(validation_loss(z_valid, n_valid, z_apart))
            if value < best:
                best, best_weights, waited = value, discriminator.get_weights(), 0
            else:
                waited += 1
                if waited == PATIENCE:
                    break
        discriminator.set_weights(best_weights)

    return train
