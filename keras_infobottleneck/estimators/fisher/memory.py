"""How much memory a structure needs, before any work."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.rules.registration import rule_for
from keras_infobottleneck.estimators.fisher.trial import Trial
from keras_infobottleneck.linear_algebra.operator import check_positive_integer
from keras_infobottleneck.results.result import Result

__all__ = [
    "BLOCK_BYTES",
    "MemoryEstimate",
    "available_bytes",
    "check_fits",
    "estimate",
    "mebibytes",
]

# Per-example gradients are formed in blocks of about this size: larger ones leave the cache.
BLOCK_BYTES = 32 * 2**20

CHEAPER = {
    "dense": ("gram", "kronecker", "diagonal", "implicit"),
    "gram": ("dense", "kronecker", "diagonal", "implicit"),
    "kronecker": ("diagonal", "implicit"),
    "diagonal": ("implicit",),
    "implicit": (),
}


@dataclass(frozen=True, repr=False)
class MemoryEstimate(Result):
    """Bytes beside the model's own for one forward and backward pass.

    Attributes:
        structure: what was asked for.
        num_weights: weights that it is about.
        result_bytes: what the result holds.
        working_bytes: what its making takes on top.
    """

    structure: str
    num_weights: int
    result_bytes: int
    working_bytes: int

    @property
    def total_bytes(self) -> int:
        """Result and work."""
        return self.result_bytes + self.working_bytes

    def numbers(self) -> dict[str, float]:
        """The bytes in all, then their parts and the number of weights."""
        return {"total_bytes": float(self.total_bytes), **super().numbers()}

    def __str__(self) -> str:
        return (
            f"structure={self.structure!r}: {self.num_weights:,} weights, "
            f"{mebibytes(self.result_bytes)} for the result, "
            f"{mebibytes(self.working_bytes)} to make it"
        )


def mebibytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**20:,.1f} MiB"


def estimate(
    structure: str,
    model: keras.Model,
    variables: Sequence[keras.Variable],
    *,
    num_examples: int,
    batch_size: int,
    columns: int,
    position_bytes: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> MemoryEstimate:
    """What the structure will need; `position_bytes` are one example's, of the largest layer."""
    width = 8 if str(variables[0].dtype) == "float64" else 4
    weights = sum(math.prod(v.shape) for v in variables)
    vector = weights * width
    if structure == "diagonal":
        result, work = vector, vector + block_bytes
    elif structure == "kronecker":
        factors = _factor_entries(model, variables) * width
        # Each kernel's order of entries is kept too, as 32-bit integers.
        # Factors are products of all positions of a batch.
        result, work = factors + 4 * weights, factors + block_bytes + batch_size * position_bytes
    elif structure == "dense":
        result = weights**2 * width
        work = result + 2 * batch_size * vector
    elif structure == "gram":
        result = num_examples * columns * vector
        work = result + 2 * batch_size * columns * vector
    else:
        result, work = 0, 4 * vector
    return MemoryEstimate(structure, weights, result, work)


def _factor_entries(model: keras.Model, variables: Sequence[keras.Variable]) -> int:
    """Entries of all Kronecker factors, and of the diagonals that go with them."""
    chosen = {id(v): math.prod(v.shape) for v in variables}
    entries = 0
    for layer in model._flatten_layers():
        rule = rule_for(layer) if layer.built else None
        block = None if rule is None else rule.block()
        if block is not None and chosen.pop(id(layer.kernel), None) is not None:
            groups, fan_in, fan_out = block
            entries += groups * ((fan_in + 1) ** 2 + fan_out**2)
    return entries + sum(chosen.values())


def available_bytes() -> int | None:
    """Physical memory that is free now, None where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def check_fits(
    structure: str,
    model: keras.Model,
    variables: Sequence[keras.Variable],
    batches: Batches,
    trial: Trial,
    memory_limit: int | None,
    *,
    quiet: bool = False,
) -> MemoryEstimate:
    """The estimate; refused where it exceeds the limit, unless quiet.

    Raises:
        ValueError: too much, naming the bytes and the next cheaper structure; or a limit that is
            not a positive integer.
    """
    if memory_limit is not None:
        check_positive_integer("memory_limit", memory_limit)
    positions = [trial.position_bytes.get(id(v), 0) for v in variables]
    num_examples = batches.count() if structure == "gram" else batches.num_examples or 1

    def of(name: str) -> MemoryEstimate:
        return estimate(
            name,
            model,
            variables,
            num_examples=num_examples,
            batch_size=batches.size,
            columns=trial.num_columns,
            position_bytes=max(positions),
        )

    plan = of(structure)
    limit = available_bytes() if memory_limit is None else memory_limit
    if quiet or limit is None or plan.total_bytes <= limit:
        return plan
    cheaper = [other for other in CHEAPER[structure] if of(other).total_bytes <= limit]
    advice = "".join(
        f"; structure={other!r} needs {mebibytes(of(other).total_bytes)}" for other in cheaper[:1]
    )
    raise ValueError(
        f"structure={structure!r} of {plan.num_weights:,} weights needs "
        f"{mebibytes(plan.total_bytes)} beside the model's own"
        f"{advice}. Received: memory_limit={mebibytes(limit)}"
    )
