"""Measure: functions from a model and data to numbers.

Each estimator says whether it is exact, unbiased, consistent, or a bound, in which unit, and at
which cost.
"""

from keras_infobottleneck.estimators.estimate import Estimate
from keras_infobottleneck.estimators.fisher import (
    FisherInformation,
    MemoryEstimate,
    fisher_information,
)
from keras_infobottleneck.estimators.flat_minimum import flat_minimum_bound
from keras_infobottleneck.estimators.hessian import Hessian, hessian

__all__ = [
    "Estimate",
    "FisherInformation",
    "Hessian",
    "MemoryEstimate",
    "fisher_information",
    "flat_minimum_bound",
    "hessian",
]
