"""Markov chains with a minibatch at each step, for data too large for a Metropolis test.

Their distribution is the tempered posterior up to two errors: the step is finite, and the gradient
is noisy. The first is of second order in the step if noise is averaged over neighbouring steps,
and vanishes for a quadratic loss (Leimkuhler & Matthews, 2013); the second is small if the
minibatch's gradient at the center is subtracted (Baker et al., 2019).
"""

from __future__ import annotations

import tensorflow as tf

from keras_infobottleneck.estimators.learning_coefficient.hamiltonian_chains import normals
from keras_infobottleneck.estimators.learning_coefficient.tempered_posterior import (
    TemperedPosterior,
    Tensors,
)

__all__ = ["langevin_chains"]


def langevin_chains(
    posterior: TemperedPosterior,
    start: Tensors,
    scales: Tensors,
    seed: tf.Tensor,
    step: tf.Tensor,
    num_draws: tf.Tensor,
    num_steps: int,
    batch_size: int,
    at_center: Tensors,
) -> tuple[tf.Tensor, Tensors]:
    """Stochastic gradient Langevin dynamics from stacked weights, in one compiled loop.

    Args:
        posterior: The density to draw from.
        start: Stacked weights.
        scales: `[...]` for each variable, the distance that a step of size one moves each weight.
        seed: Seed, `[2]`.
        step: Size of the steps.
        num_draws: Number of draws.
        num_steps: Number of steps per draw, which is their mean.
        batch_size: Number of examples at each step.
        at_center: Gradients of the summed loss of all examples at the center.

    Returns:
        Excess of the mean loss over that at the center, `[draws, chains]`, and the final weights.
    """
    num_chains = start[0].shape[0]
    num_examples = tf.cast(posterior.num_examples, tf.int32)

    def one(
        i: tf.Tensor, values: Tensors, noise: Tensors, excess: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors, Tensors, tf.Tensor]:
        of_step = tf.random.experimental.stateless_fold_in(seed, i)
        rows = tf.random.stateless_uniform([batch_size], of_step, 0, num_examples, tf.int32)
        more, gradients = posterior.of_rows(values, rows, at_center)
        new = normals(of_step, values)
        lengths = [tf.cast(step, s.dtype) * s for s in scales]
        values = [
            v - 0.5 * h**2 * g + 0.5 * h * (a + b)
            for v, h, g, a, b in zip(values, lengths, gradients, noise, new, strict=True)
        ]
        return i + 1, values, new, excess + more

    def draw(
        t: tf.Tensor, values: Tensors, noise: Tensors, trace: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors, Tensors, tf.Tensor]:
        _, values, noise, excess = tf.while_loop(
            lambda i, *_: i < (t + 1) * num_steps,
            one,
            (t * num_steps, values, noise, tf.zeros([num_chains], tf.float64)),
            parallel_iterations=1,
        )
        trace = tf.tensor_scatter_nd_update(trace, [[t]], (excess / num_steps)[None])
        return t + 1, values, noise, trace

    _, ends, _, trace = tf.while_loop(
        lambda t, *_: t < num_draws,
        draw,
        (
            tf.constant(0),
            start,
            normals(tf.random.experimental.stateless_fold_in(seed, -1), start),
            tf.zeros([num_draws, num_chains], tf.float64),
        ),
        shape_invariants=(
            tf.TensorShape([]),
            *tf.nest.map_structure(lambda a: a.shape, (start, start)),
            tf.TensorShape([None, num_chains]),
        ),
        parallel_iterations=1,
    )
    return trace, ends
