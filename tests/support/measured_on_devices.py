"""Measurements and layers on one device and on another, from the same weights.

`python -m tests.support.measured_on_devices DEVICE NAME...` prints, as JSON, how far the numbers of
each name on the device are from those on the first processor, relative to the largest of them. With
"CPU:1" as the device the processor is two, so that the comparison itself can be tried without
another device.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.measured_on_replicas import CASES, MODELS, X

# What trains or resumes in several steps, whose rounding grows; and what the host alone does.
OF_TRAINING = {"nuisance", "machine, one epoch", "machine, chains", "belief network", "audit"}
ON_THE_HOST = {"complexity", "compression", "restored", "correlation"}


def step_of(make):
    """The outputs of a layer that draws, and the gradients of what it charges and gives."""

    def measure(_):
        keras.utils.set_random_seed(0)
        layer = make()
        x = tf.constant(X)

        @tf.function(autograph=False, jit_compile=False)
        def step():
            with tf.GradientTape() as tape:
                outputs = layer(x, training=True)
                charged = tf.add_n([tf.zeros(()), *layer.losses])
                if hasattr(layer, "kl_divergence"):
                    charged += layer.kl_divergence()
                loss = tf.reduce_sum(outputs**2) + charged
            return outputs, tape.gradient(loss, [v.value for v in layer.trainable_variables])

        layer(x)
        return np.concatenate([np.ravel(a) for a in tf.nest.flatten(step())])

    return measure


def weights_drawn(estimator, **options):
    """A dense layer with a posterior."""
    return step_of(
        lambda: kib.layers.VariationalWeights(
            layers.Dense(5, "tanh"), estimator=estimator, seed=1, **options
        )
    )


def convolution_drawn(estimator):
    """A convolution with a posterior."""

    def make():
        noisy = kib.layers.VariationalWeights(layers.Conv1D(4, 3), estimator=estimator, seed=1)
        return keras.Sequential([keras.Input((6,)), layers.Reshape((6, 1)), noisy])

    return step_of(make)


LAYERS = {
    **{f"layer {e}": weights_drawn(e) for e in ("local", "sample", "flipout")},
    **{f"convolution {e}": convolution_drawn(e) for e in ("local", "sample", "flipout")},
    "layer log-normal": weights_drawn("sample", posterior="log_normal"),
    "layer dropout": step_of(
        lambda: kib.layers.InformationDropout(layers.Dense(5, "relu"), beta=0.1, seed=1)
    ),
    "layer bottleneck": step_of(lambda: kib.layers.GaussianBottleneck(4, beta=0.1, seed=1)),
}
MEASURED = {
    name: measure for name, measure in CASES.items() if name not in OF_TRAINING | ON_THE_HOST
}
ALL = {**MEASURED, **LAYERS}


def numbers_on(device, name):
    """The numbers of a name, its models made and measured on a device."""

    class Models(dict):
        def __missing__(self, of):
            self[of] = MODELS[of]()
            return self[of]

    keras.backend.clear_session()
    with tf.device(device):
        return np.asarray(list(ALL[name](Models())), "float64")


def difference(device, name):
    """Of the numbers on a device from those on the processor, over the largest of the latter."""
    exact, found = numbers_on("CPU:0", name), numbers_on(device, name)
    assert exact.shape == found.shape
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def main(device, names):
    """Prints the differences."""
    if device == "CPU:1":
        cpu = tf.config.list_physical_devices("CPU")[0]
        both = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, both)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    print(json.dumps({name: difference(device, name) for name in names or ALL}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
