"""What leaving one example out does to the weights at a minimum, to first order or by Newton."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_rows import ExampleRows, example_rows
from keras_infobottleneck.estimators.information.minimum import variables_of

__all__ = ["Removal", "removals"]


class Removal(NamedTuple):
    """Effect of leaving out each of n examples by itself; arrays in float64.

    Attributes:
        losses: of the example before, in nats, `[n]`.
        gradients: of the loss as it counts for the step, `[n, weights]`.
        solved: `(F + shift I)^-1 gradient`, `[n, weights]`; the weights move by `solved / N`.
    """

    losses: np.ndarray
    gradients: np.ndarray
    solved: np.ndarray


def removals(
    model: keras.Model,
    fisher: FisherInformation,
    shift: float,
    likelihood: Likelihood,
    batches: Batches,
    *,
    leverage: bool = False,
    verbose: int = 0,
) -> Iterator[Removal]:
    """Removals of all examples, batch by batch in the order of the data, by one pass.

    With `A = F + shift I` and the gradient g the step is `A^-1 g / N`. The curvature that goes with
    the example makes it larger: with J the derivative of the label's distribution by the weights,
    L its Fisher information about it, r the loss's gradient by it, and `H = J A^-1 J^T / N`, the
    gradient becomes `J^T (I - L H)^-1 r`.

    Raises:
        ValueError: with `leverage`, examples whose own curvature is more than all of the matrix
            says that there is.
    """
    count = fisher.num_examples
    parts = example_rows(
        model,
        variables_of(model, fisher),
        likelihood,
        batches,
        of_outputs=leverage,
        verbose=verbose,
    )
    for part in parts:
        if leverage:
            yield _with_leverage(part, fisher, shift, count)
        else:
            gradients = part.rows[:, 0].astype(np.float64)
            solved = fisher.power_product(gradients, -1.0, shift)
            yield Removal(part.losses, gradients, solved)


def _with_leverage(
    part: ExampleRows, fisher: FisherInformation, shift: float, count: int
) -> Removal:
    """Removals by a Newton step without the example; exact for a quadratic loss with Hessian F."""
    rows = part.rows.astype(np.float64)
    examples, outputs, size = rows.shape
    solved = fisher.power_product(rows.reshape(-1, size), -1.0, shift).reshape(rows.shape)
    leverages = part.curvatures @ (rows @ solved.transpose(0, 2, 1)) / count
    # Eigenvalues of L H are real and, at a minimum whose curvature F is, below one.
    largest = np.max(np.linalg.eigvals(leverages).real, axis=1)
    if np.any(largest >= 1.0):
        raise ValueError(
            "`leverage=True` needs a curvature that holds each example's own; take a structure "
            "nearer to it, such as 'kronecker' or 'gram', or leave `leverage` out. Received: "
            f"{np.sum(largest >= 1.0)} of {examples} examples with a leverage of one or more"
        )
    slopes = np.linalg.solve(np.eye(outputs) - leverages, part.slopes[:, :, None])[:, None, :, 0]
    return Removal(part.losses, _combined(slopes, rows), _combined(slopes, solved))


def _combined(slopes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of each example summed over outputs, weighted by `slopes` `[n, 1, outputs]`."""
    return (slopes @ rows)[:, 0]
