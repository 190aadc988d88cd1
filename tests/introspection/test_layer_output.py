"""Activations of models without a graph: recorded while the model runs, nothing stays behind."""

import concurrent.futures
import contextlib
import gc
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import effective_information, fisher_information, hidden_states
from keras_infobottleneck.introspection import layer_output
from keras_infobottleneck.introspection.activations import activations_model
from keras_infobottleneck.introspection.compiled_passes import _KEPT

layers = keras.layers


class Network(keras.Model):
    """Two dense layers, run by one of several forward passes."""

    def __init__(self, forward=lambda self, x: self.last(self.hidden(x)), **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(4, activation="tanh", name="hidden", dtype=self.dtype_policy)
        self.square = layers.Dense(4, name="square", dtype=self.dtype_policy)
        self.last = layers.Dense(2, name="last", dtype=self.dtype_policy)
        self.square.build((None, 4))  # not every forward pass does
        self.forward = forward

    def call(self, inputs):
        return self.forward(self, inputs)


@keras.saving.register_keras_serializable("test_layer_output")
class Plain(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(4, activation="tanh", name="hidden")
        self.dropout = layers.Dropout(0.5)
        self.last = layers.Dense(2, name="last")

    def call(self, inputs, training=None):
        return self.last(self.dropout(self.hidden(inputs), training=training))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(20, 3)).astype("float32")


def graph_of(network):
    """The functional model with the same layers."""
    inputs = keras.Input((3,))
    return keras.Model(inputs, network.last(network.hidden(inputs)))


def in_a_function(self, x):
    @tf.function
    def inner(x):
        return self.last(self.hidden(x))

    return inner(x)


def in_a_function_traced_before(self, x):
    if not hasattr(self, "traced"):
        self.traced = tf.function(lambda x: self.last(self.hidden(x)))
    return self.traced(x)


def beside_a_loop_in_a_function(self, x):
    @tf.function
    def times_eight(x):
        for _ in tf.range(3):
            x = x + x
        return x

    return self.last(self.hidden(times_eight(x) / 8.0))


@pytest.mark.parametrize("layer", ["hidden", "last"])
@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.last(self.hidden(x)),
        in_a_function,
        in_a_function_traced_before,
        beside_a_loop_in_a_function,
    ],
)
def test_states_are_those_of_the_functional_model(x, layer, forward):
    network = Network(forward)
    states = hidden_states(network, x, layer, batch_size=8)
    expected = hidden_states(graph_of(network), x, layer)
    np.testing.assert_array_equal(states, expected)
    assert 0 < states.mean() < 1


def test_inference_mode_and_every_way_to_name_the_layer(x):
    network = Plain()
    network(x)
    expected = np.tanh(x @ network.hidden.kernel.numpy() + network.hidden.bias.numpy()) > 0
    for layer in ("hidden", 0, -3, network.hidden):
        np.testing.assert_array_equal(hidden_states(network, x, layer), expected)
    after = hidden_states(network, x, "dropout")
    np.testing.assert_array_equal(after, expected)  # dropout does nothing in inference


def test_layers_of_nested_models_and_of_layers_are_found(x):
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(5, name="deep")], name="inner")

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = inner
            self.steps = layers.TimeDistributed(layers.Dense(2, name="within"))

        def call(self, inputs):
            return self.steps(self.body(inputs)[:, None])

    functional = keras.Sequential([keras.Input((3,)), inner, layers.Dense(2)])
    expected = inner.predict(x, verbose=0) > 0
    for model in (Outer(), functional):
        np.testing.assert_array_equal(hidden_states(model, x, "deep"), expected)
    np.testing.assert_array_equal(hidden_states(functional, x, inner.layers[0]), expected)


def test_a_forward_pass_of_its_own_goes_before_the_graph(x):
    class Mirrored(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return super().call(-inputs, training=training)

    inputs, hidden = keras.Input((3,)), layers.Dense(4, name="hidden")
    model = Mirrored(inputs, layers.Dense(2)(hidden(inputs)))
    np.testing.assert_array_equal(hidden_states(model, x, "hidden"), hidden(-x).numpy() > 0)


def test_a_layer_of_several_outputs_is_refused(x):
    inputs = keras.Input((3, 1))
    outputs, *_ = layers.LSTM(2, return_state=True, name="states")(inputs)
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match=r"one output.*Received: 3 outputs"):
        hidden_states(model, x[..., None], "states")


def test_several_inputs(x):
    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.add = layers.Add(name="sum")

        def call(self, inputs):
            return self.add([inputs["a"], inputs["b"]]) * 2

    data = tf.data.Dataset.from_tensor_slices({"a": x, "b": -2 * x}).batch(6)
    np.testing.assert_array_equal(hidden_states(Sum(), data, "sum"), x < 0)


def test_threads_that_record_and_run_one_model_do_not_disturb_each_other(x):
    hidden_is_running = threading.Barrier(2, timeout=0.5)

    def forward(self, x):
        hidden = self.hidden(x)
        with contextlib.suppress(threading.BrokenBarrierError):
            hidden_is_running.wait()  # for the other thread, where it may come
        return self.last(hidden)

    network = Network(forward)
    expected = graph_of(network).layers[1](x)
    activations = activations_model(network, "hidden")
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(activations, x) for _ in range(2)]
        runs += [threads.submit(network, x) for _ in range(2)]
        found = [run.result() for run in runs]
    for one in found[:2]:
        np.testing.assert_array_equal(one, expected)
    assert "call" not in vars(network.hidden)


