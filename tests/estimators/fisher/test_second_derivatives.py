"""Hessian products of every layer and activation of Keras, against differences of its gradient.

Layers stand side by side in one network, each behind weights of its own and in front of others, so
that each bends the loss in its own weights.
"""

import inspect
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import hessian
from keras_infobottleneck.estimators.fisher.second_derivatives import exact_moments
from tests.support.layers_of_keras import (
    CASES,
    CUBE,
    ELSEWHERE,
    IN_FLOAT32,
    LINE,
    PAIRS,
    TAKES_A_LIST,
)

layers = keras.layers


def behind_weights(name, branch):
    """A branch from an input: weights, the layer, weights; and the input."""
    shape, make = CASES[name] if name in CASES else (LINE, PAIRS[name])
    inputs = keras.Input(shape)
    x = layers.Dense(4, name=f"{branch}_before")(inputs)
    if name in PAIRS:
        other = layers.Dense(4, name=f"{branch}_beside")(inputs)
        x = make()([x, other]) if name in TAKES_A_LIST else make()(x, other)
    else:
        x = make()(x)
    return inputs, layers.Dense(3, name=f"{branch}_behind")(layers.Flatten()(x))


def float64(build):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(0)
        return build()
    finally:
        keras.config.set_dtype_policy(policy)


def side_by_side(names):
    def build():
        inputs, logits = zip(
            *[behind_weights(n, f"b{i}") for i, n in enumerate(names)], strict=True
        )
        total = layers.Add()(list(logits)) if len(names) > 1 else logits[0]
        return keras.Model(list(inputs), total)

    model = float64(build)
    rng = np.random.default_rng(1)
    return model, [rng.normal(size=(3, *i.shape[1:])) for i in model.inputs]


def differences(model, x, y, vector, step=1e-5):
    """The same product by central differences of Keras' own gradient."""
    variables = model.trainable_variables
    start = [v.numpy() for v in variables]

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            logits = model(x, training=False)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        found = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
        return [tf.convert_to_tensor(g) for g in found]

    sides = []
    for sign in (1, -1):
        for variable, value, direction in zip(variables, start, vector, strict=True):
            variable.assign(value + sign * step * direction)
        sides.append([g.numpy() for g in gradient()])
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    return [(a - b) / (2 * step) for a, b in zip(*sides, strict=True)]


def assert_products_are_differences(model, x, step=1e-5, tolerance=1e-7):
    """Weights of a branch are wrong where the branch's layer is."""
    y = np.array([0, 2, 1])
    rng = np.random.default_rng(2)
    vector = [rng.normal(size=v.shape) for v in model.trainable_variables]
    product = hessian(model, (x, y), likelihood="categorical").matvec(vector)
    exact = differences(model, x, y, vector, step)
    scale = max(np.abs(e).max() for e in exact)
    wrong = [
        v.path
        for v, p, e in zip(model.trainable_variables, product, exact, strict=True)
        if np.abs(p - e).max() > tolerance * scale
    ]
    assert not wrong


def groups(names, size):
    names = sorted(names)
    return [names[start : start + size] for start in range(0, len(names), size)]


# Layers whose second derivatives were wrong; the others are slow.
IN_EVERY_RUN = {"GroupNormalization", "LayerNormalization"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(names, id=names[0], marks=() if IN_EVERY_RUN & {*names} else pytest.mark.slow)
        for names in groups({*CASES, *PAIRS}, 8)
    ],
)
def test_products_through_every_layer(names):
    """The names are those of the branches in order, `b0` the first."""
    assert_products_are_differences(*side_by_side(names))


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_products_through_layers_of_float32(name):
    """Rounding leaves two digits; a derivative that is missing leaves none."""
    keras.utils.set_random_seed(0)
    parts = [layers.Dense(4), IN_FLOAT32[name](), layers.Activation("tanh"), layers.Flatten()]
    model = keras.Sequential([keras.Input(CUBE), *parts, layers.Dense(3)])
    x = np.random.default_rng(1).normal(size=(3, *CUBE)).astype(np.float32)
    assert_products_are_differences(model, x, step=5e-4, tolerance=1e-2)


