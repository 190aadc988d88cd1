"""Total correlation of a representation under a Gaussian model: the dependence of its units."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_numbers,
    refusal,
    seed_or_fresh,
)
from keras_infobottleneck.linear_algebra.units import of_order_one
from keras_infobottleneck.results.result import Result

__all__ = ["TotalCorrelation", "total_correlation"]

JACKKNIFE_GROUPS = 10
GRID_POINTS = 4001
# Gaussian samples that measure the jackknife's own contribution for nearly as many units as
# examples.
NUM_GAUSSIAN_SAMPLES = 3
BIAS = {
    "unbiased": "none for Gaussian units; others are measured by their linear dependence",
    "jackknife": "small for units of any distribution; upwards where tails are heavy",
    "plain": "upwards, by about num_units^2 / (4 num_examples) nats",
    "shrinkage": "mostly downwards: read it as `at least`; the error leaves the bias out",
}
# If the smallest eigenvalue is rounding error, the log-determinant is infinite.
SMALLEST_EIGENVALUE = 1e-10


@dataclasses.dataclass(frozen=True)
class TotalCorrelation(Result):
    """Total correlation between the units of a layer, in nats, with its null.

    Attributes:
        nats: Total correlation of all units together.
        standard_error: Standard error of `nats`.
        null: Mean of the same estimator over samples with independently permuted units (truth: 0).
        null_std: Standard deviation over these samples.
        per_unit: `nats / num_units`.
        num_examples: `n`.
        num_units: `d`, the number of units that vary.
        num_constant: Number of constant units, which are left out; they add nothing.
        shrinkage: Weight of the identity in the correlation matrix.
        estimator: "unbiased", "jackknife", "plain" or "shrinkage".
        bias: Bias of the estimator, in words.
        seed: Seed of the permutations.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        z = np.random.default_rng(0).normal(size=(500, 3))  # independent units
        found = kib.estimators.total_correlation(z, seed=0)
        print(abs(found.nats - found.null) < 5 * found.standard_error)
        ```

        ```text
        True
        ```
    """

    nats: float
    standard_error: float
    null: float
    null_std: float
    per_unit: float
    num_examples: int
    num_units: int
    num_constant: int
    shrinkage: float
    estimator: str
    bias: str = ""
    seed: int | None = None

    def __repr__(self) -> str:
        return (
            f"TotalCorrelation({self.nats:.4g} ± {self.standard_error:.2g} nats, null "
            f"{self.null:.2g} ± {self.null_std:.2g}, {self.num_units} units, "
            f"{self.num_examples} examples, estimator={self.estimator!r})"
        )


def total_correlation(
    z: ArrayLike,
    *,
    estimator: Literal["unbiased", "jackknife", "plain", "shrinkage"] = "unbiased",
    log: bool = False,
    num_permutations: int = 10,
    seed: int | None = None,
) -> TotalCorrelation:
    """Gaussian total correlation `TC(z) = KL(p(z) || prod_i p(z_i))`, nats.

    With `R` the correlation matrix of `n` examples of `d` units:

        plain       -1/2 log det R; too large by about d^2 / (4 n)
        unbiased    plain + 1/2 [sum_{i=1..d} psi((n - i)/2) - d psi((n - 1)/2)], n > d:
                    exactly unbiased for Gaussian units
            jackknife   n plain - (n - 1) times its mean over samples without one example, n > d:
                        removes the bias that the data show, for any distribution
        shrinkage   -1/2 log det ((1 - w) R + w I), w from the data: any n and d; biased, mostly
                    downwards

    For units that are not Gaussian this measures only their linear dependence, and heavy tails make
    sample correlations too high: for 8 log-normal units (exponentials of Gaussian ones, 0.54 nats)
    300 examples give 0.65 by "unbiased" and 0.57 by "jackknife", with a stated error of 0.16. Use
    their logarithm, or more examples. The authors of Information Dropout report `per_unit` of
    `estimator="plain", log=True`.

    The standard error is a jackknife over examples, which is valid for any distribution with finite
    fourth moments (for heavy tails, such as Student's t with 3 degrees of freedom, it is too small
    in some samples), and at least the error that is exact for Gaussian units. The jackknife's own
    excess for nearly as many units as examples is subtracted, as measured on Gaussian samples with
    the same correlations. For "shrinkage" it is a jackknife over 10 groups, which does not include
    the bias: the result's `bias` gives its direction. Cost: `4 + num_permutations` decompositions
    of a `[d, d]` matrix, in float64.

    Args:
        z: Activations `[num_examples, units, ...]`, flattened to units.
        log: Whether to use the logarithm of the activations, which must then be positive.
        num_permutations: Number of samples of the null, at least 2.
        seed: Seed of the permutations.

    Raises:
        ValueError: A shape or option is wrong, values are not finite (or not positive, with `log`),
            fewer than 2 units vary, there are too few examples, or units determine each other.

    References:
        Achille, Soatto (2018), Information Dropout, arXiv 1611.01353; Schäfer, Strimmer (2005),
        Statistical Applications in Genetics and Molecular Biology 4(1), for the shrinkage.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        one = random.normal(size=5000)
        z = np.stack([one, 0.8 * one + 0.6 * random.normal(size=5000)], 1)  # correlation 0.8
        found = kib.estimators.total_correlation(z, seed=0)
        print(f"{found.nats:.2f} nats, exactly {-0.5 * np.log(1 - 0.8**2):.2f}")
        ```

        ```text
        0.51 nats, exactly 0.51
        ```
    """
    check_choice("estimator", estimator, tuple(BIAS))
    check_count("num_permutations", num_permutations, 2)
    seed = seed_or_fresh("seed", seed)
    check_flag("log", log)
    z, num_constant = _varying_units(z, log)
    num_examples, num_units = z.shape
    if estimator != "shrinkage" and num_examples <= num_units:
        raise ValueError(
            f"`estimator={estimator!r}` needs more examples than units; use 'shrinkage'. "
            f"Received: {num_examples} examples of {num_units} units"
        )
    nats, correlation, weight = _estimate(z, estimator)
    if estimator == "shrinkage":
        standard_error = _jackknife_error(z, estimator)
    else:
        standard_error = _error(z, correlation, seed)
    rng = np.random.default_rng(seed)
    nulls = [_estimate(rng.permuted(z, axis=0), estimator)[0] for _ in range(num_permutations)]
    return TotalCorrelation(
        nats=nats,
        standard_error=standard_error,
        null=float(np.mean(nulls)),
        null_std=float(np.std(nulls, ddof=1)),
        per_unit=nats / num_units,
        num_examples=num_examples,
        num_units=num_units,
        num_constant=num_constant,
        shrinkage=weight,
        estimator=estimator,
        bias=BIAS[estimator],
        seed=seed,
    )


def _varying_units(z: ArrayLike, log: bool) -> tuple[np.ndarray, int]:
    """Activations as float64 `[num_examples, units that vary]`, and the number of other units."""
    given, z = z, check_numbers("z", z, "[num_examples, units, ...]", booleans=True)
    if len(z) < 3:
        raise refusal(ValueError, "z", "hold at least 3 examples", given)
    z = z.reshape(len(z), -1)
    if log:
        if z.min() <= 0:
            raise ValueError(
                f"`z` must be positive where `log` is True. Received: z from {z.min():.3g} on"
            )
        z = np.log(z)
    varies = np.ptp(z, axis=0) > 0
    if varies.sum() < 2:
        raise ValueError(
            f"`z` must have at least 2 units that vary. Received: {varies.sum()} of {z.shape[1]}"
        )
    return of_order_one(z[:, varies]), int(np.sum(~varies))


def _estimate(z: np.ndarray, estimator: str) -> tuple[float, np.ndarray, float]:
    """Total correlation in nats, correlation matrix, and weight of the identity in it."""
    num_examples, num_units = z.shape
    z = z - z.mean(axis=0)
    z /= np.sqrt(np.mean(z**2, axis=0))
    correlation = z.T @ z / num_examples
    weight = _shrinkage_weight(z, correlation) if estimator == "shrinkage" else 0.0
    if estimator == "shrinkage":
        correlation = (1 - weight) * correlation + weight * np.eye(num_units)
    eigenvalues = np.linalg.eigvalsh(correlation)
    if eigenvalues[0] < SMALLEST_EIGENVALUE:
        raise ValueError(
            "The total correlation of `z` is infinite where units determine each other; leave "
            "such units out. Received: smallest eigenvalue of the correlation matrix "
            f"{eigenvalues[0]:.1e}"
        )
    nats = -0.5 * float(np.sum(np.log(eigenvalues)))
    if estimator == "jackknife":
        nats -= (num_examples - 1) * float(np.mean(_without_each(z)))
    if estimator == "unbiased":
        dof = num_examples - np.arange(1, num_units + 1)
        digamma = tf.math.digamma(dof / 2).numpy()
        nats += 0.5 * float(np.sum(digamma - digamma[0]))
    return nats, correlation, weight


def _shrinkage_weight(z: np.ndarray, correlation: np.ndarray) -> float:
    """Schäfer and Strimmer's weight: estimated variance of the correlations over their squares."""
    n = len(z)
    second_moments = (z**2).T @ (z**2) / n
    variance = (second_moments - correlation**2) * n**2 / (n - 1) ** 3
    off_diagonal = ~np.eye(len(correlation), dtype=bool)
    weight = variance[off_diagonal].sum() / np.sum(correlation[off_diagonal] ** 2)
    return float(np.clip(weight, 0.0, 1.0))


