from itertools import pairwise

import numpy as np
import pytest

from keras_infobottleneck.estimators import maximum_relevance_curve, resolution_relevance_of_counts
from keras_infobottleneck.estimators.relevance.maximum_relevance import (
    DEFAULT_MU,
    solve_exactly,
    solve_relaxed,
)
from tests.support.reference_relevance import (
    entropies_of_counts,
    largest_objective,
    partitions,
    upper_hull,
)

TABLE = {  # mu: (resolution, relevance) for 1,000, 10,000 and 60,000 samples
    0: [(0.557, 0.530), (0.547, 0.523), (0.541, 0.519)],
    0.5: [(0.650, 0.505), (0.634, 0.499), (0.623, 0.496)],
    1: [(0.784, 0.406), (0.780, 0.389), (0.778, 0.378)],
    1.5: [(0.880, 0.288), (0.892, 0.252), (0.900, 0.229)],
    2: [(0.938, 0.188), (0.946, 0.159), (0.952, 0.139)],
    3: [(0.980, 0.087), (0.983, 0.071), (0.985, 0.061)],
}


def all_points(num_samples):
    """Resolution and relevance, in units of log M, of every partition of the samples."""
    unit = np.log(num_samples)
    return [
        (resolution / unit + 0.0, relevance / unit + 0.0)
        for resolution, relevance in map(entropies_of_counts, partitions(num_samples))
    ]


def objective(k, m, num_samples, mu):
    counts = np.repeat(k, m)
    resolution, relevance = entropies_of_counts(counts.tolist())
    assert counts.sum() == num_samples
    return relevance + mu * resolution


@pytest.mark.parametrize("num_samples", range(2, 13))
def test_curve_is_the_hull_of_all_partitions(num_samples):
    points = all_points(num_samples)
    curve = maximum_relevance_curve(num_samples)
    for x, y, mu in zip(curve.resolution, curve.relevance, curve.mu, strict=True):
        best = max(relevance + mu * resolution for resolution, relevance in points)
        assert y + mu * x == pytest.approx(best, abs=1e-12)
    # Solving at a slope between the neighbouring edges of the hull gives each of its vertices.
    hull = upper_hull(points)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(hull)]
    between = [-(a + b) / 2 for a, b in pairwise(slopes)]
    # At mu = -1 every sample with all counts distinct is as good: rounding would choose.
    inner = [v for v in zip(hull[1:-1], between, strict=True) if v[1] > -1 + 1e-9]
    if inner:
        exact = maximum_relevance_curve(num_samples, mu=[mu for _, mu in inner])
        found = np.stack([exact.resolution, exact.relevance], axis=1)
        np.testing.assert_allclose(found, [vertex for vertex, _ in inner], atol=1e-12)
        for resolution in np.linspace(0, 1, 41):
            expected = np.interp(resolution, *np.transpose(hull))
            assert exact.at(resolution) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("num_samples", [50, 137, 400])
@pytest.mark.parametrize("mu", [-0.9, -0.3, 0, 0.4, 1, 1.7, 3, 5])
def test_pruned_programme_equals_the_full_one(num_samples, mu):
    best = largest_objective(num_samples, mu)
    k, m, gap = solve_exactly(num_samples, mu)
    assert gap == 0
    assert objective(k, m, num_samples, mu) == pytest.approx(best, abs=1e-9)
    k, m, gap = solve_relaxed(num_samples, mu)
    reached = objective(k, m, num_samples, mu)
    assert reached - 1e-9 <= best <= reached + gap + 1e-9


@pytest.mark.parametrize("column", range(3))
def test_table_of_reference_points(column):
    num_samples = (1000, 10_000, 60_000)[column]
    curve = maximum_relevance_curve(num_samples, mu=list(TABLE))
    found = np.stack([curve.resolution, curve.relevance], axis=1)
    expected = np.array([row[column] for row in TABLE.values()])
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_relevance_at_given_resolution():
    at = maximum_relevance_curve(60_000).at
    expected = [0.519, 0.506, 0.480, 0.446, 0.404, 0.355, 0.297, 0.229, 0.144]
    np.testing.assert_allclose(at(np.arange(0.55, 0.96, 0.05)), expected, atol=2e-3)
    assert at(0) == at(1) == 0


@pytest.mark.parametrize("num_samples", [60_000, 10**6, 10**9])
def test_gap_of_large_samples_is_small_and_the_sum_is_largest_at_zipf(num_samples):
    curve = maximum_relevance_curve(num_samples, mu=np.arange(-0.5, 4, 0.5))
    assert curve.gap.max() <= 1e-3
    assert np.all(np.diff(curve.resolution) >= 0)
    total = curve.resolution + curve.relevance
    assert total[curve.mu == 1] >= total.max() - 1e-9


def test_curve_has_slope_minus_mu():
    curve = maximum_relevance_curve(60_000)
    inside = slice(15, 40)
    slope = np.diff(curve.relevance[inside]) / np.diff(curve.resolution[inside])
    # A concave curve's chord slope lies between the slopes at its ends.
    assert np.all(-slope >= curve.mu[inside][:-1] - 1e-2)
    assert np.all(-slope <= curve.mu[inside][1:] + 1e-2)


@pytest.mark.parametrize(
    ("num_samples", "stated"), [(5, 9e-3), (30, 3e-3), (1_000, 1e-3), (60_000, 1e-3)]
)
def test_the_true_curve_lies_no_further_above_the_joined_vertices_than_stated(num_samples, stated):
    """It lies under its tangents, of slope `-mu`, at the vertices found."""

    def most_above(mu=None):
        curve = maximum_relevance_curve(num_samples, mu=mu)
        x, y, mu = curve.resolution, curve.relevance, curve.mu
        meet = np.diff(y + mu * x) / np.diff(mu)
        return np.max(y[:-1] - mu[:-1] * (meet - x[:-1]) - curve.at(meet))

    assert 0.5 * stated < most_above() < 1.05 * stated
    if num_samples >= 1_000:
        closer = np.sort(np.concatenate([DEFAULT_MU, (DEFAULT_MU[1:] + DEFAULT_MU[:-1]) / 2]))
        assert most_above(closer) < 0.5 * stated


def test_no_sample_lies_above_the_curve():
    rng = np.random.default_rng(0)
    curve = maximum_relevance_curve(1000, mu=np.arange(-0.99, 5, 0.03))
    for exponent in (1.3, 2, 3, 5):
        counts = rng.zipf(exponent, 1000)
        counts = counts[np.cumsum(counts) <= 1000]
        counts = np.append(counts, np.ones(1000 - counts.sum(), int))
        point = resolution_relevance_of_counts(counts)
        assert point.relevance <= curve.at(point.resolution) + 1e-3


@pytest.mark.parametrize(
    ("num_samples", "options", "error"),
    [
        (1, {}, ValueError),
        (10**9 + 1, {}, ValueError),
        (10.0, {}, TypeError),
        (True, {}, TypeError),
        (100, {"mu": [-1.0, 0.0]}, ValueError),
        (100, {"mu": [1.0, 0.5]}, ValueError),
        (100, {"mu": []}, ValueError),
        (100, {"mu": [np.nan]}, ValueError),
    ],
)
def test_bad_input_gives_one_clear_sentence(num_samples, options, error):
    with pytest.raises(error, match="Received: "):
        maximum_relevance_curve(num_samples, **options)


def test_a_resolution_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match=r"`resolution` must .* in \[0, 1\]. Received"):
        maximum_relevance_curve(10).at(1.2)
