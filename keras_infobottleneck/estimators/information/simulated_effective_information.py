"""Effective information by drawing the weights' noise, to check the linearised one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.estimate import Estimate
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.information.linearised_layer import LinearisedLayer
from keras_infobottleneck.estimators.operator import check_positive_integer
from keras_infobottleneck.estimators.passes import compiled

__all__ = ["simulated_effective_information"]

NUM_GROUPS = 10  # of draws, for the jackknife
DRAWN_NUMBERS = 2**22  # of noise at once


def simulated_effective_information(
    model: keras.Model,
    x: Any,
    *,
    layer: str | int | keras.layers.Layer,
    fisher: FisherInformation,
    beta: float,
    prior_scale: float | Literal["optimal"] = "optimal",
    num_draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """Effective information of a small layer by Monte Carlo and a Gaussian fit, nats.

    The weights' noise is drawn `num_draws` times; every draw sees all examples. With Gaussian laws
    fitted to the activations of each example and of all together,

        I(x; z) = 1/2 log det Cov(z) - mean_x 1/2 log det Cov(z | x),

    the second freed of its bias for Gaussian activations. Nothing is linearised; what remains is
    the Gaussian fit. It agrees with `effective_information` where the noise is small enough for
    the layer to be linear in the weights, about the same for every example, and the input close to
    Gaussian. Consistent as `num_draws` grows.

    Cost: `num_draws` forward passes over x, and memory of `num_draws * examples * units` numbers.

    Args:
        model, x, layer, fisher, beta, prior_scale: as of `effective_information`.
        num_draws: draws of the weights, at least 10 more than twice the units.
        seed: of the draws.

    Returns:
        An `Estimate` with its standard error over draws, by a jackknife over ten groups of them.

    Raises:
        ValueError, TypeError: as of `effective_information`; too few draws; a unit that the noise
            does not move at some example, for which the information is infinite.
    """
    linearised = LinearisedLayer.of(model, layer, fisher, beta, prior_scale)
    least = 2 * linearised.num_units + NUM_GROUPS
    check_positive_integer("num_draws", num_draws, least)
    check_positive_integer("seed", seed, 0)
    inputs = linearised.inputs(x)
    draws = _activations(linearised, inputs, num_draws, np.random.default_rng(seed))
    nats = _nats(draws)
    groups = np.arange(num_draws) % NUM_GROUPS
    left_out = np.array([_nats(draws[groups != group]) for group in range(NUM_GROUPS)])
    spread = (NUM_GROUPS - 1) * np.mean((left_out - left_out.mean()) ** 2)
    return Estimate(nats, float(np.sqrt(spread)))


def _activations(
    linearised: LinearisedLayer, inputs: np.ndarray, num_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Activations under noise, `[draws, examples, units]`; the model's weights stay as they are."""
    model, variables = linearised.model, linearised.variables

    def make(model_of: Callable[[], keras.Model]) -> Callable:
        def forward(x, noise):
            model = model_of()
            moved = {id(v): v.value + n for v, n in zip(variables, noise, strict=True)}
            values = [
                [moved.get(id(v), v.value) for v in group]
                for group in (model.trainable_variables, model.non_trainable_variables)
            ]
            return model.stateless_call(*values, x, training=False)[0]

        return tf.function(forward, autograph=False)

    forward = compiled(model, ("noisy", tuple(map(id, variables))), make)
    x, found = tf.constant(inputs), []
    chunk = max(1, DRAWN_NUMBERS // linearised.fisher.size)
    for start in range(0, num_draws, chunk):
        noise = linearised.draw_noise(rng, min(chunk, num_draws - start))
        noise = [tf.constant(n, v.dtype) for n, v in zip(noise, variables, strict=True)]
        for each in zip(*map(tf.unstack, noise), strict=True):
            found.append(forward(x, list(each)).numpy().astype(np.float64))
    return np.stack(found)


def _nats(draws: np.ndarray) -> float:
    """Gaussian entropy of all activations less the mean entropy of each example's."""
    num_draws, _, num_units = draws.shape
    means = draws.mean(0)
    centred = draws - means
    within = np.einsum("kni,knj->nij", centred, centred) / (num_draws - 1)
    signs, logs = np.linalg.slogdet(within)
    if np.any(signs <= 0) or not np.all(np.isfinite(logs)):
        raise ValueError(
            "The noise must move every unit at every example, else the information is infinite; "
            f"choose a layer without dead units. Received: {np.sum(signs <= 0)} of {len(signs)} "
            "examples with a unit that stays"
        )
    half_dof = (num_draws - np.arange(1, num_units + 1)) / 2
    bias = np.sum(tf.math.digamma(half_dof).numpy() - np.log((num_draws - 1) / 2))
    spread = means - means.mean(0)
    total = within.mean(0) + spread.T @ spread / len(means)
    return float(0.5 * (np.linalg.slogdet(total)[1] - np.mean(logs) + bias))
