"""The search on posteriors of which everything is known."""

import math

import numpy as np
import pytest

from keras_infobottleneck.compression.blocks import block_ends, places_in
from keras_infobottleneck.compression.candidates import (
    RESOLUTION,
    first_state,
    followed,
    normals,
)
from keras_infobottleneck.compression.tree_search import search

pytestmark = pytest.mark.quick


def posterior(num_weights, seed=0):
    """Means and scales in units of the prior's: a fifth of the weights knows something."""
    rng = np.random.default_rng(seed)
    knows = rng.random(num_weights) < 0.2
    scales = np.where(knows, np.exp(rng.uniform(np.log(0.2), 0.0, num_weights)), 0.99)
    return np.where(knows, np.sqrt(1 - scales**2) * rng.normal(size=num_weights), 0.0), scales


def nats(means, scales):
    return np.sum(0.5 * (scales**2 + means**2 - 1.0) - np.log(scales))


def log_ratio(weights, means, scales):
    return np.sum(-0.5 * ((weights - means) / scales) ** 2 + 0.5 * weights**2 - np.log(scales))


def chosen(means, scales, num_blocks, bits, beam):
    ends = block_ends(np.ones(len(means), np.int64), num_blocks)
    path = search(first_state(1), means, scales, ends, bits, beam)
    assert len(path) == num_blocks
    assert all(0 <= choice < 1 << bits for choice in path)
    block, place = places_in(ends)
    return normals(followed(first_state(1), path)[block], place) / RESOLUTION


def test_a_beam_of_one_takes_the_likeliest_candidate_of_every_block():
    means, scales = np.linspace(-1.0, 1.5, 12), np.linspace(0.5, 0.9, 12)
    found = chosen(means, scales, 3, 6, beam=1)
    state, path = first_state(1), []
    for block in range(3):
        part = slice(4 * block, 4 * block + 4)
        ratios = []
        for choice in range(64):
            after = followed(state, [choice])
            weights = normals(after, np.arange(4)) / RESOLUTION
            ratios.append(log_ratio(weights, means[part], scales[part]))
        path.append(int(np.argmax(ratios)))
        state = int(followed(state, path[-1:])[0])
    block, place = places_in(np.array([4, 8, 12]))
    weights = normals(followed(first_state(1), path)[block], place) / RESOLUTION
    np.testing.assert_array_equal(found, weights)


def test_as_many_bits_as_nats_find_weights_as_likely_as_draws():
    means, scales = posterior(6000)
    total = nats(means, scales)
    bits = math.ceil(total / math.log(2) / 4)
    found = chosen(means, scales, bits, 4, beam=512)
    # Draws have the divergence as their mean log density ratio, all of it; the search gets near it.
    assert log_ratio(found, means, scales) > 0.85 * total
    assert np.mean(found**2) == pytest.approx(1.0, abs=0.1)  # and leaves the rest to the prior
    more = chosen(means, scales, math.ceil(1.1 * bits), 4, beam=512)
    assert log_ratio(more, means, scales) > 0.93 * total


def test_a_wide_beam_wastes_fewer_bits_than_blocks_alone():
    means, scales = posterior(2000, seed=1)
    total = nats(means, scales) / math.log(2)
    alone = chosen(means, scales, math.ceil(total / 8), 8, beam=1)
    beam = chosen(means, scales, math.ceil(total / 4), 4, beam=256)
    assert log_ratio(beam, means, scales) > log_ratio(alone, means, scales) + 0.1 * total


def test_what_holds_nothing_takes_any_candidate():
    found = chosen(np.zeros(500), np.ones(500), 5, 3, beam=4)
    assert np.all(np.isfinite(found))
    assert np.std(found) == pytest.approx(1.0, abs=0.2)
