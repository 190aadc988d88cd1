"""Constrain: models whose objective charges for information, and the way to and from them."""

from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.conversion import (
    make_deterministic,
    make_variational,
)
from keras_infobottleneck.models.recalibration import recalibrate_batch_normalization

__all__ = [
    "InformationBottleneckModel",
    "make_deterministic",
    "make_variational",
    "recalibrate_batch_normalization",
]
