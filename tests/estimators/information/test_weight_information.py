"""Information in the weights of a model, by every structure, against dense matrices."""

import json

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.estimators import (
    WeightInformation,
    fisher_information,
    information_curve,
    information_in_weights,
)
from tests.support import reference_information as reference
from tests.support.small_minimum import BETA, EXACT, dense_matrix, small_minimum, weights_of

pytestmark = pytest.mark.quick

layers = keras.layers


@pytest.fixture(scope="module")
def case():
    return small_minimum()


@pytest.mark.parametrize("structure", EXACT)
@pytest.mark.parametrize("paper_form", [False, True])
def test_nats_equal_those_of_the_dense_covariance(case, structure, paper_form):
    model, _, fishers = case
    found = information_in_weights(
        model, fishers[structure], beta=BETA, prior_scale=0.8, paper_form=paper_form
    )
    matrix, loc = dense_matrix(fishers[structure]), weights_of(model)
    if paper_form:
        covariance = reference.printed_covariance(matrix, BETA, 0.8)
        exact = reference.printed_information(matrix, loc, BETA, 0.8)
    else:
        covariance = reference.posterior_covariance(matrix, BETA, 0.8)
        exact = reference.gaussian_divergence(loc, covariance, 0.8)
    assert found.nats == pytest.approx(exact, rel=1e-9)
    assert found.excess_loss == pytest.approx(np.trace(matrix @ covariance) / 2, rel=1e-9)
    assert sum(found.by_variable.values()) == pytest.approx(found.nats, rel=1e-12)
    assert list(found.by_variable) == [v.path for v in model.trainable_variables]
    assert found.standard_error == 0.0
    assert found.nats_per_example == found.nats / 9


@pytest.mark.parametrize("structure", EXACT)
def test_each_variable_has_its_part_of_the_trace(case, structure):
    model, _, fishers = case
    fisher = fishers[structure]
    values, vectors = np.linalg.eigh(dense_matrix(fisher))
    ratios = np.maximum(values, 0) * 0.8**2 / BETA
    lengths = 0.5 * (np.log1p(ratios) - ratios / (1 + ratios))
    parts = fisher.layout.split(np.diag(vectors * lengths @ vectors.T))
    found = information_in_weights(model, fisher, beta=BETA, prior_scale=0.8).by_variable
    for part, variable, nats in zip(parts, model.trainable_variables, found.values(), strict=True):
        norm = np.sum(np.square(variable)) / (2 * 0.8**2)
        assert nats == pytest.approx(np.sum(part) + norm, rel=1e-9)


