"""Common inputs of influences: price of a nat, Fisher matrix, scale of the Gaussian prior."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import check_instance
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.information.minimum import (
    Minimum,
    check_code_options,
    check_prior_scale,
)
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = ["check_code", "check_order", "check_plain", "curvature_for", "price_of_nat"]


def check_code(fisher: Any, prior_scale: Any, structure: Any) -> None:
    """Refuses a Fisher matrix without a known inverse, and an invalid prior scale."""
    check_prior_scale(prior_scale, "optimal")
    check_code_options(structure, False, 2, 2)
    check_instance(
        "fisher", fisher, FisherInformation, "a FisherInformation of the model", optional=True
    )
    chosen = structure if fisher is None else fisher.structure
    if chosen == "implicit":
        raise ValueError(
            "`structure` must be one whose inverse is known: 'diagonal', 'kronecker', 'dense' or "
            f"'gram'. Received: structure={chosen!r}"
        )


def check_plain(model: keras.Model, fisher: Any, fisher_options: dict[str, Any]) -> None:
    """Refuses a Fisher matrix, or options of one, for a model that draws its weights."""
    if fisher is not None or fisher_options:
        raise ValueError(
            "`fisher` and its options are for plain networks; this one draws its weights. "
            f"Received: model={model.name!r} with noise on its weights"
        )


def curvature_for(
    model: keras.Model,
    data: Any,
    fisher: FisherInformation | None,
    beta: float,
    prior_scale: float | str,
    structure: str,
    options: dict[str, Any],
) -> tuple[FisherInformation, float, float]:
    """Fisher matrix (given or measured), prior scale, and relative error of the matrix.

    Raises:
        ValueError, TypeError: Options are given with a matrix, or weights have no optimal prior
            scale.
    """
    if fisher is None:
        minimum = Minimum.of(model, data, structure, options)
    else:
        of_pass = ("likelihood", "batch_size", "verbose")
        given = {name: value for name, value in options.items() if name not in of_pass}
        minimum = Minimum.of(model, fisher, structure, given)
    scale = minimum.code(beta, check_prior_scale(prior_scale, "optimal")).prior_scale
    if not 0.0 < scale < np.inf:
        raise ValueError(
            "`prior_scale='optimal'` needs weights that are not all zero and affect the loss; "
            f"give a number. Received: an optimal prior scale of {scale}"
        )
    return minimum.fisher, scale, minimum.relative_error


def check_order(batches: Batches) -> None:
    """Reads a dataset once, so that a later pass in another order is refused.

    Results for single examples are in the order of the data; a single pass could not detect that
    the order changes.
    """
    if batches.is_dataset:
        batches.count()


def price_of_nat(
    model: keras.Model, batches: Batches, beta: float | None, fisher: FisherInformation | None
) -> tuple[float, int]:
    """Price of a nat relative to the mean loss (given, or the model's own), and number of examples.

    Raises:
        ValueError: The price of the model is 0, and none is given.
    """
    if isinstance(model, InformationBottleneckModel):
        count, weight_beta = model.num_examples, float(model.weight_beta.numpy())
    else:
        count, weight_beta = fisher.num_examples if fisher is not None else batches.count(), 1.0
    if beta is None and weight_beta == 0.0:
        raise ValueError(
            "`beta` must be given if the model is not charged for its weights. "
            "Received: beta=None, weight_beta=0"
        )
    return weight_beta / count if beta is None else beta, count
