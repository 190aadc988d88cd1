"""Priors that were posteriors: anchoring a network to the data it has learned from."""
