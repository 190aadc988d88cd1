"""Binary draws: the generator against integers of Python, and the law of what is drawn."""

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.models.boltzmann.bernoulli import bernoulli, squares

pytestmark = pytest.mark.quick


def word(counter, key):
    """One word by the published rounds, in integers of any size."""
    x = y = counter * key % 2**64
    z = (y + key) % 2**64
    for addend in (y, z, y):
        x = (x * x + addend) % 2**64
        x = x >> 32 | x << 32 & 2**64 - 1
    return (x * x + z) % 2**64


@pytest.mark.parametrize("key", [0x548C9DECBCE65297, 0xFFFFFFFFFFFFFFFF, 0x9E3779B97F4A7C15])
def test_words_are_those_of_the_published_rounds(key):
    compiled = tf.function(squares, jit_compile=True, autograph=False)
    found = compiled(tf.constant([3, 70]), tf.constant(key, tf.uint64)).numpy()
    np.testing.assert_array_equal(found, np.reshape([word(c, key) for c in range(210)], [3, 70]))


def draws(probability, number, shape=(100, 784)):
    return bernoulli(tf.fill(shape, tf.constant(probability)), tf.constant([7, number])).numpy()


def test_impossible_and_certain_units_are_exact():
    for number in range(20):
        assert not draws(0.0, number).any()
        assert draws(1.0, number).all()


@pytest.mark.parametrize("probability", [1e-4, 0.1, 0.5, 0.9])
def test_frequencies_are_binomial_for_every_unit(probability):
    count = np.sum([draws(probability, number).sum(axis=0) for number in range(50)], axis=0)
    expected, spread = 5000 * probability, np.sqrt(5000 * probability * (1 - probability))
    assert abs(count.mean() - expected) < 4 * spread / np.sqrt(784)
    # Chi-squared over the units: mean 784, standard deviation sqrt(2 * 784) for many counts.
    statistic = np.sum(((count - expected) / spread) ** 2)
    kurtosis = 1 / spread**2  # of rare events, beyond the Gaussian's
    assert abs(statistic - 784) < 5 * np.sqrt(784 * (2 + kurtosis))


def test_units_rows_and_draws_are_uncorrelated():
    drawn = np.stack([draws(0.5, number) for number in range(8)]) * 2 - 1
    size = drawn[0].size
    for lag in (1, 2, 3, 64, 392, 784, 1568, 39_200):
        flat = drawn.reshape(8, -1)
        products = flat[:, lag:] * flat[:, :-lag]
        assert abs(products.mean()) < 4.5 / np.sqrt(products.size)
    gram = drawn.reshape(8, -1) @ drawn.reshape(8, -1).T / size
    assert np.abs(gram - np.eye(8)).max() < 4.5 / np.sqrt(size)
    units = drawn.reshape(-1, 784)
    correlation = units.T @ units / len(units)
    off_diagonal = correlation[np.triu_indices(784, 1)] * np.sqrt(len(units))
    assert abs(off_diagonal.var() - 1) < 5 * np.sqrt(2 / len(off_diagonal))
    assert np.abs(off_diagonal).max() < 6


def test_numbers_are_uniform_in_256_cells_and_in_pairs():
    key = tf.constant(0x2C3F5A6B9D8E7143, tf.uint64)
    words = squares(tf.constant([500, 784]), key).numpy().ravel() >> np.uint64(32)
    cells = [words >> np.uint64(24), words & np.uint64(255)]
    top = words >> np.uint64(28)
    cells.append(top[1:] * np.uint64(16) + top[:-1])
    for cell in cells:
        counts = np.bincount(cell.astype(int), minlength=256)
        statistic = np.sum((counts - len(cell) / 256) ** 2) / (len(cell) / 256)
        assert abs(statistic - 255) < 5 * np.sqrt(2 * 255)


def test_the_same_seed_gives_the_same_draws_inside_and_outside_a_compiled_step():
    probability = tf.constant(np.random.default_rng(0).random([5, 9]), tf.float32)
    step = tf.function(lambda p: bernoulli(p, tf.constant([1, 2])) + 0.0, jit_compile=True)
    np.testing.assert_array_equal(step(probability), bernoulli(probability, tf.constant([1, 2])))
    assert np.any(
        bernoulli(probability, tf.constant([1, 3])) != bernoulli(probability, tf.constant([1, 2]))
    )
