"""Constrain: Keras models whose objective, or whose units, carry information."""

from keras_infobottleneck.models.boltzmann import RestrictedBoltzmannMachine
from keras_infobottleneck.models.deep_belief import DeepBeliefNetwork

__all__ = ["DeepBeliefNetwork", "RestrictedBoltzmannMachine"]
