"""Markov chains with a Metropolis test on all examples: exact up to their finite length."""

from __future__ import annotations

import math

import tensorflow as tf

from keras_infobottleneck.estimators.learning_coefficient.tempered_posterior import (
    TemperedPosterior,
    Tensors,
    sum_by_chain,
)

__all__ = ["hamiltonian_chains", "normals"]

# A step that suits one region of a singular minimum is too long in another: the step size of each
# trajectory is drawn log-uniformly from this number of decades below the largest.
DECADES = 2.0
# Acceptance that warmup aims at, close to the optimum for Hamiltonian trajectories.
ACCEPTANCE = 0.65
# Adaptation of the step: largest change of its logarithm, and number of trials over which it falls.
RATE, TRIES = 0.5, 20.0


def hamiltonian_chains(
    posterior: TemperedPosterior,
    start: Tensors,
    scales: Tensors,
    seed: tf.Tensor,
    step: tf.Tensor,
    num_warmup: tf.Tensor,
    num_draws: tf.Tensor,
    num_steps: int,
    adapts: tf.Tensor,
    *,
    decades: float = DECADES,
    acceptance: float = ACCEPTANCE,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Tensors]:
    """Hamiltonian Monte Carlo from stacked weights, in one compiled loop.

    Args:
        posterior: The density to draw from.
        start: Stacked weights.
        scales: `[...]` for each variable, the distance that a step of size one moves each weight.
        seed: Seed, `[2]`.
        step: Size of the largest steps, before it is adapted.
        num_warmup: Number of trajectories discarded at the start, during which the step is adapted.
        num_draws: Number of trajectories after warmup.
        num_steps: Number of leapfrog steps per trajectory.
        adapts: Whether the step is adapted.
        decades: Number of decades below the step from which each trajectory's step is drawn.
        acceptance: Acceptance to which the step is adapted.

    Returns:
        Mean losses `[draws, chains]`, the mean acceptance after warmup, the step, and the
        final weights.
    """
    num_chains = start[0].shape[0]
    energy, losses, gradients = posterior.of_all_examples(start)

    def trajectory(
        t: tf.Tensor,
        values: Tensors,
        energy: tf.Tensor,
        losses: tf.Tensor,
        gradients: Tensors,
        log_step: tf.Tensor,
        accepted: tf.Tensor,
        trace: tf.Tensor,
    ) -> tuple[tf.Tensor | Tensors, ...]:
        of_step = tf.random.experimental.stateless_fold_in(seed, t)
        momenta = normals(of_step, values)
        uniform = tf.random.stateless_uniform(
            [2, num_chains], of_step + tf.constant([0, 1], of_step.dtype), dtype=tf.float64
        )
        size = tf.exp(log_step - decades * math.log(10.0) * uniform[0])
        kinetic = _kinetic(momenta)

        def leapfrog(
            k: tf.Tensor,
            values: Tensors,
            momenta: Tensors,
            energy: tf.Tensor,
            losses: tf.Tensor,
            gradients: Tensors,
        ) -> tuple[tf.Tensor | Tensors, ...]:
            half = [
                p - 0.5 * _times(size, s) * g
                for p, s, g in zip(momenta, scales, gradients, strict=True)
            ]
            values = [v + _times(size, s) * p for v, s, p in zip(values, scales, half, strict=True)]
            energy, losses, gradients = posterior.of_all_examples(values)
            momenta = [
                p - 0.5 * _times(size, s) * g
                for p, s, g in zip(half, scales, gradients, strict=True)
            ]
            return k + 1, values, momenta, energy, losses, gradients

        _, moved, momenta, new_energy, new_losses, new_gradients = tf.while_loop(
            lambda k, *_: k < num_steps,
            leapfrog,
            (tf.constant(0), values, momenta, energy, losses, gradients),
            parallel_iterations=1,
        )
        change = energy - new_energy + kinetic - _kinetic(momenta)
        # A trajectory that has left the range of float32 is rejected.
        change = tf.where(tf.math.is_finite(change), change, -math.inf)
        chance = tf.exp(tf.minimum(change, 0.0))
        taken = uniform[1] < chance
        values, gradients = (
            [_where(taken, new, old) for new, old in zip(news, olds, strict=True)]
            for news, olds in ((moved, values), (new_gradients, gradients))
        )
        energy = tf.where(taken, new_energy, energy)
        losses = tf.where(taken, new_losses, losses)
        mean = tf.reduce_mean(chance)
        warms = t < num_warmup
        rate = RATE * tf.sqrt(TRIES / (TRIES + tf.cast(t, tf.float64)))
        log_step += tf.where(warms & adapts, rate * (mean - acceptance), 0.0)
        accepted += tf.where(warms, tf.zeros([], tf.float64), mean)
        place = tf.maximum(t - num_warmup, 0)  # entries of the warmup are overwritten
        trace = tf.tensor_scatter_nd_update(trace, [[place]], losses[None])
        return t + 1, values, energy, losses, gradients, log_step, accepted, trace

    zero = tf.zeros([], tf.float64)
    _, ends, _, _, _, log_step, accepted, trace = tf.while_loop(
        lambda t, *_: t < num_warmup + num_draws,
        trajectory,
        (
            tf.constant(0),
            *(start, energy, losses, gradients, tf.math.log(step), zero),
            tf.zeros([num_draws, num_chains], tf.float64),
        ),
        shape_invariants=(
            tf.TensorShape([]),
            *tf.nest.map_structure(lambda a: a.shape, (start, energy, losses, gradients)),
            *(tf.TensorShape([]), tf.TensorShape([])),
            tf.TensorShape([None, num_chains]),
        ),
        parallel_iterations=1,
    )
    return trace, accepted / tf.cast(num_draws, tf.float64), tf.exp(log_step), ends


def normals(seed: tf.Tensor, values: Tensors) -> Tensors:
    """Standard normal numbers in the shapes of the weights."""
    return [
        tf.random.stateless_normal(
            v.shape, tf.random.experimental.stateless_fold_in(seed, 100 + i), dtype=v.dtype
        )
        for i, v in enumerate(values)
    ]


def _kinetic(momenta: Tensors) -> tf.Tensor:
    """Kinetic energy `|p|^2 / 2` of each chain."""
    return 0.5 * tf.add_n([sum_by_chain(tf.square(p)) for p in momenta])


def _times(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Product `[chains, ...]` of one number per chain with one number per weight."""
    return _by_chain(tf.cast(size, scale.dtype), scale.shape.rank) * scale


def _where(taken: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    return tf.where(_by_chain(taken, new.shape.rank - 1), new, old)


def _by_chain(numbers: tf.Tensor, rank: int) -> tf.Tensor:
    """One number per chain, reshaped to broadcast against stacked weights of this rank."""
    return tf.reshape(numbers, [-1, *[1] * rank])
