"""Products of gradients made on the device are those of the gradients themselves."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    FisherInformation,
    find_wrong_labels,
    fisher_information,
    posterior_influence,
    unique_information,
)
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.rules import gradients
from keras_infobottleneck.estimators.fisher.structures import diagonal, kronecker
from keras_infobottleneck.estimators.influence import example_products
from keras_infobottleneck.estimators.influence.example_rows import example_rows
from keras_infobottleneck.estimators.information.minimum import variables_of
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.linear_algebra.layout import Layout

layers = keras.layers
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(24, 4)).astype("float32")
IMAGES = RANDOM.normal(size=(24, 8, 8, 2)).astype("float32")
SERIES = RANDOM.normal(size=(24, 6, 4)).astype("float32")
WORDS = np.pad(RANDOM.integers(1, 9, (24, 4)), [(0, 0), (0, 2)])
LABELS = RANDOM.integers(0, 3, 24)
BETA, SCALE = 0.01, 0.7


class Wave(layers.Layer):
    """A layer without a rule."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 3), name="matrix")
        self.scale = self.add_weight(shape=(3,), name="scale", initializer="ones")

    def call(self, inputs):
        return self.scale * keras.ops.sin(inputs @ self.matrix)


def shared():
    """Two calls of one layer, and one without a rule."""
    dense = layers.Dense(4, activation="tanh")
    return [dense, dense, Wave()]


def attention():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4)(inputs)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def convolutions():
    return [
        layers.Conv2D(4, 3, activation="relu"),
        layers.Conv2D(6, 3, strides=2, groups=2),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(2),
        layers.Flatten(),
    ]


def recurrent():
    return [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(4)]


def words():
    return [
        layers.Embedding(9, 4, mask_zero=True),
        layers.SimpleRNN(4),
        layers.LayerNormalization(),
    ]


def transposed():
    return [layers.Conv2DTranspose(3, 3, strides=2), layers.GlobalAveragePooling2D()]


INPUTS = {
    shared: VECTORS,
    convolutions: IMAGES,
    transposed: IMAGES,
    recurrent: SERIES,
    words: WORDS,
    attention: WORDS,
}
SLOW = pytest.mark.slow
CASES = [
    pytest.param(make, id=make.__name__, marks=() if make is shared else SLOW) for make in INPUTS
]


@functools.cache  # what is compiled for a network serves every structure
def network(make):
    """The network, with the loss that says what its outputs are."""
    keras.utils.set_random_seed(0)
    made = make()
    if isinstance(made, list):
        x = INPUTS.get(make, VECTORS)
        inputs = outputs = keras.Input(x.shape[1:], dtype=x.dtype)
        for layer in [*made, layers.Dense(3)]:
            outputs = layer(outputs)
        made = keras.Model(inputs, outputs)
    made.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


# Embeddings and recurrent layers have no sides: their diagonal is kept whatever `max_side`.
WITH_SIDES = (shared, convolutions, transposed, attention)
STRUCTURES = {
    "diagonal": INPUTS,
    "kronecker": INPUTS,
    "kronecker, diagonal sides": WITH_SIDES,
}


@pytest.mark.parametrize(
    ("make", "structure"),
    [
        pytest.param(
            make,
            structure,
            id=f"{make.__name__}-{structure}",
            marks=() if make is shared and structure == "kronecker" else SLOW,
        )
        for make in INPUTS
        for structure, networks in STRUCTURES.items()
        if make in networks
    ],
)
def test_no_row_is_needed_for_what_rows_would_give(make, structure, monkeypatch):
    x = INPUTS[make]
    model, data = network(make), (x, LABELS)
    structure, _, sides = structure.partition(", ")
    options = {"max_side": 4} if sides else {}
    fisher = fisher_information(model, data, structure=structure, labels="expected", **options)
    code = {"fisher": fisher, "beta": BETA, "prior_scale": SCALE, "batch_size": 10}
    narrow = code | {"prior_scale": 0.005}  # so that no leverage reaches one

    def measured():
        return {
            "nats": unique_information(model, data, **code).nats,
            "nats of outputs": unique_information(model, data, space="outputs", **code).nats,
            "nats with leverage": unique_information(model, data, leverage=True, **narrow).nats,
            "influence on themselves": posterior_influence(model, data, **code).influences,
            "held-out losses": find_wrong_labels(model, data, **code).losses,
        }

    found = measured()
    for kind in (diagonal.DiagonalFisher, kronecker.KroneckerFisher):
        monkeypatch.setattr(kind, "score_products", FisherInformation.score_products)
    for name, expected in measured().items():
        np.testing.assert_allclose(
            found[name], expected, rtol=5e-6, atol=1e-6 * np.abs(expected).max(), err_msg=name
        )


