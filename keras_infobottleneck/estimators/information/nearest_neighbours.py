"""Mutual information from distances to nearest neighbours, without a network."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

__all__ = ["nearest_neighbour_cap", "nearest_neighbour_terms"]

# Jitter that separates equal values, in standard deviations, as published.
JITTER = 1e-10


def nearest_neighbour_terms(
    z: np.ndarray, x: np.ndarray, num_neighbors: int, rng: np.random.Generator
) -> np.ndarray:
    """Terms whose mean is the first estimator of Kraskov, Stögbauer & Grassberger.

    ``psi(k) + psi(N) - psi(n_z + 1) - psi(n_x + 1)``, where n_z and n_x are the numbers of examples
    that are nearer in `z` alone, or in `x` alone, than the `k`-th neighbour in both. Distances are
    the largest difference of a coordinate.

    Args:
        z, x: `[num_examples, units]`.
        num_neighbors: Number k of neighbours.
        rng: Random generator of the jitter.
    """
    z, x = (each + JITTER * rng.normal(size=each.shape) for each in (z, x))
    both = cKDTree(np.concatenate([z, x], 1))
    radius = both.query(both.data, num_neighbors + 1, p=np.inf)[0][:, -1]
    counts = []
    for each in (z, x):
        # Strictly nearer; the example itself is included, which gives the "+ 1".
        near = np.nextafter(radius, 0.0)
        tree = cKDTree(each)
        counts.append(tree.query_ball_point(each, near, p=np.inf, return_length=True))
    return digamma(num_neighbors) + digamma(len(z)) - digamma(counts[0]) - digamma(counts[1])


def nearest_neighbour_cap(num_examples: int, num_neighbors: int) -> float:
    """Largest possible estimate, reached if no other example is nearer in z or in x alone."""
    return float(digamma(num_examples) - digamma(num_neighbors))
