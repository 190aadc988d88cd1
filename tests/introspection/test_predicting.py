"""Keras' own loop over data of the one reader."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.data import datasets
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict

X = np.arange(24, dtype=np.float32).reshape(12, 2)


class Sequence(keras.utils.PyDataset):
    def __init__(self, fails_at=None, **options):
        super().__init__(**options)
        self.fails_at = fails_at

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == self.fails_at:
            raise OSError("no such file")
        return X[4 * index : 4 * index + 4], np.zeros(4)


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])


def test_predictions_are_those_of_keras(model):
    dataset = tf.data.Dataset.from_tensor_slices((X, X)).batch(5)
    kinds = [
        X,
        X.tolist(),
        dataset,
        Sequence(),
        Sequence(workers=2),
        dataset.filter(lambda *_: True),
    ]
    for data in kinds:
        batches = batches_for(model, data, needs_labels=False)
        np.testing.assert_array_equal(predict(model, batches), 2 * X)


@pytest.mark.parametrize("options", [{}, {"workers": 2}])
def test_an_exception_of_a_sequence_comes_out_as_it_is(model, options):
    batches = batches_for(model, Sequence(2, **options), needs_labels=False)
    with pytest.raises(OSError, match=r"^no such file$"):
        predict(model, batches)


def test_what_never_ends_ends(model, monkeypatch):
    monkeypatch.setattr(datasets, "MOST_EXAMPLES", 30)
    endless = tf.data.Dataset.from_generator(
        lambda: itertools.repeat(X), output_signature=tf.TensorSpec([None, 2], tf.float32)
    )
    batches = batches_for(model, endless, needs_labels=False)
    with pytest.raises(ValueError, match=r"must end.* more than 30 examples"):
        predict(model, batches)
