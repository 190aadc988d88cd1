"""Arithmetic coding in integers: bits of adaptive probability, written and read symmetrically.

A `Writer` and a `Reader` have the same two methods, so that a format is described once: a reader
returns what the writer was given. No floating-point number is used, so every machine can read what
another has written.

References:
    Martin (1979), "Range encoding: an algorithm for removing redundancy from a digitised message".
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Chance", "EndOfStreamError", "Reader", "Writer"]

# The interval has 48 bits, and a byte is written whenever the upper 8 are decided.
STATE_BITS = 48
FULL, TOP = 1 << STATE_BITS, 1 << (STATE_BITS - 8)
STATE_BYTES = STATE_BITS // 8
# Probabilities are in units of 1 / 65,536; none is too small for its bit to be coded.
PROBABILITY_BITS = 16
LEAST, MOST = 48, (1 << PROBABILITY_BITS) - 48
# Two averages of the bits seen so far: one adapts fast, the other is accurate in the long run.
FAST, SLOW = 4, 7


class EndOfStreamError(Exception):
    """A reader was asked for more data than the stream holds."""


class Chance:
    """The probability that a bit is 0, learned from the bits coded with it."""

    __slots__ = ("fast", "slow")

    def __init__(self) -> None:
        self.fast = self.slow = 1 << (PROBABILITY_BITS - 1)

    def of_zero(self) -> int:
        """Probability of a 0, in units of 1 / 65,536."""
        return min(max((self.fast + self.slow) >> 1, LEAST), MOST)

    def learn(self, bit: int) -> None:
        """Moves both averages towards the bit."""
        goal = 0 if bit else (1 << PROBABILITY_BITS) - 1
        self.fast += (goal - self.fast) >> FAST
        self.slow += (goal - self.slow) >> SLOW


class Writer:
    """Codes bits into bytes."""

    def __init__(self) -> None:
        self._low, self._range = 0, FULL - 1
        self._bytes = bytearray()

    def bit(self, chance: Chance, value: Any) -> int:
        """Codes one bit with an adaptive probability."""
        bound = (self._range >> PROBABILITY_BITS) * chance.of_zero()
        if value:
            self._low += bound
            self._range -= bound
        else:
            self._range = bound
        chance.learn(value)
        if self._range < TOP:
            self._put_out()
        return value

    def even(self, num_bits: int, value: Any) -> int:
        """Codes an integer below ``2 ** num_bits``, all of which are equally probable."""
        for start in range(num_bits, 0, -16):
            size = min(start, 16)
            self._range >>= size
            self._low += (value >> (start - size) & ((1 << size) - 1)) * self._range
            if self._range < TOP:
                self._put_out()
        return value

    def _put_out(self) -> None:
        while self._range < TOP:
            self._settle_carry()
            self._bytes.append(self._low >> (STATE_BITS - 8))
            self._low = (self._low << 8) & (FULL - 1)
            self._range <<= 8

    def _settle_carry(self) -> None:
        if self._low >= FULL:
            self._low -= FULL
            place = len(self._bytes) - 1
            while self._bytes[place] == 255:
                self._bytes[place] = 0
                place -= 1
            self._bytes[place] += 1

    def num_bits(self) -> float:
        """Length of all that was coded so far, in bits."""
        return 8.0 * len(self._bytes) + STATE_BITS - math.log2(self._range)

    def finish(self) -> bytes:
        """The stream, ended by as few bytes as identify the last interval.

        A reader treats bytes after the end as zeros.
        """
        for count in range(STATE_BYTES + 1):
            unit = 1 << (STATE_BITS - 8 * count)
            value = -(-self._low // unit) * unit
            if value < self._low + self._range:
                break
        self._low = value
        self._settle_carry()
        self._bytes += self._low.to_bytes(STATE_BYTES, "big")[:count]
        return bytes(self._bytes)


class Reader:
    """Decodes the stream of a `Writer`.

    Args:
        stream: The bytes.
    """

    def __init__(self, stream: bytes):
        self._stream, self._place = stream, STATE_BYTES
        self._code = int.from_bytes(stream[:STATE_BYTES].ljust(STATE_BYTES, b"\0"), "big")
        self._range = FULL - 1

    def bit(self, chance: Chance, value: Any = None) -> int:
        """The bit that was coded with this probability."""
        del value
        bound = (self._range >> PROBABILITY_BITS) * chance.of_zero()
        bit = int(self._code >= bound)
        if bit:
            self._code -= bound
            self._range -= bound
        else:
            self._range = bound
        chance.learn(bit)
        if self._range < TOP:
            self._take_in()
        return bit

    def even(self, num_bits: int, value: Any = None) -> int:
        """The integer below ``2 ** num_bits`` that was coded."""
        value = 0
        for start in range(num_bits, 0, -16):
            size = min(start, 16)
            self._range >>= size
            part = min(self._code // self._range, (1 << size) - 1)
            self._code -= part * self._range
            value = value << size | part
            if self._range < TOP:
                self._take_in()
        return value

    def _take_in(self) -> None:
        while self._range < TOP:
            if self._place >= len(self._stream) + STATE_BYTES:
                raise EndOfStreamError
            more = self._stream[self._place] if self._place < len(self._stream) else 0
            self._code = (self._code << 8 | more) & (FULL - 1)
            self._range <<= 8
            self._place += 1

    def is_at_end(self) -> bool:
        """Whether the whole stream has been read."""
        return self._place >= len(self._stream)
