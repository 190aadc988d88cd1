"""Codes of labels in blocks, each coded by the best of several predictors and its index."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_infobottleneck.arguments import check_count, check_integers, refusal
from keras_infobottleneck.estimators.coding.code_length import CodeLength
from keras_infobottleneck.plots.code_length import plot_code_length
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["BlockCode", "PrequentialCode", "block_ends", "code_of_block", "digest", "joined_code"]


@dataclass(frozen=True, repr=False)
class PrequentialCode(CodeLength):
    """Length of a code for labels in blocks, each coded by a model learned from earlier blocks.

    Attributes:
        nats: Total length. The standard error is that of a sum over independent examples: the
            spread over other samples of them.
        uniform_nats: Length for the same labels without a model: `N log C`.
        ends: `[blocks]`, number of labels up to the end of each block.
        block_nats: `[blocks]`, nats of each block; the first is coded without a model.
        choices: `[blocks]`, the predictor of the block: the epoch or the number of the penalty,
            counted from 1; 0 for the first block.
        num_choices: Number of predictors, whose logarithm each block but the first pays.
        num_classes: C.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        x = np.random.default_rng(0).normal(size=(300, 2))
        code = kib.estimators.mdl_probe(x, (x[:, 0] > 0).astype(int), blocks=4).code
        print(code.ends, np.round(code.nats_per_label, 1))
        ```

        ```text
        [ 38  75 150 300] [0.7 0.1 0.1 0.1]
        ```
    """

    nats: Estimate
    uniform_nats: float
    ends: np.ndarray
    block_nats: np.ndarray
    choices: np.ndarray
    num_choices: int
    num_classes: int

    _points = ("ends", "block_nats", "choices")

    @property
    def nats_per_label(self) -> np.ndarray:
        """Nats per label in each block, `[blocks]`: the learning curve."""
        return self.block_nats / np.diff(self.ends, prepend=0)

    def plot(self, ax: Any = None) -> Any:
        """Plots the nats per label of each block; see `plots.plot_code_length`."""
        return plot_code_length(self.ends, self.block_nats, num_classes=self.num_classes, ax=ax)

    def __repr__(self) -> str:
        return (
            f"PrequentialCode: {self.kbit:,.2f} kbit for {self.ends[-1]:,} labels in "
            f"{len(self.ends)} blocks, {self.ratio:.3f} of the {self.uniform_kbit:,.2f} kbit "
            f"without a model ({self.nats!r} nats; {self.nats_per_label[-1]:.4f} for a label of "
            "the last block)"
        )


class BlockCode(NamedTuple):
    """Code of one block: length in nats, its variance over samples of labels, chosen predictor."""

    nats: float
    variance: float
    choice: int


def block_ends(blocks: int | Sequence[int] | np.ndarray, num_examples: int) -> np.ndarray:
    """The given ends of blocks, or a number of ends, each at twice the one before."""
    if np.ndim(blocks) == 0:
        count = check_count("blocks", blocks, 2)
        halves = num_examples / 2.0 ** np.arange(count - 1, -1, -1)
        ends = np.unique(np.ceil(halves).astype(np.int64))
    else:
        ends = check_integers("blocks", blocks, "[blocks]", 1).astype(np.int64)
    if len(ends) < 2 or np.any(np.diff(ends) <= 0) or ends[-1] != num_examples:
        expected = f"be increasing ends of two blocks at least, the last {num_examples}"
        raise refusal(ValueError, "blocks", expected, blocks)
    return ends


def code_of_block(log_probabilities: np.ndarray, examples: np.ndarray | None = None) -> BlockCode:
    """Code of a block by the best of several predictors, whose index costs `log(predictors)` nats.

    Args:
        log_probabilities: `[predictors, labels]`, of the true labels.
        examples: `[labels]`, number of the example of each label, in ascending order; by default
            each label is an example. Examples are independent, their labels need not be.
    """
    nats = -log_probabilities.sum(1)
    nats = np.where(np.isfinite(nats), nats, np.inf)  # diverged predictors are not chosen
    best = int(np.argmin(nats))
    sums = log_probabilities[best]
    if examples is not None:
        sums = np.add.reduceat(sums, np.unique(examples, return_index=True)[1])
    variance = len(sums) * float(np.var(sums))
    return BlockCode(float(nats[best]) + math.log(len(nats)), variance, best + 1)


def joined_code(
    codes: Sequence[BlockCode], ends: np.ndarray, num_choices: int, num_classes: int
) -> PrequentialCode:
    """Code of all blocks; the first one is coded uniformly, without a model.

    Raises:
        ValueError: No predictor gave every label of a block a probability above zero.
    """
    nats = [float(ends[0]) * math.log(num_classes), *(code.nats for code in codes)]
    if not np.all(np.isfinite(nats)):
        raise ValueError(
            "Every label must have a probability above zero; let the network end in logits, or "
            f"train it more gently. Received: blocks of {nats} nats"
        )
    return PrequentialCode(
        nats=Estimate(sum(nats), math.sqrt(sum(code.variance for code in codes))),
        uniform_nats=float(ends[-1]) * math.log(num_classes),
        ends=ends,
        block_nats=np.array(nats),
        choices=np.array([0, *(code.choice for code in codes)]),
        num_choices=num_choices,
        num_classes=num_classes,
    )


def digest(*values: Any) -> str:
    """SHA-256 digest of arrays and settings, which identifies the code that wrote a file."""
    sha = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        sha.update(f"{array.dtype} {array.shape};".encode())
        sha.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return sha.hexdigest()
