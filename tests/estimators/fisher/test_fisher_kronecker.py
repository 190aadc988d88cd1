"""Kronecker factors."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import (
    FisherInformation,
    fisher_information,
    information_in_weights,
)
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import IMAGES, LOGITS, POINTS, classifier, dense_classifier

pytestmark = pytest.mark.quick

layers = keras.layers


def test_kronecker_is_exact_for_one_dense_layer_and_one_example():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    for labels in ("expected", "sampled"):
        options = {"labels": labels, "likelihood": "categorical", "seed": 1}
        exact = fisher_information(model, x, structure="dense", **options)
        result = fisher_information(model, x, structure="kronecker", **options)
        products = [
            reference.flat(result.matvec(result.layout.split(row))) for row in np.eye(result.size)
        ]
        assert reference.relative_error(products, exact.matrix) < 1e-5


def test_kronecker_factors_equal_the_slow_ones():
    """Second moments of patches and of output gradients, position by position."""
    model, x = classifier("float64"), IMAGES[0].astype(np.float64)
    options = {"labels": "empirical", "likelihood": "categorical"}
    result = fisher_information(model, (x, IMAGES[1]), structure="kronecker", **options)
    patches = np.stack(
        [x[:, i : i + 3, j : j + 3].reshape(11, 9) for i in range(4) for j in range(4)], 1
    )
    with tf.GradientTape() as tape:
        outputs = tf.nn.conv2d(x, model.layers[0].kernel, 1, "VALID") + model.layers[0].bias
        tape.watch(outputs)
        logits = model.layers[2](model.layers[1](tf.tanh(outputs)))
        loss = tf.reduce_sum(
            tf.nn.sparse_softmax_cross_entropy_with_logits(IMAGES[1].astype(np.int32), logits)
        )
    gradient = tape.gradient(loss, outputs).numpy().reshape(11, 16, 3)
    first, second = reference.kronecker_factors(patches, gradient)
    np.testing.assert_allclose(result.blocks[0].inputs[0], first, rtol=1e-10)
    np.testing.assert_allclose(result.blocks[0].outputs[0], second, rtol=1e-10)


def over_positions(*parts):
    """A classifier of sequences: 12 steps of three numbers, averaged behind the parts."""
    keras.utils.set_random_seed(3)
    behind = [layers.GlobalAveragePooling1D(), layers.Dense(3)]
    return keras.Sequential([keras.Input((12, 3)), *parts, *behind])


def residual():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def transformer():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((12, 3))
    x = layers.Dense(4)(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 2)(x, x)])
    x = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.Dense(4)(layers.Dense(8, activation="gelu")(x))])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


NETWORKS = {
    "averaged dense": lambda: over_positions(layers.Dense(4)),
    "averaged dense behind an activation": lambda: over_positions(layers.Dense(4, "tanh")),
    "averaged convolution": lambda: over_positions(layers.Conv1D(4, 3, activation="relu")),
    "depthwise convolution": lambda: over_positions(layers.DepthwiseConv1D(3)),
    "flattened convolution": classifier,
    "few positions of wide groups": lambda: keras.Sequential(
        [
            keras.Input((2, 12)),
            layers.Dense(12, activation="tanh"),
            layers.Conv1D(16, 1, groups=2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    ),
    "residual": residual,
    "transformer": transformer,
    "perceptron": dense_classifier,
}


def inputs_of(model, count=40):
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# How labels are drawn is no matter of the layer: one of each form in every run.
DRAWN_IN_EVERY_RUN = ("perceptron", "averaged dense", "residual")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        *((name, "expected") for name in NETWORKS),
        *(
            pytest.param(
                *(name, "sampled"), marks=() if name in DRAWN_IN_EVERY_RUN else pytest.mark.slow
            )
            for name in NETWORKS
        ),
    ],
)
def test_kronecker_traces_are_the_exact_ones(name, labels):
    """Of every variable, by itself; and so is the error of the trace over drawn labels."""
    model = NETWORKS[name]()
    options = {"labels": labels, "likelihood": "categorical", "seed": 0, "batch_size": 16}
    exact = fisher_information(model, inputs_of(model), **options)
    result = fisher_information(model, inputs_of(model), structure="kronecker", **options)
    for path, row in exact.by_variable().items():
        assert result.by_variable()[path]["trace"] == pytest.approx(row["trace"], rel=1e-4), path
    assert result.eigenvalues().sum(dtype=np.float64) == pytest.approx(exact.trace(), rel=1e-4)
    assert result.standard_error == pytest.approx(exact.standard_error, rel=1e-3)


def test_the_form_follows_what_the_network_does_with_positions():
    averaged = fisher_information(
        model := NETWORKS["averaged dense"](), inputs_of(model), structure="kronecker", **LOGITS
    ).factors()
    first, last = averaged.values()
    assert first["form"] == "reduce"
    # Output gradients are the same at all positions: the reduced form is nearly F itself.
    assert first["trace_ratio"] == pytest.approx(1.0, abs=0.2)
    assert last["form"] == "expand", "one position, where both are the same"
    flattened = fisher_information(
        model := keras.Sequential(
            [keras.Input((12, 3)), layers.Dense(4), layers.Flatten(), layers.Dense(3)]
        ),
        inputs_of(model),
        structure="kronecker",
        **LOGITS,
    ).factors()
    assert next(iter(flattened.values()))["form"] == "expand"


def test_reduced_factors_are_exact_where_a_linear_layer_is_averaged():
    """One example: inputs averaged over positions times the gradient summed over them."""
    model = over_positions(layers.Dense(4))
    x = inputs_of(model, 1)
    options = {"labels": "empirical", "likelihood": "categorical"}
    data = (x, np.array([1]))
    exact = fisher_information(model, data, structure="dense", **options)
    result = fisher_information(model, data, structure="kronecker", **options)
    rows = np.eye(result.size)
    product = [reference.flat(result.matvec(result.layout.split(row))) for row in rows]
    inside = np.s_[:16]  # kernel [3, 4] and bias [4] of the first layer
    block = np.array(product)[inside, inside]
    assert reference.relative_error(block, exact.matrix[inside, inside]) < 1e-5


def test_determinant_and_nats_follow_the_exact_trace():
    """Beside the exact blocks of each layer; factors that lost the positions gave far less."""
    model = over_positions(layers.Dense(4))
    options = {"labels": "expected", "likelihood": "categorical"}
    matrix = fisher_information(model, inputs_of(model), structure="dense", **options).matrix
    blocks = [matrix[:16, :16], matrix[16:, 16:]]  # each kernel with its bias
    exact = sum(np.linalg.slogdet(np.eye(len(b)) + b / 1e-3)[1] for b in blocks)
    result = fisher_information(model, inputs_of(model), structure="kronecker", **options)
    assert result.logdet(1e-3) - result.size * np.log(1e-3) == pytest.approx(exact, rel=0.1)
    options |= {"beta": 1e-3, "prior_scale": 1.0, "structure": "kronecker"}
    nats = information_in_weights(model, inputs_of(model), **options).nats
    ratios = np.concatenate([np.linalg.eigvalsh(b) for b in blocks]) / 1e-3
    squares = sum(float(np.sum(np.square(w))) for w in model.get_weights())
    expected = 0.5 * np.sum(np.log1p(ratios) - ratios / (1 + ratios)) + 0.5 * squares
    assert nats == pytest.approx(expected, rel=0.1)


def test_merged_forms_are_named_and_their_traces_stay_exact():
    model = over_positions(layers.Dense(4, "tanh"))
    options, x, parts = {"labels": "expected", "likelihood": "categorical"}, inputs_of(model), []
    for form, rows in (("expand", slice(20)), ("reduce", slice(20, 40))):
        result = fisher_information(model, x[rows], structure="kronecker", **options)
        first = dataclasses.replace(result.blocks[0], form=form)
        parts.append(dataclasses.replace(result, blocks=(first, *result.blocks[1:])))
    merged = parts[0] + parts[1]
    assert [row["form"] for row in merged.factors().values()] == ["mixed", "expand"]
    for path, row in fisher_information(model, x, **options).by_variable().items():
        assert merged.by_variable()[path]["trace"] == pytest.approx(row["trace"], rel=1e-4)


def test_a_file_of_factors_alone_is_read_as_it_was(tmp_path):
    """Version 0.1.0 wrote neither exact traces nor forms."""
    model = NETWORKS["averaged dense"]()
    result = fisher_information(model, inputs_of(model), structure="kronecker", **LOGITS)
    result.to_npz(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as archive:
        kept = {k: archive[k] for k in archive.files if not k.startswith(("traces_", "form_"))}
    np.savez(tmp_path / "old.npz", **kept)
    old = FisherInformation.from_npz(tmp_path / "old.npz")
    for mine, its in zip(result.blocks, old.blocks, strict=True):
        np.testing.assert_array_equal(its.scaled_inputs, mine.inputs)
        np.testing.assert_allclose(its.exact_traces, mine.factor_traces)


def test_kronecker_determinant_is_finite_for_singular_factors():
    x, y = POINTS[0][:2], POINTS[1][:2]
    result = fisher_information(dense_classifier(), (x, y), structure="kronecker", **LOGITS)
    assert np.isfinite(result.logdet(1e-6))
    assert result.logdet(0.0) == -np.inf


def test_kronecker_factors_follow_the_size_of_the_images():
    """What is kept with the model holds nothing of the shapes it was first made for."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2D(3, 2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    options = {"structure": "kronecker", "likelihood": "categorical", "seed": 0}
    for size in (4, 6, 4):
        x = np.random.default_rng(0).normal(size=(5, size, size, 2)).astype(np.float32)
        block = fisher_information(model, x, **options).blocks[0]
        assert block.inputs[0, -1, -1] == pytest.approx((size - 1) ** 2)


def test_wide_input_factors_are_put_together_from_their_blocks():
    """387 inputs make two blocks of unequal width, 600 three."""
    rng = np.random.default_rng(0)
    for width in (387, 600):
        model = keras.Sequential([keras.Input((width,)), layers.Dense(2, dtype="float64")])
        x = rng.normal(size=(7, width)).astype(np.float32)
        options = {"structure": "kronecker", "likelihood": "categorical", "batch_size": 4}
        inputs = fisher_information(model, x, **options).blocks[0].inputs[0]
        seen = np.concatenate([x.astype(np.float64), np.ones([7, 1])], 1)
        np.testing.assert_allclose(inputs, seen.T @ seen / 7, rtol=1e-10, atol=1e-12)
