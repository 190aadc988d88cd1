"""Anchoring: priors that are the posteriors of a network after training on part of the data."""
