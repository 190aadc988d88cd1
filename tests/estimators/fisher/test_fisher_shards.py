"""Shards of the data, each with the number of its first example, give what the whole gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.estimators import fisher_information

NUM, CUT = 23, 9
X = np.random.default_rng(0).normal(size=(NUM, 4)).astype(np.float32)
OPTIONS = {"likelihood": "categorical", "labels": "sampled", "num_samples": 2, "seed": 5}


def of_array(x):
    return x


def of_batches(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(3, "tanh", name="hidden")
    return keras.Sequential([keras.Input((4,)), hidden, layers.Dense(3)])


def arrays(fisher):
    return [np.asarray(fisher.trace()), *fisher.diagonal()]


@pytest.mark.parametrize("structure", ["diagonal", "dense", "kronecker"])
@pytest.mark.parametrize("kinds", [(of_array, of_array), (of_array, of_batches)])
def test_the_draws_of_shards_are_those_of_the_whole(model, structure, kinds):
    whole = fisher_information(model, X, structure=structure, **OPTIONS)
    first, second = (
        fisher_information(model, make(x), structure=structure, first_example=start, **OPTIONS)
        for make, start, x in zip(kinds, (0, CUT), (X[:CUT], X[CUT:]), strict=True)
    )
    merged = first + second
    assert merged.num_examples == NUM
    np.testing.assert_allclose(merged.standard_error, whole.standard_error, rtol=1e-6)
    for found, expected in zip(arrays(merged), arrays(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    # Counted from 0 the second shard would draw what the first one drew.
    wrong = first + fisher_information(model, X[CUT:], structure=structure, **OPTIONS)
    assert np.abs(np.subtract(arrays(wrong)[1], arrays(whole)[1])).max() > 1e-3


def test_the_rows_of_shards_are_those_of_the_whole(model):
    options = {**OPTIONS, "structure": "gram"}
    whole = fisher_information(model, X, **options)
    shards = [
        fisher_information(model, X[:CUT], **options),
        fisher_information(model, X[CUT:], first_example=CUT, **options),
    ]
    rows = np.concatenate([shard.rows for shard in shards])
    np.testing.assert_allclose(rows, whole.rows, rtol=1e-6, atol=1e-6)


def test_where_a_shard_starts_is_a_count(model):
    for start, error in ((-1, ValueError), (1.5, TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"`first_example` must .* Received: first_example="):
            fisher_information(model, X, first_example=start, **OPTIONS)


def test_shards_of_one_example_have_the_error_of_the_whole(model):
    whole = fisher_information(model, X[:4], **OPTIONS)
    shards = [fisher_information(model, X[i : i + 1], first_example=i, **OPTIONS) for i in range(4)]
    assert np.isnan(shards[0].standard_error)  # one example shows no spread
    merged = sum(shards[1:], shards[0])
    np.testing.assert_allclose(merged.standard_error, whole.standard_error, rtol=1e-6)
