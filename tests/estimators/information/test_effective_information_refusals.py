"""What effective information refuses, each in one sentence."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    activation_fisher,
    effective_information,
    fisher_information,
    simulated_effective_information,
)
from tests.support.narrow_networks import OPTIONS, narrow_network
from tests.support.small_minimum import BETA

layers = keras.layers


@pytest.fixture(scope="module")
def case():
    return narrow_network()


BAD = [
    ({"layer": "absent"}, ValueError, "layer"),
    ({"layer": 1.5}, TypeError, "layer"),
    ({"fisher": np.eye(3)}, TypeError, "fisher"),
    ({"beta": -1.0}, ValueError, "beta"),
    ({"prior_scale": 0.0}, ValueError, "prior_scale"),
    ({"prior_scale": "best"}, ValueError, "prior_scale"),
    ({"x": np.full([3, 5], np.nan)}, ValueError, "finite"),
    ({"x": np.zeros([0, 5])}, ValueError, "example"),
    ({"memory_limit": 10}, ValueError, "needs .* MiB; choose a narrower layer"),
    ({"memory_limit": 0}, ValueError, "memory_limit"),
    ({"model": "model"}, TypeError, "model"),
]


@pytest.mark.parametrize(("change", "error", "word"), BAD)
def test_bad_input_is_one_sentence(case, change, error, word):
    model, x, fishers = case
    good = {"model": model, "x": x, "layer": "narrow", "fisher": fishers["diagonal"], **OPTIONS}
    for measure in (effective_information, activation_fisher):
        with pytest.raises(error, match=rf"{word}.*Received: "):
            measure(**{**good, **change})


def test_what_cannot_carry_noise_is_refused(case):
    model, x, fishers = case
    options = {"labels": "expected", "likelihood": "categorical"}
    implicit = fisher_information(model, x, structure="implicit", **options)
    with pytest.raises(ValueError, match=r"eigenvectors.*Received: structure='implicit'"):
        effective_information(model, x, layer="narrow", fisher=implicit, **OPTIONS)
    last = fisher_information(model, x, variables=model.layers[-1].trainable_variables, **options)
    with pytest.raises(ValueError, match=r"must depend on weights.*Received: layer='narrow'"):
        effective_information(model, x, layer="narrow", fisher=last, **OPTIONS)
    with pytest.raises(ValueError, match=r"`num_draws` must be at least 16.*Received: "):
        simulated_effective_information(
            model, x, layer="narrow", fisher=fishers["diagonal"], num_draws=15, **OPTIONS
        )
    with pytest.raises(ValueError, match=r"9,999 draws .* MiB; take fewer.*Received: memory_limit"):
        simulated_effective_information(
            model,
            x,
            layer="narrow",
            fisher=fishers["diagonal"],
            num_draws=9999,
            memory_limit=10**5,
            **OPTIONS,
        )
    zero = keras.models.clone_model(model)
    zero.set_weights([0 * w for w in model.get_weights()])
    fisher = fisher_information(zero, x, **options)
    with pytest.raises(ValueError, match=r"best prior scale.*Received: prior_scale='optimal'"):
        effective_information(zero, x, layer="narrow", fisher=fisher, beta=BETA)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_model_that_turns_its_inputs_into_integers_is_refused(dtype):
    """Keras casts to the type of `Input`, and what is behind a cast has no gradient: 0 nats."""
    inputs = keras.Input((4,), dtype=dtype)
    outputs = layers.Dense(2, name="narrow")(layers.Rescaling(1 / 255)(inputs))
    model, x = keras.Model(inputs, outputs), np.arange(20, dtype="uint8").reshape(5, 4)
    fisher = fisher_information(model, x, labels="expected", likelihood="categorical")
    for data in (x, x.astype("float32")):
        with pytest.raises(ValueError, match=rf"must accept floats.*Received: .*'{dtype}'"):
            effective_information(model, data, layer="narrow", fisher=fisher, **OPTIONS)


def test_a_single_example_is_refused(case):
    model, x, fishers = case
    with pytest.raises(ValueError, match=r"at least two examples.*Received: 1 example"):
        effective_information(model, x[:1], layer="narrow", fisher=fishers["diagonal"], **OPTIONS)


def test_a_layer_of_unknown_size_or_several_outputs_is_refused(case):
    fisher = case[2]["diagonal"]
    for layer in (layers.LSTM(2, return_sequences=True), layers.LSTM(2, return_state=True)):
        inputs = keras.Input((None, 3))
        model = keras.Model(inputs, layer(inputs))
        with pytest.raises(ValueError, match=r"one output of known size.*Received: layer=1"):
            effective_information(model, np.zeros([2, 4, 3]), layer=1, fisher=fisher, **OPTIONS)
