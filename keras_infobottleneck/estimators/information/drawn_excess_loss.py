"""Excess loss due to the noise of the Gaussian code, measured by drawing weights from the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_instance, seed_or_fresh
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.information.mean_loss import MeanLoss, finite_loss
from keras_infobottleneck.estimators.information.minimum import (
    Minimum,
    check_price_of_nat,
    check_prior_scale,
    variables_of,
)
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.few_draws import error_of_draws

__all__ = ["drawn_excess_loss"]


@on_replicas
def drawn_excess_loss(
    model: keras.Model,
    data: Any,
    fisher: FisherInformation,
    *,
    beta: float,
    prior_scale: float | Literal["optimal"] = "optimal",
    num_draws: int = 8,
    likelihood: str | Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> Estimate:
    """Mean loss with weights drawn from the Gaussian code, minus the loss at the weights, in nats.

    `information_in_weights` predicts this number as `excess_loss`, from the curvature at the
    weights; if the code's noise is large, the prediction may be several times too low or too high.
    Here weights `w + S^(1/2) n` are drawn, with n standard normal and
    `S = beta (F + beta / prior_scale^2 I)^-1`, and their loss on `data` is measured. A code is
    usable if the loss stays well below that of guessing; otherwise its nats do not describe the
    network.

    Unbiased for the given examples. The standard error is over the draws, and widened if they are
    few, so that 1.96 of it cover the truth in 95 of 100 cases; losses of draws are skewed, so with
    8 draws it is about 90 of 100. Cost: `num_draws + 1` passes without gradients.

    Args:
        model: The model at its trained weights, which are not changed.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        fisher: A `FisherInformation` of this model, of any structure but "implicit".
        beta: Price of a nat relative to the *mean* loss, as in `information_in_weights`.
        prior_scale: As in `information_in_weights`.
        num_draws: Number of draws of all weights, at least 2.
        likelihood, batch_size: As in `fisher_information`.
        seed: Seed of the draws.

    Returns:
        An `Estimate`; infinite if the model overflows with the noise.

    Raises:
        ValueError, TypeError: An argument is invalid.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x, y = np.ones((10, 4), "float32"), np.zeros((10, 3), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        excess = kib.estimators.drawn_excess_loss(model, (x, y), fisher, beta=0.1, seed=0)
        print(excess.standard_error > 0)  # nats per example, over draws
        ```

        ```text
        True
        ```
    """
    beta = check_price_of_nat(beta)
    scale = check_prior_scale(prior_scale, "optimal")
    check_count("num_draws", num_draws, 2)
    seed = seed_or_fresh("seed", seed)
    check_instance("fisher", fisher, FisherInformation, "a FisherInformation of the model")
    code = Minimum.of(model, fisher).code(beta, scale)
    variables = variables_of(model, fisher)
    loss_of = MeanLoss(model, data, likelihood, batch_size, variables)
    at_weights = finite_loss(loss_of([v.value for v in variables]))
    rng = np.random.default_rng(seed)
    shift, losses = beta / code.prior_scale**2, []
    for _ in range(num_draws):
        white = rng.normal(size=(1, fisher.size))
        (noise,) = np.sqrt(beta) * fisher.power_product(white, -0.5, shift)
        values = [
            v.value + tf.cast(part, v.dtype)
            for v, part in zip(variables, fisher.layout.split(noise), strict=True)
        ]
        losses.append(loss_of(values))
    excess = np.array(losses) - at_weights
    if not np.all(np.isfinite(excess)):
        return Estimate(np.inf, np.inf, seed)
    return Estimate(excess.mean(), error_of_draws(excess), seed)
