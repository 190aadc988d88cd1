"""Products of the Hessian and of F with vectors, along a step that layers take by themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information, hessian
from keras_infobottleneck.estimators.fisher.second_derivatives import exact_moments
from tests.support import reference_fisher as reference
from tests.support.networks_of_every_layer import CASES, inputs_for
from tests.support.small_classifiers import IMAGES, LOGITS, classifier

NETWORKS = (
    "conv1d",
    "conv2d",
    "depthwise conv2d",
    "transposed conv2d",
    "einsum",
    "normalizations",
    "time in the batch",
    "shared layer",
    "two inputs",
    "attention",
    "embedding",
    "tied embedding",
)


def double_backward(model, x, y, vector):
    """Gradient of the gradient's product with the vector, by tapes alone."""
    values = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=False))
            loss = tf.reduce_mean(losses)
        gradients = [tf.convert_to_tensor(g) for g in inner.gradient(loss, values)]
        along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradients, vector, strict=True)])
    return reference.flat([tf.convert_to_tensor(p) for p in outer.gradient(along, values)])


@pytest.mark.parametrize("name", NETWORKS)
def test_hessian_products_equal_those_of_tapes_alone(name):
    _, exact = reference.in_float64(CASES[name])
    rng = np.random.default_rng(0)
    for variable in exact.trainable_variables:
        variable.assign_add(rng.normal(scale=0.1, size=variable.shape))
    x, y = reference.as_float64(inputs_for(name)), np.array([0, 1, 2, 0, 1])
    result = hessian(exact, (x, y), likelihood="categorical", batch_size=3)
    vector = result.layout.split(rng.normal(size=result.size))
    product = reference.flat(result.matvec(vector))
    with exact_moments():  # without, the reference itself is wrong: see test_second_derivatives
        expected = double_backward(exact, x, y, vector)
    assert np.abs(expected).max() > 0
    # Compiled, Keras' normalisations of float64 differ from the same run eagerly by 1.7e-7.
    tolerance = 1e-6 if name == "normalizations" else 1e-10
    assert reference.relative_error(product, expected) < tolerance


class Rewritten(keras.layers.Layer):
    """A dense layer whose weights are sines of its variables."""

    def build(self, input_shape):
        self.dense = keras.layers.Dense(4, activation="tanh", dtype=self.dtype_policy)
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        weights = [tf.sin(2.0 * v.value) for v in self.dense.trainable_variables]
        return self.dense.stateless_call(weights, [], inputs)[0]


def test_layers_run_on_weights_made_of_others_are_left_to_the_tapes():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), dtype="float64")
    hidden = Rewritten(dtype="float64")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float64")(hidden))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), np.array([0, 1, 2, 0, 1])
    second = hessian(model, (x, y), likelihood="categorical")
    vector = second.layout.split(rng.normal(size=second.size))
    product = reference.flat(second.matvec(vector))
    assert reference.relative_error(product, double_backward(model, x, y, vector)) < 1e-10
    scores, probabilities = reference.class_scores(model, x)
    matrix = reference.categorical_fisher(scores, probabilities)
    dense = fisher_information(model, x, structure="dense", **LOGITS)
    assert reference.relative_error(dense.matrix, matrix) < 1e-10
    implicit = fisher_information(model, x, structure="implicit", **LOGITS).matvec(vector)
    expected = matrix @ reference.flat(vector)
    assert reference.relative_error(reference.flat(implicit), expected) < 1e-10


def upsampling(interpolation):
    """Two convolutions with an enlargement between them, in float64."""
    keras.utils.set_random_seed(0)
    layers, options = keras.layers, {"activation": "tanh", "dtype": "float64"}
    return keras.Sequential(
        [
            keras.Input((3, 3, 1)),
            layers.Conv2D(2, 2, **options),
            layers.UpSampling2D(2, interpolation=interpolation, dtype="float64"),
            layers.Conv2D(2, 2, **options),
            layers.Flatten(),
            layers.Dense(3, dtype="float64"),
        ]
    )


def test_a_gradient_that_cannot_be_differentiated_again_is_refused():
    """Tapes alone give wrong products there: TensorFlow takes that gradient for a constant."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3, 3, 1)), np.array([0, 1, 2, 0, 1])
    model = upsampling("bilinear")
    options = {"structure": "implicit", **LOGITS}
    second = hessian(model, (x, y), likelihood="categorical")
    for whole in (second, fisher_information(model, x, **options)):
        with pytest.raises(ValueError, match=r"bilinear.*Received: an operation ResizeBilinear"):
            whole.matvec([np.zeros(v.shape) for v in model.trainable_variables])
    behind = model.layers[2].trainable_variables + model.layers[4].trainable_variables
    dense = fisher_information(model, x, structure="dense", variables=behind, **LOGITS)
    vector = dense.layout.split(rng.normal(size=dense.size))
    product = fisher_information(model, x, variables=behind, **options).matvec(vector)
    expected = dense.matrix @ reference.flat(vector)
    # The enlargement is of float32.
    assert reference.relative_error(reference.flat(product), expected) < 1e-6
    nearest = upsampling("nearest")
    second = hessian(nearest, (x, y), likelihood="categorical")
    vector = second.layout.split(rng.normal(size=second.size))
    expected = double_backward(nearest, x, y, vector)
    assert reference.relative_error(reference.flat(second.matvec(vector)), expected) < 1e-6


@pytest.mark.parametrize("chosen", [[0], [1], [1, 2]])
def test_products_about_some_weights_are_blocks_of_the_whole(chosen):
    """A kernel without its bias moves, and a bias without its kernel."""
    model = classifier("float64")
    variables = [model.trainable_variables[i] for i in chosen]
    data = (IMAGES[0].astype(np.float64), IMAGES[1])
    options = {"variables": variables, "structure": "implicit", **LOGITS}
    part = fisher_information(model, data, **options)
    options = {"structure": "implicit", **LOGITS}
    whole = fisher_information(model, data, **options)
    vector = part.layout.split(np.random.default_rng(0).normal(size=part.size))
    padded = [np.zeros(v.shape) for v in model.trainable_variables]
    for i, values in zip(chosen, vector, strict=True):
        padded[i] = values
    product = reference.flat(part.matvec(vector))
    expected = reference.flat([whole.matvec(padded)[i] for i in chosen])
    assert reference.relative_error(product, expected) < 1e-10
    second = hessian(model, data, likelihood="categorical", variables=variables).matvec(vector)
    everything = hessian(model, data, likelihood="categorical").matvec(padded)
    expected = reference.flat([everything[i] for i in chosen])
    assert reference.relative_error(reference.flat(second), expected) < 1e-10
