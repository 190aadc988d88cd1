"""One compiled pass over the data per structure, and the result made of its sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.memory import BLOCK_BYTES
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.fisher.structures.dense import DenseFisher, outer_sums
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher, square_sums
from keras_infobottleneck.estimators.fisher.structures.gram import GramFisher, all_rows, rows_of
from keras_infobottleneck.estimators.fisher.structures.implicit import ImplicitFisher, product_sum
from keras_infobottleneck.estimators.fisher.structures.kronecker import (
    KroneckerBlock,
    KroneckerFisher,
)
from keras_infobottleneck.estimators.fisher.structures.kronecker_factors import (
    factor_sums,
    from_upper_blocks,
    plan_blocks,
    with_bias,
)
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.naming import weight_names
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.operator import Operator

__all__ = ["Request"]


class Request:
    """One request, ready to go: a method per structure, each one pass over the data.

    Args:
        model: the model, run in inference mode.
        variables: the weights that F is about.
        source: which labels.
        batches: the examples.
        seed: of the drawn labels.
        verbose: 1 for a Keras progress bar.
    """

    def __init__(
        self,
        model: keras.Model,
        variables: list[keras.Variable],
        source: ColumnSource,
        batches: Batches,
        seed: int,
        verbose: int,
    ):
        self.model, self.variables, self.source = model, variables, source
        self.batches, self.verbose = batches, verbose
        self.key = tf.constant(seed, tf.int64)
        self.layout = Layout.of(weight_names(model, variables), variables)

    def _kept(self, name: str, make: Callable[[Callable], Any]) -> Any:
        """What `make` gives for this request, see `compiled`."""
        return compiled(self.model, (name, self.source, tuple(map(id, self.variables))), make)

    def _summed(self, name: str, of_scores: Callable[[Scores], Any]) -> Any:
        """Sum over batches of `of_scores`."""
        variables, source = self.variables, self.source

        def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
            return CompiledSum(
                lambda batch, key: of_scores(Scores(model_of(), variables, source, batch, key))
            )

        return self._kept(name, make).over(self.batches, self.key, verbose=self.verbose)

    def _mean(self, total: tf.Tensor) -> np.ndarray:
        """A sum over examples as a mean, on the host."""
        mean = total.numpy()
        mean /= self.batches.num_examples
        if not np.all(np.isfinite(mean)):
            raise ValueError(
                "The scores must be finite; look for NaN in the data, labels outside the classes, "
                "logits where the likelihood takes probabilities, or overflow in the model. "
                f"Received: likelihood={self.source.likelihood.name!r}, a result that is not finite"
            )
        return mean

    def _error(self, total: Any, total_of_squares: Any) -> float:
        """Standard error of a mean from its examples' sum and sum of squares."""
        if self.source.labels != "sampled":
            return 0.0
        count = self.batches.num_examples
        if count == 1:
            return float("nan")  # no spread is seen; 0.0 would say that the trace is exact
        variance = float(total_of_squares) / count - (float(total) / count) ** 2
        return float(np.sqrt(max(variance, 0.0) / (count - 1)))

    def diagonal(self) -> DiagonalFisher:
        """One number per weight."""

        def of_scores(scores):
            squares, norms = square_sums(scores, BLOCK_BYTES)
            return squares, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        squares, norm, norm_squared = self._summed("diagonal", of_scores)
        return DiagonalFisher(
            self.layout,
            self.source.labels,
            self.batches.num_examples,
            tuple(self._mean(s) for s in squares),
            standard_error=self._error(norm, norm_squared),
        )

    def dense(self) -> DenseFisher:
        """The matrix."""

        def of_scores(scores):
            products, norms = outer_sums(scores)
            norms = tf.cast(norms, tf.float64)
            return products, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        products, norm, norm_squared = self._summed("dense", of_scores)
        return DenseFisher(
            self.layout,
            self.source.labels,
            self.batches.num_examples,
            self._mean(products),
            standard_error=self._error(norm, norm_squared),
        )

    def gram(self) -> GramFisher:
        """The scores."""
        variables, source = self.variables, self.source

        def make(model_of):
            def step(batch, key):
                return all_rows(Scores(model_of(), variables, source, batch, key))

            return tf.function(step, autograph=False)

        rows = rows_of(self._kept("gram", make), self.batches, self.key, self.verbose)
        norms = np.einsum("nkw,nkw->n", rows, rows, dtype=np.float64)
        if not np.all(np.isfinite(norms)):
            self._mean(tf.constant(norms))
        return GramFisher(
            self.layout,
            self.source.labels,
            self.batches.num_examples,
            rows.reshape(-1, self.layout.size),
            standard_error=self._error(norms.sum(), (norms**2).sum()),
        )

    def kronecker(self) -> KroneckerFisher:
        """Factors, and diagonals where there are none."""
        plans: list = self._kept("kronecker plans", lambda _: [])

        def of_scores(scores):
            plans[:] = plan_blocks(scores)
            *sums, traces = factor_sums(scores, plans, BLOCK_BYTES)
            moments = tf.matmul(traces, traces, transpose_a=True)
            return sums, tf.reduce_sum(traces, 0), moments

        (inputs, bias_rows, outputs, rest), traces, moments = self._summed("kronecker", of_scores)
        blocks = []
        for (kernel, bias, order), upper, *sums in zip(
            plans, inputs, bias_rows, outputs, strict=True
        ):
            first = from_upper_blocks([self._mean(block) for block in upper])
            row, second = map(self._mean, sums)
            if bias >= 0:
                first = with_bias(first, row)
            blocks.append(KroneckerBlock(kernel, bias, order, first, second))
        in_block = {i for block in blocks for i in (block.kernel, block.bias)}
        others = [i for i in range(len(self.variables)) if i not in in_block]
        # The trace is linear in the output factors, whose labels are drawn.
        slopes = [np.trace(b.inputs, axis1=1, axis2=2).mean() for b in blocks] + [1.0] * len(rest)
        slopes = np.array(slopes)
        return KroneckerFisher(
            self.layout,
            self.source.labels,
            self.batches.num_examples,
            tuple(blocks),
            {i: self._mean(r) for i, r in zip(others, rest, strict=True)},
            standard_error=self._error(slopes @ traces.numpy(), slopes @ moments.numpy() @ slopes),
        )

    def implicit(self) -> ImplicitFisher:
        """Products only."""
        variables, source, key = self.variables, self.source, self.key

        def make(model_of):
            return CompiledSum(
                lambda batch, key, tangents: product_sum(
                    model_of(), variables, source, batch, key, tangents
                )
            )

        total = self._kept("implicit", make)

        def product(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            sums = total.over(self.batches, key, tensors)
            return [s / self.batches.num_examples for s in sums]

        dtype = tf.as_dtype(variables[0].dtype)
        return ImplicitFisher(
            self.layout,
            source.labels,
            self.batches.count(),
            Operator(self.layout, product, dtype, is_semidefinite=True),
            self.diagonal,
        )
