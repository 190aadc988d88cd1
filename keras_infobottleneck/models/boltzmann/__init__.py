"""Boltzmann machines, whose units are states."""
