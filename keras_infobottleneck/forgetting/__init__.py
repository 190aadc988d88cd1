"""Forget examples: a network that is scrubbed of them, and what can still be read in it."""
