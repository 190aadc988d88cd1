"""Constrain: layers whose noise makes a network pay for information."""

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
