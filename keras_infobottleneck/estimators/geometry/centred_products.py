"""Sums over pairs of different examples, without the bias of an example paired with itself."""

from __future__ import annotations

import numpy as np

__all__ = ["biased_alignment_products", "unbiased_products"]


def unbiased_products(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased estimate of the squared covariance ``||Cov(a, b)||_F^2`` of two sets of units.

    The unbiased Hilbert-Schmidt criterion of linear kernels (Song et al. 2012, equation 5), with
    tables of products ``K = a a^T`` and ``L = b b^T`` without their diagonals:

        [tr(K L) + sum K sum L / ((N - 1)(N - 2)) - 2 (K 1) . (L 1) / (N - 2)] / (N (N - 3))

    Args:
        first, second: ``[num_examples, units]``, at least four examples.
    """
    number = len(first)
    tables = []
    for units in (first, second):
        units = units - units.mean(0)  # affects only the rounding errors
        table = units @ units.T
        np.fill_diagonal(table, 0.0)
        tables.append(table)
    k, l = tables  # noqa: E741
    of_rows = k.sum(0) @ l.sum(0)
    of_all = k.sum() * l.sum() / ((number - 1) * (number - 2))
    together = np.vdot(k, l) + of_all - 2.0 * of_rows / (number - 2)
    return float(together / (number * (number - 3)))


def biased_alignment_products(first: np.ndarray, second: np.ndarray) -> float:
    """``||a^T b||_F^2`` for centred units, including every example's product with itself."""
    cross = (first - first.mean(0)).T @ (second - second.mean(0))
    return float(np.vdot(cross, cross))
