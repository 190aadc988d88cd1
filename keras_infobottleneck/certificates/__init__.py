"""Guarantees: certificates of a network's error, and the bounds that they are made of."""
