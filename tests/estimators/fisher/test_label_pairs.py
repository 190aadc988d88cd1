"""Labels of several outputs go with the distributions that they are labels of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators import find_wrong_labels, mean_squared_jacobian
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.forgetting.before_and_after import Performance
from tests.support.small_classifiers import POINTS, dense_classifier

tfd = tfp.distributions

RNG = np.random.default_rng(0)
OUTPUTS = {key: tf.constant(RNG.normal(size=(5, 2)), tf.float32) for key in ("z", "a")}
Z, A = (tf.constant(RNG.normal(size=(5, 2)), tf.float32) for _ in range(2))


def in_dictionary(o):
    return {"z": tfd.Normal(o["z"], 1.0), "a": tfd.Normal(o["a"], 1.0)}


def in_order_of_alphabet(o):
    return {"a": tfd.Normal(o["a"], 1.0), "z": tfd.Normal(o["z"], 1.0)}


def in_list(o):
    return [tfd.Normal(o["z"], 1.0), tfd.Normal(o["a"], 1.0)]


def of_one(o):
    return {"z": tfd.Normal(o["z"], 1.0)}


def of_one_without_a_form(o):
    return {"z": tfd.Independent(tfd.Laplace(o["z"], 1.0), 1)}


def joint(o):
    return tfd.JointDistributionNamed(
        {key: tfd.Independent(tfd.Normal(o[key], 1.0), 1) for key in ("z", "a")}
    )


def log_prob(likelihood, y, outputs=OUTPUTS):
    """Of examples, by the terms of a likelihood."""
    terms = find_likelihood(keras.Sequential(), likelihood).terms(outputs)
    return sum(t.log_prob(label) for t, label in zip(terms, label_of_each(terms, y), strict=True))


def normal(*pairs):
    return sum(np.sum(tfd.Normal(OUTPUTS[key], 1.0).log_prob(y), 1) for key, y in pairs)


@pytest.mark.parametrize(
    ("likelihood", "y"),
    [
        (in_dictionary, {"a": A, "z": Z}),
        (in_order_of_alphabet, {"z": Z, "a": A, "of another head": A}),
        (in_order_of_alphabet, [A, Z]),
        (in_list, [Z, A]),
        (in_list, (Z, A)),
        (joint, {"z": Z, "a": A}),
    ],
)
def test_each_label_is_that_of_its_distribution(likelihood, y):
    np.testing.assert_allclose(log_prob(likelihood, y), normal(("z", Z), ("a", A)), rtol=1e-5)


@pytest.mark.parametrize("y", [{"z": Z, "a": A}, {"z": [Z]}, [Z], Z])
def test_a_distribution_in_a_dictionary_finds_its_label(y):
    np.testing.assert_allclose(log_prob(of_one, y), normal(("z", Z)), rtol=1e-5)
    exact = np.sum(tfd.Laplace(OUTPUTS["z"], 1.0).log_prob(Z), 1)
    np.testing.assert_allclose(log_prob(of_one_without_a_form, y), exact, rtol=1e-5)


@pytest.mark.parametrize("y", [{"z": Z}, [Z], Z])
@pytest.mark.parametrize("of", [lambda z: z, lambda z: [z], lambda z: {"z": z}])
def test_a_nest_of_one_output_is_that_output(of, y):
    found = log_prob("normal", y, of(OUTPUTS["z"]))
    np.testing.assert_allclose(found, normal(("z", Z)), rtol=1e-5)


@pytest.mark.parametrize(
    ("likelihood", "y", "sentence"),
    [
        (in_list, {"z": Z, "a": A}, r"same keys, such as .* Received: labels \['a', 'z'\], dist"),
        (in_dictionary, {"z": Z}, r"Received: labels \['z'\], distributions \['a', 'z'\]"),
        (lambda o: tfd.Normal(o["z"], 1.0), {"z": Z, "a": A}, "distributions without keys"),
        (in_dictionary, [Z, A], "alphabetical order. Received: 2 labels in a list"),
        (in_list, [Z], "one label for each .* of which there are 2"),
        ("normal", [Z, A], "one label for each .* of which there are 1"),
    ],
)
def test_labels_that_could_be_paired_wrongly_are_refused(likelihood, y, sentence):
    outputs = OUTPUTS["z"] if likelihood == "normal" else OUTPUTS
    with pytest.raises(ValueError, match=sentence):
        log_prob(likelihood, y, outputs)


@pytest.fixture(scope="module")
def networks():
    """One with its output bare, and the same with it in a dictionary."""
    inputs = keras.Input((4,))
    outputs = dense_classifier()(inputs)
    return keras.Model(inputs, outputs), keras.Model(inputs, {"label": outputs})


def test_accuracies_are_those_of_the_only_label(networks):
    bare, named = networks
    x, y = POINTS
    found = [
        Performance.of(model, find_likelihood(model, "categorical"), {"all": Batches((x, labels))})
        for model, labels in ((bare, y), (named, {"label": y}))
    ]
    right = np.mean(np.argmax(bare(x), 1) == y)
    assert [each.accuracies["all"] for each in found] == [pytest.approx(right)] * 2


@pytest.mark.slow
def test_what_reads_labels_and_outputs_itself_takes_a_nest_of_one(networks):
    bare, named = networks
    x, y = POINTS
    options = {"likelihood": "categorical", "labels": "expected"}
    found = find_wrong_labels(named, (x, {"label": y}), **options)
    exact = find_wrong_labels(bare, POINTS, **options)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, rtol=1e-5)
    assert mean_squared_jacobian(named, x) == pytest.approx(mean_squared_jacobian(bare, x))
