"""Counts of states straight from a model, and how few batches are dispatched for them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import StateCounts, hidden_states
from keras_infobottleneck.estimators.relevance import streamed_states
from keras_infobottleneck.introspection.compiled_maps import CompiledMap

pytestmark = pytest.mark.quick

X = np.random.default_rng(0).normal(size=(70, 6)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    first = keras.layers.Dense(8, "tanh", name="first")
    return keras.Sequential([keras.Input([6]), first, keras.layers.Dense(3, name="second")])


def stream():
    return tf.data.Dataset.from_tensor_slices(X).batch(8)


def table(counts):
    keys, numbers = counts._runs[0] if counts.num_states else ((), ())
    return list(map(tuple, keys)), list(numbers), counts.num_levels


@pytest.mark.parametrize("threshold", [0.0, [-0.5, 0.2, 0.5]], ids=["binary", "levels"])
def test_counts_from_a_model_are_those_of_its_states(model, threshold):
    num_levels = 1 + np.size(threshold)
    for data in (X, stream()):
        for layer in ("first", 1):
            counted = StateCounts.from_model(model, data, layer, threshold=threshold)
            states = hidden_states(model, X, layer, threshold=threshold)
            assert table(counted) == table(StateCounts(num_levels).update(states))


def test_several_layers_are_counted_by_one_pass(model):
    read = []

    def batches():
        for start in range(0, len(X), 8):
            read.append(start)
            yield X[start : start + 8]

    data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None, 6]))
    found = StateCounts.by_layer(model, data, ["first", "second", 0])
    assert read.count(64) == 1  # the start is read once more, to see what the data are
    assert list(found) == ["first", "second", "first #2"]
    for name, layer in (("first", 0), ("second", 1), ("first #2", 0)):
        assert table(found[name]) == table(StateCounts.from_model(model, X, layer))


def test_batches_of_a_dataset_are_dispatched_many_at_a_time(model, monkeypatch):
    calls = []
    over = CompiledMap.over

    def counting(self, batches, **options):
        return over(self, (calls.append(len(stack)) or stack for stack in batches), **options)

    monkeypatch.setattr(CompiledMap, "over", counting)
    hidden_states(model, stream(), "first")
    assert calls == [1, 9]  # of one batch, to see how wide the layer is, and of all nine
    monkeypatch.setattr(streamed_states, "STACK_BYTES", 8 * 8 * 2)
    calls.clear()
    states = hidden_states(model, stream(), "first")
    assert calls == [1, 2, 2, 2, 2, 1]  # no more than the memory that was set
    np.testing.assert_array_equal(states, hidden_states(model, X, "first"))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ("first", TypeError, "a sequence of layers"),
        (0, TypeError, "a sequence of layers"),
        ([], ValueError, "at least one layer"),
        (["absent"], ValueError, "one of the model's layers"),
    ],
)
def test_bad_layers_give_one_clear_sentence(model, layers, error, message):
    with pytest.raises(error, match=f"(?s){message}.*Received: "):
        StateCounts.by_layer(model, X, layers)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
@pytest.mark.parametrize("num_levels", [2, 3])
def test_integers_are_counted_as_booleans_are_and_refused_outside_the_levels(dtype, num_levels):
    states = (np.random.default_rng(1).random((40, 64)) < 0.1).astype(dtype)
    as_booleans = StateCounts().update(states.astype(bool))
    found = StateCounts(num_levels).update(states)
    assert sorted(found.counts) == sorted(as_booleans.counts)
    for value in (num_levels, 100) + ((-1,) if dtype != np.uint8 else ()):
        wrong = states.copy()
        wrong[7, 3] = value
        with pytest.raises(ValueError, match=f"lie in 0..{num_levels - 1} .*Received: "):
            StateCounts(num_levels).update(wrong)
