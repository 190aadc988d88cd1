"""Measure: functions from a model and data to numbers.

Each estimator says whether it is exact, unbiased, consistent, or a bound, in which unit, and at
which cost.
"""

from keras_infobottleneck.estimators.uncertainty import Uncertainty, decompose_uncertainty

__all__ = ["Uncertainty", "decompose_uncertainty"]
