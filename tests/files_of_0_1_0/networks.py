"""The networks whose files were written by version 0.1.0, and the data that they saw."""

import keras
import numpy as np
from keras import layers

import keras_infobottleneck as kib

InformationDropout = kib.layers.InformationDropout
VariationalWeights = kib.layers.VariationalWeights
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
X_PRIOR = RANDOM.normal(size=(12, 5)).astype("float32")
Y_PRIOR = (X_PRIOR[:, 0] > 0).astype("int32")
IMAGES = RANDOM.normal(size=(8, 6, 6, 2)).astype("float32")
STATES = (RANDOM.uniform(size=(24, 6)) < 0.4).astype("float32")


@keras.saving.register_keras_serializable(package="tests.files_of_0_1_0")
class Network(keras.Model):
    """A subclassed network that makes its variational layers itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = VariationalWeights(layers.Dense(4, "relu"))
        self.head = layers.Dense(2)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def every_estimator(posterior):
    """Dense, convolution and LSTM with one posterior and each of the estimators it has."""
    flips = "flipout" if posterior == "gaussian" else "local"  # the signs of symmetric noise

    def wrapped(layer, estimator):
        return VariationalWeights(layer, posterior=posterior, estimator=estimator)

    inputs = keras.Input((6, 6, 2))
    z = wrapped(layers.Conv2D(2, 3, activation="relu", name="conv_1"), "local")(inputs)
    z = wrapped(layers.Conv2D(2, 2, activation="relu", name="conv_2"), flips)(z)
    z = wrapped(layers.Conv2D(2, 2, activation="relu", name="conv_3"), "sample")(z)
    z = wrapped(layers.LSTM(3, name="lstm"), "sample")(layers.Reshape((2, 4))(z))
    for number, estimator in enumerate(("local", flips, "sample"), 1):
        z = wrapped(layers.Dense(2, name=f"dense_{number}"), estimator)(z)
    return kib.InformationBottleneckModel(inputs, z, num_examples=8, weight_beta=0.5)


def information_dropout():
    """Both priors, a layer of alpha that is given, and noise on weights and activations."""
    inputs = keras.Input((5,))
    z = InformationDropout(layers.Dense(4, "relu", name="relu"), 0.5, name="log_uniform")(inputs)
    z = InformationDropout(
        layers.Dense(4, "softplus", name="softplus"),
        0.1,
        prior="log_normal",
        alpha_layer=layers.Dense(4, name="alpha"),
        name="log_normal",
    )(z)
    weights = VariationalWeights(layers.Dense(3, "relu", name="both"), name="weights")
    z = InformationDropout(weights, 0.2, max_alpha=0.5, name="of_both")(z)
    outputs = layers.Dense(2, name="logits")(z)
    return kib.InformationBottleneckModel(inputs, outputs, num_examples=24)


def functional(**options):
    inputs = keras.Input((5,))
    hidden = VariationalWeights(layers.Dense(4, "tanh", name="hidden"), prior_scale=0.5, name="q")
    z = layers.BatchNormalization(name="normalised")(hidden(inputs))
    outputs = layers.Dense(2, name="logits", dtype="float32")(z)
    options = {"num_examples": 24, "weight_beta": 0.25, **options}
    return kib.InformationBottleneckModel(inputs, outputs, name="functional", **options)


def around_a_sequential_network():
    last = VariationalWeights(layers.Dense(2, name="logits"), variational_bias=True, name="q")
    network = keras.Sequential([keras.Input((5,)), layers.Dense(3, "relu", name="hidden"), last])
    return kib.InformationBottleneckModel(network, num_examples=24)


def around_a_subclassed_network():
    network = Network(name="own")
    network(X[:1])
    return kib.InformationBottleneckModel(network, num_examples=24)


def anchored():
    """A prior learned on other examples, and a posterior that moved on."""
    return kib.make_variational(
        plain(), num_examples=24, variational_bias=True, initial_scale=0.1, verbose=0
    )


def bounded():
    """One of the PAC-Bayes objectives, with its loss between 0 and 1."""
    return functional(objective="pac_bayes_quadratic", delta=0.05)


def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return functional()
    finally:
        keras.config.set_dtype_policy(before)


def plain():
    """A network without a distribution."""
    hidden = layers.Dense(4, "tanh", name="hidden")
    return keras.Sequential([keras.Input((5,)), hidden, layers.Dense(2, name="logits")])


def boltzmann_machine():
    return kib.models.RestrictedBoltzmannMachine(4, persistent=True, num_chains=8, seed=3)


def deep_belief_network():
    return kib.models.DeepBeliefNetwork([4, 3], seed=3)


# What is built and the data it sees.
MODELS = {
    "gaussian": (lambda: every_estimator("gaussian"), IMAGES, Y[:8]),
    "log_normal": (lambda: every_estimator("log_normal"), IMAGES, Y[:8]),
    "truncated_log_normal": (lambda: every_estimator("truncated_log_normal"), IMAGES, Y[:8]),
    "information_dropout": (information_dropout, X, Y),
    "functional": (functional, X, Y),
    "sequential": (around_a_sequential_network, X, Y),
    "subclassed": (around_a_subclassed_network, X, Y),
    "anchored": (anchored, X, Y),
    "bounded": (bounded, X, Y),
    "mixed_precision": (mixed_precision, X, Y),
    "boltzmann_machine": (boltzmann_machine, STATES, None),
    "deep_belief_network": (deep_belief_network, STATES, None),
}
