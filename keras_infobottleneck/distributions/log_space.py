"""Log-space distributions that TensorFlow Probability does not have, as subclasses of its own.

They provide densities, divergences and moments; training does not draw from them. Their
divergences are registered with TensorFlow Probability.
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from keras_infobottleneck.distributions.noise import (
    HALF_LOG_TWO_PI,
    TensorLike,
    kl_log_normal_log_uniform,
    kl_truncated_log_normal_log_uniform,
    truncated_log_normal_mean_and_variance,
)

__all__ = ["LogUniform", "TruncatedLogNormal", "TruncatedLogUniform"]


class LogUniform(tfd.Distribution):
    """Improper log-uniform prior, with the density ``c / z`` on z > 0.

    The constant is fixed so that noise at the cap costs nothing:
    ``log c = -1/2 log(2 pi e max_scale^2)``. A log-normal whose ``log z`` has standard deviation
    `max_scale` has divergence 0, a narrower one ``log(max_scale / scale)``. The prior cannot be
    sampled.

    Example:
        ```python
        import keras_infobottleneck as kib

        prior = kib.distributions.LogUniform(max_scale=0.7)
        print(bool(prior.log_prob(1.0) > prior.log_prob(2.0)))  # the density falls like 1 / z
        ```

        ```text
        True
        ```
    """

    def __init__(
        self,
        max_scale: TensorLike,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "LogUniform",
    ):
        parameters = dict(locals())
        self._max_scale = tf.convert_to_tensor(max_scale, dtype_hint=tf.float32)
        super().__init__(
            dtype=self._max_scale.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {"max_scale": tfp.util.ParameterProperties()}

    @property
    def max_scale(self) -> tf.Tensor:
        """Standard deviation of ``log z`` at which noise carries no information."""
        return self._max_scale

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _log_prob(self, value: tf.Tensor) -> tf.Tensor:
        return -tf.math.log(value) - HALF_LOG_TWO_PI - 0.5 - tf.math.log(self.max_scale)


class TruncatedLogNormal(tfd.TransformedDistribution):
    """Log-normal distribution truncated to [low, high].

    ``log z`` is normal with `loc` and `scale`, restricted to [log low, log high].

    Example:
        ```python
        import keras_infobottleneck as kib

        posterior = kib.distributions.TruncatedLogNormal(loc=0.0, scale=1.0, low=0.1, high=10.0)
        print(f"{float(posterior.mean()):.2f}")
        ```

        ```text
        1.52
        ```
    """

    def __init__(
        self,
        loc: TensorLike,
        scale: TensorLike,
        low: TensorLike,
        high: TensorLike,
        validate_args: bool = False,
        name: str = "TruncatedLogNormal",
    ):
        parameters = dict(locals())
        self.low, self.high = float(low), float(high)
        super().__init__(
            distribution=tfd.TruncatedNormal(loc, scale, math.log(low), math.log(high)),
            bijector=tfb.Exp(),
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        keys = ("loc", "scale", "low", "high")
        return {key: tfp.util.ParameterProperties() for key in keys}

    @property
    def loc(self) -> tf.Tensor:
        """Mean of ``log z`` before truncation."""
        return self.distribution.loc

    @property
    def scale(self) -> tf.Tensor:
        """Standard deviation of ``log z`` before truncation."""
        return self.distribution.scale

    def _mean(self) -> tf.Tensor:
        moments = truncated_log_normal_mean_and_variance
        return moments(self.loc, self.scale, self.low, self.high)[0]

    def _variance(self) -> tf.Tensor:
        moments = truncated_log_normal_mean_and_variance
        return moments(self.loc, self.scale, self.low, self.high)[1]


class TruncatedLogUniform(tfd.TransformedDistribution):
    """Proper log-uniform prior: ``log z`` is uniform on [log low, log high].

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        prior = kib.distributions.TruncatedLogUniform(low=np.exp(-1.0), high=np.exp(1.0))
        print(f"{float(prior.prob(1.0)):.2f}")  # 1 / (z * 2)
        ```

        ```text
        0.50
        ```
    """

    def __init__(
        self,
        low: TensorLike,
        high: TensorLike,
        validate_args: bool = False,
        name: str = "TruncatedLogUniform",
    ):
        parameters = dict(locals())
        self.low, self.high = float(low), float(high)
        super().__init__(
            distribution=tfd.Uniform(math.log(low), math.log(high)),
            bijector=tfb.Exp(),
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {key: tfp.util.ParameterProperties() for key in ("low", "high")}


@tfd.RegisterKL(tfd.LogNormal, LogUniform)
def _kl_log_normal_log_uniform(
    a: tfd.Distribution, b: tfd.Distribution, name: str | None = None
) -> tf.Tensor:
    del name
    # The divergence does not depend on loc; adding zeros gives it the broadcast shape.
    return kl_log_normal_log_uniform(a.scale, b.max_scale) + tf.zeros_like(a.loc)


@tfd.RegisterKL(TruncatedLogNormal, TruncatedLogUniform)
def _kl_truncated_log_normal_truncated_log_uniform(
    a: tfd.Distribution, b: tfd.Distribution, name: str | None = None
) -> tf.Tensor:
    del name
    if (a.low, a.high) != (b.low, b.high):
        raise ValueError(
            "The two distributions must be truncated to the same interval. "
            f"Received: low={a.low} and {b.low}, high={a.high} and {b.high}"
        )
    return kl_truncated_log_normal_log_uniform(a.loc, a.scale, a.low, a.high)
