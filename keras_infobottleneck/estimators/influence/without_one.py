"""What leaving out one example does to the weights at a minimum, to first order or by Newton."""

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
    """Effect of leaving out each of n examples separately; arrays in float64.

    Attributes:
        losses: Loss of the example before its removal, in nats, `[n]`.
        solved: `(F + shift I)^-1 g` for the gradient g that defines the step, `[n, weights]`;
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
    """Removals of all examples, batch by batch in the order of the data, in one pass.

    With `A = F + shift I` and the gradient g the step is `A^-1 g / N`. Removing the example's own
    curvature makes it larger: with J the derivative of the label's distribution by the weights,
    L its Fisher information about it, r the loss's gradient by it, and `H = J A^-1 J^T / N`, the
    gradient becomes `J^T (I - L H)^-1 r`.

    If only products of steps with powers of A are needed, `norms_of_removals` computes them on
    the device without rows of all weights. A product with another matrix, such as that for the
    predictions on other data, needs the step itself: Kronecker factors of other data are not
    diagonal in the basis of those of A, and products with the gradients of these data would be
    another estimate of the matrix.

    Raises:
        ValueError: With `leverage`, the curvature of single examples is larger than that of the
            whole matrix.
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
    """For each removal the loss before, `g^T A^-1 g`, and `shift g^T A^-2 g`, each `[examples]`.

    The notation is that of `removals`; no row of all weights is made.
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
    """`(I - L H)^-1 r`, the loss's slopes `[n, outputs]` for a Newton step without the example.

    Raises:
        ValueError: Some examples have a leverage of one or more.
    """
    # Eigenvalues of L H are real and, at a minimum with curvature F, below one.
    largest = np.max(np.linalg.eigvals(leverages).real, axis=1)
    if np.any(largest >= 1.0):
        raise ValueError(
            "`leverage=True` needs a curvature that includes each example's own; use a more exact "
            "structure, such as 'kronecker' or 'gram', or set `leverage=False`. Received: "
            f"{np.sum(largest >= 1.0)} of {len(slopes)} examples with a leverage of one or more"
        )
    return np.linalg.solve(np.eye(slopes.shape[1]) - leverages, slopes[:, :, None])[:, :, 0]
