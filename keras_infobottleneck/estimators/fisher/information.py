"""Base class of the Fisher information matrix in all its structures."""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import numpy as np

from keras_infobottleneck.arguments import check_count, check_number, check_numbers, check_price
from keras_infobottleneck.estimators.fisher.file_fields import (
    draws_from,
    layout_from,
    precision_from,
)
from keras_infobottleneck.estimators.fisher.label_draws import LabelDraws, joined_draws
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.score_products import ScoreProducts
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.spectrum import Spectrum
from keras_infobottleneck.results.archives import Archive, with_suffix, write_arrays
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["LABELS", "STRUCTURES", "FisherInformation", "register_structure"]

LABELS = ("expected", "sampled", "empirical")
# Version of the files. Version 1 named the second weight of a path `path_1`, now `path #2`; since
# version 3 a file contains the precision, since version 4 the draws.
FORMAT = 4


@dataclass(frozen=True, repr=False)
class FisherInformation(Result, abc.ABC):
    """Fisher information of the weights, `F = mean_x E_y [g g^T]` with `g = grad_w log p(y|x)`.

    This is a mean over examples: the matrix of the whole data is `num_examples` times as large.
    `a + b` is the result for the union of two disjoint datasets.

    Attributes:
        layout: Paths and shapes of the weights.
        labels: "expected", "sampled" or "empirical".
        num_examples: N.
        standard_error: Standard error of the trace, from the drawn labels; 0.0 for other labels. It
            is the spread of the examples' traces over sqrt(N), which includes the spread of the
            data: an upper estimate. NaN for drawn labels of a single example. It does not
            include rounding.
        precision: Compute dtypes of the layers, such as "float16"; sums are in float32 or better.
            Empty for files that do not contain it.
        draws: Draws that the labels were made of, as rows of a seed, the number of the first
            example and the number of examples. Empty for other labels, and for files that do not
            contain it.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        first = kib.estimators.fisher_information(model, x[:6], labels="expected")
        second = kib.estimators.fisher_information(model, x[6:], first_example=6, labels="expected")
        together = first + second  # of all ten examples
        print(together.num_examples, float(together.trace()))
        ```

        ```text
        10 15.0
        ```
    """

    layout: Layout
    labels: str
    num_examples: int
    standard_error: float = field(default=0.0, kw_only=True)
    precision: str = field(default="", kw_only=True)
    draws: tuple[LabelDraws, ...] = field(default=(), kw_only=True)

    # The value of the argument `structure`, and the structures for which a refusal proposes this
    # one as needing less memory.
    structure: ClassVar[str]
    cheaper_than: ClassVar[tuple[str, ...]] = ()
    # Whether batches are split if the outputs of a layer would not fit in the cache.
    splits_batches: ClassVar[bool] = False

    @classmethod
    @abc.abstractmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """Bytes of the result, and additional bytes during its computation."""

    @classmethod
    def kept_bytes(cls, measurement: Measurement) -> int:
        """Bytes that methods of the result may use if they are free; none by default."""
        return 0

    @classmethod
    def passes_needed(cls, measurement: Measurement) -> int:
        """Backward passes per batch: one for each column of the label's information."""
        return measurement.num_columns

    @classmethod
    def prepare(cls, measurement: Measurement) -> None:
        """Makes choices that are kept with the model; by default there are none."""

    @classmethod
    def make_room(cls, measurement: Measurement, limit: int) -> None:
        """Chooses what to leave out so that the result fits in `limit` bytes; default: nothing."""

    @classmethod
    @abc.abstractmethod
    def measured(cls, measurement: Measurement) -> Self:
        """Computes the result by one pass over the data."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Paths of the weights, in the order of `diagonal()` and `matvec`."""
        return self.layout.paths

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.layout.size

    @property
    def seed(self) -> int | None:
        """The seed of the drawn labels; None if none were drawn, or parts had several seeds."""
        seeds = {draws.seed for draws in self.draws}
        return seeds.pop() if len(seeds) == 1 else None

    @abc.abstractmethod
    def diagonal(self) -> list[np.ndarray]:
        """Diagonal of F, one array per variable."""

    @abc.abstractmethod
    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Product of F with a vector, given and returned as one array per variable."""

    @abc.abstractmethod
    def logdet(self, shift: float) -> Estimate:
        """`log det(F + shift I)` in nats."""

    @abc.abstractmethod
    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """The largest eigenvalues, descending; all of them by default."""

    @abc.abstractmethod
    def spectrum(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> Spectrum:
        """The eigenvalues, in a form that gives the sum of any function of them.

        The arguments are for the implicit structure, which estimates the spectrum from
        `num_probes * num_steps` passes over the data; the other structures know it exactly.
        """

    @abc.abstractmethod
    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """`rows @ (F + shift I)^exponent`, for rows `[n, weights]`, flat as `layout` joins them.

        Raises:
            ValueError: The structure is implicit and has no matrix.
        """

    def score_products(
        self, shift: float, exponents: Sequence[float], numbers: Sequence[int] | None = None
    ) -> ScoreProducts | None:
        """Products `g^T (F + shift I)^p h` of scores by some variables; None to use rows."""
        return None

    def _num_eigenvalues(self, count: int | None) -> int:
        """The number of eigenvalues asked for; all by default."""
        given = check_count("count", count, most=self.size, optional=True)
        return self.size if given is None else given

    def _checked_power(
        self, rows: np.ndarray, exponent: float, shift: float
    ) -> tuple[np.ndarray, float, float]:
        """Checks the arguments of `power_product`."""
        rows = check_numbers("rows", rows, f"[rows, {self.size}]", dtype=None)
        return rows, check_number("exponent", exponent), check_price("shift", shift)

    def trace(self) -> Estimate:
        """Trace of F, with the standard error from the drawn labels."""
        total = sum(float(np.sum(d, dtype=np.float64)) for d in self.diagonal())
        return Estimate(total, self.standard_error)

    def by_variable(self) -> dict[str, dict[str, float]]:
        """Maps the path of each variable to `{"trace", "size"}`."""
        return {
            path: {"trace": float(np.sum(d, dtype=np.float64)), "size": d.size}
            for path, d in zip(self.variables, self.diagonal(), strict=True)
        }

    def numbers(self) -> dict[str, float]:
        """The trace with its error, and the numbers of examples and weights."""
        trace = self.trace()
        return {
            "trace": float(trace),
            "standard_error": trace.standard_error,
            "num_examples": float(self.num_examples),
            "size": float(self.size),
        }

    def _columns(self) -> dict[str, Sequence[Any]]:
        rows = self.by_variable()
        return {
            "variable": list(rows),
            "trace": [row["trace"] for row in rows.values()],
            "size": [row["size"] for row in rows.values()],
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python numbers, as a report prints them."""
        return {
            "structure": self.structure,
            "labels": self.labels,
            "num_examples": self.num_examples,
            "size": self.size,
            "trace": float(self.trace()),
            "standard_error": self.standard_error,
            "precision": self.precision,
            "by_variable": self.by_variable(),
        }

    def __repr__(self) -> str:
        reduced = "16" in self.precision
        precision = f", precision={self.precision!r}" if reduced else ""
        return (
            f"{type(self).__name__}(labels={self.labels!r}, num_examples={self.num_examples}, "
            f"variables={len(self.variables)}, size={self.size}, trace={self.trace()!r}{precision})"
        )

    def __add__(self, other: FisherInformation) -> Self:
        """The result for the union of two disjoint data sets.

        Raises:
            ValueError: The structures, labels or weights differ, or the parts share draws of
                labels, because they have the same seed and `first_example` was not given.
        """
        if not isinstance(other, FisherInformation):
            return NotImplemented
        mine = (self.structure, self.labels, self.layout)
        theirs = (other.structure, other.labels, other.layout)
        if mine != theirs:
            raise ValueError(
                "Only results of the same structure, labels and variables add up. "
                f"Received: {self.structure!r} of {self.labels!r} labels and {self.size} weights, "
                f"{other.structure!r} of {other.labels!r} labels and {other.size} weights"
            )
        draws = joined_draws(self.draws, other.draws)
        merged = self._merged(cast(Self, other), self.num_examples + other.num_examples)
        # If the precisions differ, both are named.
        said = dict.fromkeys([self.precision, other.precision])
        precision = " and ".join(filter(None, said))
        return dataclasses.replace(merged, precision=precision, draws=draws)

    def _merged_error(self, other: FisherInformation) -> float:
        """Standard error for the union, equal to that of one measurement of all examples."""
        parts = (self, other)
        counts = np.array([part.num_examples for part in parts], np.float64)
        # A single example has no spread.
        errors = np.array([p.standard_error if p.num_examples > 1 else 0.0 for p in parts])
        if self.labels != "sampled":
            return float(np.linalg.norm(errors * counts) / counts.sum())
        traces = np.array([float(part.trace()) for part in parts])
        total = counts.sum()
        apart = counts @ (traces - counts @ traces / total) ** 2
        spread = (errors**2 * counts) @ (counts - 1.0) + apart
        return float(np.sqrt(spread / (total * (total - 1.0))))

    @abc.abstractmethod
    def _merged(self, other: Self, num_examples: int) -> Self:
        """The mean over both datasets."""

    @abc.abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """The arrays that `to_npz` writes besides the fields."""

    @classmethod
    @abc.abstractmethod
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> Self:
        """The inverse of `_arrays`; each array is checked as it is read."""

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes everything to a NumPy archive without pickled objects, completely or not at all.

        Args:
            path: Path of the file, in an existing folder; `.npz` is added if it is missing.

        Raises:
            ValueError: The path is not a file in an existing folder, or the structure is implicit.
            OSError: The file cannot be written.
        """
        shapes = [",".join(map(str, shape)) for shape in self.layout.shapes]
        arrays = {
            "format": FORMAT,
            "structure": self.structure,
            "labels": self.labels,
            "num_examples": self.num_examples,
            "standard_error": self.standard_error,
            "precision": self.precision,
            "draws": np.array(self.draws, np.int64).reshape(-1, 3),
            "paths": np.array(self.layout.paths, dtype=str),
            "shapes": np.array(shapes, dtype=str),
            **self._arrays(),
        }
        write_arrays(with_suffix(path), arrays)

    @staticmethod
    def from_npz(path: str | os.PathLike) -> FisherInformation:
        """Reads a file written by `to_npz`, of any structure; `.npz` may be omitted.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file was not written by `to_npz`, or is damaged.
        """
        if isinstance(path, str | os.PathLike) and not os.path.exists(path):
            path = with_suffix(path)
        archive = Archive(path, "`path` must be a file written by `FisherInformation.to_npz`")
        structure = archive.text("structure", STRUCTURES)
        version = archive.count("format") if "format" in archive else 1
        if version > FORMAT:
            archive.refuse(f"in format {version}, of a later version")
        fields = {
            "layout": layout_from(archive, version),
            "labels": archive.text("labels", LABELS),
            "num_examples": (count := archive.count("num_examples")),
            "standard_error": archive.error("standard_error"),
            "precision": precision_from(archive) if version > 2 else "",
            "draws": draws_from(archive, count) if version > 3 else (),
        }
        result = STRUCTURES[structure]._from_archive(fields, archive)
        archive.close()
        return result


# All registered structures by name.
STRUCTURES: dict[str, type[FisherInformation]] = {}


def register_structure(kind: type[FisherInformation]) -> None:
    """Makes a structure known to `fisher_information` under its name."""
    STRUCTURES[kind.structure] = kind
