"""Sums over all batches of functions of the scores, and the cost of these sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.label_draws import LabelDraws
from keras_infobottleneck.estimators.fisher.rules.gradients import BLOCK_BYTES
from keras_infobottleneck.estimators.fisher.rules.rule import registered_rules
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.introspection.compiled_passes import (
    BATCHES_PER_PART,
    CompiledSum,
    compiled,
)
from keras_infobottleneck.introspection.contents import precision_of, weight_names
from keras_infobottleneck.linear_algebra.layout import Layout

__all__ = ["COTANGENT_COPIES", "PASS_LIMIT", "Measurement"]

# Number of tensors of the size of the label's parameters that a column needs in addition to a
# gradient pass: the draw, its target, the score and the column.
COTANGENT_COPIES = 4
# Default limit of backward passes per batch: minutes for a batch, even of a small network.
PASS_LIMIT = 10_000


class Measurement:
    """The sums from which a structure is made: over all examples, one compiled pass each.

    Args:
        model: The model, run in inference mode.
        variables: The weights that F is about.
        source: The labels.
        batches: The examples.
        num_columns: Backward passes per batch.
        num_positions: Largest number of positions in one example at which a kernel is used.
        position_bytes: For each weight, the bytes of its inputs and outputs at all positions of one
            example; 0 for weights that are not kernels.
        max_side: Kronecker factors wider than this are diagonal; None to choose by memory.
        memory_limit: Bytes; None for the free memory.
        pass_limit: Largest number of backward passes per batch.
        gradient_bytes: Bytes of the largest gradient of one example that is formed, and its square.
        parameter_bytes: Bytes of the parameters of one example's label, such as the logits.
        num_rows: Number of examples measured at a time; None for a whole batch.
        verbose: 1 for a Keras progress bar.
    """

    def __init__(
        self,
        model: keras.Model,
        variables: list[keras.Variable],
        source: ColumnSource,
        batches: Batches,
        *,
        num_columns: int,
        num_positions: int = 1,
        position_bytes: Sequence[int] = (0,),
        max_side: int | None = None,
        memory_limit: int | None = None,
        pass_limit: int = PASS_LIMIT,
        gradient_bytes: int = 0,
        parameter_bytes: int = 0,
        num_rows: int | None = None,
        verbose: int = 0,
    ):
        self.model, self.variables, self.source = model, variables, source
        self.batches, self.verbose = batches, verbose
        self.num_columns, self.max_side = num_columns, max_side
        self.memory_limit, self.pass_limit = memory_limit, pass_limit
        self.gradient_bytes, self.parameter_bytes = gradient_bytes, parameter_bytes
        self.num_rows = num_rows
        self.num_positions, self.position_bytes = num_positions, position_bytes
        self.layout = Layout.of(weight_names(model, variables), variables)
        self.dtype = tf.as_dtype(variables[0].dtype)
        self.seed = 0

    @property
    def vector_bytes(self) -> int:
        """Bytes of one vector of weights."""
        return self.layout.size * self.dtype.size

    @property
    def score_bytes(self) -> int:
        """Bytes for scores in addition to a gradient pass: a block of gradients, and cotangents."""
        rows = min(self.num_rows or self.batches.size, self.batches.size)
        of_parameters = COTANGENT_COPIES * rows * self.parameter_bytes
        return max(BLOCK_BYTES, self.gradient_bytes) + of_parameters

    @property
    def sum_copies(self) -> int:
        """Number of copies of a result that are in memory while it is summed over batches."""
        num_batches = self.batches.num_batches
        # Many batches are summed in parts, which are added in float64.
        return 1 if num_batches is not None and num_batches <= BATCHES_PER_PART else 3

    @property
    def key(self) -> tf.Tensor:
        """The seed, in the form that compiled passes take."""
        return tf.constant(self.seed, tf.int64)

    def draw_labels_by(self, seed: int) -> None:
        """Sets the seed of the drawn labels."""
        self.seed = seed % 2**62

    def fields(self) -> dict[str, Any]:
        """The fields that all results have; the examples are counted if their number is unknown."""
        count = self.batches.count()
        draws = LabelDraws(self.seed, self.batches.first_example, count)
        return {
            "layout": self.layout,
            "labels": self.source.labels,
            "num_examples": count,
            "precision": precision_of(self.model),
            "draws": (draws,) if self.source.labels == "sampled" else (),
        }

    def kept(self, name: str, make: Callable[[Callable[[], keras.Model]], Any]) -> Any:
        """The result of `make` for this measurement, kept with the model; see `compiled`."""
        key = (name, self.source, tuple(map(id, self.variables)), registered_rules())
        return compiled(self.model, key, make)

    def summed(self, name: str, of_scores: Callable[[Scores], Any]) -> Any:
        """Sum over batches of the function `of_scores`."""
        variables, source = self.variables, self.source

        def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
            return CompiledSum(
                lambda batch, key: of_scores(Scores(model_of(), variables, source, batch, key))
            )

        return self.kept(name, make).over(self.batches, self.key, verbose=self.verbose)

    def mean(self, total: tf.Tensor) -> np.ndarray:
        """The mean over examples, on the host, from their sum.

        Raises:
            ValueError: The mean is not finite.
        """
        # `total.numpy()` would be a copy, which takes as long as a fifth of a small pass.
        mean = np.asarray(np.asarray(total) / self.batches.num_examples)
        # NaN is its own least and largest; a table of booleans would be another pass over memory.
        if not np.isfinite([mean.min(initial=0.0), mean.max(initial=0.0)]).all():
            raise ValueError(
                "The scores must be finite; look for NaN in the data, labels outside the classes, "
                "logits where the likelihood takes probabilities, or overflow in the model. "
                f"Received: likelihood={self.source.likelihood.name!r}, a result that is not finite"
            )
        return mean

    def error(self, total: Any, total_of_squares: Any) -> float:
        """Standard error of a mean, from the sum and the sum of squares of its examples."""
        if self.source.labels != "sampled":
            return 0.0
        count: Any = self.batches.num_examples  # known after the pass
        if count == 1:
            return float("nan")  # the spread is unknown; 0.0 would mean that the trace is exact
        variance = float(total_of_squares) / count - (float(total) / count) ** 2
        return float(np.sqrt(max(variance, 0.0) / (count - 1)))
