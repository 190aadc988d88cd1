"""Log-partition function of a Boltzmann machine: enumeration, annealed importance sampling."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_infobottleneck.models.boltzmann.bernoulli import bernoulli

__all__ = ["annealed_log_partition", "enumerated_log_partition"]

# Number of states enumerated at once.
NUM_STATES = 2**14


def enumerated_log_partition(
    kernel: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray
) -> float:
    """`log Z` in nats, exact: enumerates the smaller side and sums the other in closed form.

    Args:
        kernel: `[visible, hidden]`, with at most about twenty units on one side.
        visible_bias, hidden_bias: Biases of the units, `[visible]`, `[hidden]`.
    """
    kernel, own, others = (np.asarray(a, np.float64) for a in (kernel, visible_bias, hidden_bias))
    if kernel.shape[0] > kernel.shape[1]:
        kernel, own, others = kernel.T, others, own
    units = np.arange(len(own))
    total = -np.inf
    for start in range(0, 2 ** len(own), NUM_STATES):
        numbers = np.arange(start, min(start + NUM_STATES, 2 ** len(own)))
        states = (numbers[:, None] >> units & 1).astype(np.float64)
        logs = states @ own + np.logaddexp(0.0, states @ kernel + others).sum(1)
        total = np.logaddexp(total, np.logaddexp.reduce(logs))
    return float(total)


def annealed_log_partition(
    kernel: np.ndarray,
    visible_bias: np.ndarray,
    hidden_bias: np.ndarray,
    base_bias: np.ndarray,
    *,
    num_chains: int,
    num_steps: int,
    seed: int,
) -> tuple[float, float]:
    """`log Z` in nats by annealed importance sampling, and its standard error.

    The path leads from independent visible units with biases `base_bias`, whose Z is known, to the
    machine, in `num_steps` equal steps of the inverse temperature with one Gibbs step at each. The
    mean of the chains' weights is an unbiased estimate of Z; its logarithm is too low on average.

    Args:
        kernel, visible_bias, hidden_bias: As in `enumerated_log_partition`.
        base_bias: `[visible]`.
        num_chains, num_steps: Number of independent chains, and of temperatures.
        seed: Seed of the draws, an integer.

    References:
        Salakhutdinov & Murray (2008), "On the quantitative analysis of deep belief networks",
        ICML; Neal (2001), arXiv physics/9803008.
    """
    dtype = tf.float32
    kernel, bias, hidden_bias, base = (
        tf.cast(a, dtype) for a in (kernel, visible_bias, hidden_bias, base_bias)
    )
    weights = _annealed_weights(
        kernel, bias, hidden_bias, base, tf.constant(num_chains), tf.constant(num_steps), seed
    ).numpy()
    log_z_base = np.logaddexp(0.0, base.numpy().astype(np.float64)).sum()
    log_z_base += len(hidden_bias) * np.log(2.0)
    most = weights.max()
    ratios = np.exp(weights - most)
    error = ratios.std(ddof=1) / ratios.mean() / np.sqrt(num_chains)
    return float(log_z_base + most + np.log(ratios.mean())), float(error)


@tf.function(reduce_retracing=True)
def _annealed_weights(
    kernel: tf.Tensor,
    bias: tf.Tensor,
    hidden_bias: tf.Tensor,
    base: tf.Tensor,
    num_chains: tf.Tensor,
    num_steps: tf.Tensor,
    seed: int,
) -> tf.Tensor:
    """Logarithms of the chains' importance weights, `[num_chains]` float64."""

    def log_probability(visible: tf.Tensor, inputs: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """Unnormalised log-probability of visible states; `inputs` are `v W + c`."""
        tilt = tf.linalg.matvec(visible, (1 - beta) * base + beta * bias)
        return tf.cast(tilt + tf.reduce_sum(tf.nn.softplus(beta * inputs), 1), tf.float64)

    def drawn(probability: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
        return bernoulli(
            probability, tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
        )

    shape = [num_chains, tf.shape(base)[0]]
    visible = drawn(tf.broadcast_to(tf.sigmoid(base), shape), 0)
    weights = tf.zeros([num_chains], tf.float64)
    for step in tf.range(num_steps):
        below, above = (
            tf.cast(step + i, base.dtype) / tf.cast(num_steps, base.dtype) for i in (0, 1)
        )
        inputs = tf.matmul(visible, kernel) + hidden_bias
        weights += log_probability(visible, inputs, above) - log_probability(visible, inputs, below)
        hidden = drawn(tf.sigmoid(above * inputs), 2 * step + 1)
        field = above * tf.matmul(hidden, kernel, transpose_b=True)
        visible = drawn(tf.sigmoid(field + (1 - above) * base + above * bias), 2 * step + 2)
    return weights
