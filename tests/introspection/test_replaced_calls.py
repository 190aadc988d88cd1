"""Measuring in one thread leaves what others do with the same model as it is."""

import threading

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.replaced_calls import has_call_of_its_own, replaced_call
from tests.support.held_threads import SECONDS, elsewhere, result_of_a_thread

X = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
Y = np.arange(12) % 3


class Subclassed(keras.Model):
    """A model without a graph, whose layers' outputs are recorded."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(6, "relu", name="first")
        self.second = keras.layers.Dense(3, name="second")

    def call(self, inputs):
        return self.second(self.first(inputs))


def graph():
    """The same as a graph, compiled."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(6, "relu"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input([5]), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def subclassed():
    """The same without a graph."""
    model = Subclassed()
    model(X)
    model.set_weights(graph().get_weights())
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fisher_trace(model, structure):
    options = {"structure": structure, "labels": "expected"}
    return kib.estimators.fisher_information(model, (X, Y), **options).trace()


def states(model):
    return kib.estimators.hidden_states(model, X, layer="first")


MEASURES = {
    "fisher_diagonal": (graph, lambda m: fisher_trace(m, "diagonal")),
    "fisher_kronecker": (graph, lambda m: fisher_trace(m, "kronecker")),
    "hidden_states": (subclassed, states),
    "make_variational": (
        graph,
        lambda m: kib.make_variational(m, num_examples=12, verbose=0)(X).numpy(),
    ),
    "quantize_to": (graph, lambda m: kib.estimators.quantize_to(m, 4)(X).numpy()),
}


@pytest.fixture
def held(monkeypatch):
    """Gives a function that runs another in a thread, held where that first calls a dense layer."""
    call, entered, leave = keras.layers.Dense.call, threading.Event(), threading.Event()
    threads, outcomes = [], []

    def held_call(self, inputs, training=None):
        if threading.current_thread() in threads and not entered.is_set():
            entered.set()
            assert leave.wait(SECONDS)
        return call(self, inputs)

    def run(measure):
        try:
            outcomes.append(measure())
        except BaseException as error:
            outcomes.append(error)
        entered.set()

    def start(measure):
        threads.append(threading.Thread(target=run, args=[measure]))
        threads[0].start()
        assert entered.wait(SECONDS)

    def finish():
        leave.set()
        threads[0].join(SECONDS)
        return outcomes[0]

    monkeypatch.setattr(keras.layers.Dense, "call", held_call)
    yield start, finish
    leave.set()


@pytest.mark.parametrize("name", MEASURES)
def test_another_thread_has_the_model_as_it_is(name, held):
    build, measure = MEASURES[name]
    start, finish = held
    alone, model, fresh = measure(build()), build(), build()
    fitted = fresh.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    reference = build()(X)
    start(lambda: measure(model))
    np.testing.assert_allclose(model(X), reference, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), reference, rtol=1e-5, atol=1e-6)
    beside = measure(model)  # both threads measure the same model
    np.testing.assert_allclose(finish(), alone, rtol=1e-4)
    np.testing.assert_allclose(beside, alone, rtol=1e-4)
    history = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], fitted["loss"], rtol=1e-5)


@pytest.mark.parametrize("name", ["make_variational", "quantize_to"])
def test_a_model_that_is_copied_stays_compiled(name, monkeypatch):
    build, measure = MEASURES[name]
    model, seen = build(), []
    from_config = keras.layers.Dense.from_config

    def watching(config):
        seen.append(model.compiled)
        return from_config(config)

    monkeypatch.setattr(keras.layers.Dense, "from_config", watching)
    measure(model)
    assert seen
    assert all(seen)


def test_a_replaced_call_is_for_the_thread_that_replaced_it():
    layer = keras.layers.Dense(3)
    plain = layer(X)
    double = lambda call: lambda *args, **kwargs: 2.0 * call(*args, **kwargs)  # noqa: E731
    with elsewhere(replaced_call(layer, double)):
        np.testing.assert_array_equal(layer(X), plain)
        assert not has_call_of_its_own(layer)
        with replaced_call(layer, double):
            assert has_call_of_its_own(layer)
            np.testing.assert_array_equal(layer(X), 2.0 * plain)
            with replaced_call(layer, double):
                np.testing.assert_array_equal(layer(X), 4.0 * plain)
            np.testing.assert_array_equal(result_of_a_thread(lambda: layer(X)), plain)
        np.testing.assert_array_equal(layer(X), plain)
    assert "call" not in vars(layer)


def test_a_call_of_the_instance_stays_its_own():
    layer = keras.layers.Dense(3)
    layer(X)
    own = vars(layer)["call"] = lambda inputs, training=None: inputs
    assert has_call_of_its_own(layer)
    with replaced_call(layer, lambda call: call):
        assert has_call_of_its_own(layer)
        assert result_of_a_thread(lambda: has_call_of_its_own(layer))
        np.testing.assert_array_equal(layer(X), X)
    assert vars(layer)["call"] is own
