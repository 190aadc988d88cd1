"""Boltzmann machines, whose hidden units are the states of a network."""

from keras_infobottleneck.models.boltzmann.deep_belief import DeepBeliefNetwork
from keras_infobottleneck.models.boltzmann.machine import RestrictedBoltzmannMachine

__all__ = ["DeepBeliefNetwork", "RestrictedBoltzmannMachine"]
