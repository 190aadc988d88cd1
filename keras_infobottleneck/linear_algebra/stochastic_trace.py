"""Estimates of the trace of an operator that is known only by its products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.few_draws import error_of_draws

__all__ = ["XTRACE_VECTORS", "Product", "hutchinson_trace", "probe", "xtrace"]

# Directions of the images below this many roundings of the largest one are treated as zero.
NOISE = 100.0

# Number of vectors in memory for each probe of XTrace.
XTRACE_VECTORS = 4

# Operator times vector, both `[size]`.
Product = Callable[[tf.Tensor], tf.Tensor]


def probe(size: int, seed: int, number: int, dtype: tf.DType) -> tf.Tensor:
    """Random signs `[size]`, which have the least variance of all probes with unit variance."""
    bits = tf.random.stateless_uniform(
        [size], [seed, number], maxval=2, dtype=tf.int32, alg="philox"
    )
    return tf.cast(2 * bits - 1, dtype)


def hutchinson_trace(
    product: Product, size: int, *, num_probes: int, seed: int, dtype: tf.DType
) -> Estimate:
    """Mean of `v^T A v` over random signs v: unbiased, variance `2 (|A|_F^2 - |diag A|^2)` each.

    Costs one product per probe and the memory of one vector.

    References:
        Hutchinson, 1990, "A stochastic estimator of the trace of the influence matrix".
    """
    values = []
    for number in range(num_probes):
        v = probe(size, seed, number, dtype)
        values.append(tf.tensordot(v, product(v), 1))
    values = tf.stack(values).numpy().astype(np.float64)
    return Estimate(float(np.mean(values)), error_of_draws(values))


def xtrace(product: Product, size: int, *, num_probes: int, seed: int, dtype: tf.DType) -> Estimate:
    """Trace by exchangeable deflation: unbiased, with a much smaller error for decaying spectra.

    Each probe in turn serves as the test vector of what is left of A outside the range of the other
    images; the trace on that range is exact. Averaging over all choices of the test vector costs no
    further products. Costs two products and the memory of four vectors per probe. Exact if the rank
    of A is below `num_probes`.

    The values of the choices share a range and are not independent: their spread alone gives an
    error up to 40 % too small for a flat spectrum. A jackknife over probes, which are independent,
    gives an error that is too large, because it counts joint effects of several probes once for
    each of them. The stated error is the geometric mean of the two: within a fifth of the true
    spread for spectra that are flat or fall slowly, and up to two and a half times the spread for
    those that fall fast, where the error is small.

    References:
        Epperly, Tropp & Webber, 2024, "XTrace: Making the most of every sample in stochastic
        trace estimation", arXiv 2301.07825, Section 2; Efron & Stein, 1981, "The jackknife estimate
        of variance", Annals of Statistics 9(3).
    """
    num_probes = min(num_probes, size)
    probes = tf.stack([probe(size, seed, i, dtype) for i in range(num_probes)], 1)
    images = tf.stack([product(probes[:, i]) for i in range(num_probes)], 1)
    q, _ = tf.linalg.qr(images)
    aq = tf.stack([product(q[:, i]) for i in range(num_probes)], 1)
    # From here on everything is num_probes x num_probes, in float64.
    h = tf.matmul(q, aq, transpose_a=True).numpy().astype(np.float64)
    r = tf.matmul(q, images, transpose_a=True).numpy().astype(np.float64)
    w = tf.matmul(q, probes, transpose_a=True).numpy().astype(np.float64)
    tolerance = NOISE * float(np.finfo(dtype.as_numpy_dtype).eps)
    values = _values(h, r, w, tolerance)
    if num_probes == 1:  # a single weight: its matrix is a number, which any probe gives exactly
        return Estimate(float(values[0]))
    error = np.std(values, ddof=1) / np.sqrt(num_probes)
    if not _is_singular(r, tolerance):  # if singular, every choice of probes spans the whole range
        error = np.sqrt(error * _jackknife(h, r, w, tolerance))
    return Estimate(float(np.mean(values)), float(error))


def _values(h: np.ndarray, r: np.ndarray, w: np.ndarray, tolerance: float) -> np.ndarray:
    """The estimate with each probe as the test vector, after deflation by the others.

    Args:
        h: The operator in an orthonormal basis of the range of all images.
        r: The images in that basis.
        w: The probes in that basis.
        tolerance: Size, relative to the largest, below which directions are rounding errors.
    """
    lost = _lost_directions(r, tolerance)
    kept = w - lost * np.sum(lost * w, 0)
    on_range = np.trace(h) - np.sum(lost * (h @ lost), 0)
    outside = np.sum(w * r, 0) - 2 * np.sum(kept * r, 0) + np.sum(kept * (h @ kept), 0)
    return on_range + outside


def _lost_directions(r: np.ndarray, tolerance: float) -> np.ndarray:
    """Column i: the direction that the range loses without image i, or zeros if it loses none."""
    if not _is_singular(r, tolerance):
        lost = np.linalg.inv(r).T
        return lost / np.linalg.norm(lost, axis=0)
    columns = []
    for number in range(r.shape[1]):
        basis, sizes, _ = np.linalg.svd(np.delete(r, number, axis=1), full_matrices=False)
        basis = basis[:, sizes > tolerance * sizes[0]] if sizes.size else basis
        rest = r[:, number] - basis @ (basis.T @ r[:, number])
        norm = np.linalg.norm(rest)
        columns.append(rest / norm if norm > tolerance * np.linalg.norm(r) else 0.0 * rest)
    return np.stack(columns, 1)


def _is_singular(r: np.ndarray, tolerance: float) -> bool:
    """Whether the images are linearly dependent, as for a matrix of low rank."""
    sizes = np.linalg.svd(r, compute_uv=False)
    return bool(sizes[-1] <= tolerance * sizes[0])


def _jackknife(h: np.ndarray, r: np.ndarray, w: np.ndarray, tolerance: float) -> float:
    """Jackknife error of the mean, by leaving out one probe and its image at a time."""
    num_probes = r.shape[1]
    means = []
    for number in range(num_probes):
        images, probes = (np.delete(a, number, axis=1) for a in (r, w))
        q, _ = np.linalg.qr(images)
        values = _values(q.T @ h @ q, q.T @ images, q.T @ probes, tolerance)
        means.append(np.mean(values))
    return float(np.std(means) * np.sqrt(num_probes - 1))
