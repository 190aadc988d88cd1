"""Critics are compiled once, and a kept one says what a new one says."""

import threading
import types

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import mutual_information, nuisance_information
from keras_infobottleneck.estimators.information import critic_steps

SLOW = pytest.mark.slow
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(80, 3))
N = Z @ RNG.normal(size=(3, 2)) + RNG.normal(size=(80, 2))
LABELS = (N[:, 0] > 0).astype(int)


def by_classes(z, seed):
    return nuisance_information(z, LABELS, num_folds=2, epochs=2, seed=seed, verbose=0).nats


def by_pairs(z, seed):
    return nuisance_information(z, N, num_folds=2, epochs=2, seed=seed, verbose=0).nats


def by_method(method):
    options = {"num_folds": 2, "epochs": 2, "verbose": 0, "learning_rate": 0.01}
    return lambda z, seed: mutual_information(z, N, method=method, seed=seed, **options).nats


ESTIMATORS = {"classes": by_classes, "pairs": by_pairs}
ESTIMATORS |= {method: by_method(method) for method in ("infonce", "nwj", "knife")}


@pytest.fixture
def built(monkeypatch):
    """Critics built in this test, of none kept before."""
    monkeypatch.setattr(critic_steps, "_kept", {})
    made = []
    original = critic_steps.CriticSteps.__init__

    def counted(self, *arguments):
        made.append(self)
        original(self, *arguments)

    monkeypatch.setattr(critic_steps.CriticSteps, "__init__", counted)
    return made


@pytest.mark.parametrize(
    "name",
    ["classes", *(pytest.param(name, marks=SLOW) for name in sorted({*ESTIMATORS} - {"classes"}))],
)
def test_a_kept_critic_is_not_traced_again_and_says_what_a_new_one_says(built, name):
    measure = ESTIMATORS[name]
    new = measure(Z, 1)
    measure(2.0 * Z[::-1], 2)
    traces = [
        function.experimental_get_tracing_count()
        for function in (built[0].epoch, built[0].validation_loss, built[0].judge)
    ]
    assert measure(Z, 1) == new
    assert len(built) == 1
    assert traces == [
        function.experimental_get_tracing_count()
        for function in (built[0].epoch, built[0].validation_loss, built[0].judge)
    ]


def small(number):
    """What `kept_steps` sees of steps whose critic has so many weights."""
    return types.SimpleNamespace(model=types.SimpleNamespace(count_params=lambda: number))


def test_every_architecture_and_thread_has_its_own(monkeypatch):
    monkeypatch.setattr(critic_steps, "_kept", {})
    found = [critic_steps.kept_steps(small, 1), critic_steps.kept_steps(small, 2)]
    thread = threading.Thread(target=lambda: found.append(critic_steps.kept_steps(small, 1)))
    thread.start()
    thread.join()
    assert len({id(each) for each in found}) == 3
    assert critic_steps.kept_steps(small, 1) is found[0]


def test_few_and_small_critics_are_kept(monkeypatch):
    monkeypatch.setattr(critic_steps, "_kept", {})
    monkeypatch.setattr(critic_steps, "NUM_KEPT", 2)
    first = critic_steps.kept_steps(small, 1)
    critic_steps.kept_steps(small, 2)
    assert critic_steps.kept_steps(small, 1) is first
    critic_steps.kept_steps(small, 3)  # instead of the one that was used the longest ago
    assert critic_steps.kept_steps(small, 1) is first
    assert len(critic_steps._kept) == 2
    many = critic_steps.MOST_WEIGHTS + 1
    assert critic_steps.kept_steps(small, many) is not critic_steps.kept_steps(small, many)
    assert critic_steps.kept_steps(small, 1) is first


@pytest.mark.parametrize(
    "name",
    ["mixed_bfloat16", *(pytest.param(name, marks=SLOW) for name in ("mixed_float16", "float64"))],
)
def test_the_default_precision_of_keras_changes_no_critic(monkeypatch, name):
    measures = [ESTIMATORS[each] for each in ("classes", "infonce")[: 1 + (name == "float64")]]
    expected = [measure(Z, 0) for measure in measures]
    monkeypatch.setattr(critic_steps, "_kept", {})
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        assert [measure(Z, 0) for measure in measures] == expected
    finally:
        keras.config.set_dtype_policy(policy)
