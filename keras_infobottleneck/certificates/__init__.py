"""Certificates of a network's error, and the bounds on which they are based."""
