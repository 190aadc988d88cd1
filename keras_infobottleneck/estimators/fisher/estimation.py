"""`fisher_information`: arguments, the memory plan, and one compiled pass per structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.batches import Batches
from keras_infobottleneck.estimators.fisher.dense import DenseFisher, outer_sums
from keras_infobottleneck.estimators.fisher.diagonal import DiagonalFisher, square_sums
from keras_infobottleneck.estimators.fisher.gram import GramFisher, all_rows, rows_of
from keras_infobottleneck.estimators.fisher.implicit import ImplicitFisher, product_sum
from keras_infobottleneck.estimators.fisher.information import FisherInformation
from keras_infobottleneck.estimators.fisher.kronecker import KroneckerBlock, KroneckerFisher
from keras_infobottleneck.estimators.fisher.kronecker_factors import (
    factor_sums,
    from_upper_blocks,
    plan_blocks,
    with_bias,
)
from keras_infobottleneck.estimators.fisher.likelihoods import (
    Labels,
    check_labels,
    find_likelihood,
)
from keras_infobottleneck.estimators.fisher.memory import BLOCK_BYTES, MemoryEstimate, check_fits
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.layout import Layout
from keras_infobottleneck.estimators.operator import Operator, check_positive_integer
from keras_infobottleneck.estimators.passes import CompiledSum, compiled
from keras_infobottleneck.estimators.weights import chosen_variables, ensure_built

__all__ = ["fisher_information"]

Structure = Literal["diagonal", "kronecker", "dense", "gram", "implicit"]
STRUCTURES = ("diagonal", "kronecker", "dense", "gram", "implicit")


def fisher_information(
    model: keras.Model,
    data: Any,
    *,
    structure: Structure = "diagonal",
    labels: Labels = "sampled",
    likelihood: str | Callable | None = None,
    num_samples: int = 1,
    variables: Sequence[keras.Variable] | None = None,
    batch_size: int | None = None,
    memory_limit: int | None = None,
    dry_run: bool = False,
    seed: int | None = None,
    verbose: int = 0,
) -> FisherInformation | MemoryEstimate:
    """Fisher information of a model's weights, `F = mean_x E_y [g g^T]`.

    `g = grad_w log p(y|x, w)` is taken per example, never of a batch mean; the result does not
    depend on the batch size. The model runs in inference mode: batch normalisation uses its
    moving statistics and dropout is off.

    Args:
        model: any Keras model.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`. `x` alone will do
            unless `labels="empirical"`. The first axis of every array is examples.
        structure: "diagonal", exact; "kronecker", an approximation by one Kronecker product per
            kernel; "dense", the matrix; "gram", exact by the scores themselves, where there are
            fewer examples times outputs than weights; "implicit", exact products with vectors.
        labels: "expected", the exact expectation over labels, at one backward pass per output
            (recommended for few classes; exact for the given inputs); "sampled", `num_samples`
            draws per example, unbiased; "empirical", the labels in `data`, which is another
            quantity: it holds the residuals and vanishes with them.
        likelihood: "categorical" (logits), "categorical_probabilities", "bernoulli" (logits),
            "bernoulli_probabilities", "normal" (unit variance), or a callable from the model's
            outputs to a TFP distribution or a nest of independent ones. By default read from the
            compiled loss. Positions of a sequence are independent and sum up.
        num_samples: draws per example for `labels="sampled"`.
        variables: weights of the model; all trainable ones by default.
        batch_size: examples per batch for arrays, 128 by default; a dataset brings its own.
        memory_limit: bytes, beside the model's own; the system's free memory by default.
        dry_run: print and return the memory estimate, and do nothing.
        seed: of the drawn labels, which do not depend on the batch size (but for a distribution
            without a closed form here). Data sets to be merged want different seeds.
        verbose: 1 for a Keras progress bar.

    Returns:
        A `FisherInformation`; a `MemoryEstimate` for a dry run. One pass over the data, nothing
        on the host per batch. With one gradient pass as the unit a diagonal costs about one, and
        about one more backward pass per further column. Layers that are linear in their kernel,
        biases, normalisations and embeddings have rules; every other weight costs one pass of the
        model per example.

    Raises:
        ValueError, TypeError: an argument that cannot be used, or a result that would not fit, in
            one sentence and before any work.

    References:
        Martens, 2020, "New insights and perspectives on the natural gradient method",
        arXiv 1412.1193; Martens & Grosse, 2015, arXiv 1503.05671 and Grosse & Martens, 2016,
        arXiv 1602.01407 for the Kronecker form; Kunstner, Balles & Hennig, 2019,
        arXiv 1905.12558, on what "empirical" is not.
    """
    if structure not in STRUCTURES:
        raise ValueError(
            f"`structure` must be one of {STRUCTURES}. Received: structure={structure!r}"
        )
    check_labels(labels)
    check_positive_integer("num_samples", num_samples)
    if num_samples > 1 and labels != "sampled":
        raise ValueError(
            "`num_samples` is for labels='sampled'. "
            f"Received: num_samples={num_samples}, labels={labels!r}"
        )
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}")
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    source = ColumnSource(find_likelihood(model, likelihood), labels, num_samples)
    batches = Batches(data, batch_size, needs_labels=labels == "empirical")
    ensure_built(model, batches)
    chosen = chosen_variables(model, variables)
    columns = _num_columns(model, source, batches)
    plan = check_fits(structure, model, chosen, batches, columns, memory_limit, quiet=dry_run)
    if dry_run:
        print(plan)
        return plan
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    run = _Run(model, chosen, source, batches, int(seed) % 2**62, verbose)
    return getattr(run, structure)()


def _num_columns(model: keras.Model, source: ColumnSource, batches: Batches) -> int:
    """Backward passes per batch; the likelihood is tried on one example on the way."""

    def make(model_of: Callable[[], keras.Model]) -> int:
        terms = source.likelihood.terms(model_of()(inputs, training=False))
        if source.labels == "expected":
            return sum(term.num_columns for term in terms)
        return source.num_samples

    inputs = batches.first_inputs()
    shapes = tuple(tuple(a.shape) for a in tf.nest.flatten(inputs))
    return compiled(model, ("columns", source, shapes), make)


class _Run:
    """One request, ready to go: a method per structure."""

    def __init__(self, model, variables, source, batches: Batches, seed: int, verbose: int):
        self.model, self.variables, self.source = model, variables, source
        self.batches, self.verbose = batches, verbose
        self.key = tf.constant(seed, tf.int64)
        self.layout = Layout.of(variables)

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
        variance = float(total_of_squares) / count - (float(total) / count) ** 2
        return float(np.sqrt(max(variance, 0.0) / max(count - 1, 1)))

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