@pytest.mark.parametrize("make", CASES)
def test_influence_on_a_test_set_is_a_product_of_gradients(make):
    x = INPUTS[make]
    model, data = network(make), (x, LABELS)
    fisher = fisher_information(model, data, labels="expected")
    parts = example_rows(
        model, variables_of(model, fisher), find_likelihood(model, None), batches_for(model, data)
    )
    rows = np.concatenate([part.rows[:, 0] for part in parts]).astype(np.float64)
    of_test = rows[:7].mean(0, keepdims=True)
    solved = fisher.power_product(of_test, -1.0, BETA / SCALE**2)[0]
    code = {"fisher": fisher, "beta": BETA, "prior_scale": SCALE}
    found = posterior_influence(model, data, (x[:7], LABELS[:7]), **code).influences
    expected = -(rows @ solved) / len(x)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_batches_are_split_where_no_rule_covers_the_weights(monkeypatch):
    """Gradients of all examples and outputs are held there: they are made of few at a time."""

    def measured(most):
        model = network(lambda: [Wave()])
        variables = model.trainable_variables
        layout = Layout.of([v.path for v in variables], variables)
        fisher = diagonal.DiagonalFisher(
            layout, "expected", 24, tuple(np.ones(v.shape) for v in variables)
        )
        args = find_likelihood(model, None), batches_for(model, (VECTORS, LABELS))
        made = example_products.example_products(
            model, *args, fisher, 0.1, (-1.0,), of_outputs=True
        )
        parts = [part.products for part in made]
        # 15 weights of the layer, for 3 outputs
        assert max(map(len, parts)) <= most // (4 * 15 * 3)
        ones = [np.ones((2, *v.shape)) for v in variables]
        _, slopes = example_products.example_slopes(model, variables, *args, ones)
        return slopes, np.concatenate(parts)

    whole = measured(example_products.COLUMNS_BYTES)
    monkeypatch.setattr(example_products, "COLUMNS_BYTES", 2000)
    monkeypatch.setattr(gradients, "BLOCK_BYTES", 300)
    for found, expected in zip(measured(2000), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_an_order_of_its_own_in_a_block_changes_nothing():
    """As in a file that was written under another rule of the layer."""
    model, data = network(lambda: []), (VECTORS, LABELS)
    fisher = fisher_information(model, data, structure="kronecker", labels="expected")
    (block,) = fisher.blocks
    turned = [3, 2, 1, 0, 4]  # the inputs the other way round, the bias last
    inputs = block.inputs[:, turned][:, :, turned]
    block = dataclasses.replace(block, order=block.order[::-1].copy(), inputs=inputs)
    code = {"beta": BETA, "prior_scale": SCALE}
    found, expected = (
        unique_information(model, data, fisher=matrix, **code).nats
        for matrix in (dataclasses.replace(fisher, blocks=(block,)), fisher)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_inverse_of_next_to_nothing_is_not_too_large():
    """Weights that no training example feels have an inverse of one over the shift."""
    model, x = network(lambda: []), VECTORS * np.array([1, 1, 1, 0], "float32")
    fisher = fisher_information(model, (x, LABELS), labels="expected")
    args = model, (x, LABELS), (VECTORS, LABELS)
    near, far = (
        posterior_influence(*args, fisher=fisher, beta=BETA, prior_scale=scale).influences
        for scale in (1e6, 1e20)
    )
    np.testing.assert_allclose(far, near, rtol=1e-4, atol=1e-6 * np.abs(near).max())
