"""What is written to disk is the model: in this process, in a fresh one, and without this package.

One model with everything that has state goes through all formats; two fresh processes load it.
"""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
VariationalWeights = kib.layers.VariationalWeights
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 6, 3)).astype("float32")
Y = RANDOM.integers(0, 2, 16)

WITH_PACKAGE = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
import keras_infobottleneck
folder = sys.argv[1]
x = np.load(f"{folder}/x.npy")
model = keras.models.load_model(f"{folder}/model.keras")
keras.utils.set_random_seed(123)
rebuilt = keras.models.model_from_json(open(f"{folder}/model.json").read())
rebuilt.load_weights(f"{folder}/model.weights.h5")
np.save(f"{folder}/keras.npy", model.predict(x, verbose=0))
np.save(f"{folder}/weights.npy", rebuilt.predict(x, verbose=0))
logs = model.evaluate(x, np.load(f"{folder}/y.npy"), batch_size=16, verbose=0, return_dict=True)
print(json.dumps({
    "logs": logs,
    "information": [float(model.weight_information()), float(rebuilt.weight_information())],
    "fingerprints": model.anchoring_fingerprints.tolist(),
    "samples": model.predict_samples(x, 2, seed=4).tolist(),
    "weight_beta": float(model.weight_beta),
}))
"""

WITHOUT_PACKAGE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras_infobottleneck", "tensorflow_probability"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
folder = sys.argv[1]
import numpy as np
import tensorflow as tf
x = np.load(f"{folder}/x.npy")
exported = tf.saved_model.load(f"{folder}/exported")
np.save(f"{folder}/exported.npy", exported.serve(x))
held = tf.saved_model.load(f"{folder}/held")
np.save(f"{folder}/held.npy", held.serve(x[:, 0]))
import keras
plain = keras.models.load_model(f"{folder}/plain.keras")
np.save(f"{folder}/plain.npy", plain.predict(x, verbose=0))
assert not [name for name in sys.modules if name.startswith("keras_infobottleneck")]
"""


@keras.saving.register_keras_serializable(package="tests")
class Network(keras.Model):
    """A subclassed network that makes its variational layers itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [VariationalWeights(layers.Dense(4, "relu")) for _ in range(2)]
        self.head = layers.Dense(2)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)


def make_model():
    """Convolution, recurrence, attention, batch norm, nesting, a shared layer, all estimators."""
    inputs = keras.Input((6, 3))
    z = VariationalWeights(layers.Conv1D(4, 3, padding="same"), estimator="flipout")(inputs)
    z = layers.Dropout(0.2)(layers.BatchNormalization()(z))
    z = VariationalWeights(layers.MultiHeadAttention(2, 2), estimator="sample")(z, value=z)
    shared = VariationalWeights(layers.Dense(4, "tanh"), prior_scale=0.5)
    z = shared(shared(z))
    z = VariationalWeights(layers.GRU(4), estimator="sample", variational_bias=True)(z)
    block = keras.Sequential([keras.Input((4,)), VariationalWeights(layers.Dense(3, "relu"))])
    outputs = VariationalWeights(layers.Dense(2))(block(z))
    return kib.InformationBottleneckModel(inputs, outputs, num_examples=16, weight_beta=0.5)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = make_model()
    model.compile(keras.optimizers.SGD(0.1), LOSS, metrics=["accuracy"])
    model.anchor_prior((X, Y))
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    model.weight_beta = 2.5
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Everything that is saved, and what two fresh processes made of it."""
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    (folder / "model.json").write_text(model.to_json())
    model.export(folder / "exported", verbose=False)
    kib.make_deterministic(model).save(folder / "plain.keras")
    held = kib.InformationBottleneckModel(Network(), num_examples=16)
    np.save(folder / "held_expected.npy", held.predict(X[:, 0], verbose=0))
    held.export(folder / "held", verbose=False)
    (folder / "report.json").write_text(run_fresh(WITH_PACKAGE, folder, PYTHONPATH=str(ROOT)))
    run_fresh(WITHOUT_PACKAGE, folder)
    return folder


def run_fresh(script, folder, **environment):
    """The output of a script run by a fresh interpreter, in the folder of the files."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean | environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1] if done.stdout else ""


@pytest.mark.parametrize("form", ["keras", "weights", "exported", "plain"])
def test_a_fresh_process_predicts_the_same(model, folder, form):
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(np.load(folder / f"{form}.npy"), expected, atol=1e-6)


def test_an_exported_subclassed_network_needs_only_tensorflow(folder):
    expected = np.load(folder / "held_expected.npy")
    np.testing.assert_allclose(np.load(folder / "held.npy"), expected, atol=1e-6)


def test_a_fresh_process_knows_objective_prior_and_noise(model, folder):
    report = json.loads((folder / "report.json").read_text())
    logs = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert report["logs"] == pytest.approx(logs, rel=1e-5)
    nats = float(model.weight_information())
    assert nats > 0.0
    assert report["information"] == pytest.approx([nats, nats], rel=1e-6)
    assert report["weight_beta"] == 2.5
    assert report["fingerprints"] == model.anchoring_fingerprints.tolist()
    samples = model.predict_samples(X, 2, seed=4)
    np.testing.assert_allclose(report["samples"], samples, atol=1e-5)


def test_a_subclassed_network_reloads_and_goes_on(tmp_path):
    keras.utils.set_random_seed(0)
    model = kib.InformationBottleneckModel(Network(), num_examples=16)
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    x = X[:, 0]
    model.fit(x, Y, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    loaded.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    one, other = (m.train_on_batch(x, Y, return_dict=True) for m in (model, loaded))
    assert one == pytest.approx(other, rel=1e-6)  # the noise too went on from where it was
