"""Algorithmic complexity of quantised weights ("QuBD"), in bits, beside the shuffled weights."""
