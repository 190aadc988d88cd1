import math

import numpy as np
import pytest

from keras_infobottleneck.compression.integers import Magnitudes, SignedIntegers
from keras_infobottleneck.compression.range_coder import (
    Chance,
    EndOfStreamError,
    Reader,
    Writer,
)

pytestmark = pytest.mark.quick


def coded(coder, seed, given=True):
    """Some hundred values of all kinds, written or read."""
    rng = np.random.default_rng(seed)
    chances, integers = [Chance() for _ in range(3)], SignedIntegers(2)
    values = []
    for _ in range(rng.integers(1, 400)):
        kind, which, size = rng.integers(3), int(rng.integers(3)), int(rng.integers(1, 63))
        uniform, normal, exponent = rng.random(), rng.normal(), rng.integers(7)
        if kind == 0:
            value = int(uniform < (0.001, 0.3, 0.999)[which])
            found = coder.bit(chances[which], value if given else None)
        elif kind == 1:
            value = int(uniform * 2**size)
            found = coder.even(size, value if given else None)
        else:
            value = int(normal * 10.0**exponent)
            found = integers.code(coder, value if given else None, which % 2)
        values.append((value, found))
    return values


@pytest.mark.parametrize("seed", range(30))
def test_a_reader_returns_what_was_written_and_ends_where_it_ended(seed):
    writer = Writer()
    coded(writer, seed)
    length, stream = writer.num_bits(), writer.finish()
    reader = Reader(stream)
    assert all(value == found for value, found in coded(reader, seed, given=False))
    assert reader.is_at_end()
    assert 8 * len(stream) <= length + 9


def test_bits_cost_their_entropy_and_even_bits_one_each():
    rng = np.random.default_rng(0)
    writer, chance = Writer(), Chance()
    bits = (rng.random(20_000) < 0.05).astype(int).tolist()
    for bit in bits:
        writer.bit(chance, bit)
    share = np.mean(bits)
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert writer.num_bits() == pytest.approx(20_000 * entropy, rel=0.05)
    before = writer.num_bits()
    for _ in range(1000):
        writer.even(5, 17)
    assert writer.num_bits() - before == pytest.approx(5000, abs=1)


def test_carries_run_through_bytes_that_are_full():
    # Almost certain bits keep the interval at its upper end, where a carry may come late.
    for length in range(1, 60):
        writer = Writer()
        for _ in range(length):
            writer.even(16, 65_535)
        chance = Chance()
        writer.bit(chance, 1)
        reader = Reader(writer.finish())
        assert [reader.even(16) for _ in range(length)] == [65_535] * length
        assert reader.bit(Chance()) == 1


def test_a_stream_that_is_too_short_ends_in_an_exception_and_not_in_zeros_for_ever():
    reader = Reader(b"\xff\x12")
    with pytest.raises(EndOfStreamError):
        reader.even(1600)
    with pytest.raises(EndOfStreamError):
        Magnitudes().code(Reader(b"\xff" * 100))
