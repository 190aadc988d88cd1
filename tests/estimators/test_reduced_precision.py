"""Networks in reduced and in double precision go through everything that measures."""

import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

pytestmark = pytest.mark.slow

e = kib.estimators
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6, 6, 1)).astype("float32")
Y = RNG.integers(3, size=40)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Relative deviations from float64 that are allowed: 16 roundings to the type, each at most 2^-11 in
# float16 and 2^-8 in bfloat16. A second derivative passes each layer four times.
TOLERANCE = {"mixed_float16": 16 * 2**-11, "mixed_bfloat16": 16 * 2**-8, "float64": 0.0}
NAMES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16", "float64": "float64"}


def new_network(policy):
    parts = [
        layers.Conv2D(3, 3, activation="tanh", dtype=policy, name="conv"),
        layers.Flatten(dtype=policy),
        layers.Dense(6, "tanh", dtype=policy, name="hidden"),
        layers.Dense(3, dtype=policy, name="head"),
    ]
    model = keras.Sequential([keras.Input((6, 6, 1), dtype="float32"), *parts])
    model.compile("sgd", LOSS)
    return model


@functools.cache
def network(policy):
    """Of the same weights for every policy."""
    model = new_network(policy)
    rng = np.random.default_rng(1)
    model.set_weights([0.5 * rng.normal(size=w.shape).astype("float32") for w in model.weights])
    return model


@functools.cache
def noisy(policy):
    model = kib.make_variational(
        network(policy), num_examples=40, verbose=0, variational_bias=True, initial_scale=0.05
    )
    model.compile("sgd", LOSS)
    return model


def fisher(policy, structure):
    return e.fisher_information(network(policy), (X, Y), structure=structure, labels="expected")


def product(policy):
    ones = [np.ones(weight.shape) for weight in network(policy).weights]
    return fisher(policy, "implicit").matvec(ones)[0]


def code(policy):
    return e.information_in_weights(network(policy), (X, Y), beta=0.01, labels="expected")


def effective(policy):
    options = {"fisher": fisher(policy, "diagonal"), "beta": 0.01}
    return e.effective_information(network(policy), X[:10], layer="hidden", **options)


def certificate(policy):
    options = {"delta": 0.05, "num_samples": 3, "seed": 0}
    model = kib.make_variational(
        network(policy), num_examples=40, verbose=0, variational_bias=True, initial_scale=0.05
    )
    model.compile("sgd", LOSS)
    model.anchor_prior((X[:10], Y[:10]))
    return e.certify(model, (X[10:], Y[10:]), **options)


def length(policy):
    model = kib.make_variational(
        network(policy),
        num_examples=40,
        prior_scale="grid",
        variational_bias=True,
        initial_scale=0.05,
        verbose=0,
    )
    return e.description_length(model, (X, Y), from_logits=True, seed=0).data_nats


def wrong_labels(policy):
    with warnings.catch_warnings(action="ignore"):  # random labels: most of them seem wrong
        return e.find_wrong_labels(network(policy), (X, Y), labels="expected").losses


def influences(policy):
    options = {"beta": 0.1, "fisher": fisher(policy, "diagonal")}
    return list(e.posterior_influence(network(policy), (X, Y), **options).numbers().values())


def coefficient(policy):
    options = {"num_chains": 2, "num_draws": 4, "num_steps": 2, "seed": 0}
    found = e.local_learning_coefficient(network(policy), (X, Y), **options)
    return list(found.numbers().values())[:1]


def forgotten(policy):
    options = {"price": 1e-6, "weight_decay": 1.0, "tolerance": 99.0, "labels": "expected"}
    parts = (X[:9], Y[:9]), (X[9:], Y[9:])
    model, _ = kib.forget(network(policy), *parts, seed=0, **options)
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


