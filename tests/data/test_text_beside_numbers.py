"""Words and numbers as inputs of one model: every function reads them, none mixes their kinds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import draw_sample, first_examples

NUM = 12
rng = np.random.default_rng(0)
WORDS = rng.permutation(np.array(list("abcdefghijkl")))[:, None]
X = {"size": rng.normal(size=(NUM, 2)).astype("float32"), "word": WORDS}
Y = np.arange(NUM) % 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network():
    size = keras.Input((2,), name="size")
    word = keras.Input((1,), dtype="string", name="word")
    number = keras.layers.StringLookup(vocabulary=list("abcdef"))(word)
    known = keras.layers.Flatten()(keras.layers.Embedding(7, 2)(number))
    joined = keras.layers.Concatenate()([size, known])
    model = keras.Model({"size": size, "word": word}, keras.layers.Dense(3)(joined))
    model.compile("adam", LOSS)
    return model


def noisy():
    options = {"prior_scale": "grid", "variational_bias": True, "seed": 0, "verbose": 0}
    model = kib.make_variational(network(), num_examples=NUM, **options)
    model.compile("adam", LOSS)
    return model


def rows(chosen):
    return {key: value[chosen] for key, value in X.items()}, Y[chosen]


@pytest.mark.parametrize(
    "draw", [lambda b: draw_sample(b, 5, 0), lambda b: first_examples(b, 5, NUM)]
)
def test_a_model_is_called_on_a_sample(draw):
    sample = draw(Batches((X, Y)))
    assert all(tf.is_tensor(leaf) for leaf in sample.x.values())
    assert network()(sample.x, training=False).shape == (5, 3)


def test_an_audit_measures_curvature():
    report = kib.audit(network(), (X, Y), include=["fisher"], seed=0)
    expected = estimators.fisher_information(network(), (X, Y), labels="expected").size
    assert report.fisher.size == expected
    assert np.isfinite(report.numbers()["fisher_trace"])


def test_labels_are_told_by_networks_that_read_words():
    code = estimators.prequential_code(network, (X, Y), blocks=2, epochs=1)
    assert np.isfinite(code.nats)


def test_a_sweep_trains_and_validates():
    sweep = kib.sweep_beta(noisy, (X, Y), [0.1, 0.3], epochs=1, validation_data=(X, Y), seed=0)
    assert np.all(np.isfinite(sweep.validation_task_loss))


def test_examples_that_differ_in_their_words_alone_are_not_equal():
    model = noisy()
    options = {"num_samples": 10, "seed": 0}
    same = {**X, "size": np.ones((NUM, 2), "float32")}
    assert estimators.certify(model, (same, Y), **options).num_examples == NUM
    constant = {"size": same["size"], "word": np.full((NUM, 1), "a")}
    with pytest.raises(ValueError, match="9 repeats among 12 examples"):
        estimators.certify(model, (constant, Y), **options)


def test_words_that_a_prior_has_seen_are_known_again():
    options = {"variational_bias": True, "seed": 0, "verbose": 0}
    model = kib.make_variational(network(), num_examples=NUM, **options)
    model.compile("adam", LOSS)
    model.anchor_prior(rows(slice(0, 4)))
    with pytest.raises(ValueError, match="4 of 12 examples among those of `anchor_prior`"):
        estimators.certify(model, (X, Y), num_samples=10)
    dataset = tf.data.Dataset.from_tensor_slices(rows(slice(4, None))).batch(3)
    assert estimators.certify(model, dataset, num_samples=10).num_examples == 8
