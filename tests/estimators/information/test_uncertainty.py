import json

import keras
import numpy as np
import pytest

from keras_infobottleneck import decompose_uncertainty


def test_agreement_without_confidence_is_all_aleatoric():
    parts = decompose_uncertainty(np.full((5, 2, 4), 0.25))
    np.testing.assert_allclose(parts.total, np.log(4.0))
    np.testing.assert_allclose(parts.aleatoric, np.log(4.0))
    np.testing.assert_allclose(parts.epistemic, 0.0, atol=1e-15)


def test_confident_disagreement_is_all_epistemic():
    parts = decompose_uncertainty(np.eye(3)[:, None, :])  # zero probabilities included
    np.testing.assert_allclose(parts.epistemic, np.log(3.0))
    np.testing.assert_allclose(parts.aleatoric, 0.0, atol=1e-15)


def test_epistemic_is_the_mean_divergence_from_the_averaged_prediction():
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=(7, 11))
    parts = decompose_uncertainty(p.astype("float32"))
    divergence = (p * np.log(p / p.mean(0))).sum(-1).mean(0)
    np.testing.assert_allclose(parts.epistemic, divergence, atol=1e-6)
    np.testing.assert_allclose(parts.total, parts.aleatoric + parts.epistemic)
    np.testing.assert_allclose(parts.total, -(p.mean(0) * np.log(p.mean(0))).sum(-1), atol=1e-6)


def test_results_are_plain_data():
    parts = decompose_uncertainty(np.full((2, 3, 2), 0.5))
    fields = {"total", "aleatoric", "epistemic", "unit"}
    assert json.loads(json.dumps(parts.to_dict())).keys() == fields


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("stddev", [0.1, 5.0])
def test_rows_of_many_classes_in_half_precision_are_probabilities(dtype, stddev):
    logits = keras.random.normal((4, 6, 1000), stddev=stddev, seed=0)
    exact = decompose_uncertainty(keras.ops.softmax(logits))
    # By way of logarithms, which are rounded: the worst that a network in half precision gives.
    half = keras.ops.exp(keras.ops.cast(keras.ops.log_softmax(logits), dtype))
    rounded = decompose_uncertainty(half)
    np.testing.assert_allclose(rounded.total, exact.total, rtol=0.02)
    np.testing.assert_allclose(rounded.total, rounded.aleatoric + rounded.epistemic)


def test_a_regression_is_split_by_the_law_of_total_variance():
    rng = np.random.default_rng(0)
    mean, scale = rng.normal(size=(5, 3, 2)), rng.uniform(0.5, 2.0, (5, 3, 2))
    parts = decompose_uncertainty(mean=mean, scale=scale)
    assert parts.unit == "squared units of the target"
    for i, j in np.ndindex(3, 2):
        m, s = mean[:, i, j], scale[:, i, j]
        assert parts.aleatoric[i, j] == pytest.approx(sum(s**2) / 5)
        assert parts.epistemic[i, j] == pytest.approx(sum((m - m.mean()) ** 2) / 4)
    # Drawn outcomes have that variance.
    draws = rng.integers(5, size=200_000)
    outcomes = mean[draws, 0, 0] + scale[draws, 0, 0] * rng.normal(size=200_000)
    expected = parts.aleatoric[0, 0] + parts.epistemic[0, 0] * 4 / 5  # of these five draws alone
    assert outcomes.var() == pytest.approx(expected, rel=0.02)
    np.testing.assert_allclose(decompose_uncertainty(mean=mean).aleatoric, 0.0)
    np.testing.assert_allclose(decompose_uncertainty(mean=mean, scale=2.0).aleatoric, 4.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "neither"),
        ({"probabilities": np.full((2, 1, 2), 0.5), "mean": np.ones((2, 1))}, TypeError, "both"),
        ({"probabilities": np.full((2, 1, 2), 0.5), "scale": 1.0}, TypeError, "beside `mean`"),
        ({"mean": np.ones(3)}, ValueError, "samples, batch"),
        ({"mean": np.ones((1, 3))}, ValueError, "two samples"),
        ({"mean": np.full((2, 3), np.nan)}, ValueError, "finite"),
        ({"mean": np.ones((2, 3)), "scale": -1.0}, ValueError, "at least 0"),
        ({"mean": np.ones((2, 3)), "scale": np.ones(4)}, ValueError, "broadcast"),
    ],
)
def test_what_is_no_regression_is_refused_in_a_sentence(arguments, error, message):
    with pytest.raises(error, match=rf"(?s){message}.*Received: |Received: .*{message}"):
        decompose_uncertainty(**arguments)


@pytest.mark.parametrize(
    "probabilities",
    [
        np.full((3, 4), 0.25),
        np.zeros((0, 2, 3)),
        np.full((2, 2, 2), 3.0),
        np.full((2, 2, 2), np.nan),
        np.array([[[1.5, -0.5]]]),
        np.random.default_rng(0).normal(size=(2, 3, 4)),
    ],
    ids=["rank", "empty", "sums", "nan", "negative", "logits"],
)
def test_what_are_no_probabilities_is_refused_in_a_sentence(probabilities):
    with pytest.raises(ValueError, match=r"`probabilities` must .* Received: "):
        decompose_uncertainty(probabilities)
