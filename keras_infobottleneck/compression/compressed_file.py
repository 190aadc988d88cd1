"""The result of `compress`: the length of the file, and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_infobottleneck.results.result import Result

__all__ = ["CompressedFile"]


@dataclass(frozen=True, repr=False)
class CompressedFile(Result):
    """A compressed network.

    Attributes:
        bytes: Size of the whole file.
        nats: Information in its weights. For weights with a Gaussian posterior, the divergence of
            the posterior from the prior of the file; for weights without one, the code length of
            their multiples of a step under a normal distribution of their mean square. Weights
            that are stored exactly or as short floats are not counted: they are part of
            `overhead`.
        overhead: Share by which the file is longer than its nats, ``8 bytes log 2 / nats - 1``;
            infinite if no weight is counted.
        parts: Bytes of each part of the file: "header", "architecture", "blocks" (the choices), and
            the name of each weight.
        num_weights: Number of weights of the network.
        num_drawn: Number of weights that are coded by candidates from their prior.
        num_blocks: Number of blocks of these weights.
        bits_per_block: Bits of the choice of each block.
        seed: Seed of the candidates.
        path: Path of the file.
        num_errors: Number of errors of the file's network on the given examples.
        num_examples: Number of these examples.
        occam_bound: Upper bound on its error on new data, for which the examples may have been used
            for training. They are assumed to be independent draws from the distribution of new
            data. The bits are those of the file and of its length.
        delta: Probability with which the bound may fail.
    """

    bytes: int
    nats: float
    overhead: float
    parts: dict[str, float]
    num_weights: int
    num_drawn: int
    num_blocks: int
    bits_per_block: int
    seed: int
    path: str
    num_errors: int | None = None
    num_examples: int | None = None
    occam_bound: float | None = None
    delta: float | None = None

    @property
    def statement(self) -> str:
        """The statement about the file's error, as a sentence; empty without examples."""
        if self.occam_bound is None or self.delta is None:
            return ""
        return (
            f"{self.bytes:,} bytes that err on {self.num_errors:,} of {self.num_examples:,} "
            f"examples: with probability {1 - self.delta:.4g} on at most {self.occam_bound:.2%} of "
            "new ones; the examples may have been used for training"
        )

    def _columns(self) -> dict[str, Sequence]:
        """A row for each part of the file."""
        return {"part": list(self.parts), "bytes": list(self.parts.values())}
