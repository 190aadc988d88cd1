"""The rate-distortion curve of the weights: information against expected loss, over the price."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.information.minimum import (
    Minimum,
    check_positive,
    check_prior_scale,
)
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.results.result import Result

__all__ = ["InformationCurve", "information_curve"]

NUM_POINTS = 25
DECADES = 3  # on either side of 1 / N, by default


@dataclasses.dataclass(frozen=True)
class InformationCurve(Result):
    """One point for each price; arrays of the length of `beta`.

    Attributes:
        beta: prices of a nat relative to the mean loss, increasing.
        nats: information in the weights.
        expected_loss: mean loss under the code's noise, `loss + 1/2 tr(F S)`.
        prior_scale: standard deviation of the prior.
        standard_error: of `nats`.
        loss_standard_error: of `expected_loss`, from the Fisher estimate.
        loss: mean loss at the weights themselves.
        num_examples: N.
    """

    beta: np.ndarray
    nats: np.ndarray
    expected_loss: np.ndarray
    prior_scale: np.ndarray
    standard_error: np.ndarray
    loss_standard_error: np.ndarray
    loss: float
    num_examples: int

    @property
    def lagrangian(self) -> np.ndarray:
        """`expected_loss + beta * nats`; with the best prior scale its slope is `nats`."""
        return self.expected_loss + self.beta * self.nats

    def __repr__(self) -> str:
        return (
            f"InformationCurve({len(self.beta)} prices from {self.beta[0]:.3g} to "
            f"{self.beta[-1]:.3g}, {self.nats[0]:.6g} to {self.nats[-1]:.6g} nats, expected loss "
            f"{self.expected_loss[0]:.4g} to {self.expected_loss[-1]:.4g})"
        )


def information_curve(
    model: keras.Model,
    data: Any,
    *,
    beta: Sequence[float] | None = None,
    loss: float | None = None,
    prior_scale: float | Literal["optimal"] = "optimal",
    structure: str = "diagonal",
    paper_form: bool = False,
    num_probes: int = 8,
    num_steps: int = 20,
    **fisher_options: Any,
) -> InformationCurve:
    """Information in the weights against expected loss, for every price, from one Fisher matrix.

    For each price the Gaussian code of `information_in_weights`: its divergence from the prior in
    nats, and what the loss becomes under its noise, `loss + 1/2 tr(F S)`. Exact for a loss that is
    quadratic in the weights. With the corrected formula information falls and expected loss rises
    with the price, and the slope of `expected_loss + beta nats` over the price is the information.

    Args:
        model, data, structure, paper_form, num_probes, num_steps, fisher_options: as of
            `information_in_weights`.
        beta: prices, increasing; by default 25 from a thousandth to a thousand times `1 / N`.
        loss: mean loss at the weights; by default the mean negative log-likelihood of `data`,
            which must then be `(x, y)`, at the cost of one more pass without gradients.
        prior_scale: one number, or "optimal" for the best at each price.

    Returns:
        An `InformationCurve`. No pass over the data per price.

    Raises:
        ValueError, TypeError: an argument that cannot be used, in one sentence.
    """
    prices = None if beta is None else _increasing(beta)
    scale = check_prior_scale(prior_scale, "optimal")
    if loss is None and isinstance(data, FisherInformation):
        raise ValueError(
            "`loss` must be given beside a Fisher matrix, which does not hold it. "
            "Received: loss=None"
        )
    if loss is not None and (not np.isscalar(loss) or not np.isfinite(loss)):
        raise ValueError(f"`loss` must be a finite number or None. Received: loss={loss!r}")
    if loss is None:
        options = {k: fisher_options.get(k) for k in ("likelihood", "batch_size")}
        loss = _mean_loss(model, data, **options)
    minimum = Minimum.of(
        model, data, structure, fisher_options, num_probes=num_probes, num_steps=num_steps
    )
    num_examples = minimum.fisher.num_examples
    if prices is None:
        prices = np.geomspace(10.0**-DECADES, 10.0**DECADES, NUM_POINTS) / num_examples
    codes = [minimum.code(float(price), scale, paper_form=paper_form) for price in prices]
    return InformationCurve(
        beta=prices,
        nats=np.array([code.nats.sum() for code in codes]),
        expected_loss=loss + np.array([code.excess_loss for code in codes]),
        prior_scale=np.array([code.prior_scale for code in codes]),
        standard_error=np.array([code.standard_error for code in codes]),
        loss_standard_error=np.array([code.excess_error for code in codes]),
        loss=float(loss),
        num_examples=num_examples,
    )


def _increasing(beta: Sequence[float]) -> np.ndarray:
    """Prices as an array."""
    prices = np.array([check_positive("beta", price) for price in np.ravel(beta).tolist()])
    if len(prices) == 0 or np.any(np.diff(prices) <= 0):
        raise ValueError(f"`beta` must hold increasing prices. Received: beta={beta!r}")
    return prices


def _mean_loss(model: keras.Model, data: Any, likelihood: Any, batch_size: int | None) -> float:
    """Mean negative log-likelihood at the model's weights, by one pass."""
    batches = batches_for(model, data, batch_size)
    found = find_likelihood(model, likelihood)

    def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
        # Refused before it is traced.
        found.terms(model_of()(batches.first_inputs(), training=False))

        def step(batch):
            outputs = model_of()(batch.x, training=False)
            terms = found.terms_of_rows(outputs, batch.weights.shape[0])
            labels = found.labels(batch.y, len(terms))
            log_prob = tf.add_n([t.log_prob(y) for t, y in zip(terms, labels, strict=True)])
            return -tf.reduce_sum(
                tf.cast(log_prob, tf.float64) * tf.cast(batch.weights, tf.float64)
            )

        return CompiledSum(step)

    total = float(compiled(model, ("mean loss", found), make).over(batches))
    if not np.isfinite(total):
        raise ValueError(
            "The mean loss must be finite; look for NaN in the data, labels outside the classes or "
            f"overflow, or give `loss`. Received: a mean loss of {total}"
        )
    return total / batches.num_examples
