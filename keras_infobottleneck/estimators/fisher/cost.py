"""The cost of a measurement, estimated before any work: memory, passes, and time on request."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_flag
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.information import STRUCTURES, FisherInformation
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.scores import ColumnSource
from keras_infobottleneck.results.result import Result

__all__ = [
    "MemoryEstimate",
    "check_dry_run",
    "check_fits",
    "check_passes",
    "fits",
    "seconds_for_all",
    "seconds_needed",
]


@dataclass(frozen=True, repr=False)
class MemoryEstimate(Result):
    """Memory and passes that a Fisher matrix or a Hessian needs, beyond one pass of the model.

    Attributes:
        structure: Structure of the matrix; "hessian" for a Hessian.
        num_weights: Number of weights that the matrix is about.
        result_bytes: Size of the result, in bytes.
        working_bytes: Additional bytes during the computation; for "implicit" and "hessian",
            during each product.
        backward_passes: Number per batch; for "implicit" and "hessian", for each product.
        kept_bytes: Bytes that a log-determinant or a trace of "implicit" or "hessian" uses by
            default if they are free, for vectors of Lanczos' method and of XTrace.
        max_side: Largest side of a Kronecker factor that is kept whole; None if all are.
        seconds: Time estimated from one batch; None if not requested. For "implicit" and
            "hessian", the time of each product.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        need = kib.estimators.fisher_information(model, x, structure="dense", dry_run=True)
        print(need.num_weights)
        ```

        ```text
        structure='dense': 15 weights, 0.0 MiB for the result, 0.0 MiB to make it
        1 backward pass a batch
        15
        ```
    """

    structure: str
    num_weights: int
    result_bytes: int
    working_bytes: int
    backward_passes: int = 1
    kept_bytes: int = 0
    max_side: int | None = None
    seconds: float | None = None

    @property
    def total_bytes(self) -> int:
        """Bytes of the result and of computing it, together."""
        return self.result_bytes + self.working_bytes

    def numbers(self) -> dict[str, float]:
        """The total number of bytes, its parts, the passes, and the number of weights."""
        return {"total_bytes": float(self.total_bytes), **super().numbers()}

    def __str__(self) -> str:
        plural = "" if self.backward_passes == 1 else "es"
        memory = (
            f"structure={self.structure!r}: {self.num_weights:,} weights, "
            f"{mebibytes(self.result_bytes)} for the result, "
            f"{mebibytes(self.working_bytes)} to make it"
        )
        parts = [f"{self.backward_passes:,} backward pass{plural} a batch"]
        if self.kept_bytes:
            parts.append(f"up to {mebibytes(self.kept_bytes)} for a log-determinant or a trace")
        if self.max_side is not None:
            parts.append(f"diagonal factors where a side exceeds {self.max_side:,}")
        if self.seconds is not None:
            parts.append(f"about {self.seconds:,.2g} seconds")
        return f"{memory}\n{', '.join(parts)}"


def check_fits(
    kind: type[FisherInformation],
    measurement: Measurement,
    *,
    quiet: bool = False,
) -> MemoryEstimate:
    """The cost of a structure, which is refused if it exceeds a limit of the measurement.

    Args:
        kind: The structure.
        measurement: The measurement.
        quiet: Whether to return the cost without refusing anything.

    Raises:
        ValueError: There are too many passes or too many bytes; the message names a cheaper way.
    """
    limit = _limit(measurement)

    def of(kind: type[FisherInformation]) -> MemoryEstimate:
        size = measurement.layout.size
        if limit is not None:
            kind.make_room(measurement, limit)
        return MemoryEstimate(
            kind.structure,
            size,
            *kind.bytes_needed(measurement),
            kind.passes_needed(measurement),
            kind.kept_bytes(measurement),
            measurement.max_side if kind.structure == "kronecker" else None,
        )

    asked = measurement.max_side
    plan = of(kind)
    if quiet:
        return plan
    if plan.max_side != asked:
        warnings.warn(
            f"Kronecker factors wider than {plan.max_side:,} are diagonal, because the memory is "
            "too small for them and their eigenvectors; set `max_side` to choose the limit.",
            stacklevel=3,
        )
    check_passes(kind, measurement)
    if limit is None or fits(plan, measurement):
        return plan
    cheaper = [of(other) for other in STRUCTURES.values() if kind.structure in other.cheaper_than]
    fitting = [other for other in cheaper if other.total_bytes <= limit]
    advice = ""
    if fitting:  # the largest result contains the most information
        best = max(fitting, key=lambda other: other.result_bytes)
        advice = f"; structure={best.structure!r} needs {mebibytes(best.total_bytes)}"
    raise ValueError(
        f"structure={kind.structure!r} of {plan.num_weights:,} weights needs "
        f"{mebibytes(plan.total_bytes)} in addition to the model's own"
        f"{advice}. Received: memory_limit={mebibytes(limit)}"
    )


def fits(plan: MemoryEstimate, measurement: Measurement) -> bool:
    """Whether the memory suffices for a measurement."""
    limit = _limit(measurement)
    return limit is None or plan.total_bytes <= limit


def _limit(measurement: Measurement) -> int | None:
    """Bytes that a measurement may use; None if the system does not report them."""
    limit = measurement.memory_limit
    return available_bytes() if limit is None else limit


def check_passes(kind: type[FisherInformation], measurement: Measurement) -> None:
    """Refuses `labels="expected"` if there are too many outputs.

    Raises:
        ValueError: There are too many passes; the message has their number and cheaper ways.
    """
    passes, limit = kind.passes_needed(measurement), measurement.pass_limit
    if measurement.source.labels == "expected" and passes > limit:
        raise ValueError(
            f"labels='expected' takes {passes:,} backward passes a batch here, one for each "
            "output; labels='sampled' takes one, and structure='implicit' has exact products at "
            f"one each; or raise `pass_limit`. Received: pass_limit={limit}"
        )


def seconds_needed(kind: type[FisherInformation], measurement: Measurement) -> float:
    """Estimate of the time for a measurement, or for one product, from one batch that is timed.

    If each batch takes many passes, one of them is timed. Compilation is not included.
    """
    kind.prepare(measurement)
    few = copy.copy(measurement)
    few.verbose, passes = 0, kind.passes_needed(measurement)
    if passes > 1:
        few.source, few.num_columns = ColumnSource(few.source.likelihood, "sampled"), 1
    zeros = [np.zeros(shape, few.dtype.as_numpy_dtype) for shape in few.layout.shapes]

    def run(first: Batches) -> Any:
        few.batches = first
        if kind.splits_batches:
            first.split(measurement.num_rows)
        result = kind.measured(few)
        return result.matvec(zeros) if kind.structure == "implicit" else result

    return seconds_for_all(measurement.batches, run) * passes


def seconds_for_all(batches: Batches, run: Callable[[Batches], Any]) -> float:
    """Estimates the time of a pass over all batches from that over the first one, in seconds.

    Args:
        batches: The examples.
        run: The pass. It is called twice: the first call compiles, the second is timed.
    """
    size = batches.size
    x, y = tf.nest.map_structure(lambda a: a[:size], batches.first_batch())
    first = (x, y) if tf.nest.flatten(y) else (x,)
    run(Batches(first, size, needs_labels=False))
    start = time.perf_counter()
    run(Batches(first, size, needs_labels=False))
    return (time.perf_counter() - start) * -(-batches.count() // size)


def check_dry_run(value: Any) -> None:
    """Checks that the value is True, False or "timed"."""
    if not (isinstance(value, str) and value == "timed"):
        check_flag("dry_run", value)