def _error(z: np.ndarray, correlation: np.ndarray, seed: int) -> float:
    """Standard error for units of any distribution, at least that for Gaussian units."""
    num_examples, num_units = z.shape
    gaussian = _gaussian_error(correlation, num_examples) ** 2
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(correlation)
    of_gaussians = [
        _jackknife_variance(rng.normal(size=(num_examples, num_units)) @ factor.T)
        for _ in range(NUM_GAUSSIAN_SAMPLES)
    ]
    excess = _jackknife_variance(z) - float(np.mean(of_gaussians))
    return float(np.sqrt(gaussian + max(excess, 0.0)))


def _jackknife_variance(z: np.ndarray) -> float:
    """Jackknife variance of `-1/2 log det R`, leaving out one example at a time."""
    return (len(z) - 1) * np.var(_without_each(z))


def _without_each(z: np.ndarray) -> np.ndarray:
    """Change of `-1/2 log det R` when each example is left out, `[num_examples]`.

    Leaving out example i multiplies a determinant by `1 - n / (n - 1) x_i S^-1 x_i`, with S the
    matrix of sums, so that one solve is enough for all examples.
    """
    num_examples = len(z)
    z = z - z.mean(axis=0)
    sums = z.T @ z
    leverage = np.sum(np.linalg.solve(np.linalg.cholesky(sums), z.T) ** 2, axis=0)
    of_units = z**2 / np.diag(sums)
    # An example that alone spans a direction would leave the logarithm of 0.
    most = 1 - SMALLEST_EIGENVALUE
    scale = num_examples / (num_examples - 1)
    joint = np.log1p(-np.minimum(scale * leverage, most))
    apart = np.sum(np.log1p(-np.minimum(scale * of_units, most)), axis=1)
    return 0.5 * (apart - joint)


