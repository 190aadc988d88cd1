"""Posteriors over weights: how they are drawn, their moments, and their cost in nats.

A posterior is a distribution for every entry of one weight tensor, given `loc` (the wrapped layer's
own weight) and `spread` (one additional trained tensor, unbounded and float32).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from keras_infobottleneck import distributions

__all__ = [
    "GaussianPosterior",
    "LogNormalPosterior",
    "Posterior",
    "TruncatedLogNormalPosterior",
    "posterior_of",
]

if TYPE_CHECKING:  # imported at run time only where a distribution is made, which is rare
    from tensorflow_probability import distributions as tfd

INITIAL_FRACTION = 0.1  # of the fan-in scale: noise that hardly affects a fresh network
INITIAL_LOG_SCALE = 0.1  # standard deviation of log w for posteriors in log space
MIN_MAGNITUDE = 1e-30  # floor of |w|, whose logarithm is taken
MIN_ENERGY = 1e-37  # smallest prior variance whose reciprocal is finite in float32
MIN_LOG_SCALE = 1e-5  # float32 resolves log |w| within the support to 1e-6
SUPPORT = (1e-6, 1e2)  # of |w| under the truncated log-uniform prior


# Location and log-scale of the prior; None for the optimal prior scale.
GivenPrior = tuple[tf.Tensor, tf.Tensor] | None


class Posterior(abc.ABC):
    """Abstract: a factorised distribution over the entries of one weight tensor."""

    @abc.abstractmethod
    def initial_spread(self, shape: tuple[int, ...], initial_scale: float | None) -> float:
        """The initial value of `spread`."""

    @abc.abstractmethod
    def sample(self, loc: tf.Tensor, spread: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Weights made from standard normal `noise`."""

    @abc.abstractmethod
    def mean_and_variance(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Exact moments of the weights."""

    @abc.abstractmethod
    def kl_divergence(self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior) -> tf.Tensor:
        """Total cost in nats, summed over the entries: a scalar."""

    @abc.abstractmethod
    def distribution(self, loc: tf.Tensor, spread: tf.Tensor) -> tfd.Distribution:
        """The posterior as a TensorFlow Probability distribution."""

    @abc.abstractmethod
    def prior_distribution(
        self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior
    ) -> tfd.Distribution:
        """The prior, whose divergence from `distribution` sums to `kl_divergence`."""


class GaussianPosterior(Posterior):
    """``w ~ N(loc, scale^2)``, ``spread = log scale``; the prior is Gaussian too."""

    def initial_spread(self, shape: tuple[int, ...], initial_scale: float | None) -> float:
        """Logarithm of `initial_scale`, or by default of a fraction of the fan-in scale."""
        fan_in = math.prod(shape[:-1]) if len(shape) > 1 else 1
        return math.log(initial_scale or INITIAL_FRACTION / math.sqrt(fan_in))

    def sample(self, loc: tf.Tensor, spread: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """``loc + scale * noise``."""
        return loc + tf.exp(spread) * noise

    def mean_and_variance(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """``loc`` and ``scale^2``."""
        return loc, tf.exp(2.0 * spread)

    def kl_divergence(self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior) -> tf.Tensor:
        """``sum 1/2 [(scale^2 + (loc - m)^2) / s^2 - 1] - log(scale / s)``, prior N(m, s^2)."""
        if prior is None:
            return _kl_to_best_scale(loc, spread)
        prior_loc, prior_spread = self._prior(loc, spread, prior)
        if prior_spread.shape.rank > 0:
            return tf.reduce_sum(
                distributions.kl_normal_normal(loc, spread, prior_loc, prior_spread)
            )
        return _kl_to_one_scale(loc - prior_loc, spread, prior_spread)

    def distribution(self, loc: tf.Tensor, spread: tf.Tensor) -> tfd.Distribution:
        """Normal, entry by entry."""
        return _tfd().Normal(loc, tf.exp(spread))

    def prior_distribution(
        self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior
    ) -> tfd.Distribution:
        """Normal, broadcast to the weight's shape."""
        prior_loc, prior_spread = self._prior(loc, spread, prior)
        prior_loc, prior_scale = prior_loc + tf.zeros_like(loc), tf.exp(prior_spread)
        return _tfd().Normal(prior_loc, prior_scale + tf.zeros_like(loc))

    def _prior(
        self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Location and log-scale of the prior: the given ones, or the empirical-Bayes optimum.

        The scale that minimises the divergence is ``s^2 = mean(scale^2 + loc^2)``.
        """
        if prior is not None:
            prior_loc, prior_spread = prior
            return tf.convert_to_tensor(prior_loc), tf.convert_to_tensor(prior_spread)
        energy = tf.reduce_mean(tf.exp(2.0 * spread) + tf.square(loc))
        return tf.zeros([]), 0.5 * tf.math.log(_best_variance(energy))


def _tfd() -> ModuleType:
    """The distributions of TensorFlow Probability, imported at the first use."""
    from tensorflow_probability import distributions as tfd

    return tfd


def _best_variance(energy: tf.Tensor) -> tf.Tensor:
    """The prior variance with the least divergence, from the mean square of the weights."""
    return tf.maximum(energy, MIN_ENERGY)


@tf.custom_gradient
def _kl_to_one_scale(
    distance: tf.Tensor, spread: tf.Tensor, prior_spread: tf.Tensor
) -> tuple[tf.Tensor, Callable]:
    """Sum over a tensor of the KL to a normal with one scale, in one pass over the entries.

    Automatic differentiation would make three times as many passes over tensors that do not fit
    in the cache.
    """
    size = float(math.prod(distance.shape))
    variance, precision = tf.exp(2.0 * spread), tf.exp(-2.0 * prior_spread)
    # One reduction for both terms: under XLA, reductions take most of the time here.
    energy = precision * tf.reduce_sum(variance + tf.square(distance))
    # Differences are taken before the sum: near the prior, two separate sums would cancel.
    kl = 0.5 * (energy - size) - tf.reduce_sum(spread - prior_spread)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        per_unit = upstream * precision
        return per_unit * distance, per_unit * variance - upstream, upstream * (size - energy)

    return kl, gradient


@tf.custom_gradient
def _kl_to_best_scale(loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`_kl_to_one_scale` with the optimal prior scale, which needs the same sum.

    The derivative with respect to the scale vanishes at the minimum, so the scale costs no
    backward pass. Second derivatives are correct, because the gradient contains the scale.
    """
    size = float(math.prod(loc.shape))
    variance = tf.exp(2.0 * spread)
    energy = tf.reduce_sum(variance + tf.square(loc)) / size
    prior_variance = _best_variance(energy)
    precision, prior_spread = 1.0 / prior_variance, 0.5 * tf.math.log(prior_variance)
    kl = 0.5 * size * (energy / prior_variance - 1.0) - tf.reduce_sum(spread - prior_spread)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        per_unit = upstream * precision
        return per_unit * loc, per_unit * variance - upstream

    return kl, gradient


class LogNormalPosterior(Posterior):
    """``w = loc * eps``, ``log eps ~ N(-a/2, a)``, ``a = max_variance * sigmoid(spread)``.

    The cost is a relative information, zero at ``a = max_variance`` ("Emergence", Section 4.1);
    because of the improper log-uniform prior it does not depend on `loc`. Distributions are of
    ``|w|``.
    """

    def __init__(self, max_variance: float):
        self.max_variance = float(max_variance)

    def initial_spread(self, shape: tuple[int, ...], initial_scale: float | None) -> float:
        """The standard deviation of ``log w``, converted to `spread`."""
        del shape
        fraction = (initial_scale or INITIAL_LOG_SCALE) ** 2 / self.max_variance
        return math.log(fraction / (1.0 - fraction))

    def sample(self, loc: tf.Tensor, spread: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """``loc * exp(-a/2 + sqrt(a) noise)``."""
        scale = self._log_scale(spread)
        return loc * tf.exp(scale * noise - 0.5 * tf.square(scale))

    def mean_and_variance(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """``loc`` and ``loc^2 (e^a - 1)``."""
        return loc, tf.square(loc) * tf.math.expm1(tf.square(self._log_scale(spread)))

    def kl_divergence(self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior) -> tf.Tensor:
        """``1/2 sum log(max_variance / a)``, which is ``1/2 sum softplus(-spread)``."""
        del loc, prior
        return 0.5 * tf.reduce_sum(tf.math.softplus(-spread))

    def distribution(self, loc: tf.Tensor, spread: tf.Tensor) -> tfd.Distribution:
        """Log-normal distribution of ``|w|``."""
        return _tfd().LogNormal(*self._log_moments(loc, spread))

    def prior_distribution(
        self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior
    ) -> tfd.Distribution:
        """The improper log-uniform prior whose constant makes the cap cost nothing."""
        del loc, spread, prior
        return distributions.LogUniform(math.sqrt(self.max_variance))

    def _log_scale(self, spread: tf.Tensor) -> tf.Tensor:
        """``sqrt(a)`` without a square root, whose gradient is infinite where ``a`` underflows."""
        return math.sqrt(self.max_variance) * tf.exp(0.5 * tf.math.log_sigmoid(spread))

    def _log_moments(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and standard deviation of ``log |w|``."""
        scale = self._log_scale(spread)
        magnitude = tf.maximum(tf.abs(loc), MIN_MAGNITUDE)
        return tf.math.log(magnitude) - 0.5 * tf.square(scale), scale


class TruncatedLogNormalPosterior(LogNormalPosterior):
    """A `LogNormalPosterior` with ``|w|`` restricted to the support of a proper prior.

    The prior is log-uniform on `SUPPORT`; the sign is that of `loc`. Means outside the support are
    moved to its edge; away from the edges the mean of the weight is `loc`.
    """

    def sample(self, loc: tf.Tensor, spread: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """``sign(loc)`` times a truncated log-normal draw."""
        log_loc, log_scale = self._log_moments(loc, spread)
        low, high = np.log(SUPPORT)
        log_magnitude = distributions.truncated_normal(noise, log_loc, log_scale, low, high)
        return self._sign(loc) * tf.exp(log_magnitude) + self._way_back(loc)

    def mean_and_variance(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Exact moments of the truncated distribution."""
        mean, variance = distributions.truncated_log_normal_mean_and_variance(
            *self._log_moments(loc, spread), *SUPPORT
        )
        return self._sign(loc) * mean + self._way_back(loc), variance

    def kl_divergence(self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior) -> tf.Tensor:
        """Sum of the exact divergence from the truncated log-uniform prior."""
        del prior
        kl = distributions.kl_truncated_log_normal_log_uniform
        return tf.reduce_sum(kl(*self._log_moments(loc, spread), *SUPPORT))

    def distribution(self, loc: tf.Tensor, spread: tf.Tensor) -> tfd.Distribution:
        """Truncated log-normal distribution of ``|w|``."""
        return distributions.TruncatedLogNormal(*self._log_moments(loc, spread), *SUPPORT)

    def prior_distribution(
        self, loc: tf.Tensor, spread: tf.Tensor, prior: GivenPrior
    ) -> tfd.Distribution:
        """Log-uniform distribution of ``|w|`` on `SUPPORT`."""
        del loc, spread, prior
        return distributions.TruncatedLogUniform(*SUPPORT)

    def _log_moments(self, loc: tf.Tensor, spread: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale = tf.maximum(self._log_scale(spread), MIN_LOG_SCALE)
        log_magnitude = tf.math.log(tf.clip_by_value(tf.abs(loc), *SUPPORT))
        return log_magnitude - 0.5 * tf.square(scale), scale

    @staticmethod
    def _way_back(loc: tf.Tensor) -> tf.Tensor:
        """Zero, with the gradient of `loc` outside the support, where clipping has no gradient."""
        magnitude = tf.abs(loc)
        outside = (magnitude < SUPPORT[0]) | (magnitude > SUPPORT[1])
        return tf.where(outside, loc - tf.stop_gradient(loc), 0.0)

    @staticmethod
    def _sign(loc: tf.Tensor) -> tf.Tensor:
        """+1 or -1, never 0: a weight with mean zero is at the lower edge of the support."""
        return tf.where(loc < 0, -1.0, 1.0)


def posterior_of(name: str, max_variance: float) -> Posterior:
    """The posterior with this name in `VariationalWeights`; the cap is for log space only."""
    if name == "gaussian":
        return GaussianPosterior()
    kind = LogNormalPosterior if name == "log_normal" else TruncatedLogNormalPosterior
    return kind(max_variance)
