"""A model that was audited is as it was before."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support.audited_networks import examples, noisy_network


@pytest.fixture(scope="module")
def data():
    return examples()


def variables_of(model):
    everything = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [variable.numpy() for variable in everything]


def test_training_goes_on_as_if_nothing_had_been_measured(data):
    ends = []
    for audits in (False, True):
        model = noisy_network()
        keras.utils.set_random_seed(3)
        model.fit(*data, epochs=2, shuffle=False, verbose=0)
        if audits:
            before = variables_of(model)
            report = kib.audit(model, data, include=["task", "fisher", "activations", "relevance"])
            assert report.layers["noisy"].activations.nats > 0
            for variable, value in zip(variables_of(model), before, strict=True):
                np.testing.assert_array_equal(variable, value)
        history = model.fit(*data, epochs=2, shuffle=False, verbose=0).history
        ends.append((history, model.get_weights()))
    assert ends[0][0] == ends[1][0]
    for plain, audited in zip(ends[0][1], ends[1][1], strict=True):
        np.testing.assert_array_equal(plain, audited)


def test_an_interruption_leaves_the_model_as_it_was(data, monkeypatch):
    model = noisy_network()
    model.fit(*data, epochs=1, verbose=0)
    before = variables_of(model)

    def interrupted(model, **_):
        model(data[0], training=True)  # moves seeds, statistics and metrics
        raise KeyboardInterrupt

    monkeypatch.setattr(kib.estimators, "quantized_complexity", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kib.audit(model, data, include=["task", "complexity"])
    for variable, value in zip(variables_of(model), before, strict=True):
        np.testing.assert_array_equal(variable, value)
