import json

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
    assert json.loads(json.dumps(parts.to_dict())).keys() == {"total", "aleatoric", "epistemic"}


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
