"""Weights that are stored in a file as choices among candidates from their prior.

The prior of a weight is a normal distribution around 0. Its scale, on a grid, is that of a group of
weights: a whole tensor, or one entry of its last axis (an output unit). For each group the file
also holds the expected information of a weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from keras_infobottleneck.compression.blocks import (
    LEVELS,
    block_ends,
    demand_of,
    drawing_order,
    level_of,
    places_in,
)
from keras_infobottleneck.compression.candidates import (
    RESOLUTION,
    first_state,
    followed,
    normals,
)
from keras_infobottleneck.compression.integers import Coder, SignedIntegers, count
from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.compression.scale_grid import index_of, scale_at
from keras_infobottleneck.compression.tensor_codes import scale

__all__ = ["Choices", "Groups", "best_groups", "groups", "weights_of", "whole_order"]

# Scales of units are stored on a coarser grid, because each is for few weights.
COARSENESS = {False: 1, True: 8}
MOST_BITS_PER_BLOCK = 20


@dataclass
class Groups:
    """Scales and expected information of the groups of a tensor.

    Attributes:
        by_unit: Whether every entry of the last axis is a group.
        indices: Index of each group's scale on the grid.
        levels: Level of the expected information of a weight, for each group.
        nats: Divergence of the posterior from the prior; known only to the writer.
    """

    by_unit: bool
    indices: list[int]
    levels: list[int]
    nats: float = math.nan

    def spread(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Scale and demand of every weight of the tensor, flat."""
        scales = np.array([scale_at(index) for index in self.indices])
        demand = demand_of(np.array(self.levels, np.int64))
        if not self.by_unit:
            return np.repeat(scales, math.prod(shape)), np.repeat(demand, math.prod(shape))
        times = math.prod(shape[:-1])
        return np.tile(scales, times), np.tile(demand, times)


def best_groups(means: np.ndarray, scales: np.ndarray) -> Groups:
    """The groups with the shortest sum of divergence and description."""
    whole = _fitted(means, scales, by_unit=False)
    if means.ndim < 2 or means.shape[-1] < 2:
        return whole
    units = _fitted(means, scales, by_unit=True)
    return min((whole, units), key=lambda g: g.nats + 4.0 * len(g.indices))


def _fitted(means: np.ndarray, scales: np.ndarray, by_unit: bool) -> Groups:
    """The scales of least divergence, rounded to the grid, and the resulting information."""
    energy = np.square(scales, dtype=np.float64) + np.square(means, dtype=np.float64)
    rows = energy.reshape(-1, energy.shape[-1] if by_unit else 1)
    if not by_unit:
        rows = energy.reshape(-1, 1)
    best = np.sqrt(rows.mean(0))
    indices = [index_of(each, COARSENESS[by_unit]) for each in best.tolist()]
    prior = np.array([scale_at(index) for index in indices])
    log_scales = np.log(scales.reshape(rows.shape), dtype=np.float64)
    nats = 0.5 * (rows / prior**2 - 1.0) - (log_scales - np.log(prior))
    levels = [level_of(each) for each in nats.mean(0).tolist()]
    return Groups(by_unit, indices, levels, float(nats.sum()))


def groups(coder: Coder, shape: tuple[int, ...], given: Groups | None = None) -> Groups:
    """Writes or reads the groups of a tensor."""
    by_unit = bool(coder.even(1, None if given is None else int(given.by_unit)))
    if by_unit and len(shape) < 2:
        raise DamageError("units of a tensor that has none")
    number = shape[-1] if by_unit else 1
    coarse = COARSENESS[by_unit]
    scales, levels = SignedIntegers(), SignedIntegers()
    found = Groups(by_unit, [], [])
    index, level = 0, LEVELS // 2
    for unit in range(number):
        wanted = None if given is None else given.indices[unit] // coarse
        index = scale(coder, scales, index, wanted)
        level += levels.code(coder, None if given is None else given.levels[unit] - level)
        if not 0 <= level < LEVELS:
            raise DamageError("an expected information outside its range")
        found.indices.append(index * coarse)
        found.levels.append(level)
    if max(map(abs, found.indices), default=0) > 127 * 32:
        raise DamageError("a scale outside the grid")
    return found


@dataclass
class Choices:
    """The choices of all blocks, stage by stage.

    Attributes:
        seed: Seed of the order of the weights and of the candidates.
        bits_per_block: Bits of a choice.
        num_stages: Number of parts into which the weights are divided; between two of them the rest
            of the network may be trained. The remaining number falls quadratically: after the last
            stages few weights can be trained, so these stages are small.
        paths: Choices of every stage so far.
    """

    seed: int
    bits_per_block: int
    num_stages: int
    paths: list[list[int]] = field(default_factory=list)

    def stage(self, index: int, num_weights: int) -> slice:
        """Positions of the stage's weights in the order."""
        left = [self.num_stages - stage for stage in (index, index + 1)]
        return slice(*(num_weights - num_weights * x * x // self.num_stages**2 for x in left))

    def state(self) -> int:
        """The state after the path so far."""
        state = first_state(self.seed)
        for path in self.paths:
            if path:
                state = int(followed(state, path)[-1])
        return state

    @classmethod
    def code(cls, coder: Coder, given: Choices | None = None, most_bits: int = 0) -> Choices:
        """Writes the choices, or reads them from a stream of at most this many bits."""
        seed = count(coder, None if given is None else given.seed)
        bits = coder.even(5, None if given is None else given.bits_per_block)
        stages = count(coder, None if given is None else given.num_stages)
        if not 1 <= bits <= MOST_BITS_PER_BLOCK or not 1 <= stages <= 4096 or seed >= 1 << 63:
            raise DamageError("blocks of no or of too many bits")
        found = cls(seed, bits, stages)
        for stage in range(stages):
            path = None if given is None else given.paths[stage]
            number = count(coder, None if path is None else len(path))
            if given is None and number * bits > most_bits:
                raise DamageError("more blocks than the file has bits")
            found.paths.append(
                [coder.even(bits, None if path is None else path[i]) for i in range(number)]
            )
        return found


def whole_order(choices: Choices, num_weights: int) -> np.ndarray:
    """The order in which the weights of all tensors, concatenated, are coded."""
    return drawing_order(choices.seed, num_weights)


def weights_of(choices: Choices, scales: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """The chosen weights, in float32, in their original order; 0 for those not coded yet.

    Args:
        choices: Choices of the first stages or of all.
        scales: Scale of the prior, for every weight.
        demand: Expected information of every weight.
    """
    order = whole_order(choices, len(scales))
    found = np.zeros(len(scales), np.float32)
    state = first_state(choices.seed)
    for stage, path in enumerate(choices.paths):
        members = order[choices.stage(stage, len(order))]
        if not len(members):
            continue
        if not path:
            raise DamageError("weights without blocks")
        states = followed(state, path)
        state = int(states[-1])
        block, place = places_in(block_ends(demand[members], len(path)))
        drawn = normals(states[block], place)
        # Two products, each rounded by IEEE 754, which is the same on every machine.
        found[members] = (drawn.astype(np.float64) / RESOLUTION * scales[members]).astype(
            np.float32
        )
    return found
