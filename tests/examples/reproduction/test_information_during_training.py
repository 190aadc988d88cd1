"""The experiment on training: verdicts, controls, and a kill that costs nothing."""

import keras
import numpy as np
import pytest

from reproduction.information_during_training.claims import at_loss
from reproduction.information_during_training.measures import (
    at_reference_entropy,
    factor_of_entropy,
    mean_entropy,
    traces_by_factor,
)
from reproduction.information_during_training.setup import fresh_classifier
from tests.support.example_runs import finish, killed_and_resumed, result

SCRIPT = "reproduction/information_during_training/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_judges_its_claims_and_draws(undisturbed):
    assert list(result(undisturbed)["claims"]) == ["3-d", "3-e", "3-f", "3-fig-1", "3-h"]
    figure = undisturbed / "information_during_training.png"
    assert 10_000 < figure.stat().st_size < 150_000


@pytest.mark.slow
def test_hessian_is_the_fisher_matrix_for_logistic_regression_only(undisturbed):
    claim = result(undisturbed)["claims"]["3-d"]
    assert claim["verdict"] == "reproduced"
    assert max(claim["numbers"]["logistic"]) < 1e-12
    assert min(claim["numbers"]["hidden_layer"]) > 0.1


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/paying-1-0.npz"], SCRIPT, undisturbed, tmp_path)
    assert resumed == result(undisturbed)


def test_logits_are_rescaled_to_the_entropy_asked_for():
    logits = np.random.default_rng(0).standard_normal((50, 4))
    for entropy in (0.1, 1.0):
        factor = factor_of_entropy(logits, entropy)
        assert mean_entropy(factor * logits) == pytest.approx(entropy, rel=1e-6)


@pytest.mark.slow
def test_a_fresh_classifier_is_the_one_that_was_built_first():
    def start(learning_rate):
        return fresh_classifier(
            (5,), 3, widths=[4], learning_rate=learning_rate, momentum=0.9, seed=7
        )

    x, y = np.ones((6, 5), "float32"), np.arange(6) % 3
    model = start(0.5)
    before = model.get_weights()
    runs = []
    for _ in range(2):
        model = start(0.1)
        for weight, value in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, value)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
        model.fit(x, y, epochs=2, verbose=0)
        runs.append(model.get_weights())
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_scaling_logits_moves_the_fisher_trace_and_no_boundary():
    model = fresh_classifier((2,), 3, widths=[4], learning_rate=0.1, seed=0)
    x = np.random.default_rng(0).standard_normal((40, 2)).astype("float32")
    before = np.array(model(x))
    # Unsure predictions: the trace grows as the square of the factor, at first.
    for weight in model.get_layer("logits").trainable_weights:
        weight.assign(1e-3 * weight)
    traces = traces_by_factor(model, x)
    assert traces["2"] / traces["1"] == pytest.approx(4.0, rel=1e-2)
    for weight in model.get_layer("logits").trainable_weights:
        weight.assign(1e3 * weight)
    scaled = at_reference_entropy(model, x, lambda: np.array(model(x)))
    np.testing.assert_array_equal(scaled.argmax(1), before.argmax(1))
    np.testing.assert_allclose(np.array(model(x)), before, rtol=1e-4)


def test_a_number_at_a_loss_is_interpolated_in_its_logarithm():
    rows = [{"loss": 4.0, "trace": 0.0}, {"loss": 1.0, "trace": 10.0}, {"loss": 2.0, "trace": 5.0}]
    assert at_loss(rows, 2.0, "trace") == pytest.approx(5.0)
    assert at_loss(rows, 1.0, "trace") == pytest.approx(10.0)
    assert at_loss(rows, 5.0, "trace") == 0.0


@pytest.mark.slow
def test_resnet_ends_in_scaled_logits():
    model = fresh_classifier(
        (32, 32, 3), 10, network="resnet", widths=[], learning_rate=0.1, seed=0
    )
    kernels = [w for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 21  # 17 convolutions, 3 shortcuts, 1 dense layer
    assert model.count_params() == pytest.approx(11.18e6, rel=0.01)
    assert model.output_shape == (None, 10)
    keras.backend.clear_session()
