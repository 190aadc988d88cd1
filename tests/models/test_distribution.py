"""Two replicas are one: in a process of its own, since two strategies in one process die."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]

SCRIPT = """
import json, os, warnings
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
from keras import layers
import keras_infobottleneck as kib

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
random = np.random.default_rng(0)
x = random.normal(size=(32, 4)).astype("float32")
y = random.integers(0, 2, 32)
V = kib.layers.VariationalWeights
NOISELESS = {"initial_scale": 1e-10}

def make_model():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    shared = V(layers.Dense(4, "relu", kernel_regularizer="l2"), prior_scale=1.0, **NOISELESS)
    z = shared(shared(inputs))
    z = layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.1))(z)
    model = kib.InformationBottleneckModel(
        inputs, V(layers.Dense(2), **NOISELESS)(z), num_examples=32, weight_beta=2.0
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss, metrics=["accuracy"])
    return model

def run(model):
    before = model.get_weights()
    history = model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0).history
    after = model.get_weights()
    logs = model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    steps = [(a - b).ravel().tolist() for a, b in zip(after, before)]
    return {"history": history, "logs": logs, "steps": sum(steps, [])}

warnings.simplefilter("error", UserWarning)  # among them a wrong count of examples
results = {"one": run(make_model())}
with strategy.scope():
    model = make_model()
results["two"] = run(model)
try:
    model.fit(x[:24], y[:24], batch_size=16, verbose=0)
except UserWarning as warning:
    results["warning"] = str(warning)

def make_bounded():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    outputs = V(layers.Dense(2), prior_scale=1.0, **NOISELESS)(inputs)
    model = kib.InformationBottleneckModel(
        inputs, outputs, num_examples=1000, weight_beta=0.1, objective="pac_bayes_kl"
    )
    model.compile(keras.optimizers.SGD(1.0), kib.models.BoundedCrossentropy(from_logits=True))
    return model

def step(model, x, y):
    before = model.get_weights()
    logs = model.train_on_batch(x, y, return_dict=True)
    change = [(a - b).ravel().tolist() for a, b in zip(model.get_weights(), before)]
    return {"logs": {key: float(value) for key, value in logs.items()}, "step": sum(change, [])}

results["bounded one"] = step(make_bounded(), x[:16], y[:16])
with strategy.scope():
    model = make_bounded()
# Each replica bounds the risk of its own share: here both have the same.
results["bounded two"] = step(model, np.tile(x[:16], (2, 1)), np.tile(y[:16], 2))

with strategy.scope():
    noisy = {
        "local": V(layers.Dense(3), initial_scale=1.0),
        "flipout": V(layers.Dense(3), estimator="flipout", initial_scale=1.0),
        "sample": V(layers.Dense(3), estimator="sample", initial_scale=1.0),
    }
    for layer in noisy.values():
        layer.build((None, 4))

for name, layer in noisy.items():
    step = tf.function(lambda: strategy.run(lambda: layer(tf.ones([5, 4]), training=True)))
    first, second = (strategy.experimental_local_results(step()) for _ in range(2))
    results[name] = [
        float(np.abs(first[0] - first[1]).max()),
        float(np.abs(first[0] - second[0]).max()),
        float(np.abs(first[0] - second[1]).max()),
    ]
with strategy.scope():
    dropout = kib.layers.InformationDropout(layers.Dense(3, "relu"), beta=0.5, name="noisy")
    network = keras.Sequential([keras.Input((4,)), dropout, V(layers.Dense(2))])
    model = kib.InformationBottleneckModel(network, num_examples=32, weight_beta=2.0)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
report = kib.audit(model, (x, y), include=["weights", "activations"])
results["audited"] = [report.weights.beta, report.layers["noisy"].activations.beta]
def with_code():
    keras.utils.set_random_seed(3)
    code = kib.layers.GaussianBottleneck(
        3, 0.5, prior="conditional", num_classes=2, seed=1, name="code"
    )
    network = keras.Sequential([keras.Input((4,)), code, V(layers.Dense(2), **NOISELESS)])
    coded = kib.InformationBottleneckModel(network, num_examples=32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    coded.compile(keras.optimizers.SGD(0.0), loss)
    return coded

results["code one"] = run(with_code())["logs"]
with strategy.scope():
    coded = with_code()
results["code two"] = run(coded)["logs"]

model.save("model.keras")
loaded = keras.models.load_model("model.keras", compile=False)
results["saved"] = float(loaded.weight_beta)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("distribution"),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_take_the_steps_of_one(results):
    one, two = results["one"]["steps"], results["two"]["steps"]
    assert max(abs(step) for step in one) > 0.1
    assert two == pytest.approx(one, rel=1e-4, abs=1e-6)


def test_two_replicas_log_what_one_logs(results):
    for logs in ("history", "logs"):
        one, two = results["one"][logs], results["two"][logs]
        assert two.keys() == one.keys() >= {"loss", "task_loss", "weight_information"}
        for key, value in one.items():
            assert two[key] == pytest.approx(value, rel=1e-4)


def test_two_replicas_count_every_example_once(results):
    assert "num_examples=32, but an epoch held 24 examples" in results["warning"]


def test_two_replicas_share_a_bound_as_they_share_a_sum(results):
    one, two = results["bounded one"], results["bounded two"]
    assert two["logs"] == pytest.approx(one["logs"], rel=1e-5)
    assert one["logs"]["loss"] > one["logs"]["task_loss"]
    assert max(abs(change) for change in one["step"]) > 1e-3
    assert two["step"] == pytest.approx(one["step"], rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("estimator", ["local", "flipout", "sample"])
def test_replicas_and_steps_draw_different_noise(results, estimator):
    assert min(results[estimator]) > 0.01


def test_a_model_on_two_replicas_is_audited_and_saved_with_its_prices(results):
    assert results["audited"] == [2.0 / 32, 0.5]
    assert results["saved"] == 2.0


def test_two_replicas_price_a_code_by_the_labels_that_each_has(results):
    assert results["code two"] == pytest.approx(results["code one"], rel=1e-4)
    assert results["code one"]["code_information"] > 1.0
