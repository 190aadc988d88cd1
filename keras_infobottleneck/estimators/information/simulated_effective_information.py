"""Effective information by drawing the noise of the weights, as a check of the linearised one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_flag
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.information.flat_inputs import covariance_root
from keras_infobottleneck.estimators.information.linearised_layer import LinearisedLayer
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["simulated_effective_information"]

NUM_GROUPS = 10  # groups of draws, for the jackknife
DRAWN_NUMBERS = 2**22  # random numbers drawn at once


@on_replicas
def simulated_effective_information(
    model: keras.Model,
    x: Any,
    *,
    layer: str | int | keras.layers.Layer,
    fisher: FisherInformation,
    beta: float,
    prior_scale: float | Literal["optimal"] = "optimal",
    linear_input: bool = False,
    num_draws: int = 500,
    seed: int = 0,
    memory_limit: int | None = None,
) -> Estimate:
    """Effective information of a small layer by Monte Carlo and a Gaussian fit, nats.

    The noise of the weights is drawn `num_draws` times, and each draw is applied to all examples.
    With Gaussian distributions fitted to the activations of each example and of all together,

        I(x; z) = 1/2 log det Cov(z) - mean_x 1/2 log det Cov(z | x).

    Nothing is linearised; the only approximation is the Gaussian fit. It agrees with
    `effective_information` if, within the noise, the layer is nearly linear in its weights, within
    the data it is nearly linear in its input, and the noise is similar for all examples.
    `linear_input=True` checks only the first condition:
    `mean_x 1/2 log det(I + Cov(z | x)^-1 G Cov(x) G^T)`, `G = dz/dx`. Consistent as `num_draws`
    grows; a jackknife removes the first order of the bias.

    Cost: `num_draws` forward passes over x, and memory for `num_draws * examples * units` numbers.

    Args:
        model, x, layer, fisher, beta, prior_scale: As in `effective_information`.
        linear_input: Whether the dependence on the input is linearised, and only noise is drawn.
        num_draws: Number of draws of the weights, at least 10 more than twice the units.
        seed: Seed of the draws.
        memory_limit: Bytes; the system's free memory by default.

    Returns:
        An `Estimate` with its standard error over draws, by a jackknife over ten groups of them.

    Raises:
        ValueError, TypeError: As in `effective_information`; or there are too few draws, the memory
            is too small, or the noise does not move a unit at some example, so that the information
            is infinite.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="narrow")])
        model.compile(loss="mse")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        found = kib.estimators.simulated_effective_information(
            model, x, layer="narrow", fisher=fisher, beta=1e-3, num_draws=50
        )
        print(found > 0, found.standard_error >= 0)  # nats
        ```

        ```text
        True True
        ```
    """
    check_flag("linear_input", linear_input)
    check_count("seed", seed, 0)
    linearised = LinearisedLayer.of(
        model, layer, fisher, beta, prior_scale, memory_limit=memory_limit
    )
    least = 2 * linearised.num_units + NUM_GROUPS
    check_count("num_draws", num_draws, least)
    inputs = linearised.inputs(x)
    linearised.check_memory(inputs, memory_limit)
    # The draws, the draws without a group, and the latter centred.
    need = 3 * 8 * num_draws * len(inputs) * linearised.num_units
    limit = available_bytes() if memory_limit is None else memory_limit
    if limit is not None and need > limit:
        raise ValueError(
            f"{num_draws:,} draws of {len(inputs):,} x {linearised.num_units:,} activations need "
            f"{mebibytes(need)}; take fewer examples. Received: memory_limit={mebibytes(limit)}"
        )
    signal = None
    if linear_input:
        signal = linearised.by_inputs(inputs).astype(np.float64) @ covariance_root(inputs)
    draws = _activations(linearised, inputs, num_draws, np.random.default_rng(seed))
    groups = np.arange(num_draws) % NUM_GROUPS
    left_out = [_nats(draws[groups != group], signal) for group in range(NUM_GROUPS)]
    nats = NUM_GROUPS * _nats(draws, signal) - (NUM_GROUPS - 1) * np.mean(left_out)
    return Estimate(float(nats), float(np.sqrt(NUM_GROUPS - 1) * np.std(left_out)))


def _activations(
    linearised: LinearisedLayer, inputs: np.ndarray, num_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Activations with noise, `[draws, examples, units]`; the model's weights do not change."""
    model, variables = linearised.model, linearised.variables

    def make(
        model_of: Callable[[], keras.Model],
    ) -> Callable[[np.ndarray, list[tf.Tensor]], tf.Tensor]:
        def of_draw(x: tf.Tensor, noise: list[tf.Tensor]) -> tf.Tensor:
            model = model_of()
            moved = {id(v): v.value + n for v, n in zip(variables, noise, strict=True)}
            values = [
                [moved.get(id(v), v.value) for v in group]
                for group in (model.trainable_variables, model.non_trainable_variables)
            ]
            return model.stateless_call(*values, x, training=False)[0]

        def of_draws(x: tf.Tensor, noise: list[tf.Tensor]) -> tf.Tensor:
            return tf.map_fn(
                lambda n: of_draw(x, n),
                noise,
                fn_output_signature=model_of().output.dtype,
                parallel_iterations=1,
            )

        return tf.function(of_draws, autograph=False)

    of_draws = compiled(model, ("noisy", tuple(map(id, variables))), make)
    x, found = tf.constant(inputs), []
    chunk = int(np.clip(DRAWN_NUMBERS // linearised.fisher.size, 1, num_draws))
    for _ in range(0, num_draws, chunk):
        noise = linearised.draw_noise(rng, chunk)
        noise = [tf.constant(n, v.dtype) for n, v in zip(noise, variables, strict=True)]
        found.append(of_draws(x, noise).numpy().astype(np.float64))
    return np.concatenate(found)[:num_draws]


def _nats(draws: np.ndarray, signal: np.ndarray | None) -> float:
    """Gaussian entropy of all activations (or of each with its signal) minus that of the noise."""
    means = draws.mean(0)
    centred = draws - means
    within = np.einsum("kni,knj->nij", centred, centred) / (len(draws) - 1)
    signs, logs = np.linalg.slogdet(within)
    if np.any(signs <= 0) or not np.all(np.isfinite(logs)):
        raise ValueError(
            "The noise must move every unit at every example, else the information is infinite; "
            "choose a layer without dead or saturated units. "
            f"Received: {np.sum(signs <= 0)} of {len(signs)} examples with a unit that stays"
        )
    if signal is None:
        spread = means - means.mean(0)
        total = within.mean(0) + spread.T @ spread / len(means)
    else:
        total = within + signal @ signal.transpose(0, 2, 1)
    return float(0.5 * (np.mean(np.linalg.slogdet(total)[1]) - np.mean(logs)))
