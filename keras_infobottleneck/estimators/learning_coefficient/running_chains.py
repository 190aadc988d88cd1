"""Runs chains of one model; their compiled loops are traced once and kept with the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.learning_coefficient.hamiltonian_chains import (
    hamiltonian_chains,
)
from keras_infobottleneck.estimators.learning_coefficient.langevin_chains import langevin_chains
from keras_infobottleneck.estimators.learning_coefficient.tempered_posterior import (
    ChainLoss,
    TemperedPosterior,
    Tensors,
    stacked,
)
from keras_infobottleneck.introspection.compiled_passes import compiled

__all__ = ["ChainRun", "Chains", "Problem"]

# Number of examples on which the step of Langevin chains is tested, and number of test steps.
TRIED_EXAMPLES, NUM_TRIES = 2_048, 100
# Acceptance of single steps at which they are long enough, and their discretisation error small.
STEP_ACCEPTANCE = 0.8
# Longest Langevin step, whatever the test says: the noise of minibatches adds to the draws'
# variance in proportion to its square, 9 % of the coefficient of a linear model at a step of one.
MOST_STEP = 0.5


class Problem(NamedTuple):
    """Parameters of the distribution that the chains sample, and the scales of their steps.

    Attributes:
        stack: The data.
        num_examples: Number N of examples.
        center: The model's weights, around which the chains run.
        scales: Distance that a step of size one moves each weight.
        beta: Price of a nat relative to the mean loss.
        localization: Inverse variance of the Gaussian factor around the center.
    """

    stack: Batch
    num_examples: float | tf.Tensor
    center: list[tf.Tensor]
    scales: list[tf.Tensor]
    beta: float | tf.Tensor
    localization: float | tf.Tensor


class ChainRun(NamedTuple):
    """Result of a run of chains.

    Attributes:
        loss: Mean loss of all data at the center.
        excess: Mean losses minus that at the center, `[draws, chains]`.
        acceptance: Mean acceptance over steps.
        step_size: The longest step.
    """

    loss: float
    excess: np.ndarray
    acceptance: float
    step_size: float


class Chains:
    """Runs Markov chains over a model's weights, by either sampler.

    Args:
        model: The model.
        likelihood: Maps the model's outputs to the labels' distribution.
        variables: Variables that the chains move.
        num_chains: Number of chains that run together.
        num_steps: Number of gradient steps per draw.
        batch_size: Number of examples in a minibatch of Langevin chains.
    """

    def __init__(
        self,
        model: keras.Model,
        likelihood: Likelihood,
        variables: Sequence[keras.Variable],
        num_chains: int,
        num_steps: int,
        batch_size: int,
    ):
        self._model, self._likelihood, self._variables = model, likelihood, list(variables)
        self._num_chains, self._num_steps = num_chains, num_steps
        self._batch_size = batch_size

    def hamiltonian(
        self, problem: Problem, seed: int, step: float, adapts: bool, warmup: int, draws: int
    ) -> ChainRun:
        """Hamiltonian trajectories with a Metropolis test; an adapted step starts from `step`."""
        start = stacked(problem.center, self._num_chains)
        run, _ = self._tested(problem, start, seed, step, adapts, warmup, draws, self._num_steps)
        return run

    def langevin(
        self, problem: Problem, seed: int, step: float, adapts: bool, warmup: int, draws: int
    ) -> ChainRun:
        """Langevin steps with minibatches, whose size is set by Metropolis tests.

        If the step is adapted, this is done at the center and again at the end of the warmup,
        because a singular minimum may be narrower there. The acceptance returned is that after the
        last draw.
        """
        tried = _some_examples(problem, seed)
        values = stacked(problem.center, self._num_chains)
        run = self._compiled(("langevin", self._num_steps, self._batch_size), self._langevin)
        if adapts:
            found, _ = self._tested(tried, values, seed, step, True, NUM_TRIES, 1, None)
            step = min(found.step_size, MOST_STEP)
        if warmup:
            *_, values = run(*_tensors(problem, values, seed + 1, step, warmup))
        if adapts and warmup:
            found, _ = self._tested(tried, values, seed + 2, step, True, NUM_TRIES, 1, None)
            step = min(found.step_size, MOST_STEP)
        loss, excess, values = run(*_tensors(problem, values, seed + 3, step, draws))
        test, _ = self._tested(tried, values, seed + 4, step, False, 0, NUM_TRIES, None)
        return ChainRun(float(loss), np.asarray(excess), test.acceptance, float(step))

    def _tested(
        self,
        problem: Problem,
        start: Tensors,
        seed: int,
        step: float,
        adapts: bool,
        warmup: int,
        draws: int,
        num_steps: int | None,
    ) -> tuple[ChainRun, Tensors]:
        """Trajectories of `num_steps` leapfrog steps with a test; None: single steps."""

        def make(loss_of: ChainLoss) -> Callable[..., tuple[tf.Tensor | Tensors, ...]]:
            options = {} if num_steps else {"decades": 0.0, "acceptance": STEP_ACCEPTANCE}

            def run(
                problem: Problem,
                start: Tensors,
                seed: tf.Tensor,
                step: tf.Tensor,
                draws: tf.Tensor,
                warmup: tf.Tensor,
                adapts: tf.Tensor,
            ) -> tuple[tf.Tensor | Tensors, ...]:
                posterior = _posterior(problem, loss_of)
                _, loss, _ = posterior.of_all_examples(stacked(problem.center, 1))
                losses, *found = hamiltonian_chains(
                    posterior,
                    start,
                    problem.scales,
                    seed,
                    step,
                    warmup,
                    draws,
                    num_steps or 1,
                    adapts,
                    **options,
                )
                return loss[0], losses - loss[0], *found

            return run

        run = self._compiled(("hamiltonian", num_steps), make)
        settings = _tensors(problem, start, seed, step, draws)
        *found, ends = run(*settings, tf.constant(warmup), tf.constant(adapts))
        loss, excess, acceptance, size = (np.asarray(each) for each in found)
        return ChainRun(float(loss), excess, float(acceptance), float(size)), ends

    def _langevin(self, loss_of: ChainLoss) -> Callable[..., tuple[tf.Tensor, tf.Tensor, Tensors]]:
        """Function that runs Langevin chains: loss at the center, excess losses, final weights."""

        def run(
            problem: Problem, start: Tensors, seed: tf.Tensor, step: tf.Tensor, draws: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
            posterior = _posterior(problem, loss_of)
            losses, gradients = posterior.sums(stacked(problem.center, 1))
            excess, ends = langevin_chains(
                posterior,
                start,
                problem.scales,
                seed,
                step,
                draws,
                self._num_steps,
                self._batch_size,
                [gradient[0] for gradient in gradients],
            )
            return losses[0] / problem.num_examples, excess, ends

        return run

    def _compiled(
        self, key: tuple[Any, ...], make: Callable[[ChainLoss], Callable[..., Any]]
    ) -> Callable[..., Any]:
        """The compiled loop of this key, traced at its first run and kept with the model."""
        likelihood, variables = self._likelihood, self._variables

        def make_once(model_of: Callable[[], keras.Model]) -> Callable[..., Any]:
            function = make(ChainLoss(model_of, likelihood, variables))
            traced = tf.function(function, autograph=False)
            # A concrete function, because TensorFlow warns of retracing if a function is called per
            # model.
            return lambda *arguments: traced.get_concrete_function(*arguments)(*arguments)

        of_model = (likelihood, tuple(map(id, variables)), self._num_chains)
        return compiled(self._model, ("chains", *key, *of_model), make_once)


def _posterior(problem: Problem, loss_of: ChainLoss) -> TemperedPosterior:
    """The distribution that the chains sample, for these parameters and this loss."""
    return TemperedPosterior(
        loss_of,
        problem.stack,
        problem.num_examples,
        problem.center,
        problem.beta,
        problem.localization,
    )


def _tensors(
    problem: Problem, start: Tensors, seed: int, step: float, draws: int
) -> tuple[Problem, Tensors, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The arguments of a compiled loop as tensors, so that other values need no new trace."""
    wide = Problem(
        problem.stack,
        tf.constant(problem.num_examples, tf.float64),
        problem.center,
        problem.scales,
        tf.constant(problem.beta, tf.float64),
        tf.constant(problem.localization, tf.float64),
    )
    return (
        wide,
        start,
        tf.constant([seed % 2**31, 0], tf.int32),
        tf.constant(step, tf.float64),
        tf.constant(draws),
    )


def _some_examples(problem: Problem, seed: int) -> Problem:
    """The problem restricted to a random subset of the batches."""
    num_batches, size = problem.stack.weights.shape
    wanted = min(num_batches, -(-TRIED_EXAMPLES // size))
    chosen = np.sort(np.random.default_rng(seed).permutation(num_batches)[:wanted])
    stack = tf.nest.map_structure(lambda a: tf.gather(a, chosen), problem.stack)
    count = float(tf.reduce_sum(stack.weights))
    return Problem(stack, count, *problem[2:])
