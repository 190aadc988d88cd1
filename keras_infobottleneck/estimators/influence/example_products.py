"""Products of the gradients of single examples under powers of F, and with given directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_passes import gathered, passes
from keras_infobottleneck.estimators.influence.example_rows import ROWS_BYTES, example_rows
from keras_infobottleneck.estimators.influence.label_columns import (
    LabelNumbers,
    columns_of,
    label_numbers,
)
from keras_infobottleneck.estimators.information.minimum import variables_of

__all__ = ["ExampleProducts", "example_products", "example_slopes"]


# Limit for the arrays from which the gradients of a batch follow, for all columns together.
COLUMNS_BYTES = 4 * ROWS_BYTES


class ExampleProducts(NamedTuple):
    """Products of the gradients of each of n examples, in float64.

    Attributes:
        products: `g_i^T A^p g_j` with `A = F + shift I` for each exponent p. For the gradient of
            the loss `[n, exponents, 1, 1]`; for outputs, of every two parameters of the label's
            distribution, `[n, exponents, outputs, outputs]`.
        numbers: Quantities that depend on the labels.
    """

    products: np.ndarray
    numbers: LabelNumbers


def example_products(
    model: keras.Model,
    likelihood: Likelihood,
    batches: Batches,
    fisher: FisherInformation,
    shift: float,
    exponents: Sequence[float],
    *,
    of_outputs: bool = False,
    verbose: int = 0,
) -> Iterator[ExampleProducts]:
    """Products of every batch, in the order of the data, in one pass.

    They are computed on the device, without a row with a number for every weight, if the structure
    allows it; otherwise rows are multiplied on the host.

    Args:
        model: The model.
        likelihood: Maps the model's outputs to the label's distribution.
        batches: The examples; batches are split if they would take too much memory.
        fisher: F.
        shift: Number added to its diagonal.
        exponents: Exponents p: -1, and optionally -2.
        of_outputs: Whether the gradients are of the distribution's parameters.
        verbose: 1 for a Keras progress bar.
    """
    variables = variables_of(model, fisher)
    how = fisher.score_products(shift, exponents)
    if how is None:
        options: dict[str, Any] = {"of_outputs": of_outputs, "verbose": verbose}
        for part in example_rows(model, variables, likelihood, batches, **options):
            yield ExampleProducts(_of_rows(part.rows, fisher, shift, len(exponents)), part.numbers)
        return
    source, _ = columns_of(model, likelihood, batches, of_outputs)
    of_scores = how.of_scores

    def of_batch(scores: Scores, y: Any, operands: Any) -> list[tf.Tensor]:
        return [of_scores(scores, scores.columns(), operands), *label_numbers(scores, source, y)]

    operands = how.in_tensors(variables[0].dtype).operands
    name = ("example products", how.key)
    options = {"most_bytes": COLUMNS_BYTES, "verbose": verbose}
    for found, *numbers in passes(
        model, variables, source, batches, name, of_batch, operands, **options
    ):
        products = found.astype(np.float64) * how.units[:, None, None]
        yield ExampleProducts(products, LabelNumbers(*(a.astype(np.float64) for a in numbers)))


def _of_rows(
    rows: np.ndarray, fisher: FisherInformation, shift: float, num_exponents: int
) -> np.ndarray:
    """Products of rows `[n, columns, weights]` under the first powers of the inverse."""
    rows = rows.astype(np.float64)
    size = rows.shape[2]
    solved = fisher.power_product(rows.reshape(-1, size), -1.0, shift).reshape(rows.shape)
    products = [left @ solved.transpose(0, 2, 1) for left in (rows, solved)]
    return np.stack(products[:num_exponents], 1)


def example_slopes(
    model: keras.Model,
    variables: list[keras.Variable],
    likelihood: Likelihood,
    batches: Batches,
    directions: list[np.ndarray],
    *,
    verbose: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses `[examples]`, and each example's gradient times k directions, `[examples, k]`.

    Args:
        model, variables, likelihood, batches, verbose: As in `passes`.
        directions: For each variable `[k, *variable.shape]`.
    """
    source = ColumnSource(likelihood, "empirical")
    # For a weight that no example depends on, the inverse is one over the shift, which may overflow
    # in float32; its product with a gradient of zero would be NaN.
    dtype = variables[0].dtype
    most = np.finfo(dtype).max ** 0.75
    operands = [tf.constant(np.clip(d, -most, most), dtype) for d in directions]

    def of_batch(scores: Scores, y: Any, operands: list[tf.Tensor]) -> list[tf.Tensor]:
        triples = zip(scores.forms, scores.gradients(0), operands, strict=True)
        products = tf.add_n([form.slopes(g, each) for form, g, each in triples])
        # Scores are gradients of the log-probability, which is the negative loss.
        return [-products, label_numbers(scores, source, y).losses]

    name = "example slopes"
    options = {"most_bytes": COLUMNS_BYTES, "verbose": verbose}
    products, losses = gathered(
        passes(model, variables, source, batches, name, of_batch, operands, **options)
    )
    return losses, products
