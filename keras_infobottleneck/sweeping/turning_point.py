"""The price at which a network gives up half of what it has learned about the labels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_infobottleneck.results.result import Result

__all__ = ["TurningPoint", "turning_point"]

# Number of spreads of the task loss by which a price must differ from the middle to be on one side.
CLEAR = 2.0


@dataclasses.dataclass(frozen=True, repr=False)
class TurningPoint(Result):
    """Where the task loss of a sweep crosses the middle between its smallest and largest value.

    Attributes:
        beta: The price, interpolated in the logarithm of the prices at the first crossing; NaN
            if the task loss does not cross the middle on the grid.
        lower: The largest price up to which the task loss is clearly below the middle at every
            price of the grid; 0 if there is none.
        upper: The smallest price from which it is clearly above at every price; infinite
            if there is none.
        level: The middle, in the unit of the task loss.
    """

    beta: float
    lower: float
    upper: float
    level: float

    def __str__(self) -> str:
        if math.isnan(self.beta):
            return f"the task loss does not cross {self.level:.4g} on this grid"
        return f"turns at {self.beta:.3g} (between {self.lower:.3g} and {self.upper:.3g})"


def turning_point(
    beta: np.ndarray, task_loss: np.ndarray, spread: np.ndarray, guessing_loss: float | None
) -> TurningPoint:
    """The turning point of a curve.

    Args:
        beta: Prices, `[prices]`, increasing.
        task_loss: Task losses, `[prices]`.
        spread: Standard deviations of the task loss from epoch to epoch, `[prices]`.
        guessing_loss: Task loss of predicting the frequencies of the labels; by default the largest
            task loss of the curve.
    """
    greatest = float(task_loss.max()) if guessing_loss is None else guessing_loss
    level = (float(task_loss.min()) + greatest) / 2
    above = task_loss > level
    crossings = np.flatnonzero(~above[:-1] & above[1:])
    if not len(crossings):
        return TurningPoint(math.nan, 0.0, math.inf, level)
    first = crossings[0]
    low, high = task_loss[first], task_loss[first + 1]
    share = (level - low) / (high - low)
    step = math.log(beta[first + 1] / beta[first])
    before = np.logical_and.accumulate(task_loss + CLEAR * spread < level)
    after = np.logical_and.accumulate((task_loss - CLEAR * spread > level)[::-1])[::-1]
    return TurningPoint(
        beta=float(beta[first] * math.exp(share * step)),
        lower=float(beta[before].max(initial=0.0)),
        upper=float(beta[after].min(initial=math.inf)),
        level=level,
    )
