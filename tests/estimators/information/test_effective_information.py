"""Effective information in activations against dense matrices and closed forms."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import (
    activation_fisher,
    effective_information,
    fisher_information,
    simulated_effective_information,
)
from keras_infobottleneck.estimators.fisher.structures.dense import DenseFisher
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher
from keras_infobottleneck.linear_algebra.layout import Layout
from tests.support import reference_information as reference
from tests.support.narrow_networks import OPTIONS, PRIOR_SCALE, linear_case, narrow_network
from tests.support.small_minimum import BETA, EXACT, dense_matrix

layers = keras.layers


@pytest.fixture(scope="module")
def case():
    return narrow_network()


def slow_fisher(model, x, fisher, layer, *, paper_form=False):
    """`F_{z|x}` of every example by dense matrices."""
    matrix = dense_matrix(fisher)
    by_weights, by_inputs = reference.jacobians(
        model, model.get_layer(layer), x, model.trainable_variables
    )
    found = []
    for j, g in zip(by_weights, by_inputs, strict=True):
        if paper_form:
            found.append(g.T @ j @ matrix @ j.T @ g / BETA)
        else:
            noise = j @ reference.posterior_covariance(matrix, BETA, PRIOR_SCALE) @ j.T
            found.append(g.T @ np.linalg.inv(noise) @ g)
    return np.array(found)


@pytest.mark.parametrize("structure", EXACT)
@pytest.mark.parametrize("paper_form", [False, True])
@pytest.mark.parametrize("layer", ["first", "narrow"])
def test_it_equals_dense_matrices(case, structure, paper_form, layer):
    model, x, fishers = case
    fisher = fishers[structure]
    exact = slow_fisher(model, x, fisher, layer, paper_form=paper_form)
    options = {"layer": layer, "fisher": fisher, "paper_form": paper_form, **OPTIONS}
    found = activation_fisher(model, x, **options)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7 * np.abs(exact).max())
    covariance = np.cov(x.T, bias=True)
    nats = [0.5 * np.linalg.slogdet(np.eye(5) + covariance @ f)[1] for f in exact]
    result = effective_information(model, x, **options)
    np.testing.assert_allclose(result.per_example, nats, rtol=1e-6)
    assert result.nats == pytest.approx(np.mean(nats), rel=1e-6)
    diagonal = np.diagonal(exact, axis1=1, axis2=2)
    np.testing.assert_allclose(result.sensitivity, diagonal, rtol=1e-6)
    assert result.standard_error == pytest.approx(np.std(nats, ddof=1) / np.sqrt(11), rel=1e-6)


def test_factors_with_and_without_a_diagonal_have_traces_of_their_own(case):
    model, x, fishers = case
    options = {"structure": "kronecker", "labels": "expected", "likelihood": "categorical"}
    narrow = fisher_information(model, x, max_side=4, **options)
    for fisher in (fishers["kronecker"], narrow, fishers["kronecker"]):
        exact = slow_fisher(model, x, fisher, "narrow")
        found = activation_fisher(model, x, layer="narrow", fisher=fisher, **OPTIONS)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7 * np.abs(exact).max())


@pytest.mark.parametrize("structure", ["diagonal", "gram"])
def test_fewer_examples_than_inputs_and_datasets_are_the_same_sum(case, structure):
    model, x, fishers = case
    options = {"layer": 1, "fisher": fishers[structure], **OPTIONS}
    few = effective_information(model, x[:3], **options)
    covariance = np.cov(x[:3].T, bias=True)
    matrices = activation_fisher(model, x[:3], **options)
    nats = [0.5 * np.linalg.slogdet(np.eye(5) + covariance @ f)[1] for f in matrices]
    np.testing.assert_allclose(few.per_example, nats, rtol=1e-9)
    dataset = tf.data.Dataset.from_tensor_slices((x[:3], np.zeros(3))).batch(2)
    again = effective_information(model, dataset, **options)
    np.testing.assert_allclose(again.per_example, few.per_example, rtol=1e-12)
    assert again.sensitivity.shape == (3, 5)


def test_images_keep_their_shape_and_layers_with_axes_are_flattened():
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="softplus", name="maps"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = rng.normal(size=(6, 4, 4, 1)).astype("float32")
    fisher = fisher_information(model, x, labels="expected", likelihood="categorical")
    found = effective_information(model, x, layer="maps", fisher=fisher, beta=1e-3)
    assert found.sensitivity.shape == x.shape
    assert found.num_units == 8
    assert np.all(found.per_example > 0)
    assert found.layer == "maps"


def test_images_as_bytes_and_masked_layers_are_measured_like_any():
    """As images are stored; and a layer behind a mask warns of nothing that is lost."""
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype="uint8")
    inputs = keras.Input((3, 4))
    z = layers.Masking()(layers.Rescaling(1 / 255)(inputs))
    z = layers.Dense(2, activation="tanh", name="steps")(z)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(z)))
    fisher = fisher_information(model, images, labels="expected", likelihood="categorical")
    options = {"layer": "steps", "fisher": fisher, "beta": 1e-3}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stored = effective_information(model, images, **options)
    floats = effective_information(model, images.astype("float32"), **options)
    np.testing.assert_array_equal(stored.per_example, floats.per_example)
    np.testing.assert_array_equal(stored.sensitivity, floats.sensitivity)
    assert np.isfinite(stored.nats)
    assert stored.nats > 0


def test_activation_fisher_scales_with_the_curvature_and_keeps_its_order(case):
    """F -> c F (its floor too) gives c F_{z|x}; a larger F gives a larger F_{z|x}."""
    model, x, fishers = case
    matrix = dense_matrix(fishers["dense"])
    layout = fishers["dense"].layout

    def of(matrix, prior_scale=PRIOR_SCALE):
        fisher = DenseFisher(layout, "expected", 11, matrix)
        return activation_fisher(
            model, x, layer="narrow", fisher=fisher, beta=BETA, prior_scale=prior_scale
        )

    plain = of(matrix)
    np.testing.assert_allclose(of(7 * matrix, PRIOR_SCALE / np.sqrt(7)), 7 * plain, rtol=1e-8)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(len(matrix), 3))
    larger = of(matrix + 0.1 * directions @ directions.T)
    eigenvalues = np.linalg.eigvalsh(larger - plain)
    assert eigenvalues.min() > -1e-9 * np.abs(plain).max()
    assert eigenvalues.max() > 1e-3 * np.abs(plain).max()


def test_doubled_inputs_are_felt_a_quarter_and_four_times_as_printed():
    x = np.random.default_rng(0).normal(size=(5, 4))
    model, fisher = linear_case(x)
    model.layers[0].bias.trainable = False
    layout = Layout.of([model.layers[0].kernel.path], [model.layers[0].kernel])
    fisher = DiagonalFisher(layout, "expected", 5, (fisher.values[0],))
    for paper_form, factor in ((False, 1 / 4), (True, 4)):
        options = {"layer": "z", "fisher": fisher, "paper_form": paper_form, **OPTIONS}
        once, twice = (activation_fisher(model, scale * x, **options) for scale in (1, 2))
        np.testing.assert_allclose(twice, factor * once, rtol=1e-9)


def test_a_signal_without_noise_is_infinite():
    x = np.random.default_rng(0).normal(size=(5, 4))
    x[0] = 0.0
    model, fisher = linear_case(x)
    layout = Layout.of([model.layers[0].kernel.path], [model.layers[0].kernel])
    fisher = DiagonalFisher(layout, "expected", 5, (fisher.values[0],))  # no noise on the bias
    found = effective_information(model, x, layer="z", fisher=fisher, **OPTIONS)
    assert found.per_example[0] == found.nats == np.inf
    assert np.all(np.isfinite(found.per_example[1:]))
    assert np.isnan(found.sensitivity[0]).all()


def test_dead_units_tell_nothing():
    x = np.random.default_rng(0).normal(size=(5, 4))
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            layers.Dense(3, activation="relu", dtype="float64", name="z"),
        ]
    )
    model.layers[0].bias.assign([-100.0, 100.0, 100.0])
    _, fisher = linear_case(x)
    fisher = DiagonalFisher(
        Layout.of([v.path for v in model.trainable_variables], fisher.values),
        "expected",
        5,
        fisher.values,
    )
    found = effective_information(model, x, layer="z", fisher=fisher, **OPTIONS)
    assert np.all(np.isfinite(found.per_example))
    with pytest.raises(ValueError, match=r"move every unit.*Received: 5 of 5 examples"):
        simulated_effective_information(model, x, layer="z", fisher=fisher, **OPTIONS)


def test_a_second_call_does_not_trace_again(case):
    _, x, _ = case
    traced = []

    class Counting(layers.Layer):
        def call(self, inputs):
            traced.append(inputs)
            return inputs

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)

    model = keras.Sequential([keras.Input((5,)), Counting(), layers.Dense(2, name="z")])
    fisher = fisher_information(model, x.astype("float32"), likelihood="normal")
    options = {"layer": "z", "fisher": fisher, **OPTIONS}
    for measure, more in (
        (effective_information, {}),
        (simulated_effective_information, {"num_draws": 20}),
    ):
        measure(model, x.astype("float32"), **options, **more)
        first = len(traced)
        measure(model, x.astype("float32"), **options, **more)
        assert len(traced) == first > 0


def test_half_precision_agrees_with_single():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    found, weights = [], None
    for dtype in ("float32", "mixed_float16"):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(3, activation="tanh", dtype=dtype, name="z"),
                layers.Dense(2, dtype="float32"),
            ]
        )
        weights = weights or model.get_weights()
        model.set_weights(weights)
        fisher = fisher_information(model, x, likelihood="normal", labels="expected")
        found.append(effective_information(model, x, layer="z", fisher=fisher, **OPTIONS).nats)
    assert found[1] == pytest.approx(found[0], rel=1e-2)  # ten bits per number


def test_a_recurrent_layer_equals_differences():
    """Through a loop over time, whose steps share their weights."""
    x = np.random.default_rng(0).normal(size=(3, 3, 1))
    model = keras.Sequential(
        [keras.Input((3, 1), dtype="float64"), layers.SimpleRNN(2, dtype="float64", name="z")]
    )
    fisher = fisher_information(model, x, likelihood="normal", labels="expected")
    found = activation_fisher(model, x, layer="z", fisher=fisher, **OPTIONS)
    forward = tf.function(lambda x: model(x))
    weights, rows = model.trainable_variables, []
    for entry in range(3 + fisher.size):
        ends = []
        for sign in (1, -1):
            step = np.zeros(3 + fisher.size)
            step[entry] = sign * 1e-6
            for variable, part in zip(weights, fisher.layout.split(step[3:]), strict=True):
                variable.assign_add(part)
            ends.append(forward(x + step[:3].reshape(1, 3, 1)).numpy())
            for variable, part in zip(weights, fisher.layout.split(step[3:]), strict=True):
                variable.assign_sub(part)
        rows.append((ends[0] - ends[1]) / 2e-6)
    variances = BETA / (fisher.layout.join(fisher.values) + BETA / PRIOR_SCALE**2)
    for each, j in zip(found, np.transpose(rows, (1, 2, 0)), strict=True):
        noise = j[:, 3:] * variances @ j[:, 3:].T
        exact = j[:, :3].T @ np.linalg.inv(noise) @ j[:, :3]
        np.testing.assert_allclose(each, exact, atol=1e-5 * np.abs(exact).max())


def test_several_inputs_are_one_array_of_all_their_entries():
    """A model that splits its input tells as much of it as one of two inputs."""
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    inputs = keras.Input((2, 1)), keras.Input((3,))
    one = layers.Concatenate()([layers.Flatten()(inputs[0]), inputs[1]])
    two = keras.Model(inputs, layers.Dense(2, name="z")(layers.Dense(4, "tanh")(one)))
    hidden, z = (layer for layer in two.layers if isinstance(layer, layers.Dense))
    flat = keras.Input((5,))
    whole = keras.Model(flat, z(hidden(flat)))
    parts = [x[:, :2, np.newaxis], x[:, 2:]]
    options = {"likelihood": "normal", "labels": "expected"}
    of_two = fisher_information(two, parts, **options)
    of_one = fisher_information(whole, x, **options)
    expected = effective_information(whole, x, layer=1, fisher=of_one, **OPTIONS)
    layer = two.layers.index(hidden)
    found = effective_information(two, parts, layer=layer, fisher=of_two, **OPTIONS)
    np.testing.assert_allclose(found.per_example, expected.per_example, rtol=1e-4)
    np.testing.assert_allclose(found.sensitivity, expected.sensitivity, rtol=1e-3)


def test_indices_into_an_embedding_are_refused_also_as_floats():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2, name="z")]
    )
    x = np.array([[0, 1, 4], [3, 2, 1]], "float32")
    fisher = fisher_information(model, x, likelihood="normal", labels="expected")
    with pytest.raises(ValueError, match="indices into an embedding are not"):
        effective_information(model, x, layer="z", fisher=fisher, **OPTIONS)


def test_result_prints_and_converts(case):
    model, x, fishers = case
    found = effective_information(model, x, layer="narrow", fisher=fishers["diagonal"], beta=BETA)
    assert "layer='narrow'" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["nats"] == found.nats
