"""Callbacks that measure, control and save a training."""

from keras_infobottleneck.callbacks.beta_schedule import BetaSchedule
from keras_infobottleneck.callbacks.checkpoint import Checkpoint
from keras_infobottleneck.callbacks.measure import Measure

__all__ = ["BetaSchedule", "Checkpoint", "Measure"]
