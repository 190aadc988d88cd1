"""Noise, its moments and divergences, and log-space distributions that TFP does not have.

TensorFlow Probability adds a quarter to the import time of Keras. It is therefore imported only
when one of the classes derived from its `Distribution` is first used.
"""

from typing import TYPE_CHECKING

from keras_infobottleneck.distributions.noise import (
    kl_log_normal_log_normal,
    kl_log_normal_log_uniform,
    kl_normal_normal,
    kl_truncated_log_normal_log_uniform,
    random_signs,
    standard_normal,
    truncated_log_normal_mean_and_variance,
    truncated_normal,
)

if TYPE_CHECKING:
    from keras_infobottleneck.distributions.log_space import (
        LogUniform,
        TruncatedLogNormal,
        TruncatedLogUniform,
    )

__all__ = [
    "LogUniform",
    "TruncatedLogNormal",
    "TruncatedLogUniform",
    "kl_log_normal_log_normal",
    "kl_log_normal_log_uniform",
    "kl_normal_normal",
    "kl_truncated_log_normal_log_uniform",
    "random_signs",
    "standard_normal",
    "truncated_log_normal_mean_and_variance",
    "truncated_normal",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keras_infobottleneck.distributions import log_space

    return getattr(log_space, name)


def __dir__() -> list[str]:
    return __all__
