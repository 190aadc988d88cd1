"""`seed=None` draws a fresh seed, the result carries it, and with it the result is found again."""

import copy
import inspect
import random

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.results.result import Result

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype("float32")
Y = np.arange(60) % 3


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.fixture(scope="module")
def noisy(plain):
    options = {"prior_scale": "grid", "variational_bias": True, "verbose": 0}
    model = kib.make_variational(plain, num_examples=60, **options)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


CHAINS = {"num_chains": 2, "num_draws": 4, "num_steps": 1}
CALLS = {
    "certify": lambda plain, noisy, seed: estimators.certify(
        noisy, (X, Y), num_samples=3, seed=seed
    ),
    "description_length": lambda plain, noisy, seed: estimators.description_length(
        noisy, (X, Y), num_draws=3, seed=seed
    ),
    "drawn_excess_loss": lambda plain, noisy, seed: estimators.drawn_excess_loss(
        plain, (X, Y), estimators.fisher_information(plain, X, seed=1), beta=0.1, seed=seed
    ),
    "find_wrong_labels": lambda plain, noisy, seed: estimators.find_wrong_labels(
        noisy, (X, Y), beta=0.01, num_draws=3, seed=seed
    ),
    "fisher_information": lambda plain, noisy, seed: estimators.fisher_information(
        plain, X, seed=seed
    ),
    "intrinsic_dimension": lambda plain, noisy, seed: estimators.intrinsic_dimension(X, seed=seed),
    "centered_kernel_alignment": lambda plain, noisy, seed: estimators.centered_kernel_alignment(
        X, X[:, :2], seed=seed
    ),
    "layer_multiscale_relevance": lambda plain, noisy, seed: estimators.layer_multiscale_relevance(
        X, seed=seed
    ),
    "local_learning_coefficient": lambda plain, noisy, seed: estimators.local_learning_coefficient(
        plain, (X, Y), seed=seed, **CHAINS
    ),
    "mean_squared_jacobian": lambda plain, noisy, seed: estimators.mean_squared_jacobian(
        plain, X, num_probes=1, seed=seed
    ),
    "mutual_information": lambda plain, noisy, seed: estimators.mutual_information(
        X, X[:, :1] + X[:, 1:2], method="ksg", seed=seed
    ),
    "nuisance_information": lambda plain, noisy, seed: estimators.nuisance_information(
        X, Y, num_folds=2, epochs=1, seed=seed, verbose=0
    ),
    "posterior_influence": lambda plain, noisy, seed: estimators.posterior_influence(
        plain, (X, Y), seed=seed
    ),
    "relevance_null": lambda plain, noisy, seed: estimators.relevance_null(X > 0, seed=seed),
    "total_correlation": lambda plain, noisy, seed: estimators.total_correlation(X, seed=seed),
}
# They write a file, train, or need a network at a minimum: their own tests ask them for the seed.
ELSEWHERE = {"compress", "forget", "sweep_beta"}


def test_every_function_that_draws_is_tried():
    found = set()
    for place in (kib, estimators):
        for name in place.__all__:
            value = getattr(place, name)
            if inspect.isfunction(value):
                seed = inspect.signature(value).parameters.get("seed")
                if seed is not None and seed.default is None:
                    found.add(name)
    assert found == {*CALLS, *ELSEWHERE}


@pytest.mark.parametrize("name", CALLS)
def test_the_result_carries_the_seed_that_gives_it_again(plain, noisy, name):
    first, second = (CALLS[name](plain, noisy, None) for _ in range(2))
    assert first.seed != second.seed
    assert CALLS[name](plain, noisy, 7).seed == 7
    again = CALLS[name](plain, noisy, first.seed)
    assert again.seed == first.seed
    assert repr(again) == repr(first)
    if isinstance(first, Result):
        np.testing.assert_equal(again.to_dict(), first.to_dict())
        np.testing.assert_equal(again.numbers(), first.numbers())
        assert "seed" not in first.numbers()
    else:
        assert again == first


@pytest.mark.parametrize("name", CALLS)
def test_the_random_numbers_of_the_program_are_left_alone(plain, noisy, name):
    CALLS[name](plain, noisy, None)  # the first call builds what is compiled
    keras.utils.set_random_seed(3)
    expected = random.random(), np.random.random()
    keras.utils.set_random_seed(3)
    CALLS[name](plain, noisy, None)
    assert (random.random(), np.random.random()) == expected


def test_files_keep_the_seed_and_those_of_earlier_versions_have_none(tmp_path):
    fields = {"probabilities": np.ones(3), "suggested": np.arange(3), "losses": np.ones(3)}
    fields |= {"confusion": np.eye(3), "temperature": 1.0, "method": "curvature"}
    for seed in (5, None):
        estimators.WrongLabels(**fields, seed=seed).to_npz(tmp_path / "found.npz")
        with np.load(tmp_path / "found.npz") as arrays:
            assert ("seed" in arrays) == (seed is not None)
        assert estimators.WrongLabels.from_npz(tmp_path / "found.npz").seed == seed


def test_a_copied_estimate_has_its_seed():
    assert copy.deepcopy(estimators.Estimate(1.0, 0.5, seed=3)).seed == 3
    assert estimators.Estimate(1.0).seed is None
