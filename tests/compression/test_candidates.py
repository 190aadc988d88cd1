import numpy as np
import pytest

from keras_infobottleneck.compression.blocks import (
    LEVELS,
    block_ends,
    demand_of,
    drawing_order,
    level_of,
    places_in,
)
from keras_infobottleneck.compression.candidates import (
    RESOLUTION,
    continued,
    first_state,
    followed,
    mixed,
    normals,
    quantiles,
)
from keras_infobottleneck.compression.scale_grid import index_of, scale_at

pytestmark = pytest.mark.quick


def test_the_generator_is_splitmix64():
    # The first words of SplitMix64 from the seed 1234567, as published with its reference code.
    seed, stride = 1234567, 0x9E3779B97F4A7C15
    words = np.array([(seed + k * stride) % 2**64 for k in (1, 2, 3)], np.uint64)
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mixed(words).tolist() == published


def test_candidates_are_the_numbers_that_the_format_says():
    states = followed(first_state(7), [3, 0, 15])
    assert states.tolist() == EXPECTED_STATES
    assert normals(states[-1:], np.arange(6)).tolist() == EXPECTED_NORMALS
    assert drawing_order(7, 6).tolist() == EXPECTED_ORDER


EXPECTED_STATES = [11146164815057002045, 6875110694074790513, 17330888857037725100]
EXPECTED_NORMALS = [548, 3697, -2404, 2178, 5234, -508]
EXPECTED_ORDER = [0, 5, 1, 3, 2, 4]


def test_a_path_is_followed_as_the_search_goes_it():
    states = np.array([first_state(2)], np.uint64)
    path = [5, 1, 7]
    for choice in path:
        states = continued(states, 8)[[choice]]
    assert states[0] == followed(first_state(2), path)[-1]


def test_candidates_are_independent_normal_numbers():
    draws = normals(continued(np.array([1], np.uint64), 1 << 12)[:, None], np.arange(16))
    draws = draws / RESOLUTION
    n = draws.size
    assert abs(draws.mean()) < 4 / np.sqrt(n)
    assert abs(draws.var() - 1.0) < 4 * np.sqrt(2 / n)
    products = np.corrcoef(draws.T) - np.eye(16)
    assert np.abs(products).max() < 5 / np.sqrt(len(draws))
    assert abs((draws**4).mean() - 3.0) < 4 * np.sqrt(96 / n)


def test_no_quantile_is_near_the_middle_between_two_entries():
    import statistics

    exact = [RESOLUTION * statistics.NormalDist().inv_cdf((i + 0.5) / 65536) for i in range(65536)]
    np.testing.assert_array_equal(quantiles(), np.rint(exact))
    # Libraries of mathematics differ by some units in the 16th digit.
    assert min(abs(value % 1.0 - 0.5) for value in exact) > 1e-6


def test_scales_are_a_geometric_grid_and_the_nearest_one_is_found():
    assert [scale_at(32 * k) for k in (-3, 0, 5)] == [0.125, 1.0, 32.0]
    for index in range(-200, 200, 7):
        assert scale_at(index) == pytest.approx(2 ** (index / 32), rel=1e-15)
        assert index_of(scale_at(index) * 1.009) == index
        assert index_of(scale_at(index), coarseness=8) % 8 == 0
    assert scale_at(index_of(0.0)) == 2.0**-127
    assert [scale_at(1).hex(), scale_at(-37).hex()] == EXPECTED_SCALES


EXPECTED_SCALES = ["0x1.059b0d3158574p+0", "0x1.cb720dcef9069p-2"]


@pytest.mark.parametrize("num_blocks", [1, 7, 100, 3000])
def test_blocks_share_the_information_and_every_weight_is_in_one(num_blocks):
    rng = np.random.default_rng(0)
    demand = rng.integers(1, 10_000, 1000)
    ends = block_ends(demand, num_blocks)
    assert len(ends) == num_blocks
    assert ends[-1] == 1000
    assert np.all(np.diff(ends) >= 0)
    block, place = places_in(ends)
    assert len(block) == 1000
    assert np.all(np.diff(block) >= 0)
    assert np.all(place[1:][np.diff(block) > 0] == 0)
    shares = np.bincount(block, demand, minlength=num_blocks)
    assert shares.max() <= demand.sum() / num_blocks + demand.max()


def test_levels_of_information_are_half_octaves():
    demand = demand_of(np.arange(LEVELS))
    np.testing.assert_allclose(demand[12:], 2.0 ** (np.arange(12, LEVELS) / 2), rtol=0.02)
    assert level_of(0.0) == level_of(-1e-3) == 0
    assert level_of(1e9) == LEVELS - 1
    assert demand_of(np.array([level_of(1.0)]))[0] == 4096


def test_orders_of_two_seeds_are_permutations_and_differ():
    orders = [drawing_order(seed, 500) for seed in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(500)) for order in orders)
    assert np.mean(orders[0] == orders[1]) < 0.05
