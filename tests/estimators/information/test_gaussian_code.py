"""The Gaussian code of a minimum: its optimality, its slope, and what the printed form misses."""

import numpy as np
import pytest
from scipy import integrate, optimize

from keras_infobottleneck.estimators.information.gaussian_code import (
    best_prior_scale,
    gaussian_code,
)
from keras_infobottleneck.linear_algebra.lanczos import Quadrature
from keras_infobottleneck.linear_algebra.spectrum import (
    ExactSpectrum,
    QuadratureSpectrum,
    SpectrumPart,
)
from tests.support import reference_information as reference

pytestmark = pytest.mark.quick

BETA, PRIOR_SCALE = 0.03, 0.7


@pytest.fixture(scope="module")
def minimum():
    """A curvature with two flat directions, and weights."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    curvature = basis * [3.0, 1.0, 0.3, 0.01, 0.0, 0.0] @ basis.T
    return curvature, rng.normal(size=6)


def spectrum_of(curvature):
    values = np.maximum(np.linalg.eigvalsh(curvature), 0.0)
    return ExactSpectrum(1, [SpectrumPart(values, {0: 1.0})])


def code_of(minimum, beta=BETA, prior_scale=PRIOR_SCALE, **options):
    curvature, loc = minimum
    norms, sizes = np.array([loc @ loc]), np.array([len(loc)])
    return gaussian_code(spectrum_of(curvature), norms, sizes, beta, prior_scale, **options)


def test_nats_and_excess_loss_are_those_of_the_corrected_posterior(minimum):
    curvature, loc = minimum
    covariance = reference.posterior_covariance(curvature, BETA, PRIOR_SCALE)
    code = code_of(minimum)
    divergence = reference.gaussian_divergence(loc, covariance, PRIOR_SCALE)
    np.testing.assert_allclose(code.nats.sum(), divergence, rtol=1e-12)
    np.testing.assert_allclose(code.excess_loss, np.trace(curvature @ covariance) / 2, rtol=1e-12)


def test_the_numerical_optimum_of_the_lagrangian_is_the_corrected_posterior(minimum):
    curvature, loc = minimum
    rows, columns = np.tril_indices(len(loc))

    def lagrangian(entries):
        root = np.zeros_like(curvature)
        root[rows, columns] = entries
        covariance = root @ root.T
        divergence = reference.gaussian_divergence(loc, covariance, PRIOR_SCALE)
        return np.trace(curvature @ covariance) / 2 + BETA * divergence, root

    start = np.eye(len(loc))[rows, columns] * 0.3
    found = optimize.minimize(lambda e: lagrangian(e)[0], start, tol=1e-12, method="BFGS")
    value, root = lagrangian(found.x)
    covariance = reference.posterior_covariance(curvature, BETA, PRIOR_SCALE)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-4 * np.trace(covariance))
    code = code_of(minimum)
    np.testing.assert_allclose(code.excess_loss + BETA * code.nats.sum(), value, rtol=1e-8)


def test_printed_posterior_has_half_the_trace_as_the_price_vanishes(minimum):
    curvature = minimum[0] + 0.1 * np.eye(6)
    for beta, tolerance in ((1e-3, 1e-2), (1e-6, 1e-5)):
        printed = np.trace(reference.printed_covariance(curvature, beta, PRIOR_SCALE))
        corrected = np.trace(reference.posterior_covariance(curvature, beta, PRIOR_SCALE))
        assert printed / corrected == pytest.approx(0.5, abs=tolerance)
        assert printed / corrected > 0.5


def test_printed_formula_is_equation_8_and_misses_half_a_nat_per_weight(minimum):
    curvature, loc = minimum
    printed = code_of(minimum, paper_form=True)
    by_hand = reference.printed_information(curvature, loc, BETA, PRIOR_SCALE)
    np.testing.assert_allclose(printed.nats.sum(), by_hand, rtol=1e-12)
    covariance = reference.printed_covariance(curvature, BETA, PRIOR_SCALE)
    true = reference.gaussian_divergence(loc, covariance, PRIOR_SCALE)
    np.testing.assert_allclose(printed.nats.sum() - true, -len(loc) / 2, rtol=1e-10)
    np.testing.assert_allclose(printed.excess_loss, np.trace(curvature @ covariance) / 2)


def test_slope_of_the_least_lagrangian_is_the_information(minimum):
    step = 1e-5
    for prior_scale in (PRIOR_SCALE, None):
        values = [
            code.excess_loss + beta * code.nats.sum()
            for beta in (BETA * (1 - step), BETA * (1 + step))
            for code in [code_of(minimum, beta, prior_scale)]
        ]
        slope = (values[1] - values[0]) / (2 * BETA * step)
        assert slope == pytest.approx(code_of(minimum, BETA, prior_scale).nats.sum(), rel=1e-7)


def test_slope_is_the_information_for_a_loss_of_two_wells():
    """Beyond Gaussians: Q = P exp(-L / beta) / Z on a line, by quadrature."""

    def loss(w):
        return (w**2 - 1) ** 2 + 0.3 * w

    def prior(w):
        return np.exp(-(w**2) / 8) / np.sqrt(8 * np.pi)

    def integral(f):
        return integrate.quad(f, -6, 6, limit=400, epsabs=1e-13)[0]

    def least(beta):
        return -beta * np.log(integral(lambda w: prior(w) * np.exp(-loss(w) / beta)))

    beta, step = 0.2, 1e-4
    total = integral(lambda w: prior(w) * np.exp(-loss(w) / beta))

    def density(w):
        return prior(w) * np.exp(-loss(w) / beta) / total

    information = integral(lambda w: density(w) * (-loss(w) / beta - np.log(total)))
    slope = (least(beta + step) - least(beta - step)) / (2 * step)
    assert slope == pytest.approx(information, rel=1e-6)


@pytest.mark.parametrize("beta", [1e-9, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("scale_of_weights", [1e-4, 1.0, 1e3])
def test_best_prior_scale_minimises_the_lagrangian(minimum, beta, scale_of_weights):
    curvature, loc = minimum
    moved = curvature, loc * scale_of_weights
    best = code_of(moved, beta, None)

    def lagrangian(scale):
        code = code_of(moved, beta, scale)
        return code.excess_loss + beta * code.nats.sum()

    felt = 2 * best.excess_loss / beta  # MacKay's equation
    assert best.prior_scale**2 * felt == pytest.approx(moved[1] @ moved[1], rel=1e-9)
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert lagrangian(best.prior_scale * factor) > lagrangian(best.prior_scale)


def test_weights_that_cost_nothing_have_no_best_scale(minimum):
    curvature, loc = minimum
    assert code_of((curvature, 0 * loc), BETA, None).prior_scale == 0.0
    assert code_of((0 * curvature, loc), BETA, None).prior_scale == np.inf
    for case in ((curvature, 0 * loc), (0 * curvature, loc)):
        assert code_of(case, BETA, None).nats.sum() == 0.0
    assert best_prior_scale(spectrum_of(curvature), np.zeros(1), BETA) == 0.0


@pytest.mark.parametrize("prior_scale", [PRIOR_SCALE, None])
def test_errors_are_the_derivative_by_the_curvature_as_a_whole(minimum, prior_scale):
    curvature, loc = minimum
    step = 1e-6
    more, less = (code_of((curvature * s, loc), BETA, prior_scale) for s in (1 + step, 1 - step))
    code = code_of(minimum, BETA, prior_scale, relative_error=0.1)
    nats = 0.1 * (more.nats.sum() - less.nats.sum()) / (2 * step)
    excess = 0.1 * (more.excess_loss - less.excess_loss) / (2 * step)
    assert code.standard_error == pytest.approx(nats, rel=1e-6)
    assert code.excess_error == pytest.approx(excess, rel=1e-6)


def test_a_quadrature_that_sees_everything_gives_the_exact_code(minimum):
    curvature, loc = minimum
    values = np.linalg.eigvalsh(curvature)
    measure = Quadrature(values, np.ones(6), Quadrature(values, np.ones(6)))
    norms, sizes = np.array([loc @ loc]), np.array([6])
    code = gaussian_code(QuadratureSpectrum((measure,) * 2), norms, sizes, BETA, None)
    np.testing.assert_allclose(code.nats, code_of(minimum, BETA, None).nats, rtol=1e-12)
    assert code.standard_error == 0.0
    off = Quadrature(values, np.full(6, 1.1), measure)
    code = gaussian_code(QuadratureSpectrum((measure, off)), norms, sizes, BETA, PRIOR_SCALE)
    assert code.standard_error > 0.0
