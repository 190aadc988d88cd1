"""Mutual information from distances to nearest neighbours, without a network."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

__all__ = ["nearest_neighbour_cap", "nearest_neighbour_terms"]

# Jitter that tells equal values apart, in standard deviations, as published.
JITTER = 1e-10


def nearest_neighbour_terms(
    z: np.ndarray, x: np.ndarray, num_neighbors: int, rng: np.random.Generator
) -> np.ndarray:
    """Terms whose mean is the first estimator of Kraskov, Stögbauer & Grassberger.

    ``psi(k) + psi(N) - psi(n_z + 1) - psi(n_x + 1)``: the numbers of neighbours in `z` and in `x`
    alone that are nearer than the `k`-th neighbour in both, by the largest difference of a
    coordinate.

    Args:
        z, x: `[num_examples, units]`.
        num_neighbors: k.
        rng: of the jitter.
    """
    z, x = (each + JITTER * rng.normal(size=each.shape) for each in (z, x))
    both = cKDTree(np.concatenate([z, x], 1))
    radius = both.query(both.data, num_neighbors + 1, p=np.inf)[0][:, -1]
    counts = []
    for each in (z, x):
        # Strictly nearer; the example itself is among them, which is the one that is added.
        near = np.nextafter(radius, 0.0)
        tree = cKDTree(each)
        counts.append(tree.query_ball_point(each, near, p=np.inf, return_length=True))
    return digamma(num_neighbors) + digamma(len(z)) - digamma(counts[0]) - digamma(counts[1])


def nearest_neighbour_cap(num_examples: int, num_neighbors: int) -> float:
    """Largest possible estimate, where no other example is nearer in z alone or in x alone."""
    return float(digamma(num_examples) - digamma(num_neighbors))
