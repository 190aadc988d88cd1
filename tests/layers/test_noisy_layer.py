"""When noisy layers draw: scopes belong to the thread that opened them, and reach its replicas."""

import asyncio
import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.layers.noisy_layer import resting
from tests.support.held_threads import elsewhere, result_of_a_thread

X = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
Y = np.arange(16) % 3


def network(seed=0):
    """A small network with noise on weights and activations."""
    keras.utils.set_random_seed(seed)
    model = kib.InformationBottleneckModel(
        keras.Sequential(
            [
                keras.Input([5]),
                kib.layers.InformationDropout(
                    kib.layers.VariationalWeights(
                        keras.layers.Dense(8, "relu"), initial_scale=0.5, seed=seed
                    ),
                    0.1,
                    seed=seed,
                    name="hidden",
                ),
                kib.layers.VariationalWeights(
                    keras.layers.Dense(3), initial_scale=0.5, seed=seed + 1
                ),
            ]
        ),
        num_examples=16,
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def means(model):
    """The output of the plain layers, by hand."""
    first, second = model.network.layers
    dense = first.layer.layer
    hidden = np.maximum(X @ dense.kernel.numpy() + dense.bias.numpy(), 0.0)
    return hidden @ second.layer.kernel.numpy() + second.layer.bias.numpy()


def trained(model):
    """The weights after two epochs."""
    model.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()


@contextlib.contextmanager
def tracing_samples(model):
    """Inside, `predict_samples` of the model is being traced."""
    with kib.layers.drawing([1, 2]):
        drawn = tf.function(lambda: model(X))
        drawn.get_concrete_function()
        yield


SCOPES = {
    "drawing": lambda model: kib.layers.drawing([1, 2]),
    "tracing": tracing_samples,
    "resting": lambda model: resting(),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "same",
    [
        pytest.param(True, id="same_model"),
        pytest.param(False, id="another_model", marks=pytest.mark.slow),
    ],
)
class TestAnotherThread:
    def held(self, scope, same, model):
        return elsewhere(SCOPES[scope](model if same else network(1)))

    def test_a_plain_call_and_a_first_predict_use_the_means(self, scope, same):
        model = network()
        with self.held(scope, same, model):
            beside = model(X), model.predict(X, verbose=0)
        for outputs in (*beside, model.predict(X, verbose=0)):
            np.testing.assert_allclose(outputs, means(model), rtol=1e-5, atol=1e-6)

    def test_a_first_fit_trains_with_the_noise_it_has_alone(self, scope, same):
        alone, model = trained(network()), network()
        with self.held(scope, same, model):
            beside = trained(model)
        for a, b in zip(alone, beside, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_first_evaluation_charges_as_alone(self, scope, same):
        model = network()
        alone = network().evaluate(X, Y, verbose=0, return_dict=True)
        with self.held(scope, same, model):
            beside = model.evaluate(X, Y, verbose=0, return_dict=True)
        assert beside == pytest.approx(alone, rel=1e-6)

    def test_samples_are_those_of_their_seed(self, scope, same):
        model = network()
        alone = network().predict_samples(X, 3, seed=5)
        with self.held(scope, same, model):
            beside = model.predict_samples(X, 3, seed=5)
        np.testing.assert_array_equal(alone, beside)


def test_a_thread_started_inside_draws_nothing():
    model = network()
    with kib.layers.drawing([1, 2]):
        noisy = model(X)
        plain = result_of_a_thread(lambda: model(X))
    np.testing.assert_allclose(plain, means(model), rtol=1e-5, atol=1e-6)
    assert np.abs(noisy - plain).max() > 0.1


def test_an_asynchronous_task_draws_for_itself():
    model = network()

    async def draws(opened, closed):
        with kib.layers.drawing([1, 2]):
            opened.set()
            await closed.wait()
            return model(X).numpy()

    async def plain(opened, closed):
        await opened.wait()
        outputs = model(X).numpy()
        closed.set()
        return outputs

    async def both():
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(draws(*events), plain(*events))

    noisy, still = asyncio.run(both())
    np.testing.assert_allclose(still, means(model), rtol=1e-5, atol=1e-6)
    assert np.abs(noisy - still).max() > 0.1


def test_samples_of_two_threads_are_each_those_of_its_seed():
    model = network()
    alone = [model.predict_samples(X, 2, seed=seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            together = pool.map(lambda seed: model.predict_samples(X, 2, seed=seed), range(2))
            for a, b in zip(alone, together, strict=True):
                np.testing.assert_array_equal(a, b)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras_infobottleneck as kib
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = keras.Sequential([
        keras.Input([3]),
        kib.layers.VariationalWeights(keras.layers.Dense(4), initial_scale=1.0),
    ])
x = tf.ones([5, 3])
mean = model(x).numpy()

def moved(function, *arguments):
    values = strategy.experimental_local_results(strategy.run(function, arguments))
    assert len(values) == 2
    return [float(np.abs(v.numpy() - mean).max()) for v in values]

def plain():
    return model(x)

def draws_itself():
    with kib.layers.drawing([3, 4]):
        return model(x)

def draws_and_pauses():
    with kib.layers.drawing([3, 4]):
        tf.distribute.get_replica_context().all_reduce("sum", tf.ones([]))
        first = model(x)
    tf.distribute.get_replica_context().all_reduce("sum", tf.ones([]))
    return model(x)

for wrap in (lambda f: f, lambda f: tf.function(f, autograph=False)):
    assert max(moved(wrap(plain))) == 0.0
    with kib.layers.drawing([1, 2]):
        assert min(moved(wrap(plain))) > 0.1
        with strategy.scope():
            assert min(moved(wrap(plain))) > 0.1
        with kib.layers.drawing([1, 2], weights=False):
            assert max(moved(wrap(plain))) == 0.0
        assert min(moved(wrap(plain))) > 0.1
    assert max(moved(wrap(plain))) == 0.0
    assert min(moved(wrap(draws_itself))) > 0.1
    assert max(moved(wrap(plain))) == 0.0
    assert max(moved(wrap(draws_and_pauses))) == 0.0
print("replicas drew")
"""


@pytest.mark.slow
def test_drawing_reaches_the_replicas_of_a_strategy_and_those_alone():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], env=environment, capture_output=True, text=True
    )
    assert "replicas drew" in done.stdout, done.stderr[-3000:]
