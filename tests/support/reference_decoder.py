"""A second reader of compressed files, written from the page on the format and in plain integers.

It takes the shapes of the weights, which the architecture says, and knows nothing of the package.
"""

import math
import statistics
import struct

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(word):
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def quantile(index):
    """Entry of the table, in 1 / 4,096."""
    return round(4096 * statistics.NormalDist().inv_cdf((index + 0.5) / 65536))


def scale(index):
    octave, step = divmod(index, 32)
    root, found = 2.0, 1.0
    for bit in (16, 8, 4, 2, 1):
        root = math.sqrt(root)
        found *= root if step & bit else 1.0
    return math.ldexp(found, octave)


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Stream:
    """The arithmetic coder: code and range as integers, the bytes behind the end zeros."""

    def __init__(self, content):
        self.content, self.place = content + bytes(16), 6
        self.code, self.range = int.from_bytes(self.content[:6], "big"), 2**48 - 1

    def refill(self):
        while self.range < 2**40:
            self.code = self.code * 256 + self.content[self.place]
            self.range *= 256
            self.place += 1

    def bit(self, chances, key):
        averages = chances.setdefault(key, [32768, 32768])
        p = min(max(sum(averages) // 2, 48), 65488)
        bound = (self.range >> 16) * p
        bit = int(self.code >= bound)
        self.code -= bound * bit
        self.range = self.range - bound if bit else bound
        goal = 0 if bit else 65535
        averages[0] += (goal - averages[0]) >> 4
        averages[1] += (goal - averages[1]) >> 7
        self.refill()
        return bit

    def even(self, bits):
        found = 0
        while bits:
            size = min(bits, 16)
            self.range >>= size
            part = min(self.code // self.range, 2**size - 1)
            self.code -= part * self.range
            found, bits = found << size | part, bits - size
            self.refill()
        return found

    def magnitude(self, chances):
        length = 0
        while self.bit(chances, ("longer", length)):
            length += 1
        number = 1
        for place in range(length):
            learned = self.bit(chances, (length, number)) if place < 3 else self.even(1)
            number = 2 * number + learned
        return number - 1

    def signed(self, chances, context=0):
        if not self.bit(chances, ("nonzero", context)):
            return 0
        negative = self.bit(chances, "negative")
        magnitude = 1 + self.magnitude(chances)
        return -magnitude if negative else magnitude

    def count(self):
        return self.magnitude({})


def decoded(content, shapes):
    """All weights as flat lists of floats."""
    assert content[:4] == b"KIB\x01"
    length, place = 0, 8
    while True:
        length |= (content[place] & 127) << 7 * (place - 8)
        place += 1
        if content[place - 1] < 128:
            break
    stream = Stream(content[place + length :])
    found, drawn = [], []
    for shape in shapes:
        mode, size = stream.even(2), math.prod(shape)
        assert mode in (1, 2, 3)  # exact weights have a test of their own
        if mode == 1:
            found.append(short(stream, size))
        elif mode == 2:
            found.append(quantised(stream, shape, size))
        else:
            drawn.append(len(found))
            found.append(groups(stream, shape, size))
    if drawn:
        pairs = [pair for index in drawn for pair in found[index]]
        weights = chosen(stream, pairs)
        for index in drawn:
            size = len(found[index])
            found[index], weights = weights[:size], weights[size:]
    return found


def short(stream, size):
    tree, values = {}, []
    for _ in range(size):
        node = 1
        for _ in range(9):
            node = 2 * node + stream.bit(tree, node)
        word = (node - 512) << 7 | stream.even(7)
        values.append(struct.unpack("<f", struct.pack("<I", word << 16))[0])
    return values


def quantised(stream, shape, size):
    step = scale(stream.signed({}))
    row, chances, integers = shape[-1] if len(shape) > 1 else size + 1, {}, []
    for place in range(size):
        near = [integers[p] for p in (place - 1, place - row) if p >= 0]
        integers.append(stream.signed(chances, sum(value != 0 for value in near)))
    return [float32(value * step) for value in integers]


def groups(stream, shape, size):
    """Scale and demand of every weight."""
    number = shape[-1] if stream.even(1) else 1
    coarse = 8 if number > 1 else 1
    of_scale, of_level, index, level, found = {}, {}, 0, 19, []
    for _ in range(number):
        index += stream.signed(of_scale)
        level += stream.signed(of_level)
        demand = 1 << level // 2
        if level % 2:
            demand = max(demand * 92681 >> 16, 1)
        found.append((scale(index * coarse), demand))
    return [found[place % number] for place in range(size)]


def chosen(stream, pairs):
    seed, bits, stages = stream.count(), stream.even(5), stream.count()
    n = len(pairs)
    factor = (2 * seed + 1) * 0x632BE59BD9B4E019
    order = sorted(range(n), key=lambda i: mix((2 * i + factor) & MASK))
    weights, state = [0.0] * n, mix((seed + GOLDEN) & MASK)
    for stage in range(stages):
        left = [n * (stages - s) ** 2 // stages**2 for s in (stage, stage + 1)]
        members = order[n - left[0] : n - left[1]]
        total, number = sum(pairs[i][1] for i in members), stream.count()
        done, place = 0, 0
        for block in range(number):
            state = mix((state + (stream.even(bits) + 1) * GOLDEN) & MASK)
            j = 0
            while place < len(members):
                size, demand = pairs[members[place]]
                if done + demand > total * (block + 1) // number:
                    break
                word = mix(((state ^ MASK) + (j // 4 + 1) * GOLDEN) & MASK)
                entry = word >> 16 * (j % 4) & 65535
                weights[members[place]] = float32(quantile(entry) / 4096 * size)
                done, place, j = done + demand, place + 1, j + 1
    return weights
