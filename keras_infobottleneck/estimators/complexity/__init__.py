"""Algorithmic complexity of quantised weights ("QuBD"), in bits, beside its shuffled self."""