def test_gram_of_few_rows_equals_gram_of_many(case):
    """The dual and the matrix itself are two routes to one spectrum."""
    model, (x, _), _ = case
    options = {"labels": "expected", "likelihood": "categorical"}
    for count in (2, 9):
        gram, dense = (
            fisher_information(model, x[:count], structure=s, **options) for s in ("gram", "dense")
        )
        assert len(gram.rows) == 2 * count
        found = [information_in_weights(model, f, beta=BETA) for f in (gram, dense)]
        assert found[0].nats == pytest.approx(found[1].nats, rel=1e-9)
        assert found[0].by_variable == pytest.approx(found[1].by_variable, rel=1e-8)
        rows = np.random.default_rng(0).normal(size=(3, gram.size))
        for exponent in (-0.5, 0.5):
            products = [f.power_product(rows, exponent, 0.1) for f in (gram, dense)]
            np.testing.assert_allclose(*products, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("structure", EXACT)
def test_power_product_is_a_power_of_the_shifted_matrix(case, structure):
    fisher = case[2][structure]
    rows = np.random.default_rng(0).normal(size=(2, fisher.size))
    shifted = dense_matrix(fisher) + 0.3 * np.eye(fisher.size)
    root = fisher.power_product(fisher.power_product(rows, -0.5, 0.3), -0.5, 0.3)
    np.testing.assert_allclose(root @ shifted, rows, atol=1e-10)
    square = fisher.power_product(fisher.power_product(rows, 0.5, 0.3), 0.5, 0.3)
    np.testing.assert_allclose(square, rows @ shifted, atol=1e-10)


def test_implicit_agrees_with_dense_within_its_error(case):
    model, (x, _), fishers = case
    exact = information_in_weights(model, fishers["dense"], beta=BETA, prior_scale=0.8)
    options = {"structure": "implicit", "labels": "expected", "likelihood": "categorical"}
    found = information_in_weights(
        model, x, beta=BETA, prior_scale=0.8, num_probes=20, num_steps=25, **options
    )
    assert found.by_variable == {}
    assert 0 < found.standard_error < 0.1 * exact.nats
    assert abs(found.nats - exact.nats) < 4 * found.standard_error


def test_drawn_labels_widen_the_error_of_the_implicit_structure(case):
    model, (x, _), _ = case
    options = {"beta": BETA, "prior_scale": 0.8, "likelihood": "categorical", "seed": 0}
    implicit = information_in_weights(model, x, structure="implicit", num_steps=25, **options)
    dense = information_in_weights(model, x, structure="dense", **options)
    assert implicit.standard_error > dense.standard_error > 0


def test_a_linear_model_has_the_exact_posterior_of_its_quadratic_loss():
    """F is the Hessian there, and the code the Bayesian posterior at beta = 1 / N."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            layers.Dense(1, use_bias=False, dtype="float64"),
        ]
    )
    found = information_in_weights(
        model, x, beta=1 / 30, prior_scale=2.0, structure="dense", labels="expected",
        likelihood="normal",
    )  # fmt: skip
    covariance = np.linalg.inv(x.T @ x + np.eye(4) / 4)
    exact = reference.gaussian_divergence(weights_of(model), covariance, 2.0)
    assert found.nats == pytest.approx(exact, rel=1e-9)


def test_a_scale_for_each_variable_lowers_the_lagrangian_and_not_by_chance(case):
    model, _, fishers = case
    fisher = fishers["diagonal"]
    shared = information_in_weights(model, fisher, beta=BETA)
    apart = information_in_weights(model, fisher, beta=BETA, prior_scale="optimal_by_variable")
    lagrangian = [found.excess_loss + BETA * found.nats for found in (shared, apart)]
    assert lagrangian[1] < lagrangian[0]
    for variable, values in zip(model.trainable_variables, fisher.values, strict=True):
        alone = fisher_of(fisher, variable, values)
        by_itself = information_in_weights(model, alone, beta=BETA)
        assert apart.prior_scale[variable.path] == pytest.approx(by_itself.prior_scale, rel=1e-9)
        assert apart.by_variable[variable.path] == pytest.approx(by_itself.nats, abs=1e-12)


def fisher_of(fisher, variable, values):
    """The diagonal of one variable, as a file would bring it."""
    layout = type(fisher.layout)((variable.path,), (tuple(variable.shape),))
    return type(fisher)(layout, fisher.labels, fisher.num_examples, (values,))


def test_error_bar_holds_the_spread_over_drawn_labels():
    """Not below the spread, and not more than three times above, on logistic regression."""
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    x = rng.normal(size=(200, 5)).astype("float32")
    found = [
        information_in_weights(model, x, beta=1 / 200, seed=s, likelihood="categorical")
        for s in range(60)
    ]
    spread = np.std([f.nats for f in found], ddof=1)
    error = np.mean([f.standard_error for f in found])
    # Sixty draws know their spread to 9 %.
    assert 0.75 * spread < error < 3 * spread


def test_a_second_call_does_not_trace_again():
    traced = []

    class Counting(layers.Layer):
        def call(self, inputs):
            traced.append(inputs)
            return inputs

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)

    model = keras.Sequential([keras.Input((4,)), Counting(), layers.Dense(3)])
    data = np.ones([5, 4], "float32"), np.zeros(5, int)
    options = {"labels": "expected", "likelihood": "categorical"}
    information_curve(model, data, **options)
    first = len(traced)
    information_curve(model, data, **options)
    information_in_weights(model, data, beta=1.0, **options)
    assert len(traced) == first > 0


def test_trained_posterior_gives_the_same_report():
    model = kib.InformationBottleneckModel(
        keras.Sequential(
            [keras.Input((4,)), kib.layers.VariationalWeights(layers.Dense(3, name="one"))]
        ),
        num_examples=50,
        weight_beta=0.5,
    )
    found = WeightInformation.from_divergences(
        model.weight_information(by_layer=True),
        num_examples=model.num_examples,
        beta=float(model.weight_beta) / model.num_examples,
    )
    assert found.nats == pytest.approx(float(model.weight_information()), rel=1e-6)
    assert found.nats_per_example == found.nats / 50
    assert found.beta == 0.01
    assert found.structure == "posterior"
    assert json.dumps(found.to_dict())
    assert "posterior" in repr(found)


def test_report_prints_and_converts(case):
    model, _, fishers = case
    found = information_in_weights(model, fishers["dense"], beta=BETA)
    assert "per example" in repr(found)
    assert json.loads(json.dumps(found.to_dict()))["nats_per_example"] == found.nats_per_example
