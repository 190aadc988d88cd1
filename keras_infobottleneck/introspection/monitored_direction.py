"""Tells Keras' callbacks that a model's own metric is better when it is lower.

`EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` look up the direction of the monitored
metric among compiled metrics only: `MonitorCallback._set_monitor_op` reads the attribute
`_direction` of a metric inside a `MetricsList`. Seen to work in Keras 3.15.
"""

from __future__ import annotations

import keras
from keras.src.trainers.compile_utils import MetricsList

__all__ = ["LowerIsBetter"]


class LowerIsBetter(MetricsList):
    """Presents metrics to Keras' callbacks as ones to be minimised, and is otherwise empty.

    It is an entry of `Model.metrics` in addition to the metrics themselves, which are updated,
    reset and logged as before.

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
