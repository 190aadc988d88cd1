"""Measure: functions from a model and data to numbers.

Each estimator says whether it is exact, unbiased, consistent, or a bound, in which unit, and at
which cost.
"""

__all__: list[str] = []
