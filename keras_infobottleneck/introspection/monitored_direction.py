"""Tells Keras' callbacks that a metric of a model's own is better when it is lower.

`EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` look for the direction of what they
monitor among compiled metrics only, in `MonitorCallback._set_monitor_op`, as the attribute
`_direction` of a metric inside a `MetricsList`. Seen to work in Keras 3.15.
"""

from __future__ import annotations

import keras
from keras.src.trainers.compile_utils import MetricsList

__all__ = ["LowerIsBetter"]


class LowerIsBetter(MetricsList):
    """Shows metrics to Keras' callbacks as ones to be minimised, and is otherwise empty.

    It stands in `Model.metrics` beside the metrics themselves, which are updated, reset and logged
    as before.

    Args:
        metrics: The metrics, each with the name under which it is logged.
    """

    def __init__(self, *metrics: keras.Metric):
        super().__init__(list(metrics), name="lower_is_better")
        for metric in metrics:
            metric._direction = "down"

    def reset_state(self) -> None:
        """Leaves the metrics alone: the model resets them itself."""

    def result(self) -> dict:
        """Returns an empty dictionary, so that nothing is logged twice."""
        return {}
