"""What is wrong with a compressed file, on its way to the sentence that refuses it."""

__all__ = ["DamageError"]


class DamageError(Exception):
    """The content of a file is not as the format says; the message says what is found instead."""
