"""The experiment with autoencoders: verdicts, figures, and a kill that costs nothing."""

import json

import numpy as np
import pytest

from reproduction.autoencoder.measures import with_noise
from reproduction.frame.experiment import Experiment
from tests.support.example_runs import finish, killed_and_resumed, result

SCRIPT = "reproduction/autoencoder/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_judges_its_claims_and_draws(undisturbed):
    assert list(result(undisturbed)["claims"]) == ["2-d", "2-e"]
    for name in ("autoencoder.png", "autoencoder_pictures.png"):
        assert 5_000 < (undisturbed / name).stat().st_size < 150_000


@pytest.mark.slow
def test_the_gaussian_autoencoder_is_the_special_case(undisturbed):
    claim = result(undisturbed)["claims"]["2-e"]
    assert claim["verdict"] == "reproduced"
    assert all(0 <= d < 1e-4 for when in claim["numbers"].values() for d in when.values())


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/beta_1-1.npz"], SCRIPT, undisturbed, tmp_path)
    assert resumed == result(undisturbed)


@pytest.mark.slow
def test_refuses_a_folder_of_other_settings(undisturbed):
    settings = json.loads((undisturbed / "settings.json").read_text())
    Experiment(undisturbed, settings)
    with pytest.raises(ValueError, match="a run with the same settings"):
        Experiment(undisturbed, settings | {"epochs": 4})


def test_noise_added_is_the_share_of_every_units_variance_that_was_asked_for():
    means = np.random.default_rng(0).standard_normal((40_000, 2)) * [1.0, 5.0]
    noisy = with_noise(means, 0.3, seed=1)
    kept = [np.corrcoef(means[:, i], noisy[:, i])[0, 1] ** 2 for i in range(2)]
    np.testing.assert_allclose(kept, 0.7, atol=4 * 2 * 0.3 * np.sqrt(0.7 / 40_000))
    np.testing.assert_allclose(noisy.var(axis=0), 1.0, atol=0.03)