# From a policy to numbers, that of float64 first among those compared.
MEASURES = {
    **{
        f"trace, {structure}": lambda p, s=structure: [float(fisher(p, s).trace())]
        for structure in ("diagonal", "kronecker", "dense", "gram", "implicit")
    },
    "products": lambda p: fisher(p, "implicit").matvec(
        [np.ones(w.shape) for w in network(p).weights]
    )[0],
    "curvature": lambda p: [float(e.hessian(network(p), (X, Y)).trace(num_probes=3))],
    "spectrum": lambda p: e.hessian(network(p), (X, Y)).eigenvalues(1),
    "code": lambda p: [code(p).nats],
    "effective": lambda p: [effective(p).nats],
    "complexity": lambda p: [e.quantized_complexity(network(p)).total_bits],
    "certificate": lambda p: [certificate(p).cross_entropy_bound],
    "unique": lambda p: (
        e.unique_information(
            network(p), (X, Y), beta=0.1, labels="expected", structure="diagonal"
        ).nats
    ),
    "influence": influences,
    "wrong labels": wrong_labels,
    "learning coefficient": coefficient,
    "forgetting": forgotten,
    "jacobian": lambda p: [float(e.mean_squared_jacobian(network(p), X, seed=0))],
    "description": lambda p: [float(length(p))],
}


@pytest.mark.parametrize("measure", MEASURES)
def test_numbers_are_those_of_float64_to_what_the_precision_gives(measure):
    found = {policy: np.asarray(MEASURES[measure](policy), float) for policy in TOLERANCE}
    exact = found.pop("float64")
    assert np.all(np.isfinite(exact))
    for policy, numbers in found.items():
        error = np.linalg.norm(numbers - exact)
        assert error <= TOLERANCE[policy] * np.linalg.norm(exact), policy


@pytest.mark.parametrize("policy", TOLERANCE)
def test_training_goes_on_from_a_checkpoint(policy, tmp_path):
    def trained(path, epochs):
        keras.utils.set_random_seed(0)
        model = kib.make_variational(network(policy), num_examples=40, verbose=0, seed=1)
        model.compile("sgd", LOSS)
        checkpoint = kib.callbacks.Checkpoint(tmp_path / path)
        options = {"initial_epoch": checkpoint.restore(model), "epochs": epochs}
        model.fit(X, Y, shuffle=False, callbacks=[checkpoint], verbose=0, **options)
        return model.get_weights()

    whole = trained("whole.npz", 2)
    trained("parts.npz", 1)
    for weight, again in zip(whole, trained("parts.npz", 2), strict=True):
        np.testing.assert_array_equal(weight, again)
    assert all(np.all(np.isfinite(np.asarray(weight, float))) for weight in whole)


@pytest.mark.parametrize("policy", TOLERANCE)
def test_what_is_not_a_number_of_curvature_runs(policy, tmp_path):
    model, drawn = network(policy), noisy(policy)
    assert fisher(policy, "diagonal").precision == NAMES[policy]
    states = e.hidden_states(model, X, "hidden")
    counted = e.StateCounts.from_model(model, X, "hidden")
    assert counted.num_states == len(np.unique(states, axis=0))
    report = kib.audit(model, (X, Y), verbose=0)
    exact = kib.audit(network("float64"), (X, Y), verbose=0).numbers()["loss"]
    assert abs(report.numbers()["loss"] - exact) <= TOLERANCE[policy] * exact
    samples = drawn.predict_samples(X, 2, seed=0)
    assert samples.dtype == np.float32
    smaller = kib.make_deterministic(drawn, prune_below=4.0, remove_units=True)
    pruned = kib.make_deterministic(drawn, prune_below=4.0)
    np.testing.assert_allclose(
        np.asarray(smaller.predict(X, verbose=0), float),
        np.asarray(pruned.predict(X, verbose=0), float),
        atol=10 * TOLERANCE[policy] + 1e-6,
    )
    kib.compress(drawn, tmp_path / "network.kib")
    again = kib.decompress(tmp_path / "network.kib")
    assert again.predict(X, verbose=0).shape == (40, 3)
    for name, one in (("noisy", drawn), ("plain", kib.make_deterministic(drawn))):
        one.export(str(tmp_path / name), verbose=False)
        served = tf.saved_model.load(str(tmp_path / name))
        np.testing.assert_allclose(
            tf.cast(served.serve(X), tf.float64),
            np.asarray(one.predict(X, verbose=0), "float64"),
            atol=1e-5,
        )
