"""Influence of single examples on the information in the weights, and on predictions."""
