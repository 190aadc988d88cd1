"""Whose information in the weights is measured, and what is refused in one sentence."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.estimators import (
    WeightInformation,
    effective_information,
    fisher_information,
    information_curve,
    information_in_weights,
)
from tests.support.small_minimum import BETA, small_minimum

layers = keras.layers

BAD = [
    ({"beta": 0.0}, ValueError, "beta"),
    ({"beta": "1"}, TypeError, "beta"),
    ({"beta": np.inf}, ValueError, "beta"),
    ({"beta": 1e-320}, ValueError, "beta"),
    ({"prior_scale": 1e200}, ValueError, "prior_scale"),
    ({"prior_scale": 1e-200}, ValueError, "prior_scale"),
    ({"prior_scale": -1.0}, ValueError, "prior_scale"),
    ({"prior_scale": "best"}, ValueError, "prior_scale"),
    ({"prior_scale": "optimal_by_variable", "structure": "dense"}, ValueError, "diagonal"),
    ({"structure": "full"}, ValueError, "structure"),
    ({"dry_run": True}, ValueError, "dry_run"),
    ({"labels": "true"}, ValueError, "labels"),
    ({"model": "model"}, TypeError, "model"),
]


@pytest.fixture(scope="module")
def case():
    return small_minimum()


@pytest.mark.parametrize(("change", "error", "word"), BAD)
def test_bad_input_is_one_sentence(case, change, error, word):
    model, (x, _), _ = case
    good = {"model": model, "data": x, "beta": 0.1, "likelihood": "categorical"}
    with pytest.raises(error, match=rf"{word}.*Received: "):
        information_in_weights(**{**good, **change})


def test_a_fisher_matrix_of_another_model_or_with_options_is_refused(case):
    model, _, fishers = case
    other = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"this model's weights.*Received: "):
        information_in_weights(other, fishers["dense"], beta=0.1)
    with pytest.raises(ValueError, match=r"has been measured.*Received: labels='expected'"):
        information_in_weights(model, fishers["dense"], beta=0.1, labels="expected")


def test_an_unexpected_keyword_is_of_the_function_that_was_called(case):
    model, (x, _), _ = case
    for function in (information_in_weights, information_curve):
        with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got .* 'colour'$"):
            function(model, x, beta=0.1, colour="red")


def test_extreme_numbers_that_are_allowed_stay_finite(case):
    model, _, fishers = case
    for beta, prior_scale in ((1e-75, 1e75), (1e75, 1e-75)):
        found = information_in_weights(
            model, fishers["diagonal"], beta=beta, prior_scale=prior_scale
        )
        assert np.isfinite(found.nats)
        assert np.isfinite(found.excess_loss)


def test_variables_with_a_path_of_others_are_those_that_were_given():
    def encoder():
        x = keras.Input((3,))
        return keras.Model(x, layers.Dense(2, name="fc1", dtype="float64")(x))

    left, right = encoder(), encoder()
    x = keras.Input((3,))
    model = keras.Model(x, layers.Add(dtype="float64")([left(x), right(x)]))
    assert left.layers[1].kernel.path == right.layers[1].kernel.path
    right.set_weights([100.0 * w + 1.0 for w in right.get_weights()])
    options = {"likelihood": "categorical", "labels": "expected"}
    data = np.random.default_rng(0).normal(size=(5, 3))
    chosen = right.trainable_variables
    # So flat a loss that the code is the prior's, moved to the weights.
    price = {"beta": 1e9, "prior_scale": 1.0}
    found = information_in_weights(model, data, variables=chosen, **price, **options)
    exact = sum(float(np.sum(v.numpy() ** 2)) for v in chosen) / 2
    assert found.nats == pytest.approx(exact, rel=1e-6)

    ready = fisher_information(model, data, variables=chosen, **options)
    with pytest.raises(ValueError, match=r"identify the model's weights.*Received: 2 weights"):
        information_in_weights(model, ready, **price)
    everything = fisher_information(model, data, **options)
    both = information_in_weights(model, everything, **price)
    assert list(both.by_variable.values())[2:] == pytest.approx(list(found.by_variable.values()))
    left.trainable = False  # the matrix of the left is as large as that of all that is trainable
    with pytest.raises(ValueError, match=r"identify the model's weights.*Received: 2 weights"):
        information_in_weights(model, ready, **price)


def test_scales_of_noise_are_refused_and_the_means_are_those_of_a_plain_layer():
    plain = layers.Dense(3)
    network = keras.Sequential([keras.Input((4,)), kib.layers.VariationalWeights(plain)])
    model = kib.InformationBottleneckModel(network, num_examples=9)
    data = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    options = {"likelihood": "categorical", "labels": "expected"}
    price = {"beta": BETA, "prior_scale": 0.8}
    fisher = fisher_information(model, data, **options)
    for given, more in ((data, options), (fisher, {})):
        with pytest.raises(ValueError, match=r"from_divergences.*`variables`.*Received: layer="):
            information_in_weights(model, given, **price, **more)
    with pytest.raises(ValueError, match=r"from_divergences.*Received: layer="):
        information_curve(model, fisher, loss=0.0)
    with pytest.raises(ValueError, match=r"from_divergences.*Received: layer="):
        effective_information(network, data, layer=-1, fisher=fisher, **price)

    means = fisher_information(model, data, variables=plain.trainable_variables, **options)
    exact = information_in_weights(
        keras.Sequential([keras.Input((4,)), plain]), data, **price, **options
    )
    assert information_in_weights(model, means, **price).nats == pytest.approx(exact.nats, rel=1e-6)
    found = information_in_weights(
        model, data, variables=plain.trainable_variables, **price, **options
    )
    assert found.nats == pytest.approx(exact.nats, rel=1e-6)


@pytest.mark.parametrize(
    ("divergences", "num_examples", "beta", "word"),
    [({}, 5, 0.1, "divergences"), ({"a": np.nan}, 5, 0.1, "divergences"),
     ({"a": 1.0}, 0, 0.1, "num_examples"), ({"a": 1.0}, 5, -0.1, "beta")],
)  # fmt: skip
def test_bad_divergences_are_one_sentence(divergences, num_examples, beta, word):
    with pytest.raises(ValueError, match=rf"`{word}.* must .*Received: "):
        WeightInformation.from_divergences(divergences, num_examples=num_examples, beta=beta)