def test_no_layer_of_keras_is_forgotten():
    names = {
        value.__name__
        for value in vars(keras.layers).values()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    missing = {n for n in names if not n.startswith("Random")} - {
        *CASES,
        *PAIRS,
        *IN_FLOAT32,
        *ELSEWHERE,
    }
    assert not missing


@pytest.mark.slow
def test_products_through_every_activation():
    names = sorted(set(dir(keras.activations)) - {"deserialize", "get", "serialize"})
    names = [name for name in names if not name.startswith("_")]

    def before(inputs, name):
        return layers.Dense(4, name=f"{name}_before")(inputs)

    def build():
        inputs = keras.Input((4,))
        parts = [
            layers.Dense(3)(layers.Lambda(getattr(keras.activations, name))(before(inputs, name)))
            for name in names
            if name != "threshold"  # takes two numbers more
        ]
        return keras.Model(inputs, layers.Add()(parts))

    assert len(names) > 30
    x = 2 * np.random.default_rng(1).normal(size=(3, 4))
    assert_products_are_differences(float64(build), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Resizing(3, 3),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    ],
)
def test_what_has_no_second_derivative_is_refused(make):
    def build():
        parts = [layers.Conv2D(2, 2), make(), layers.Flatten(), layers.Dense(3)]
        return keras.Sequential([keras.Input((4, 4, 1)), *parts])

    x = np.ones([3, 4, 4, 1])
    result = hessian(float64(build), (x, [0, 1, 2]), likelihood="categorical")
    with pytest.raises(ValueError, match="nearest"):
        result.matvec([np.ones(shape) for shape in result.layout.shapes])


IMPORTED = tf.nn.moments


@keras.saving.register_keras_serializable("tests")
class ImportedMoments(keras.layers.Layer):
    """Normalises by moments imported by name, out of reach."""

    def call(self, inputs):
        mean, variance = IMPORTED(inputs, [-1], keepdims=True)
        return (inputs - mean) / tf.sqrt(variance + 0.1)


@keras.saving.register_keras_serializable("tests")
class TracedMoments(keras.layers.Layer):
    """Normalises in a function of its own, traced before."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalise = tf.function(ImportedMoments.call)

    def call(self, inputs):
        return self.normalise(self, inputs)


@pytest.mark.parametrize("layer", [ImportedMoments, TracedMoments])
def test_moments_out_of_reach_are_refused(layer):
    model = float64(
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(4), layer(), layers.Dense(3)])
    )
    result = hessian(model, (np.ones([3, 4]), [0, 1, 2]), likelihood="categorical")
    with pytest.raises(ValueError, match="Second derivatives of"):
        result.matvec([np.ones(shape) for shape in result.layout.shapes])


def second_derivative():
    """Of the sum of `variance * x_0` in x, in three dimensions."""
    x = tf.constant([1.0, 2.0, 4.0])
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            variance = tf.nn.moments(x, [0])[1]
        gradient = inner.gradient(variance, x)
    return outer.jacobian(gradient, x, experimental_use_pfor=False).numpy()


def test_moments_are_exact_in_their_scope_and_thread_only():
    exact = (2 / 3) * (np.eye(3) - 1 / 3)
    stopped = (2 / 3) * np.eye(3)
    original, others = tf.nn.moments, []
    with exact_moments():
        with exact_moments():
            thread = threading.Thread(target=lambda: others.append(second_derivative()))
            thread.start()
            thread.join()
        np.testing.assert_allclose(second_derivative(), exact, atol=1e-6)
    np.testing.assert_allclose(others[0], stopped, atol=1e-6)
    assert tf.nn.moments is original


def test_products_of_a_transformer_block():
    """The case of every language model: attention between two normalisations."""

    def build():
        inputs = keras.Input((5, 4))
        x = layers.Dense(4)(inputs)
        x = layers.Add()(
            [x, layers.MultiHeadAttention(2, 2)(*[layers.LayerNormalization()(x)] * 2)]
        )
        y = layers.Dense(6, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.GroupNormalization(2)(layers.Add()([x, layers.Dense(4)(y)]))
        return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))

    x = np.random.default_rng(1).normal(size=(3, 5, 4))
    assert_products_are_differences(float64(build), x)
