"""Constrain: models whose objective has a price for information, and conversion to and from them.

Also Boltzmann machines, whose units are the states of a network.
"""

from keras_infobottleneck.models.boltzmann import DeepBeliefNetwork, RestrictedBoltzmannMachine
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.bounded_crossentropy import BoundedCrossentropy
from keras_infobottleneck.models.conversion import (
    make_deterministic,
    make_variational,
)
from keras_infobottleneck.models.recalibration import recalibrate_batch_normalization

__all__ = [
    "BoundedCrossentropy",
    "DeepBeliefNetwork",
    "InformationBottleneckModel",
    "RestrictedBoltzmannMachine",
    "make_deterministic",
    "make_variational",
    "recalibrate_batch_normalization",
]
