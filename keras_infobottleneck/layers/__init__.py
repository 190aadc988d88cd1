"""Constrain: layers whose noise makes a network pay for information."""

from keras_infobottleneck.layers.noisy_wrapper import drawing
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = ["VariationalWeights", "drawing"]
