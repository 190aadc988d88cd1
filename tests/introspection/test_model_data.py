"""What a model takes, in words, and that it is run once on every shape of its data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.model_data import batches_for

X = np.ones([6, 4], np.float32)
UNLABELLED = {"needs_labels": False}


class Subclassed(keras.Model):
    """Without a graph; counts its calls."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return self.dense(x)


def named():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((2,), dtype="int32", name="b")}
    return keras.Model(inputs, layers.Concatenate()([inputs["a"], inputs["b"]]))


def listed():
    inputs = [keras.Input((4,)), keras.Input((None, 2))]
    return keras.Model(inputs, [layers.Dense(1)(each) for each in inputs])


def of_text():
    words = layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b"])
    return keras.Sequential([keras.Input((), dtype="string"), words])


def built():
    model = Subclassed()
    model(X)
    return model


def of_batches():
    inputs = keras.Input(batch_shape=(3, 4))
    return keras.Model(inputs, layers.Dense(2)(inputs))


def holding():
    return kib.InformationBottleneckModel(listed(), num_examples=6)


LISTED = r"a list of 2, \[batch, 4\] of float32 and \[batch, any, 2\] of float32"
TWO = [X, np.ones([6, 3, 2])]
CASES = {
    "functional": (of_batches, X, X[:, :3], r"\[batch, 4\] of float32"),
    "subclassed": (built, X, X[:, :3], r"\[batch, 4\]"),
    "dictionary": (
        named,
        {"a": X, "b": X[:, :2]},
        {"a": X, "c": X[:, :2]},
        r"\{'a': \[batch, 4\] of float32, 'b': \[batch, 2\] of int32\}",
    ),
    "one key more": (
        named,
        {"b": X[:, :2], "a": X},
        {"a": X, "aa": X[:, :2], "b": X[:, :2]},
        r"\{'a': \[batch, 4\] of float32, 'b': \[batch, 2\] of int32\}",
    ),
    "list": (listed, TWO, TWO[:1], LISTED),
    "a list too long": (listed, TWO, [*TWO, X], LISTED),
    "held": (holding, TWO, [X, X], LISTED),
    "rank": (listed, TWO, [X, np.ones([6, 3, 2, 2])], LISTED),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_model_takes_and_what_it_was_given_are_said(case):
    make, good, bad, words = CASES[case]
    model = make()
    batches_for(model, good, **UNLABELLED)
    for data in (bad, tf.data.Dataset.from_tensors(tuple(bad) if isinstance(bad, list) else bad)):
        if isinstance(bad, list):
            data = (data,) if data is bad else data.map(lambda *parts: (parts,))
        with pytest.raises(ValueError, match=rf"model takes: {words}.*Received: ") as refused:
            batches_for(model, data, **UNLABELLED)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "x", "words"),
    [
        (of_text, X, r"\[batch\] of string. Received: \[batch, 4\] of float32"),
        (of_batches, np.full([6, 4], "a"), r"float32. Received: \[batch, 4\] of string"),
        (named, {"a": np.full([6, 4], "a"), "b": X[:, :2]}, "Received: {'a': .* of string"),
    ],
)
def test_text_for_numbers_and_numbers_for_text_are_of_the_wrong_kind(make, x, words):
    with pytest.raises(TypeError, match=f"inputs that the model takes: .*{words}"):
        batches_for(make(), x, **UNLABELLED)


def test_where_shapes_do_not_tell_the_model_says_what_it_raised():
    inputs = keras.Input((None,))
    embedded = layers.Embedding(3, 2)(inputs)
    tokens = keras.Model(inputs, embedded)
    batches_for(tokens, X[:, :2], **UNLABELLED)
    for model, x in ((tokens, X * 7), (Subclassed(), X[:, 0])):
        with pytest.raises(ValueError, match=r"model takes.*, on which it raised \w+: ") as refused:
            batches_for(model, x, **UNLABELLED)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 400
        assert f"raised {type(refused.value.__cause__).__name__}: " in str(refused.value)


def test_a_model_runs_once_on_each_shape_and_makes_its_weights():
    model = Subclassed()
    batches_for(model, X, **UNLABELLED)
    assert len(model.weights) == 2
    calls = model.calls
    for x in (X, X[:2], X + 1):
        batches_for(model, x, **UNLABELLED)
    assert model.calls == calls
    batches_for(model, X.astype(np.float64), **UNLABELLED)
    assert model.calls == calls + 1


def test_shapes_that_come_later_are_refused_in_the_same_words():
    class Parts(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[:, : 4 - index]

    batches = batches_for(built(), Parts(), **UNLABELLED)
    with pytest.raises(ValueError, match=r"takes: \[batch, 4\]. Received: \[batch, 3\]"):
        list(batches.stacks())


def test_an_exception_of_the_data_is_not_taken_for_the_models():
    class Failing(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        batches_for(built(), Failing(), **UNLABELLED)
