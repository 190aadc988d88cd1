"""Large tensors are measured in parts and by several threads, with the numbers of the whole."""

import itertools
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import quantized_complexity
from keras_infobottleneck.estimators.complexity import (
    bit_planes,
    weight_quantization,
    weight_rearrangements,
)
from keras_infobottleneck.estimators.complexity import (
    quantized_complexity as measuring,
)
from keras_infobottleneck.estimators.complexity.bit_planes import count_planes
from keras_infobottleneck.estimators.complexity.weight_quantization import (
    central_range,
    quantization_levels,
)
from keras_infobottleneck.estimators.complexity.weight_rearrangements import shuffles

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("tail", [0.0, 0.0005, 0.05, 0.3, 0.5])
@pytest.mark.parametrize("count", [3, 1000, 70_000, 200_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_central_range_is_numpys_to_the_last_bit(tail, count, dtype):
    rng = np.random.default_rng(count)
    for values in (rng.normal(size=count), rng.integers(3, size=count), np.sort(rng.random(count))):
        values = values.astype(dtype)
        exact = np.quantile(values.astype(np.float64), [tail, 1 - tail])
        assert central_range(values, tail) == tuple(exact)


def tiles_one_by_one(levels, plane):
    """How often each 4 x 4 block tiles a bit plane, block by block."""
    counts = np.zeros(2**16, int)
    rows, columns = levels.shape
    for row, column in itertools.product(range(0, rows - 3, 4), range(0, columns - 3, 4)):
        bits = (levels[row : row + 4, column : column + 4] >> plane) & 1
        counts[sum(int(bit) << place for place, bit in enumerate(bits.T.ravel()))] += 1
    return counts


def in_memory_of_another_order(levels, order):
    """Equal levels: transposed in memory, every other column of others, or from the end."""
    if order == "transposed":
        return np.asfortranarray(levels)
    if order == "sliced":
        return np.repeat(levels, 2, axis=1)[:, ::2]
    return levels[::-1].copy()[::-1] if order == "reversed" else levels


@pytest.mark.parametrize(
    ("num_planes", "order"),
    [
        *((number, "rows") for number in (1, 3, 8, 9, 13, 16)),
        *((number, order) for number in (1, 8, 16) for order in ("transposed", "sliced")),
        (9, "reversed"),
    ],
)
@pytest.mark.parametrize("shape", [(101, 37), (4, 4), (7, 300), (90, 5), (40, 64)])
def test_all_planes_are_counted_as_each_by_itself(monkeypatch, shape, num_planes, order):
    kind = np.uint8 if num_planes <= 8 else np.uint16
    levels = np.random.default_rng(0).integers(2**num_planes, size=shape).astype(kind)
    one_by_one = [tiles_one_by_one(levels, plane) for plane in range(num_planes)]
    levels = in_memory_of_another_order(levels, order)
    np.testing.assert_array_equal(count_planes(levels, num_planes), one_by_one)
    monkeypatch.setattr(bit_planes, "LEVELS_AT_ONCE", 200)
    monkeypatch.setattr(bit_planes, "BLOCKS_AT_ONCE", 7)
    before = levels.copy()
    np.testing.assert_array_equal(count_planes(levels, num_planes), one_by_one)
    np.testing.assert_array_equal(levels, before)


def test_levels_are_made_by_parts(monkeypatch):
    weights = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    whole = quantization_levels(weights)
    monkeypatch.setattr(weight_quantization, "WEIGHTS_AT_ONCE", 64)
    np.testing.assert_array_equal(quantization_levels(weights), whole)
    transposed = np.asfortranarray(weights)
    np.testing.assert_array_equal(quantization_levels(transposed), whole)


@pytest.fixture
def by_heaps(monkeypatch):
    """Shuffles in heaps however few the values are."""
    monkeypatch.setattr(measuring, "MANY_WEIGHTS", 10)
    monkeypatch.setattr(weight_rearrangements, "MANY_LEVELS", 10)
    monkeypatch.setattr(weight_rearrangements, "LEVELS_PER_HEAP", 16)
    monkeypatch.setattr(weight_rearrangements, "OCCURRENCES_PER_HEAP", 0)


def test_a_shuffle_in_heaps_is_uniform_and_keeps_the_values(by_heaps):
    values = np.arange(40).reshape(8, 5)
    rng = np.random.default_rng(0)
    places = np.zeros((40, 40))
    follows = 0
    for order in shuffles(values, 2000, rng):
        mixed = order.ravel()
        assert len(set(mixed)) == 40
        places[np.arange(40), mixed] += 1
        follows += np.sum(np.diff(mixed) == 1)
    # Counts of 2,000 draws with chance 1/40 each, and of 39 neighbours with chance 1/40 each.
    errors = (places - 50) / np.sqrt(50 * 39 / 40)
    assert np.abs(errors).max() < 5
    assert abs(np.mean(errors**2) - 1) < 0.15
    assert abs(follows - 1950) < 5 * np.sqrt(1950)


def test_the_number_of_threads_changes_no_digit(by_heaps, monkeypatch):
    rng = np.random.default_rng(1)
    weights = {name: rng.normal(size=(40, 30)).astype(np.float32) for name in "ab"}
    options = {"rearrangements": ("within_rows",), "num_bits": 10}
    monkeypatch.setattr(measuring, "MOST_THREADS", 1)
    alone = quantized_complexity(weights, **options)
    monkeypatch.setattr(measuring, "MOST_THREADS", 4)
    monkeypatch.setattr(measuring.os, "cpu_count", lambda: 4)
    together = quantized_complexity(weights, **options)
    assert repr(alone.to_dict()) == repr(together.to_dict())
    levels = rng.integers(9, size=(30, 30)).astype(np.uint8)
    with ThreadPoolExecutor(4) as pool:
        found = [[*shuffles(levels, 2, np.random.default_rng(0), e)] for e in (map, pool.map)]
    np.testing.assert_array_equal(*found)
    for order in found[0]:
        np.testing.assert_array_equal(np.bincount(order.ravel()), np.bincount(levels.ravel()))


def test_a_shuffle_of_few_values_has_the_order_of_numpys_permutation():
    levels = np.random.default_rng(3).integers(256, size=(30, 20)).astype(np.uint8)
    expected = np.random.default_rng(4).permutation(levels.ravel()).reshape(levels.shape)
    (order,) = shuffles(levels, 1, np.random.default_rng(4))
    np.testing.assert_array_equal(order, expected)
    assert order.dtype == np.uint8


def test_large_and_small_tensors_keep_their_places(monkeypatch):
    rng = np.random.default_rng(2)
    sizes = (8, 40, 12, 44)
    weights = {f"{side}": rng.normal(size=(side, side)).astype(np.float32) for side in sizes}
    whole = quantized_complexity(weights)
    monkeypatch.setattr(measuring, "MANY_WEIGHTS", 1000)
    parts = quantized_complexity(weights)
    assert list(parts.planes) == list(weights)
    assert parts.total_bits == whole.total_bits
    assert parts.by_layer == whole.by_layer
    assert parts.shuffled_ratio == whole.shuffled_ratio  # no tensor is shuffled in heaps


@pytest.mark.parametrize(
    ("num_bits", "kind", "bound"),
    [(8, "dense", 5), (8, "convolution", 6), (16, "dense", 8)],
)
def test_memory_beside_the_weights(num_bits, kind, bound, monkeypatch):
    """Of the levels and of one shuffle; a convolution is copied in the order of a matrix first."""
    layer = keras.layers.Dense(2048) if kind == "dense" else keras.layers.Conv2D(512, 4)
    model = keras.Sequential([keras.Input((2048,) if kind == "dense" else (8, 8, 512)), layer])
    assert layer.kernel.shape.num_elements() == 2**22
    # In parts as small beside the tensor as the usual ones are beside the largest tensors.
    monkeypatch.setattr(measuring, "MANY_WEIGHTS", 10)
    monkeypatch.setattr(measuring.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(bit_planes, "BLOCKS_AT_ONCE", 1 << 14)
    monkeypatch.setattr(weight_rearrangements, "MANY_LEVELS", 1 << 16)
    tracemalloc.start()
    try:
        quantized_complexity(model, num_bits=num_bits, num_shuffles=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bound * 2**22
