"""Integers as adaptive bits: small integers are short, and frequent ones become short.

Every function accepts a `Writer` and the value, or a `Reader` and no value, and returns the value.
"""

from __future__ import annotations

from keras_infobottleneck.compression.range_coder import Chance, EndOfStreamError, Reader, Writer

__all__ = ["Coder", "Magnitudes", "SignedIntegers", "count"]

Coder = Writer | Reader

# Lengths of integers, in bits; bits below the leading ones are nearly uniform, and coded as such.
MOST_BITS, LEARNED_BITS = 64, 3


class Magnitudes:
    """A code of non-negative integers: length of ``value + 1`` in bits, then these bits."""

    def __init__(self) -> None:
        self._longer = [Chance() for _ in range(MOST_BITS)]
        self._leading: dict[tuple[int, int], Chance] = {}

    def code(self, coder: Coder, value: int | None = None) -> int:
        """Writes or reads one integer."""
        number = None if value is None else value + 1
        length = 0
        while coder.bit(self._longer[length], number and int(number >> (length + 1) > 0)):
            length += 1
            if length == MOST_BITS:
                raise EndOfStreamError
        result = 1
        for place in range(length - 1, -1, -1):
            bit = number and number >> place & 1
            if length - place <= LEARNED_BITS:
                chance = self._leading.setdefault((length, result), Chance())
                bit = coder.bit(chance, bit)
            else:
                bit = coder.even(1, bit)
            result = result << 1 | bit
        return result - 1


class SignedIntegers:
    """A code of integers around 0, whose zeros have a probability for each context.

    Args:
        num_contexts: Number of contexts with which `code` is called.
    """

    def __init__(self, num_contexts: int = 1):
        self._nonzero = [Chance() for _ in range(num_contexts)]
        self._negative, self._magnitudes = Chance(), Magnitudes()

    def code(self, coder: Coder, value: int | None = None, context: int = 0) -> int:
        """Writes or reads one integer."""
        if not coder.bit(self._nonzero[context], value and 1):
            return 0
        negative = coder.bit(self._negative, value and int(value < 0))
        magnitude = 1 + self._magnitudes.code(coder, value and abs(value) - 1)
        return -magnitude if negative else magnitude


def count(coder: Coder, value: int | None = None) -> int:
    """A single non-negative integer, with about two bits for each bit of its own."""
    return Magnitudes().code(coder, value)
