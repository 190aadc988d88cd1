import numpy as np
import pytest
from pybdm import BDM, PartitionCorrelated, PartitionIgnore, PartitionRecursive

from keras_infobottleneck.estimators import block_decomposition_complexity
from keras_infobottleneck.estimators.complexity.block_decomposition import coding_theorem_tables
from tools.write_coding_theorem_tables import tables

pytestmark = pytest.mark.quick

PARTITIONS = {
    "ignore": PartitionIgnore,
    "recursive": PartitionRecursive,
    "correlated": PartitionCorrelated,
}
SHAPES = [(4, 4), (4, 9), (5, 7), (12, 12), (6, 19), (7, 4), (30, 31), (12,), (24,), (31,), (100,)]


def pybdm_value(bits, boundary="ignore", normalized=False, **options):
    partition = PARTITIONS[boundary]
    return BDM(ndim=bits.ndim, partition=partition, **options).bdm(bits, normalized=normalized)


def strings(*rows):
    return np.array([[int(symbol) for symbol in row] for row in rows])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("boundary", "options"),
    [
        ("ignore", {}),
        ("recursive", {}),
        ("recursive", {"min_length": 1}),
        ("recursive", {"min_length": 3}),
        ("correlated", {}),
        ("correlated", {"shift": 3}),
    ],
)
def test_equals_pybdm_on_random_arrays(shape, boundary, options):
    for density in (0.5, 0.05):
        bits = (np.random.default_rng(len(shape)).random(shape) < density).astype(int)
        expected = pybdm_value(bits, boundary, **options)
        value = block_decomposition_complexity(bits, boundary=boundary, **options)
        assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("boundary", "shift"), [("ignore", 1), ("recursive", 1), ("correlated", 5)]
)
def test_equals_pybdm_on_a_large_matrix(boundary, shift):
    bits = np.random.default_rng(0).integers(0, 2, (513, 786))
    options = {"shift": shift} if boundary == "correlated" else {}
    value = block_decomposition_complexity(bits, boundary=boundary, **options)
    assert value == pytest.approx(pybdm_value(bits, boundary, **options), rel=1e-12)


def test_recursive_equals_pybdm_below_the_block_size():
    rng = np.random.default_rng(0)
    for shape in [(2, 2), (3, 3), (3, 10), (2, 7), (7,), (2,)]:
        bits = rng.integers(0, 2, shape)
        value = block_decomposition_complexity(bits, boundary="recursive")
        assert value == pytest.approx(pybdm_value(bits, "recursive"), rel=1e-12)


# Arrays and values of pybdm's own tests.
PYBDM_TESTS = [
    (np.ones((12, 12), int), 25.176631293734488),
    (np.ones((500, 500), int), pybdm_value(np.ones((500, 500), int))),
    (np.zeros(24, int), 26.610413747641715),
    (np.repeat([0, 1], 12), 51.22082749528343),
    (np.repeat([0, 1, 0, 1], [6, 12, 18, 12]), 114.06151272200972),
    (strings("00000001", "00010001", "11110001", "10000001"), 56.359570016884945),
    (strings("00001111", "00011111", "11111111", "10011111"), 54.62895862824821),
    (strings("00001000", "00011000", "11111000", "10001000"), 56.359570016884945),
    (strings("00000000", "00010000", "11110000", "10100000"), 50.73763518824672),
]


@pytest.mark.parametrize(("bits", "expected"), PYBDM_TESTS)
def test_equals_pybdm_on_its_own_test_arrays(bits, expected):
    assert block_decomposition_complexity(bits) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (np.ones(30, int), 0),
        (np.ones((20, 20), int), 0),
        (strings("0010", "1001", "0011", "1010"), 0.6139131118181638),
        (strings("010001100010001")[0], 0.648665654727082),
    ],
)
def test_normalized_equals_pybdm_on_its_own_test_arrays(bits, expected):
    value = block_decomposition_complexity(bits, normalized=True)
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(16, 16), (64, 48), (1100, 1024), (144,), (40_000,)])
def test_normalized_equals_pybdm_on_random_arrays(shape):
    bits = np.random.default_rng(1).integers(0, 2, shape)
    value = block_decomposition_complexity(bits, normalized=True)
    assert value == pytest.approx(pybdm_value(bits, normalized=True), rel=1e-9)
    assert 0 < value < 1


