"""The error that describes damage of a compressed file."""

__all__ = ["DamageError"]


class DamageError(Exception):
    """The content of a file does not follow the format; the message says what was found instead."""
