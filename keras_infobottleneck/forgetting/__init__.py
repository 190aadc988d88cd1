"""Forgetting of examples: a network scrubbed of them, and what can still be read from it."""
