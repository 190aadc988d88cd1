"""The writer's choice of a step, and of the multiples that represent the weights of a tensor."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from keras_infobottleneck.compression.range_coder import Writer
from keras_infobottleneck.compression.scale_grid import index_of, scale_at
from keras_infobottleneck.compression.tensor_codes import quantised

__all__ = ["Quantised", "quantised_means", "rounded_weights"]

# Steps that are tried, in octaves around the typical scale of the posterior.
STEPS = np.arange(-1.0, 4.25, 0.25)
ROUNDS = 2


class Quantised(NamedTuple):
    """A tensor as multiples of a step.

    Attributes:
        step_index: Index of the step on the grid of scales.
        integers: The multiples.
        num_bits: Length of their code.
        log_ratio: Log density ratio of posterior and prior at the multiples, NaN without these.
    """

    step_index: int
    integers: np.ndarray
    num_bits: float
    log_ratio: float


def rounded_weights(values: np.ndarray, relative_step: float) -> Quantised:
    """The nearest multiples of a step, which is a share of the root mean square of the weights."""
    size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
    index = index_of(size * relative_step)
    integers = np.rint(values / scale_at(index)).astype(np.int64)
    return Quantised(index, integers, _num_bits(index, integers), math.nan)


def quantised_means(means: np.ndarray, scales: np.ndarray, prior: np.ndarray) -> Quantised:
    """The multiples of least code length plus loss, both in nats.

    The loss is the negative log density ratio of posterior and prior: the likelihood of the network
    as approximated by the posterior. A mean moves to a smaller multiple if this saves more nats
    than it loses.

    Args:
        means, scales: Parameters of the posterior, of any shape.
        prior: Scales of the prior, of the same shape.
    """
    typical = 1.0 / math.sqrt(max(float(np.mean(1.0 / np.square(scales))), 1e-300))
    best, least = None, math.inf
    for octaves in STEPS:
        index = index_of(typical * 2.0**octaves)
        integers = np.rint(means / scale_at(index)).astype(np.int64)
        for _ in range(ROUNDS):
            integers, nats, loss = _traded(means, scales, prior, scale_at(index), integers)
        if nats + loss < least:
            least, best = nats + loss, (index, integers, loss)
    index, integers, loss = best  # type: ignore[misc]  # one step at least was tried
    return Quantised(index, integers, _num_bits(index, integers), -loss)


def _traded(
    means: np.ndarray, scales: np.ndarray, prior: np.ndarray, step: float, integers: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Moves each mean to the cheapest of three multiples, under the code of these integers."""
    values, counts = np.unique(integers, return_counts=True)
    total = counts.sum() + len(values) + 1
    lengths = dict(zip(values.tolist(), (-np.log((counts + 1) / total)).tolist(), strict=True))
    longest = math.log(total)
    nearest = np.rint(means / step).astype(np.int64)
    options = np.stack([nearest, nearest - np.sign(nearest), np.zeros_like(nearest)])
    known, place = np.unique(options, return_inverse=True)
    table = np.array([lengths.get(value, longest) for value in known.tolist()])
    nats = table[place.reshape(options.shape)]
    moved = options * step
    loss = np.square((moved - means) / scales) - np.square(moved / prior)
    loss = 0.5 * loss - np.log(prior / scales)
    chosen = (nats + loss).argmin(0)[None]
    pick = [np.take_along_axis(array, chosen, 0)[0] for array in (options, nats, loss)]
    return pick[0], float(pick[1].sum()), float(pick[2].sum())


def _num_bits(index: int, integers: np.ndarray) -> float:
    """Length of the code, found by coding."""
    writer = Writer()
    quantised(writer, integers.shape, index, integers)
    return writer.num_bits()
