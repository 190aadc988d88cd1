"""Chains that see a minibatch at each step: as long as training, for data too large for a test.

Their law is that of the tempered posterior but for two errors: the step is not infinitely short,
and the gradient is noisy. The first is of second order in the step where noise is averaged over
neighbouring steps, and none where the loss is quadratic (Leimkuhler & Matthews, 2013); the second
is small where the minibatch's gradient at the center is subtracted (Baker et al., 2019).
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
        posterior: the density to draw from.
        start: stacked weights.
        scales: `[...]` of each variable, lengths that a step of size one moves a weight.
        seed: `[2]`.
        step: its size.
        num_draws: number of draws.
        num_steps: steps of a draw, over which it is a mean.
        batch_size: examples at each step.
        at_center: gradients of the sum over all examples at the center.

    Returns:
        Excess of the mean loss over that at the center, `[draws, chains]`, and the weights at the
        end.
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
