"""The rate-distortion curve of the weights: information and expected loss for each price."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import check_keywords, check_model, check_number, check_numbers
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.information.mean_loss import MeanLoss, finite_loss
from keras_infobottleneck.estimators.information.minimum import (
    LARGEST,
    SMALLEST,
    Minimum,
    check_code_options,
    check_prior_scale,
)
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.result import Result

__all__ = ["InformationCurve", "information_curve"]

NUM_POINTS = 25
DECADES = 3  # on either side of 1 / N, by default


@dataclasses.dataclass(frozen=True)
class InformationCurve(Result):
    """Information in the weights and expected loss at each price, in arrays of one length.

    Attributes:
        beta: Prices of a nat relative to the mean loss, increasing.
        nats: Information in the weights.
        expected_loss: Mean loss with the code's noise, `loss + 1/2 tr(F S)`.
        prior_scale: Standard deviation of the prior.
        standard_error: Standard error of `nats`.
        loss_standard_error: Standard error of `expected_loss`, from the Fisher estimate.
        loss: Mean loss at the weights themselves.
        num_examples: N.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        curve = kib.estimators.information_curve(model, fisher, beta=[0.01, 0.1, 1.0], loss=0.5)
        print(curve.beta, np.all(np.diff(curve.nats) < 0), np.all(np.diff(curve.expected_loss) > 0))
        ```

        ```text
        [0.01 0.1  1.  ] True True
        ```
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

    _points = (
        *("beta", "nats", "expected_loss", "prior_scale", "standard_error"),
        "loss_standard_error",
    )

    def numbers(self) -> dict[str, float]:
        """The point whose price is nearest to `1 / num_examples`, the loss, and N."""
        point = np.argmin(np.abs(np.log(self.beta * self.num_examples)))
        names = ("nats", *(name for name in self._points if name != "nats"))
        found = {name: float(getattr(self, name)[point]) for name in names}
        return {**found, **super().numbers()}

    def __repr__(self) -> str:
        return (
            f"InformationCurve({len(self.beta)} prices from {self.beta[0]:.3g} to "
            f"{self.beta[-1]:.3g}, {self.nats[0]:.6g} to {self.nats[-1]:.6g} nats, expected loss "
            f"{self.expected_loss[0]:.4g} to {self.expected_loss[-1]:.4g})"
        )


@on_replicas
def information_curve(
    model: keras.Model,
    data: Any,
    *,
    beta: float | Sequence[float] | np.ndarray | None = None,
    loss: float | None = None,
    prior_scale: float | Literal["optimal"] = "optimal",
    structure: str = "diagonal",
    paper_form: bool = False,
    num_probes: int = 8,
    num_steps: int = 20,
    **fisher_options: Any,
) -> InformationCurve:
    """Information in the weights against expected loss, for every price, from one Fisher matrix.

    For each price it evaluates the Gaussian code of `information_in_weights`: its divergence from
    the prior in nats, and the loss with its noise, `loss + 1/2 tr(F S)`. Exact for a loss that is
    quadratic in the weights. With the corrected formula information falls and expected loss rises
    with the price, and the derivative of `expected_loss + beta nats` by the price is the
    information.

    Args:
        model, data, structure, paper_form, num_probes, num_steps, fisher_options: As in
            `information_in_weights`.
        beta: Prices, increasing; by default 25 from a thousandth to a thousand times `1 / N`.
        loss: Mean loss at the weights; by default the mean negative log-likelihood of `data`,
            which must then be `(x, y)`, at the cost of one more pass without gradients.
        prior_scale: One number, or "optimal" for the best at each price.

    Returns:
        An `InformationCurve`; no further pass over the data is needed per price.

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
        x = np.ones((10, 4), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        curve = kib.estimators.information_curve(model, fisher, beta=[0.01, 1.0], loss=0.5)
        print(curve.nats[0] > curve.nats[1])  # a higher price, fewer nats
        ```

        ```text
        True
        ```
    """
    check_keywords(information_curve, fisher_information, fisher_options)
    check_model("model", model)
    prices: np.ndarray | None = None
    if beta is not None:
        given = [beta] if isinstance(beta, numbers.Number) else beta
        prices = check_numbers("beta", given, "[prices]", SMALLEST, LARGEST, increasing=True)
    loss = check_number("loss", loss, optional=True)
    scale = check_prior_scale(prior_scale, "optimal")
    check_code_options(structure, paper_form, num_probes, num_steps)
    if loss is None and isinstance(data, FisherInformation):
        raise ValueError(
            "`loss` must be given with a Fisher matrix, which does not contain it. "
            "Received: loss=None"
        )
    if loss is None:
        options: dict[str, Any] = {k: fisher_options.get(k) for k in ("likelihood", "batch_size")}
        loss = finite_loss(MeanLoss(model, data, **options)())
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
        loss=loss,
        num_examples=num_examples,
    )
