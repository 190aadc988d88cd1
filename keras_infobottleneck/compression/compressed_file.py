"""What `compress` returns: how long the file is, and what it is long for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_infobottleneck.results.result import Result

__all__ = ["CompressedFile"]


@dataclass(frozen=True, repr=False)
class CompressedFile(Result):
    """A compressed network.

    Attributes:
        bytes: size of the file, everything included.
        nats: information in its weights. For weights with a Gaussian posterior, the divergence of
            the posterior from the prior of the file; for weights without one, the code length of
            their multiples of a step under a normal distribution of their mean square. Weights
            that are kept as they are or as short floats are not counted: they are part of
            `overhead`.
        overhead: share by which the file is longer than its nats, ``8 bytes log 2 / nats - 1``.
        parts: bytes of each part of the file: "header", "architecture", "blocks", and the name of
            each weight, of which "blocks" holds the choices.
        num_weights: number of weights of the network.
        num_drawn: how many of them are coded by candidates of their prior.
        num_blocks: number of blocks of these.
        bits_per_block: bits of the choice of each block.
        seed: of the candidates.
        path: of the file.
        num_errors: how often the network of the file errs on the examples that were given.
        num_examples: how many these are.
        occam_bound: upper bound on its error on new data; the examples may have trained it. They
            are taken for independent draws of what new data come from. The bits are those of the
            file and of its length.
        delta: probability with which the bound may fail.
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
        """What the file says of its error, in a sentence; empty where no examples were given."""
        if self.occam_bound is None or self.delta is None:
            return ""
        return (
            f"{self.bytes:,} bytes that err on {self.num_errors:,} of {self.num_examples:,} "
            f"examples: with probability {1 - self.delta:.4g} on at most {self.occam_bound:.2%} of "
            "new ones; the examples may have trained it"
        )

    def _columns(self) -> dict[str, Sequence]:
        """A row for each part of the file."""
        return {"part": list(self.parts), "bytes": list(self.parts.values())}
