"""Losses that a model was compiled with are read alike, in whichever form they were given."""

import functools

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.compiled_losses import (
    compiled_losses,
    kind_of_labels,
    takes_logits,
)

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def own(y_true, y_pred, from_logits=True):
    return y_pred


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("sparse_categorical_crossentropy", False),
        ("binary_crossentropy", False),
        ("SparseCategoricalCrossentropy", False),
        (keras.losses.SparseCategoricalCrossentropy, False),
        (keras.losses.sparse_categorical_crossentropy, False),
        (functools.partial(keras.losses.binary_crossentropy, from_logits=True), True),
        (own, True),
        (LOGITS, True),
        ([LOGITS], True),
        ({"scores": LOGITS}, True),
        (kib.models.BoundedCrossentropy(from_logits=True), True),
        ("mse", None),
        (lambda y, p: p, None),
    ],
)
def test_a_loss_says_whether_it_takes_logits(loss, expected):
    scores = keras.layers.Dense(3, name="scores")
    inputs = keras.Input((2,))
    outputs = scores(inputs)
    model = keras.Model(inputs, {"scores": outputs} if isinstance(loss, dict) else outputs)
    model.compile("sgd", loss)
    (found,) = compiled_losses(model)
    assert takes_logits(found) is expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (LOGITS, "sparse"),
        (keras.losses.sparse_categorical_crossentropy, "sparse"),
        (keras.losses.CategoricalCrossentropy(), "rows"),
        (keras.losses.binary_crossentropy, "bits"),
        (keras.losses.MeanSquaredError(), None),
        (kib.models.BoundedCrossentropy(from_logits=True), None),
        (None, None),
    ],
)
def test_a_cross_entropy_says_what_its_labels_are(loss, expected):
    assert kind_of_labels(loss) == expected


def test_of_two_outputs_one_may_have_no_loss():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, [keras.layers.Dense(3)(inputs), keras.layers.Dense(1)(inputs)])
    model.compile("sgd", [LOGITS, None])
    assert compiled_losses(model) == [LOGITS]


def test_a_model_that_was_not_compiled_has_no_losses():
    assert compiled_losses(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])) == []


def test_a_loss_by_its_name_certifies_as_the_object_does():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    layers = [keras.layers.Dense(2, "softmax", use_bias=False, kernel_initializer="ones")]
    plain = keras.Sequential([keras.Input((3,)), *layers])
    model = kib.make_variational(plain, num_examples=60, prior_scale=1.0, verbose=0)
    found = []
    for loss in (keras.losses.SparseCategoricalCrossentropy(), "sparse_categorical_crossentropy"):
        model.compile("sgd", loss)
        length = kib.estimators.description_length(model, (x, y), seed=0)
        found.append((length.numbers(), kib.estimators.certify(model, (x, y), seed=0).to_dict()))
    assert found[0] == found[1]