def test_threads_that_run_functions_as_python_leave_them_compiled(x, monkeypatch):
    as_python, both_begin = layer_output._functions_run_as_python, threading.Barrier(2, timeout=0.5)

    @contextlib.contextmanager
    def beginning_together():
        with contextlib.suppress(threading.BrokenBarrierError):
            both_begin.wait()  # for the other thread, where it may come
        with as_python():
            yield

    monkeypatch.setattr(layer_output, "_functions_run_as_python", beginning_together)
    network = Network(in_a_function)
    network(x)
    activations = activations_model(network, "hidden")
    with concurrent.futures.ThreadPoolExecutor() as threads:
        first, second = [threads.submit(activations, x) for _ in range(2)]
        np.testing.assert_array_equal(first.result(), second.result())
    assert not tf.config.functions_run_eagerly()


def test_mixed_precision_records_what_the_layer_puts_out(x):
    network = Network(dtype="mixed_float16")
    found = activations_model(network, "hidden")(x)
    assert found.dtype == "float16"
    np.testing.assert_array_equal(found, network.hidden(x))


def test_the_model_is_left_as_it_was(x, tmp_path):
    network = Plain()
    network.compile("adam", "mse")
    network.fit(x, np.zeros([20, 2]), epochs=1, verbose=0)
    before, attributes = network(x).numpy(), set(vars(network.hidden))
    hidden_states(network, x, "hidden")
    assert set(vars(network.hidden)) == attributes
    np.testing.assert_array_equal(network(x), before)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(again(x), before, rtol=1e-6)
    network.fit(x, np.zeros([20, 2]), epochs=1, verbose=0)


@pytest.mark.parametrize("in_function", [False, True])
def test_a_failure_leaves_nothing_behind(x, in_function):
    def failing(self, x):
        hidden = self.hidden(x)
        if self.fails:
            raise RuntimeError("as planned")
        return hidden

    network = Network(
        lambda self, x: tf.function(failing)(self, x) if in_function else failing(self, x)
    )
    network.fails = True
    with pytest.raises(RuntimeError, match="as planned"):
        hidden_states(network, x, "hidden")
    assert "call" not in vars(network.hidden)
    assert not tf.config.functions_run_eagerly()
    network.fails = False
    assert hidden_states(network, x, "hidden").shape == (20, 4)
    assert not tf.config.functions_run_eagerly()


def in_a_loop(self, x):
    return tf.while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, self.square(x)), (0, self.hidden(x))
    )[1]


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda self, x: self.square(self.square(self.hidden(x))), "once.*2 calls"),
        (lambda self, x: self.hidden(x), "once.*0 calls"),
        (in_a_loop, "outside loops.*layer=square"),
    ],
)
def test_a_layer_not_called_once_is_refused(x, forward, message):
    network = Network(forward)
    with pytest.raises(ValueError, match=f"^The layer must be called {message}"):
        hidden_states(network, x, "square")
    assert "call" not in vars(network.square)


def test_a_shared_layer_of_a_functional_model_is_refused(x):
    inputs, shared = keras.Input((3,)), layers.Dense(3, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    with pytest.raises(ValueError, match=r"once.*Received: layer=shared, 2 calls") as caught:
        hidden_states(model, x, "shared")
    assert len(str(caught.value).splitlines()) == 1  # without Keras' words about the call


def test_a_name_of_several_layers_is_refused(x):
    twins = [keras.Sequential([keras.Input((3,)), layers.Dense(3, name="twin")]) for _ in range(2)]
    model = keras.Sequential([keras.Input((3,)), *twins])
    with pytest.raises(ValueError, match=r"give the layer itself.*Received: layer='twin'"):
        hidden_states(model, x, "twin")
    assert hidden_states(model, x, twins[1].layers[0]).shape == (20, 3)


def test_a_second_call_does_not_trace_again_and_the_model_can_be_forgotten(x):
    traces = []

    def counted(self, x):
        traces.append(1)
        return self.last(self.hidden(x))

    network = Network(counted)
    hidden_states(network, x, "hidden", batch_size=10)
    first = len(traces)
    hidden_states(network, x, "hidden", batch_size=10)
    assert len(traces) == first > 0
    held = len(_KEPT)
    del network
    gc.collect()
    assert len(_KEPT) < held


def test_effective_information_is_that_of_the_functional_model(x):
    network, same = Plain(), graph_of(Network())
    fisher = fisher_information(same, x, likelihood="normal")
    with pytest.raises(ValueError, match=r"must have been called.*Received: model="):
        effective_information(network, x, layer="hidden", fisher=fisher, beta=0.1)
    network(x)
    found = []
    for model in (network, graph_of(network)):
        fisher = fisher_information(model, x, likelihood="normal", labels="expected")
        options = {"layer": "hidden", "fisher": fisher, "beta": 0.1, "prior_scale": 1.0}
        found.append(effective_information(model, x, **options).per_example)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