@pytest.mark.parametrize("length", [13, 25, 37])
def test_normalized_leaves_out_a_rest_that_is_too_short_to_count(length):
    # pybdm counts the block of one symbol among those of the extremes, though `min_length` leaves
    # it out of the complexity itself: its constant array then has less than nothing.
    options = {"boundary": "recursive", "normalized": True}
    constant = np.zeros(length, int)
    assert block_decomposition_complexity(constant, **options) == 0
    assert pybdm_value(constant, "recursive", normalized=True) < -0.01
    bits = np.random.default_rng(0).integers(0, 2, length)
    whole = block_decomposition_complexity(bits[:-1], **options)
    assert block_decomposition_complexity(bits, **options) == whole


def test_normalized_reaches_its_extremes_with_recursive_edges():
    constant = np.zeros((9, 6), int)
    assert block_decomposition_complexity(constant, boundary="recursive", normalized=True) == 0
    table = coding_theorem_tables(2)[4]
    code = int(table.argmax())
    block = np.array([[(code >> (i + 4 * j)) & 1 for j in range(4)] for i in range(4)])
    assert block_decomposition_complexity(block, normalized=True) == pytest.approx(1)


def test_complement_and_type_do_not_matter():
    bits = np.random.default_rng(2).integers(0, 2, (40, 28))
    value = block_decomposition_complexity(bits)
    assert block_decomposition_complexity(1 - bits) == pytest.approx(value, rel=1e-12)
    for same in (bits.astype(bool), bits.astype(np.uint8), bits.tolist(), np.asfortranarray(bits)):
        assert block_decomposition_complexity(same) == value


def test_repeating_a_matrix_costs_the_logarithm_of_the_repeats():
    bits = np.random.default_rng(3).integers(0, 2, (8, 8))
    once, eight_times = (block_decomposition_complexity(np.tile(bits, (n, 1))) for n in (1, 8))
    distinct = len({bits[i : i + 4, j : j + 4].tobytes() for i in (0, 4) for j in (0, 4)})
    assert eight_times - once == pytest.approx(3 * distinct)


def test_shipped_tables_are_those_of_pybdm():
    shipped = {1: coding_theorem_tables(1), 2: coding_theorem_tables(2)}
    for name, expected in tables().items():
        kind, size = name.split("_")
        np.testing.assert_array_equal(shipped[1 if kind == "string" else 2][int(size)], expected)
    block = coding_theorem_tables(2)[4]
    assert (block.size, block.argmin()) == (65_536, 0)
    assert [block.min(), block.max(), block.mean()] == pytest.approx(
        [22.006706, 36.022790, 30.379284], abs=1e-6
    )


@pytest.mark.parametrize(
    ("bits", "options", "error", "message"),
    [
        (np.ones((4, 4)), {}, TypeError, "integers or booleans.*float64"),
        (["a"], {}, TypeError, "integers or booleans"),
        (np.full((4, 4), 2), {}, ValueError, "only 0 and 1.*to 2"),
        (np.full((4, 4), -1), {}, ValueError, "only 0 and 1.*from -1"),
        (np.full((4, 4), 256), {}, ValueError, "only 0 and 1.*256"),
        (np.ones((4, 4, 4), int), {}, ValueError, "one or two axes.*4, 4, 4"),
        (np.array(1), {}, ValueError, "one or two axes"),
        (np.ones((3, 8), int), {}, ValueError, "at least one block.*3, 8"),
        (np.ones(11, int), {}, ValueError, "at least one block.*11"),
        (np.ones((0, 4), int), {}, ValueError, "at least one block"),
        (np.ones((4, 4), int), {"boundary": "wrap"}, ValueError, "boundary.*'wrap'"),
        (np.ones((4, 4), int), {"min_length": 0}, ValueError, "min_length.*0"),
        (np.ones((4, 4), int), {"shift": 1.5}, TypeError, "shift.*1.5"),
        (
            np.ones((4, 4), int),
            {"boundary": "correlated", "normalized": True},
            ValueError,
            "not defined for overlapping",
        ),
    ],
)
def test_refuses_bad_input(bits, options, error, message):
    with pytest.raises(error, match=message):
        block_decomposition_complexity(bits, **options)
