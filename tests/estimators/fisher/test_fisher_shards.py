"""Shards of the data, each with the number of its first example, give what the whole gives."""

import dataclasses
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.estimators import FisherInformation, fisher_information

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
    assert merged.draws == whole.draws == ((OPTIONS["seed"], 0, NUM),)


@pytest.mark.parametrize("structure", ["diagonal", "dense", "kronecker", "gram", "implicit"])
def test_shards_of_equal_draws_do_not_add_up(model, structure):
    def shard(x, **options):
        return fisher_information(model, x, structure=structure, **{**OPTIONS, **options})

    first = shard(X[:CUT])
    # Counted from 0 the second shard draws what the first one drew.
    words = r"`first_example` must .* Received: seed=5 for examples 0 to 8 in both$"
    with pytest.raises(ValueError, match=words):
        first + shard(X[CUT:])
    with pytest.raises(ValueError, match="examples 8 to 8 in both"):
        first + shard(X[CUT:], first_example=CUT - 1)
    with pytest.raises(ValueError, match="in both"):
        first + first
    other = first + shard(X[CUT:], seed=6)
    assert other.num_examples == NUM
    assert other.draws == ((5, 0, CUT), (6, 0, NUM - CUT))
    with pytest.raises(ValueError, match="seed=6 for examples 13 to 13"):
        other + shard(X[:1], seed=6, first_example=NUM - CUT - 1)
    # Labels that are not drawn, or of which an old file does not say, are not compared.
    exact = shard(X[:CUT], labels="expected", num_samples=1)
    assert exact.draws == (exact + exact).draws == ()
    assert (first + dataclasses.replace(first, draws=())).draws == first.draws


def test_shards_add_up_in_any_order_and_say_their_seeds(model, tmp_path):
    starts = (0, 9, 4, 15)
    ends = (4, 15, 9, NUM)
    shards = [
        fisher_information(model, X[a:b], first_example=a, **OPTIONS)
        for a, b in zip(starts, ends, strict=True)
    ]
    assert (shards[0] + shards[1]).draws == ((5, 0, 4), (5, 9, 6))
    together = sum(shards)
    assert together.draws == ((5, 0, NUM),)
    assert together.seed == 5
    (shards[0] + shards[1]).to_npz(tmp_path / "part")
    for again in (
        FisherInformation.from_npz(tmp_path / "part"),
        pickle.loads(pickle.dumps(sum(shards[:2]))),
    ):
        assert again.draws == ((5, 0, 4), (5, 9, 6))
        with pytest.raises(ValueError, match="examples 9 to 14 in both"):
            again + shards[1]
    fresh = fisher_information(model, X, **{**OPTIONS, "seed": None})
    repeated = fisher_information(model, X, **{**OPTIONS, "seed": fresh.seed})
    np.testing.assert_array_equal(fresh.diagonal()[0], repeated.diagonal()[0])
    assert (shards[0] + fresh).seed is None


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
