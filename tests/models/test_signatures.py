"""What our models hand on to Keras shows Keras' arguments to `help` and to editors."""

import inspect

import keras
import pytest

import keras_infobottleneck as kib

MODELS = (kib.InformationBottleneckModel, kib.models.RestrictedBoltzmannMachine)


@pytest.mark.parametrize("name", ["fit", "export", "summary", "compile", "evaluate", "predict"])
@pytest.mark.parametrize("model", MODELS)
def test_arguments_are_those_of_keras(model, name):
    ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (model, keras.Model))
    assert list(ours.parameters) == list(theirs.parameters)
    assert inspect.getdoc(getattr(model, name))


def test_samples_show_their_own():
    shown = inspect.signature(kib.InformationBottleneckModel.predict_samples).parameters
    assert list(shown)[:3] == ["self", "x", "num_samples"]
    assert not any(each.kind is each.VAR_KEYWORD for each in shown.values())


def test_a_deep_belief_network_shows_what_its_machines_take():
    shown = inspect.signature(kib.models.DeepBeliefNetwork.fit).parameters
    assert {"epochs", "batch_size", "callbacks", "validation_data", "verbose"} <= set(shown)
