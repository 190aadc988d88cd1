"""Products of gradients made on the device are those of the gradients themselves."""

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
from keras_infobottleneck.estimators.fisher.structures import diagonal, kronecker
from keras_infobottleneck.estimators.influence.example_rows import example_rows
from keras_infobottleneck.estimators.information.minimum import variables_of
from keras_infobottleneck.introspection.model_data import batches_for

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

    def call(self, inputs):
        return keras.ops.sin(inputs @ self.matrix)


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


SLOW = pytest.mark.slow
CASES = [
    pytest.param(VECTORS, shared, id="shared"),
    pytest.param(IMAGES, convolutions, id="convolutions", marks=SLOW),
    pytest.param(IMAGES, transposed, id="transposed", marks=SLOW),
    pytest.param(SERIES, recurrent, id="recurrent", marks=SLOW),
    pytest.param(WORDS, words, id="words", marks=SLOW),
    pytest.param(WORDS, attention, id="attention", marks=SLOW),
]


def network(x, make):
    """The network, with the loss that says what its outputs are."""
    keras.utils.set_random_seed(0)
    made = make()
    if isinstance(made, list):
        inputs = outputs = keras.Input(x.shape[1:], dtype=x.dtype)
        for layer in [*made, layers.Dense(3)]:
            outputs = layer(outputs)
        made = keras.Model(inputs, outputs)
    made.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


@pytest.mark.parametrize(
    "structure",
    ["diagonal", "kronecker", pytest.param("kronecker, diagonal sides", marks=SLOW)],
)
@pytest.mark.parametrize(("x", "make"), CASES)
def test_no_row_is_needed_for_what_rows_would_give(x, make, structure, monkeypatch):
    model, data = network(x, make), (x, LABELS)
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


@pytest.mark.parametrize(("x", "make"), CASES)
def test_influence_on_a_test_set_is_a_product_of_gradients(x, make):
    model, data = network(x, make), (x, LABELS)
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