def _gaussian_error(correlation: np.ndarray, num_examples: int) -> float:
    """Error (one standard deviation) of `-1/2 log det R` for Gaussian units.

    From log det R = log det S - sum_i log S_ii with S Wishart of n - 1 degrees of freedom:
    Cov(log det S, log S_ii) = psi'((n-1)/2), and Cov(log S_ii, log S_jj) is a power series in the
    squared correlation.
    """
    num_units, half_dof = len(correlation), (num_examples - 1) / 2
    trigamma = tf.math.polygamma(
        tf.constant(1.0, tf.float64), (num_examples - np.arange(1.0, num_units + 1)) / 2
    ).numpy()
    independent = np.sum(trigamma - trigamma[0])
    # Sample correlations are too large by chance; this is unbiased if the truth is zero.
    squared = 1 - (1 - correlation**2) * (num_examples - 1) / (num_examples - 2)
    squared = squared[~np.eye(num_units, dtype=bool)]
    # For a million pairs the series is computed on a grid and interpolated: it is smooth, and 500
    # terms for numbers near 1 would take seconds.
    grid = np.linspace(min(0.0, float(squared.min())), 1.0, GRID_POINTS)
    values, power, coefficient = np.zeros_like(grid), np.ones_like(grid), 1 / half_dof
    for k in range(1, 500):
        power = power * grid
        values += coefficient / k * power
        coefficient *= k / (half_dof + k)
    shared = float(np.sum(np.interp(squared, grid, values)))
    return 0.5 * float(np.sqrt(independent + max(shared, 0.0)))


def _jackknife_error(z: np.ndarray, estimator: str) -> float:
    """Standard error by a jackknife over 10 groups of examples."""
    groups = np.arange(len(z)) % min(JACKKNIFE_GROUPS, len(z))
    kept = (z[groups != group] for group in range(groups.max() + 1))
    kept = (part[:, np.ptp(part, axis=0) > 0] for part in kept)
    values = np.array([_estimate(part, estimator)[0] for part in kept])
    return float(np.sqrt((len(values) - 1) * np.mean((values - values.mean()) ** 2)))
