"""The best Gaussian code of the weights at a minimum, from the spectrum of the curvature.

With curvature `F` of the *mean* loss, price `beta` of a nat relative to that loss and prior
`N(0, prior_scale^2 I)`, the covariance that minimises `1/2 tr(F S) + beta KL` is
`S = beta (F + beta / prior_scale^2 I)^-1`. With `r_i = f_i prior_scale^2 / beta` for the
eigenvalues `f_i`, everything is a sum over the spectrum:

    KL               1/2 sum_i [log(1 + r_i) - r_i / (1 + r_i)] + |w|^2 / (2 prior_scale^2)
    1/2 tr(F S)      beta / 2 sum_i r_i / (1 + r_i)

The printed form drops the factor one half of the Taylor expansion and has `-k` instead of `-k/2`:
it equals `KL(beta / 2) - k / 2`, with the KL above.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from keras_infobottleneck.linear_algebra.spectrum import Spectrum

__all__ = ["GaussianCode", "best_prior_scale", "gaussian_code"]

# Newton steps for the prior scale; the slope lies in [1, 2], so that ten are enough.
MAX_STEPS = 60


@dataclasses.dataclass(frozen=True)
class GaussianCode:
    """Cost of a Gaussian code of the weights: nats, and the excess loss due to its noise.

    Attributes:
        nats: Divergence from the prior, one number per row of the spectrum.
        excess_loss: `1/2 tr(F S)`, in the unit of the loss.
        prior_scale: Standard deviation of the prior.
        standard_error: Standard error of the total nats.
        excess_error: Standard error of the excess loss.
    """

    nats: np.ndarray
    excess_loss: float
    prior_scale: float
    standard_error: float = 0.0
    excess_error: float = 0.0


def gaussian_code(
    spectrum: Spectrum,
    squared_norms: np.ndarray,
    sizes: np.ndarray,
    beta: float,
    prior_scale: float | None,
    *,
    relative_error: float = 0.0,
    paper_form: bool = False,
) -> GaussianCode:
    """The best code for a price, with a given prior scale or the best one.

    Args:
        spectrum: Spectrum of the curvature of the mean loss.
        squared_norms: `|w|^2` of the weights of each row of the spectrum.
        sizes: Number of weights of each row.
        beta: Price of a nat.
        prior_scale: None for the scale that minimises the Lagrangian.
        relative_error: Relative standard error of the curvature as a whole.
        paper_form: Whether to use the printed form.
    """
    if paper_form:
        code = gaussian_code(
            spectrum, squared_norms, sizes, beta / 2, prior_scale, relative_error=relative_error
        )
        return dataclasses.replace(code, nats=code.nats - sizes / 2)
    is_free = prior_scale is None
    scale = prior_scale
    if scale is None:
        scale = best_prior_scale(spectrum, squared_norms, beta)
    if scale in (0.0, np.inf):  # zero weights, or weights without effect, cost nothing
        return GaussianCode(np.zeros(len(squared_norms)), 0.0, scale)
    ratio = scale**2 / beta
    logs, felt, felt_twice = spectrum.sums(lambda values: _terms(ratio * values)).T
    linear, square = felt.sum(), felt_twice.sum()
    # Derivatives with respect to the logarithm of F as a whole, which also moves the best scale.
    moved = (linear - square) / (2 * linear - square) if is_free else 0.0
    nats_slope = 0.5 * (square + moved * (linear - square))
    excess_slope = 0.5 * beta * (linear - square) * (1.0 - moved)

    def code_length(values: np.ndarray) -> np.ndarray:
        log, seen, _ = _terms(ratio * values)
        return 0.5 * (log - seen)

    def excess(values: np.ndarray) -> np.ndarray:
        return 0.5 * beta * _terms(ratio * values)[1]

    return GaussianCode(
        nats=0.5 * (logs - felt) + squared_norms / (2 * scale**2),
        excess_loss=float(0.5 * beta * linear),
        prior_scale=scale,
        standard_error=float(np.hypot(relative_error * nats_slope, spectrum.error(code_length))),
        excess_error=float(np.hypot(relative_error * excess_slope, spectrum.error(excess))),
    )


def best_prior_scale(spectrum: Spectrum, squared_norms: np.ndarray, beta: float) -> float:
    """The prior scale that minimises the Lagrangian of the best code.

    It solves `prior_scale^2 sum_i r_i / (1 + r_i) = |w|^2`. As a function of `log prior_scale^2`,
    the logarithm of the left side has a slope between 1 and 2. So there is one solution, and every
    step gives an interval that contains it.

    Returns:
        A scale; 0.0 for zero weights, and infinity if the loss does not depend on them.

    References:
        MacKay, 1992, "Bayesian interpolation", Neural Computation 4(3), on the same equation.
    """
    squared_norm = float(np.sum(squared_norms))
    if squared_norm == 0.0:
        return 0.0
    if not np.any(spectrum.sums(lambda values: values[None])):
        return np.inf
    # A start at which every nonzero eigenvalue counts fully, so that no sum underflows.
    point = np.log(squared_norm / np.sum(spectrum.sums(lambda values: np.sign(values)[None])))
    low, high = -np.inf, np.inf
    for _ in range(MAX_STEPS):
        ratio = np.exp(point) / beta
        _, felt, felt_twice = spectrum.sums(partial(_terms_of, ratio)).sum(0)
        error = point + np.log(felt) - np.log(squared_norm)
        if abs(error) < 1e-12:
            break
        low = max(low, point - max(error, 0.5 * error))
        high = min(high, point - min(error, 0.5 * error))
        slope = 2.0 - felt_twice / felt
        point = np.clip(point - error / slope, low, high)
    return float(np.exp(point / 2))


def _terms_of(ratio: float, values: np.ndarray) -> np.ndarray:
    """The terms of eigenvalues, for this ratio of the squared prior scale to the price."""
    return _terms(ratio * values)


def _terms(ratios: np.ndarray) -> np.ndarray:
    """`log(1 + r)`, `r / (1 + r)` and the square of the latter, `[3, n]`."""
    felt = ratios / (1.0 + ratios)
    return np.stack([np.log1p(ratios), felt, felt**2])
