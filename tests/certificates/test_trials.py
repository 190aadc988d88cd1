"""Every example's output has its law under w ~ q, and groups of examples are independent."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.certificates.trials import IndependentDraws

VariationalWeights = kib.layers.VariationalWeights
NUM = 4000


def V(layer, **options):
    return VariationalWeights(layer, prior_scale=1.0, initial_scale=0.5, **options)


def draws_of(network, group_size=1, x=None):
    found = [layer for layer in network._flatten_layers() if isinstance(layer, VariationalWeights)]
    x = np.ones((2, *network.input_shape[1:]), "float32") if x is None else x
    return IndependentDraws(network, found, x, group_size)


def outputs_of(network, x, seed, **options):
    draw = tf.function(draws_of(network, **options).__call__)
    return draw(tf.constant(x), tf.constant([seed, 0])).numpy()


def dense(**options):
    inputs = keras.Input((3,))
    hidden = V(layers.Dense(4, "tanh"), **options)(inputs)
    return keras.Model(inputs, V(layers.Dense(2), variational_bias=True, **options)(hidden))


def convolution():
    inputs = keras.Input((4, 1))
    x = V(layers.Conv1D(2, 3, activation="tanh"))(inputs)
    return keras.Model(inputs, V(layers.Dense(2))(layers.Flatten()(x)))


def by_drawing_weights(network, x, num_draws):
    """The slow, obvious way: draw, assign, predict."""
    wrappers = [w for w in network._flatten_layers() if isinstance(w, VariationalWeights)]
    laws = [(v, w.posterior()[v.path]) for w in wrappers for v in w.variational_weights]
    laws = [(v, np.array(law.loc), np.array(law.scale)) for v, law in laws]
    random, outputs, predict = np.random.default_rng(0), [], tf.function(network)
    for _ in range(num_draws):
        for variable, loc, scale in laws:
            variable.assign(random.normal(loc, scale))
        outputs.append(predict(x).numpy())
    for variable, loc, _ in laws:
        variable.assign(loc)
    return np.array(outputs)


@pytest.mark.parametrize("build", [dense, lambda: dense(estimator="sample"), convolution])
def test_outputs_have_the_moments_of_drawn_weights(build):
    network = build()
    x = np.random.default_rng(1).normal(size=(1, *network.input_shape[1:])).astype("float32")
    expected = by_drawing_weights(network, x, 1000)[:, 0]
    ours = outputs_of(network, np.repeat(x, NUM, 0), seed=1)
    for power in (1, 2):
        a, b = expected**power, ours**power
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5 * error)
    # Not only the marginals: both outputs hear of the same hidden units.
    assert np.corrcoef(ours.T)[0, 1] == pytest.approx(np.corrcoef(expected.T)[0, 1], abs=0.1)


@pytest.mark.parametrize("build", [dense, convolution])
def test_equal_examples_are_drawn_independently(build):
    network = build()
    outputs = outputs_of(network, np.ones((NUM, *network.input_shape[1:]), "float32"), seed=2)
    correlation = np.corrcoef(outputs[::2, 0], outputs[1::2, 0])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(NUM / 2)


def test_a_group_shares_the_weights_that_must_be_shared():
    inputs = keras.Input((4, 1))
    x = V(layers.Conv1D(2, 3))(inputs)
    network = keras.Model(inputs, layers.Flatten()(x))
    outputs = outputs_of(network, np.ones((300, 4, 1), "float32"), seed=3, group_size=3)
    outputs = outputs.reshape(100, 3, -1)
    np.testing.assert_array_equal(outputs[:, 0], outputs[:, 2])
    assert len(np.unique(outputs[:, 0], axis=0)) == 100


def test_a_layer_used_twice_has_one_draw():
    inputs = keras.Input((1,))
    layer = V(layers.Dense(1, use_bias=False))
    network = keras.Model(inputs, layer(layer(inputs)))
    layer.layer.kernel.assign([[1.0]])
    outputs = outputs_of(network, np.ones((NUM, 1), "float32"), seed=4)
    # E w^2 = 1 + 0.25; two draws would have mean 1.
    assert outputs.mean() == pytest.approx(1.25, abs=5 * outputs.std() / np.sqrt(NUM))
    # A square; of two draws the product would be below zero one time in twenty.
    assert np.all(outputs >= 0.0)


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.inner = layer

    def call(self, x):
        return self.inner(x)


def subclassed():
    network = Subclassed(V(layers.Dense(2)))
    network(np.ones((2, 3), "float32"))
    network.build((None, 3))
    return network


def functional(function, shape=(3,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs))


def folded(x):
    rows = keras.ops.reshape(x, (-1, 3))
    return keras.ops.reshape(V(layers.Dense(2))(rows), (-1, 8))


def used_twice(x):
    layer = V(layers.Dense(3))
    return layer(layer(x))


NOT_LOCAL = {
    "steps": lambda: functional(V(layers.Dense(2)), (4, 3)),
    "time distributed": lambda: functional(layers.TimeDistributed(V(layers.Dense(2))), (4, 3)),
    "steps folded into the batch": lambda: functional(folded, (4, 3)),
    "used twice": lambda: functional(used_twice),
    "nested": lambda: functional(keras.Sequential([keras.Input((3,)), V(layers.Dense(2))])),
    "subclassed": subclassed,
    "flipout": lambda: functional(V(layers.Dense(2), estimator="flipout")),
    "sample": lambda: functional(V(layers.Dense(2), estimator="sample")),
    "convolution": lambda: functional(V(layers.Conv1D(2, 2)), (4, 3)),
}


@pytest.mark.parametrize("case", NOT_LOCAL)
def test_noise_per_example_is_kept_for_where_it_is_exact(case):
    network = NOT_LOCAL[case]()
    shape = (2, 3) if case == "subclassed" else (2, *network.input_shape[1:])
    draws = draws_of(network, x=np.ones(shape, "float32"))
    assert not draws.local
    assert len(draws.shared) == 1


def test_sequential_and_functional_dense_networks_need_no_shared_draw():
    parts = [keras.Input((3,)), V(layers.Dense(4)), layers.BatchNormalization(), V(layers.Dense(2))]
    for network in (keras.Sequential(parts), dense()):
        draws = draws_of(network, group_size=7)
        assert len(draws.local) == 2
        assert not draws.shared
        assert draws.group_size == 1
