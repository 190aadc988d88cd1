"""Constrain: layers whose noise puts a price on the information that a network uses."""

from keras_infobottleneck.layers.gaussian_bottleneck import GaussianBottleneck
from keras_infobottleneck.layers.information_dropout import InformationDropout
from keras_infobottleneck.layers.noisy_layer import NoisyLayer, drawing
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = [
    "GaussianBottleneck",
    "InformationDropout",
    "NoisyLayer",
    "VariationalWeights",
    "drawing",
]
