"""Coding of the drawn weights, stage by stage, with training in between.

Weights that are coded stay fixed; if there is a `Tuner`, the weights that are not coded yet are
trained to compensate for them. Each stage gets the number of bits that its weights need then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from keras_infobottleneck.compression.blocks import block_ends
from keras_infobottleneck.compression.drawn_weights import Choices, weights_of, whole_order
from keras_infobottleneck.compression.tree_search import search

__all__ = ["DrawnPart", "code_stages"]

# Spare bits of a stage, for its last blocks; later stages can compensate only between stages.
SPARE_BITS, SPARE_BITS_AT_THE_END = 4, 16


@dataclass(frozen=True)
class DrawnPart:
    """The drawn weights of a network, all tensors concatenated.

    Attributes:
        prior: Prior scale of every weight.
        demand: Expected information of every weight.
        means, scales: Parameters of the posterior.
    """

    prior: np.ndarray
    demand: np.ndarray
    means: np.ndarray
    scales: np.ndarray

    def of(self, members: np.ndarray) -> DrawnPart:
        """The part for some of the weights."""
        return DrawnPart(**{f.name: getattr(self, f.name)[members] for f in fields(self)})

    def nats(self) -> np.ndarray:
        """Divergence of each weight's posterior from its prior, in nats."""
        ratio, distance = self.scales / self.prior, self.means / self.prior
        return 0.5 * (np.square(ratio) + np.square(distance) - 1.0) - np.log(ratio)


def code_stages(
    part: DrawnPart,
    choices: Choices,
    *,
    rate: float,
    beam: int,
    tuner: Any = None,
    say: Any = lambda text: None,
    keep: Any = None,
) -> float:
    """Appends the choices of all missing stages; returns their nats.

    Args:
        part: The drawn weights.
        choices: Seed, number of stages, and the stages that are already coded.
        rate: Bits of the choices, as a multiple of the nats in bits.
        beam: Width of the beam of the search.
        tuner: Trains the rest of the network between two stages; None for no training.
        say: Called with a sentence after each stage.
        keep: Called with the choices after each stage but the last.
    """
    order = whole_order(choices, len(part.prior))
    nats = 0.0
    for stage in range(len(choices.paths), choices.num_stages):
        members = order[choices.stage(stage, len(order))]
        now = part.of(members)
        nats += (of_stage := float(now.nats().sum()))
        is_last = stage + 1 == choices.num_stages
        spare = SPARE_BITS_AT_THE_END if is_last else SPARE_BITS
        num_bits = rate * of_stage / math.log(2.0) + spare
        num_blocks = math.ceil(num_bits / choices.bits_per_block)
        path = []
        if len(members):
            ends = block_ends(now.demand, num_blocks)
            means, scales = now.means / now.prior, now.scales / now.prior
            bits = choices.bits_per_block
            path = search(choices.state(), means, scales, ends, bits, beam)
        choices.paths.append(path)
        say(
            f"stage {stage + 1} of {choices.num_stages}: {len(members):,} weights, "
            f"{of_stage:,.0f} nats, {len(path) * choices.bits_per_block / 8:,.0f} bytes"
        )
        if tuner is not None and stage + 1 < choices.num_stages:
            coded = np.zeros(len(order), bool)
            coded[order[: choices.stage(stage, len(order)).stop]] = True
            part = replace(part, **tuner.learn(coded, weights_of(choices, part.prior, part.demand)))
            if keep is not None:
                keep(choices)
    return nats
