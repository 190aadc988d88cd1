"""How alike generated and real images are, by measures that punish lost classes.

All are of two samples of as many rows of features, real ones and generated ones.
"""

import numpy as np

NEIGHBOURS = 3  # of the balls of precision and recall


def two_samples(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """All measures of this page, by name."""
    inside = (
        np.sqrt(squared_distances(real, real)),
        np.sqrt(squared_distances(generated, generated)),
    )
    across = np.sqrt(squared_distances(real, generated))
    return {
        "nearest_neighbour_accuracy": nearest_neighbour_accuracy(*inside, across),
        "frechet_distance": frechet_distance(real, generated),
        "precision": covered(inside[0], across),
        "recall": covered(inside[1], across.T),
    }


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances `[len(a), len(b)]`."""
    a, b = a.astype(float), b.astype(float)
    found = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
    return np.maximum(found, 0.0)


def nearest_neighbour_accuracy(real, generated, across) -> float:
    """How often the nearest other row is of the same sample: 1/2 for samples of one distribution.

    Lopez-Paz & Oquab, 2017, arXiv 1610.06545. Takes distances within and across the samples.
    """

    def nearest(inside):
        apart = inside.copy()
        np.fill_diagonal(apart, np.inf)
        return apart.min(1)

    right = np.concatenate([nearest(real) < across.min(1), nearest(generated) < across.min(0)])
    return float(right.mean())


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of the samples.

    Heusel et al., 2017, arXiv 1706.08500: `|m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)`.
    """
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    both = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0.0)).sum()
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(apart + np.trace(first) + np.trace(second) - 2.0 * both)


def covered(inside, across) -> float:
    """Share of the other sample that lies in a ball around a row of this one.

    Each ball reaches to the third nearest row of its own sample. Around real rows it is the
    precision of generated ones, around generated rows the recall of real ones (Kynkäänniemi et al.,
    2019, arXiv 1904.06991).
    """
    radius = np.sort(inside, axis=1)[:, NEIGHBOURS]  # a row is its own nearest one
    return float((across <= radius[:, None]).any(0).mean())
