"""The writer's search for a path of choices whose candidates are likely under the posterior.

A block of weights has ``2 ** bits_per_block`` candidates after every path that leads to it, all of
them draws from the prior. The search goes through the blocks and keeps the `beam` best of all paths
seen so far. The score of a path is the log density ratio of posterior and prior, summed over its
weights: the likelihood of the network as approximated by the posterior. With a beam of one path
every block is chosen separately, as in minimal random coding; a wide beam wastes far fewer bits,
because a block with poor candidates is compensated by the blocks around it.

References:
    Havasi, Peharz & Hernandez-Lobato (2019), "Minimal Random Code Learning", arXiv 1810.00440.
    Flamich, Havasi & Hernandez-Lobato (2020), "Compressing images by encoding their latent
    representations with relative entropy coding", arXiv 2010.01185 (the search over a beam).
    Jelinek (1969), "Tree encoding of memoryless time-discrete sources with a fidelity criterion".
"""

from __future__ import annotations

import numpy as np

from keras_infobottleneck.compression.candidates import RESOLUTION, continued, normals

__all__ = ["search"]

# Weights with little information accept any candidate; together they hold this share of the nats.
NEGLECTED = 2e-3
# Number of blocks between two searches for the common origin of all paths.
SETTLE_EVERY = 256


def search(
    state: int,
    means: np.ndarray,
    scales: np.ndarray,
    ends: np.ndarray,
    bits_per_block: int,
    beam: int,
) -> list[int]:
    """The choice of every block.

    Args:
        state: State after the path so far.
        means, scales: Parameters of the posterior ``[weights]``, in units of the prior's scale.
        ends: Index after the last weight of each block ``[blocks]``, the last one `weights`.
        bits_per_block: Logarithm of the number of candidates of a block.
        beam: Number of paths that are kept.
    """
    linear, square = _log_ratio(means, scales)
    matters = _matters(means, scales)
    states, scores = np.array([state], np.uint64), np.zeros(1, np.float32)
    choices: list[int] = []
    kept: list[np.ndarray] = []
    start = 0
    for block, end in enumerate(ends):
        states = continued(states, 1 << bits_per_block)
        scores = np.repeat(scores, 1 << bits_per_block)
        for index in start + np.flatnonzero(matters[start:end]):
            drawn = normals(states, index - start) * np.float32(1 / RESOLUTION)
            scores += drawn * (linear[index] - square[index] * drawn)
        start = end
        if len(states) > beam:
            best = np.argpartition(scores, -beam)[-beam:]
        else:
            best = np.arange(len(states))
        states, scores = states[best], scores[best]
        scores -= scores.max()
        kept.append(best)
        if len(kept) >= 2 * SETTLE_EVERY and (block + 1) % SETTLE_EVERY == 0:
            kept = _settle(kept, choices, bits_per_block)
    _follow(kept, int(scores.argmax()), choices, bits_per_block)
    return choices


def _log_ratio(means: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both coefficients of ``log q(z) / p(z) = linear z - square z^2 + constant``."""
    precision = 1.0 / np.square(scales)
    square = 0.5 * np.maximum(precision - 1.0, 0.0)  # flat for a posterior wider than its prior
    return (means * precision).astype(np.float32), square.astype(np.float32)


def _matters(means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Mask of the weights that count in the search."""
    nats = 0.5 * (np.square(scales) + np.square(means) - 1.0) - np.log(scales)
    order = np.argsort(nats)
    is_small = np.cumsum(nats[order]) < NEGLECTED * nats.sum()
    matters = np.ones(len(nats), bool)
    matters[order[is_small]] = False
    return matters


def _settle(kept: list[np.ndarray], choices: list[int], bits_per_block: int) -> list[np.ndarray]:
    """Appends the choices that all paths share, and returns the steps after them."""
    ancestors = np.arange(len(kept[-1]))
    for step in range(len(kept) - 1, 0, -1):
        ancestors = np.unique(kept[step][ancestors] >> bits_per_block)
        if len(ancestors) == 1:
            _follow(kept[:step], int(ancestors[0]), choices, bits_per_block)
            return kept[step:]
    return kept


def _follow(kept: list[np.ndarray], survivor: int, choices: list[int], bits_per_block: int) -> None:
    """Appends the choices of the path that ends in one survivor of the last step."""
    backwards = []
    for step in reversed(kept):
        child = int(step[survivor])
        backwards.append(child & ((1 << bits_per_block) - 1))
        survivor = child >> bits_per_block
    choices.extend(reversed(backwards))
