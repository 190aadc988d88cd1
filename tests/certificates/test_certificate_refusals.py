"""Whatever would make a certificate untrue is refused in a sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.certified_networks import OPTIONS, X_PRIOR, Y_PRIOR, X, Y, joined, make_model

certify = kib.estimators.certify


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return make_model()


def anchored_again():
    model = make_model()
    for layer in model.variational_layers:
        layer.layer.kernel.assign_add(keras.ops.ones_like(layer.layer.kernel))
        layer.anchor_prior()
    return model


def prior_of_another_model():
    model, other = make_model(), make_model()
    for layer, source in zip(model.variational_layers, other.variational_layers, strict=True):
        for weight, value in zip(layer.prior_weights, source.prior_weights, strict=True):
            weight.assign(value + 0.1)
    return model


class AlwaysTraining(layers.Wrapper):
    """A flag in the graph gives way to that of the call; one in the code does not."""

    def call(self, inputs):
        return self.layer(inputs, training=True)


def drawing_by_itself(layer):
    inputs = keras.Input((5,))
    hidden = AlwaysTraining(layer)(layers.Dense(6, "relu")(inputs))
    return make_model(keras.Model(inputs, layers.Dense(2)(hidden)))


def layer_anchored_by_itself():
    model = make_model(anchored=False)
    for layer in model.variational_layers:
        layer.anchor_prior()
    return model


class PriceReader(layers.Layer):
    """Scales its inputs by the prior of a noisy layer."""

    def __init__(self, noisy):
        super().__init__()
        self.noisy = noisy

    def call(self, inputs):
        return inputs * (1.0 + self.noisy.prior_log_scale)


def price_in_a_prediction():
    options = {"variational_bias": True, "initial_scale": 0.1}
    hidden = kib.layers.VariationalWeights(layers.Dense(6, "softplus"), **options)
    noisy = kib.layers.InformationDropout(hidden, 0.1, prior="log_normal")
    inputs = keras.Input((5,))
    logits = kib.layers.VariationalWeights(layers.Dense(2), **options)
    outputs = logits(PriceReader(noisy)(noisy(inputs)))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=60)
    model.anchor_prior((X_PRIOR, Y_PRIOR))
    return model


def alpha_without_distribution():
    options = {"variational_bias": True, "prior_scale": 0.1}
    noisy = kib.layers.InformationDropout(layers.Dense(6, "relu"), 0.1)
    logits = kib.layers.VariationalWeights(layers.Dense(2), **options)
    network = keras.Sequential([keras.Input((5,)), noisy, logits])
    return kib.InformationBottleneckModel(network, num_examples=60)


def plain(outputs=2, **options):
    return keras.Sequential([keras.Input((5,)), layers.Dense(outputs, **options)])


REFUSED_MODELS = {
    "no model": (lambda: None, TypeError, "`model` must be"),
    "a plain model": (plain, TypeError, "`model` must be"),
    "nothing variational": (
        lambda: kib.InformationBottleneckModel(plain(), num_examples=3),
        ValueError,
        "no VariationalWeights",
    ),
    "not built": (
        lambda: kib.InformationBottleneckModel(
            keras.Sequential([kib.layers.VariationalWeights(layers.Dense(2))]), num_examples=3
        ),
        ValueError,
        "before it is built",
    ),
    "a price in a prediction": (
        price_in_a_prediction,
        ValueError,
        "must not depend on weights that price",
    ),
    "a prior that learns": (lambda: make_model(anchored=False), ValueError, "prior follows"),
    "log-normal": (
        lambda: make_model(anchored=False, posterior="log_normal"),
        ValueError,
        "Only Gaussian",
    ),
    "truncated": (
        lambda: make_model(anchored=False, posterior="truncated_log_normal"),
        ValueError,
        "Only Gaussian",
    ),
    "anchored again": (anchored_again, ValueError, "Priors, and weights"),
    "the prior of another model": (prior_of_another_model, ValueError, "Priors, and weights"),
    "dropout in inference": (
        lambda: drawing_by_itself(layers.Dropout(0.5)),
        ValueError,
        "Predictions must not draw or change anything",
    ),
    "batch statistics in inference": (
        lambda: drawing_by_itself(layers.BatchNormalization()),
        ValueError,
        "Predictions must not draw or change anything",
    ),
    "anchored without data": (layer_anchored_by_itself, ValueError, "depends are unknown"),
    "biases that may have learned": (
        lambda: make_model(anchored=False, prior_scale=1.0, variational_bias=False),
        ValueError,
        "Without an anchored prior every weight must have a posterior.*on other examples",
    ),
    "an alpha layer that may have learned": (
        alpha_without_distribution,
        ValueError,
        r"use .*`InformationDropout\(VariationalWeights\(layer\), \.\.\.\)`",
    ),
    "sequences": (
        lambda: make_model(
            keras.Sequential([keras.Input((5,)), layers.Reshape((5, 1)), layers.Dense(2)]),
            False,
            prior_scale=1.0,
        ),
        ValueError,
        "one output of shape",
    ),
}


@pytest.mark.parametrize("case", REFUSED_MODELS)
def test_models_that_cannot_be_certified_are_refused_in_a_sentence(case):
    build, error, message = REFUSED_MODELS[case]
    with pytest.raises(error, match=f"{message}[^\n]* Received: "):
        certify(build(), (X, Y), **OPTIONS)


REFUSED_ARGUMENTS = {
    "delta of zero": ({"delta": 0.0}, "`delta` must"),
    "delta of one": ({"delta": 1}, "`delta` must"),
    "delta of True": ({"delta": True}, "`delta` must"),
    "no delta": ({"delta": None}, "`delta` must"),
    "delta of the Monte Carlo": ({"delta_monte_carlo": -0.1}, "`delta_monte_carlo` must"),
    "no confidence left": ({"delta": 0.6, "delta_monte_carlo": 0.5}, "leave some confidence"),
    "no samples": ({"num_samples": 0}, "`num_samples` must"),
    "half a sample": ({"num_samples": 1.5}, "`num_samples` must"),
    "no examples to a draw": ({"examples_per_draw": 0}, "`examples_per_draw` must"),
    "a loss without a bound": ({"min_probability": 0.0}, "`min_probability` must"),
    "a floor of one": ({"min_probability": 1.0}, "`min_probability` must"),
    "logits unknown": ({"from_logits": None}, "`from_logits` must.*labels must be classes"),
    "logits called probabilities": ({"from_logits": False}, "must be probabilities"),
    "batches of none": ({"batch_size": 0}, "`batch_size` must"),
    "a seed below zero": ({"seed": -1}, "`seed` must"),
    "a seed of 65 bits": ({"seed": 2**64}, "`seed` must"),
    "half a seed": ({"seed": 0.5}, "`seed` must"),
}


@pytest.mark.parametrize("case", REFUSED_ARGUMENTS)
def test_arguments_out_of_range_are_refused_in_a_sentence(model, case):
    changes, message = REFUSED_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=f"{message}[^\n]* Received: "):
        certify(model, (X, Y), **{**OPTIONS, **changes})


REFUSED_DATA = {
    "no labels": ((X, None), "Received"),
    "inputs alone": (X, "Received"),
    "no examples": ((X[:0], Y[:0]), "at least one example"),
    "unequal lengths": ((X, Y[:7]), "Received"),
    "all of the prior's": ((X_PRIOR, Y_PRIOR), "20 of 20"),
    "the prior's in another form": ((X_PRIOR, np.eye(2)[Y_PRIOR]), "20 of 20"),
    "labels by name": ((X, {"y": Y}), "one array"),
    "inputs of NaN": ((X * np.nan, Y), "repeats"),
    "inputs of words": ((np.full((60, 5), "a"), Y), "Received: .* of string"),
    "labels of words": ((X, np.full(60, "a")), "labels that are numbers"),
    "one of the prior's": (joined((X, Y), (X_PRIOR[:1], Y_PRIOR[:1])), "1 of 61"),
    "zeros of both signs": (joined((X * 0, Y), (-X * 0, Y)), "repeats"),
    "an example twice": (joined((X, Y), (X[:3], Y[:3])), "3 repeats among 63"),
    "an unknown class": ((X, Y + 1), "classes from 0 to 1"),
    "half a class": ((X, Y / 2), "classes from 0 to 1"),
    "soft labels": ((X, np.full((60, 2), 0.5)), "one-hot"),
    "endless": (tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).repeat(), "infinite"),
}


@pytest.mark.parametrize("case", REFUSED_DATA)
def test_data_that_cannot_be_certified_on_are_refused_in_a_sentence(model, case):
    data, message = REFUSED_DATA[case]
    with pytest.raises((TypeError, ValueError), match=message):
        certify(model, data, **OPTIONS)


@pytest.mark.parametrize("function", [certify, kib.estimators.description_length])
def test_several_outputs_are_refused_before_their_losses_are_asked(function):
    x = keras.Input((5,))
    network = keras.Model(x, [layers.Dense(2)(x), layers.Dense(3)(x)])
    model = kib.make_variational(
        network, num_examples=60, prior_scale=1.0, variational_bias=True, verbose=0
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", [loss, loss])
    with pytest.raises(ValueError, match=r"^`model` must have one output .* 2 compiled losses$"):
        function(model, (X, [Y, Y]))


def test_a_loss_that_does_not_say_whether_it_takes_logits_is_named():
    model = kib.make_variational(
        keras.Sequential([keras.Input((5,)), layers.Dense(2)]),
        **{"num_examples": 60, "prior_scale": 1.0, "variational_bias": True, "verbose": 0},
    )
    model.compile("sgd", "poisson")
    with pytest.raises(ValueError, match=r"labels must be classes.*from_logits=None, loss=poisson"):
        kib.estimators.description_length(model, (X, X[:, :2]))
