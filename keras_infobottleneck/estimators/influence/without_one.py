"""What leaving one example out does to the weights at a minimum, to first order or by Newton."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_passes import gathered
from keras_infobottleneck.estimators.influence.example_products import example_products
from keras_infobottleneck.estimators.influence.example_rows import ExampleRows, example_rows
from keras_infobottleneck.estimators.information.minimum import variables_of

__all__ = ["Removal", "norms_of_removals", "removals"]


class Removal(NamedTuple):
    """Effect of leaving out each of n examples by itself; arrays in float64.

    Attributes:
        losses: of the example before, in nats, `[n]`.
        solved: `(F + shift I)^-1 g` of its gradient g as it counts for the step, `[n, weights]`;
            the weights move by `solved / N`.
    """

    losses: np.ndarray
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

    Where only products of steps under powers of A are asked for, `norms_of_removals` makes them on
    the device without a row of all weights. What another matrix says of a step, such as how far it
    moves predictions on other data, takes the step itself: Kronecker factors of other data are not
    diagonal where those of A are, and products with the gradients of these data would be another
    estimate of the matrix.

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
            yield Removal(part.numbers.losses, solved)


def norms_of_removals(
    model: keras.Model,
    fisher: FisherInformation,
    shift: float,
    likelihood: Likelihood,
    batches: Batches,
    *,
    leverage: bool = False,
    verbose: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every removal the loss before, `g^T A^-1 g`, and `shift g^T A^-2 g`, each `[examples]`.

    With the letters of `removals`, but without steps of the size of all weights.
    """
    options: dict[str, Any] = {"of_outputs": leverage, "verbose": verbose}
    powers = (-1.0, -2.0)
    parts = []
    for products, numbers in example_products(
        model, likelihood, batches, fisher, shift, powers, **options
    ):
        slopes = np.ones([len(products), 1, 1])
        if leverage:
            leverages = numbers.curvatures @ products[:, 0] / fisher.num_examples
            slopes = _removed(leverages, numbers.slopes)[:, :, None]
        norms = slopes.transpose(0, 2, 1)[:, None] @ products @ slopes[:, None]
        parts.append((numbers.losses, norms[:, 0, 0, 0], shift * norms[:, 1, 0, 0]))
    losses, whole, of_shift = gathered(parts)
    return losses, whole, of_shift


def _with_leverage(
    part: ExampleRows, fisher: FisherInformation, shift: float, count: int
) -> Removal:
    """Removals by a Newton step without the example; exact for a quadratic loss with Hessian F."""
    rows, numbers = part.rows.astype(np.float64), part.numbers
    size = rows.shape[2]
    solved = fisher.power_product(rows.reshape(-1, size), -1.0, shift).reshape(rows.shape)
    leverages = numbers.curvatures @ (rows @ solved.transpose(0, 2, 1)) / count
    slopes = _removed(leverages, numbers.slopes)[:, None]
    return Removal(numbers.losses, (slopes @ solved)[:, 0])


def _removed(leverages: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """`(I - L H)^-1 r`, the slopes `[n, outputs]` that a Newton step without the example has.

    Raises:
        ValueError: examples with a leverage of one or more.
    """
    # Eigenvalues of L H are real and, at a minimum whose curvature F is, below one.
    largest = np.max(np.linalg.eigvals(leverages).real, axis=1)
    if np.any(largest >= 1.0):
        raise ValueError(
            "`leverage=True` needs a curvature that holds each example's own; take a structure "
            "nearer to it, such as 'kronecker' or 'gram', or leave `leverage` out. Received: "
            f"{np.sum(largest >= 1.0)} of {len(slopes)} examples with a leverage of one or more"
        )
    return np.linalg.solve(np.eye(slopes.shape[1]) - leverages, slopes[:, :, None])[:, :, 0]
