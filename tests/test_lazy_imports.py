"""TensorFlow Probability is imported when it is first needed, and found by all that promise it."""

import subprocess
import sys

import pytest

FIRST = """
import sys
import keras_infobottleneck as kib
assert "tensorflow_probability" not in sys.modules
"""

LAYER = (
    FIRST
    + """
import keras, numpy as np
layer = kib.layers.VariationalWeights(keras.layers.Dense(3), posterior={!r})
x = np.ones([2, 4], "float32")
layer(x)
"""
)

TRAINED = (
    LAYER.format("gaussian")
    + """
layer(x, training=True)
float(layer.kl_divergence())
model = kib.InformationBottleneckModel(keras.Sequential([keras.Input([4]), layer]), num_examples=2)
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x, np.zeros(2), verbose=0)
model.predict_samples(x, 2)
assert "tensorflow_probability" not in sys.modules
"""
)

POSTERIOR = (
    LAYER
    + """
import tensorflow_probability as tfp
posterior, prior = layer.posterior(), layer.prior()
assert all(isinstance(q, tfp.distributions.Distribution) for q in posterior.values())
total = sum(
    float(np.sum(tfp.distributions.kl_divergence(q, prior[path]))) for path, q in posterior.items()
)
assert abs(total - float(layer.kl_divergence())) < 1e-3 * abs(total), total
"""
)

CLASSES = (
    FIRST
    + """
assert "TruncatedLogNormal" in dir(kib.distributions)
uniform = kib.distributions.LogUniform(2.0)
import tensorflow_probability as tfp
assert isinstance(uniform, tfp.distributions.Distribution)
kl = float(tfp.distributions.kl_divergence(tfp.distributions.LogNormal(0.0, 1.0), uniform))
assert abs(kl - 0.6931472) < 1e-6
from keras_infobottleneck.distributions import TruncatedLogNormal, TruncatedLogUniform
posterior, prior = TruncatedLogNormal(0.0, 1.0, 0.1, 2.0), TruncatedLogUniform(0.1, 2.0)
assert float(tfp.distributions.kl_divergence(posterior, prior)) > 0
try:
    kib.distributions.Laplace
except AttributeError as error:
    assert "Laplace" in str(error)
else:
    raise AssertionError
"""
)

LIKELIHOOD = (
    FIRST
    + """
import keras, numpy as np
model = keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])
x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
def categorical(outputs):
    import tensorflow_probability as tfp
    return tfp.distributions.Categorical(logits=outputs)
options = {"labels": "expected"}
a = kib.estimators.fisher_information(model, x, likelihood=categorical, **options).trace()
b = kib.estimators.fisher_information(model, x, likelihood="categorical", **options).trace()
assert abs(float(a) - float(b)) < 1e-4 * abs(float(b))
"""
)

PROGRAMS = {
    "training": TRAINED,
    "gaussian": POSTERIOR.format("gaussian"),
    "log_normal": POSTERIOR.format("log_normal"),
    "truncated_log_normal": POSTERIOR.format("truncated_log_normal"),
    "classes": CLASSES,
    "likelihood": LIKELIHOOD,
}


IN_EVERY_RUN = ("training",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in IN_EVERY_RUN else pytest.mark.slow) for n in PROGRAMS],
)
def test_in_a_fresh_process(name):
    done = subprocess.run([sys.executable, "-c", PROGRAMS[name]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
