import numpy as np
import pytest
from scipy.special import zeta

from keras_infobottleneck.estimators import (
    StateCounts,
    maximum_relevance_curve,
    relevance_slope,
    resolution_relevance_of_counts,
    zipf_exponent,
)
from keras_infobottleneck.estimators.relevance.zipf import _log_zeta_derivatives

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("gamma", [1.2, 2.0, 3.5, 8.0])
@pytest.mark.parametrize("start", [1, 2, 10])
def test_zeta_derivatives_equal_differences_of_scipy(gamma, start):
    step = 1e-4
    log_zeta = np.log(zeta(gamma + step * np.array([-1, 0, 1]), start)) + np.log(start) * (
        gamma + step * np.array([-1, 0, 1])
    )
    first, second = _log_zeta_derivatives(gamma, start)
    assert first == pytest.approx((log_zeta[2] - log_zeta[0]) / (2 * step), rel=1e-5)
    assert second == pytest.approx(
        (log_zeta[2] - 2 * log_zeta[1] + log_zeta[0]) / step**2, rel=1e-3
    )


@pytest.mark.parametrize(("gamma", "min_count"), [(1.5, 1), (2.0, 1), (3.0, 1), (2.0, 5)])
def test_exponent_is_found_within_its_standard_error(gamma, min_count):
    rng = np.random.default_rng(0)
    deviations = []
    for _ in range(40):
        fit = zipf_exponent(rng.zipf(gamma, 4000), min_count=min_count)
        assert fit.mu == fit.gamma - 1
        deviations.append((fit.gamma - gamma) / fit.standard_error)
    # Standard scores: mean 0 within 4 / sqrt(40), spread 1 within 4 / sqrt(80).
    assert abs(np.mean(deviations)) < 4 / np.sqrt(40)
    assert abs(np.std(deviations) - 1) < 4 / np.sqrt(80)


@pytest.mark.parametrize(
    ("counts", "options", "error"),
    [
        ([1.5, 2.0], {}, TypeError),
        ([[1, 2]], {}, ValueError),
        ([1, 1, 1], {}, ValueError),
        ([1, 2, 3], {"min_count": 0}, ValueError),
        ([1, 2, 3], {"min_count": 1.5}, TypeError),
        ([3, -1, 2], {}, ValueError),
        ([1, 2, 3], {"min_count": 4}, ValueError),
        ([1000] * 10 + [1001], {"min_count": 1000}, ValueError),
    ],
)
def test_bad_counts_give_one_clear_sentence(counts, options, error):
    with pytest.raises(error, match="Received: "):
        zipf_exponent(np.array(counts), **options)


def test_slope_is_minus_one_where_the_curve_is_at_zipf():
    curve = maximum_relevance_curve(60_000)
    slope = relevance_slope(curve.resolution[::-1], curve.relevance[::-1])
    assert slope.optimum == pytest.approx(curve.resolution[curve.mu == 1].item(), abs=0.04)


def test_slopes_of_a_line_are_its_slope_however_the_points_are_grouped():
    x = np.linspace(0.2, 0.9, 12)
    for points_per_step in (1, 3, 5):
        slope = relevance_slope(x, 1 - 1.5 * x, points_per_step=points_per_step)
        np.testing.assert_allclose(slope.slope, -1.5)
    assert relevance_slope(x, 1 - 0.95 * x).optimum == pytest.approx((x[-1] + x[-2]) / 2)


def test_points_of_equal_resolution_are_averaged():
    slope = relevance_slope([0.5, 0.5, 1.0], [0.2, 0.4, 0.1])
    np.testing.assert_allclose(slope.slope, [-0.4])
    assert slope.resolution == pytest.approx([0.75])


@pytest.mark.parametrize(
    ("resolution", "relevance", "options"),
    [
        ([0.1, 0.2], [0.1], {}),
        ([[0.1]], [[0.1]], {}),
        ([0.1, 0.1], [0.1, 0.2], {}),
        ([0.1, 0.2], [0.1, 0.2], {"points_per_step": 0}),
        ([0.1, 0.2], [0.1, 0.2], {"points_per_step": 2}),
    ],
)
def test_bad_curves_give_one_clear_sentence(resolution, relevance, options):
    with pytest.raises(ValueError, match="Received: "):
        relevance_slope(resolution, relevance, **options)


def test_a_table_of_states_is_taken_for_its_counts():
    labels = np.random.default_rng(0).zipf(2.0, 300)
    table = StateCounts().update(labels)
    _, counts = np.unique(labels, return_counts=True)
    assert zipf_exponent(table).gamma == pytest.approx(zipf_exponent(counts).gamma, rel=1e-12)
    assert resolution_relevance_of_counts(table) == resolution_relevance_of_counts(counts)
    for function in (zipf_exponent, resolution_relevance_of_counts):
        with pytest.raises(ValueError, match=r"^`counts` must .* not be empty\. Received: counts="):
            function(StateCounts())
