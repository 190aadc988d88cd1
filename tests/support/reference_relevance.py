"""Slow, obvious versions of the relevance estimators."""

from collections import Counter
from itertools import pairwise
from math import log, log10

import numpy as np


def entropies(states):
    """`H[s]` and `H[K]` in nats, from a dictionary of rows."""
    counts = Counter(map(bytes, np.ascontiguousarray(states).reshape(len(states), -1)))
    return entropies_of_counts(counts.values())


def entropies_of_counts(counts):
    """`H[s]` and `H[K]` in nats, term by term."""
    counts = [count for count in counts if count > 0]
    total = sum(counts)
    resolution = -sum(k / total * log(k / total) for k in counts)
    relevance = 0.0
    for k, m in Counter(counts).items():
        relevance -= k * m / total * log(k * m / total)
    return resolution, relevance


def partitions(total, largest=None):
    """Every way to split `total` samples among states, as lists of counts."""
    largest = total if largest is None else min(largest, total)
    if total == 0:
        yield []
    for first in range(largest, 0, -1):
        for rest in partitions(total - first, first):
            yield [first, *rest]


def largest_objective(num_samples, mu):
    """Largest `H[K] + mu H[s]`, nats: the dynamic programme over all pairs `(k, m)`."""
    best = np.full(num_samples + 1, -np.inf)
    best[0] = 0.0
    for k in range(1, num_samples + 1):
        extended = best.copy()
        for m in range(1, num_samples // k + 1):
            share = k * m / num_samples
            value = -share * log(share) - mu * share * log(k / num_samples)
            extended[k * m :] = np.maximum(
                extended[k * m :], best[: num_samples + 1 - k * m] + value
            )
        best = extended
    return best[num_samples]


def upper_hull(points):
    """The vertices of the upper hull of points, by trying every pair as an edge."""
    points = sorted(set(points))
    hull = [points[0]]
    while hull[-1][0] < points[-1][0]:
        x, y = hull[-1]
        ahead = [p for p in points if p[0] > x]
        hull.append(max(ahead, key=lambda p: ((p[1] - y) / (p[0] - x), p[0])))
    return hull


def multiscale_relevance(spikes):
    """The published multiscale relevance of a spike train, bin by bin."""
    num_points = len(spikes)
    largest = round(log10(num_points - 0.01 * num_points), 2)
    scales = [*np.unique(np.logspace(0.4, largest, 100).astype(int)), num_points]
    points = [(0.0, 0.0), (1.0, 0.0)]
    for num_bins in scales:
        bins = np.array_split(np.arange(num_points), num_bins)
        counts = [int(np.sum(spikes[each])) for each in bins]
        resolution, relevance = entropies_of_counts(counts)
        unit = log(sum(counts))
        points.append((resolution / unit, relevance / unit))
    points.sort()
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
