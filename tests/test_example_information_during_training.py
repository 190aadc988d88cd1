"""The experiment on training: verdicts, controls, and a kill that costs nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def command(output_dir):
    script = ROOT / "examples" / "information_during_training.py"
    return [sys.executable, str(script), "--smoke", f"--output_dir={output_dir}"]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(output_dir):
    return subprocess.run(
        command(output_dir), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


@pytest.fixture(autouse=True)
def scripts_are_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("undisturbed")
    start = time.time()
    finished = run(output_dir)
    assert finished.returncode == 0, finished.stderr
    return output_dir, time.time() - start


def claims(output_dir):
    return json.loads((output_dir / "result.json").read_text())["claims"]


def test_judges_its_claims_and_draws(undisturbed):
    output_dir, _ = undisturbed
    assert list(claims(output_dir)) == ["3-d", "3-e", "3-f", "3-fig-1", "3-h"]
    figure = output_dir / "information_during_training.png"
    assert 10_000 < figure.stat().st_size < 150_000


def test_hessian_is_the_fisher_matrix_for_logistic_regression_only(undisturbed):
    claim = claims(undisturbed[0])["3-d"]
    assert claim["verdict"] == "reproduced"
    assert max(claim["numbers"]["logistic"]) < 1e-12
    assert min(claim["numbers"]["hidden_layer"]) > 0.1


def test_killed_at_a_random_moment_it_ends_with_the_same_claims(undisturbed, tmp_path):
    expected, seconds = undisturbed
    process = subprocess.Popen(
        command(tmp_path), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    )
    time.sleep(random.Random().uniform(0.4, 0.9) * seconds)
    process.kill()
    process.wait()
    finished = run(tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert claims(tmp_path) == claims(expected)


def test_logits_are_rescaled_to_the_entropy_asked_for():
    from information_during_training_measures import factor_of_entropy, mean_entropy

    logits = np.random.default_rng(0).standard_normal((50, 4))
    for entropy in (0.1, 1.0):
        factor = factor_of_entropy(logits, entropy)
        assert mean_entropy(factor * logits) == pytest.approx(entropy, rel=1e-6)


def test_a_fresh_classifier_is_the_one_that_was_built_first():
    from information_during_training_setup import fresh_classifier

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
    from information_during_training_measures import at_reference_entropy, traces_by_factor
    from information_during_training_setup import fresh_classifier

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
    from information_during_training_claims import at_loss

    rows = [{"loss": 4.0, "trace": 0.0}, {"loss": 1.0, "trace": 10.0}, {"loss": 2.0, "trace": 5.0}]
    assert at_loss(rows, 2.0, "trace") == pytest.approx(5.0)
    assert at_loss(rows, 1.0, "trace") == pytest.approx(10.0)
    assert at_loss(rows, 5.0, "trace") == 0.0


def test_resnet_ends_in_scaled_logits():
    from information_during_training_setup import fresh_classifier

    model = fresh_classifier(
        (32, 32, 3), 10, network="resnet", widths=[], learning_rate=0.1, seed=0
    )
    kernels = [w for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 21  # 17 convolutions, 3 shortcuts, 1 dense layer
    assert model.count_params() == pytest.approx(11.18e6, rel=0.01)
    assert model.output_shape == (None, 10)
    keras.backend.clear_session()
