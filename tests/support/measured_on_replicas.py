"""Measurements and trainings, run alone and on the replicas of a strategy, in a process of its own.

`python -m tests.support.measured_on_replicas NUMBER_OF_REPLICAS PLACES NAME...` prints, as JSON,
the numbers of each name by how they came about: "alone", and with strategies by where the model was
made and where it was measured, "inside, inside", and unless PLACES is "inside" also "inside,
outside" and "outside, inside".
"""

import contextlib
import json
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.models_on_replicas import (
    BITS,
    MODELS,
    X,
    Y,
    compiled,
    dense_model,
    noisy_model,
)

E = kib.estimators
BATCHES = {"batch_size": 8}


def numbers(result):
    """All numbers of a result."""
    return list(result.numbers().values())


def fisher(model, **options):
    """A Fisher matrix of small batches."""
    options = {"seed": 0, **BATCHES, **options}
    return E.fisher_information(model, (X, Y), **options)


def diagonal(structure, labels):
    """Of a plain model the diagonal, flat, and the trace's error."""

    def measure(models):
        found = fisher(models["plain"], structure=structure, labels=labels)
        return [*np.concatenate([d.ravel() for d in found.diagonal()]), found.standard_error]

    return measure


def hessian_product(models):
    """One product, flat."""
    hessian = E.hessian(models["plain"], (X, Y), **BATCHES)
    ones = [np.ones(shape, "float32") for shape in hessian.layout.shapes]
    return np.concatenate([a.ravel() for a in hessian.matvec(ones)])


def by_curvature(measure):
    """A measurement that takes the matrix."""

    def of_models(models):
        found = measure(models["plain"], fisher(models["plain"]))
        return found.numbers().values() if hasattr(found, "numbers") else np.ravel(found)

    return of_models


def recalibrated(models):
    """Weights after recalibration; they are put back."""
    model = models["plain"]
    before = model.get_weights()
    kib.models.recalibrate_batch_normalization(model, X)
    after = np.concatenate([a.ravel() for a in model.get_weights()])
    model.set_weights(before)
    return after


def anchored(models):
    """The divergences after anchoring of a model that is made here."""
    model = noisy_model()
    model.anchor_prior((X[:30], Y[:30]))
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
    return [float(layer.kl_divergence()) for layer in model.variational_layers]


def restored(models):
    """By how much a restored model differs from the one that was saved, and the epoch."""
    with tempfile.TemporaryDirectory() as folder:
        saving = kib.callbacks.Checkpoint(f"{folder}/training.npz")
        saving.set_model(models["trained"])
        saving.on_epoch_end(0)
        epoch = kib.callbacks.Checkpoint(saving.filepath).restore(models["fresh"])
    saved, fresh = (models[name] for name in ("trained", "fresh"))
    pairs = zip(
        saved.variables + saved.optimizer.variables,
        fresh.variables + fresh.optimizer.variables,
        strict=True,
    )
    return [epoch, *(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in pairs)]


def in_file(models):
    """The weights that a compressed file gives back."""
    with tempfile.TemporaryDirectory() as folder:
        kib.compress(models["local"], f"{folder}/network.kib", seed=1)
        weights = kib.decompress(f"{folder}/network.kib").get_weights()
    return np.concatenate([a.ravel() for a in weights])


def prequential(models):
    """Networks that are made and trained inside; five examples are no whole number for each."""
    options = {"blocks": [10, 25, 70], "epochs": 2, "batch_size": 5, "seed": 0}
    return numbers(E.prequential_code(dense_model, (X, Y), **options))


def swept(models):
    """A training along two prices, with next to no noise: every replica draws its own."""

    def build():
        keras.utils.set_random_seed(7)
        network = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
        options = {"prior_scale": 1.0, "initial_scale": 1e-10, "verbose": 0}
        return compiled(kib.make_variational(network, num_examples=70, **options))

    sweep = kib.sweep_beta(build, (X, Y), [0.01, 0.1], epochs=2, batch_size=14, seed=0)
    return [*sweep.task_loss, *sweep.nats]


def trained_machine(models):
    """The weights of a Boltzmann machine with chains after one epoch."""
    model = kib.models.RestrictedBoltzmannMachine(4, seed=0, persistent=True, num_chains=9)
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(BITS, batch_size=16, epochs=1, shuffle=False, verbose=0)
    return np.concatenate([a.ravel() for a in model.get_weights()])


def machine(models):
    """Trains a Boltzmann machine, then uses it."""
    options = {"persistent": True, "num_chains": 9, "num_steps": 2}
    model = kib.models.RestrictedBoltzmannMachine(4, seed=0, **options)
    model.compile(keras.optimizers.SGD(0.5))
    fitting = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    history = model.fit(BITS, validation_data=(BITS[:20],), **fitting).history
    states = model.hidden_states(BITS, sample=True)
    found = [model.get_weights(), model.generate(states, 1), list(history.values())]
    found += [states.mean(0), [float(model.log_likelihood(BITS))]]
    return np.concatenate([np.ravel(a) for group in found for a in group])


def belief_network(models):
    """Trains two machines on top of each other."""
    model = kib.models.DeepBeliefNetwork([4, 3], seed=0)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(BITS, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return np.concatenate([a.ravel() for a in model.get_weights()])


CASES = {
    **{
        f"fisher {structure} {labels}": diagonal(structure, labels)
        for structure, labels in [
            ("diagonal", "sampled"),
            ("kronecker", "sampled"),
            ("dense", "empirical"),
            ("gram", "sampled"),
            ("implicit", "sampled"),
        ]
    },
    "hessian": hessian_product,
    "states": lambda m: np.sort(
        E.StateCounts().update(E.hidden_states(m["plain"], X, "hidden", **BATCHES)).counts
    ),
    "curve": lambda m: numbers(
        E.information_curve(m["plain"], (X, Y), beta=[0.1, 1.0], seed=0, **BATCHES)
    ),
    "weights": lambda m: numbers(E.information_in_weights(m["plain"], X, beta=0.1, seed=0)),
    "effective": by_curvature(
        lambda m, f: E.effective_information(m, X[:10], layer="hidden", fisher=f, beta=0.1)
    ),
    "simulated": by_curvature(
        lambda m, f: [
            E.simulated_effective_information(m, X[:6], layer="hidden", fisher=f, beta=0.1, seed=0)
        ]
    ),
    "activations": by_curvature(
        lambda m, f: E.activation_fisher(m, X[:10], layer="hidden", fisher=f, beta=0.1)
    ),
    "excess": by_curvature(
        lambda m, f: [E.drawn_excess_loss(m, (X, Y), f, beta=0.1, seed=0, **BATCHES)]
    ),
    "correlation": lambda m: numbers(E.total_correlation(m["plain"].predict(X, verbose=0), seed=0)),
    "probe": lambda m: numbers(E.mdl_probe(X, Y, blocks=[10, 70], num_steps=5)),
    "prequential": prequential,
    "sweep": swept,
    **{
        f"mutual information, {method}": lambda m, method=method: [
            E.mutual_information(
                X[:, :2], X[:, 1:3], method=method, epochs=2, num_folds=2, seed=0
            ).nats
        ]
        for method in ("infonce", "knife")
    },
    "nuisance": lambda m: numbers(E.nuisance_information(X[:, :3], Y > 1, seed=0)),
    "certificate, noise": lambda m: numbers(
        E.certify(m["local"], (X, Y), num_samples=5, seed=1, **BATCHES)
    ),
    "certificate, weights": lambda m: numbers(
        E.certify(m["flipout"], (X, Y), num_samples=3, seed=1, **BATCHES)
    ),
    "samples": lambda m: m["dropout"].predict_samples(X, 4, seed=3, **BATCHES).ravel(),
    "length": lambda m: numbers(E.description_length(m["local"], (X, Y), seed=3, **BATCHES)),
    "complexity": lambda m: numbers(E.quantized_complexity(m["plain"], num_bits=3)),
    "compression": lambda m: numbers(E.weight_compression(m["plain"], num_bits=3)),
    "file": in_file,
    "audit": lambda m: numbers(kib.audit(m["plain"], (X, Y), seed=0)),
    "unique": lambda m: numbers(E.unique_information(m["plain"], (X, Y), beta=0.1, seed=0)),
    "influence": lambda m: numbers(E.posterior_influence(m["local"], (X, Y), num_draws=4, seed=0)),
    "bottleneck": lambda m: m["bottleneck"].evaluate(X, Y, batch_size=14, verbose=0),
    "wrong labels": lambda m: numbers(E.find_wrong_labels(m["plain"], (X, Y), **BATCHES)),
    "jacobian": lambda m: [E.mean_squared_jacobian(m["plain"], X, **BATCHES)],
    "coefficient": lambda m: numbers(
        E.local_learning_coefficient(
            m["plain"], (X, Y), num_chains=2, num_draws=4, num_steps=2, seed=0
        )
    ),
    "forgotten": lambda m: numbers(
        kib.forget(
            m["trained"],
            (X[:9], Y[:9]),
            (X[9:], Y[9:]),
            price=1e-6,
            weight_decay=0.1,
            tolerance=9.0,
            labels="expected",
            seed=0,
        )[1]
    ),
    "recalibrated": recalibrated,
    "anchored": anchored,
    "restored": restored,
    "deterministic": lambda m: kib.make_deterministic(m["local"]).predict(X, verbose=0).ravel(),
    "machine, one epoch": trained_machine,
    "machine, chains": machine,
    "belief network": belief_network,
}


class Made(dict):
    """Models by name, made when they are first asked for, inside a scope."""

    def __init__(self, scope):
        super().__init__()
        self._scope = scope

    def __missing__(self, name):
        with self._scope():
            self[name] = MODELS[name]()
        return self[name]


def main(count, places, names):
    """Prints the numbers."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, devices)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])
    nowhere = contextlib.nullcontext
    inside, outside = Made(strategy.scope), Made(nowhere)
    ways = {
        "alone": (Made(nowhere), nowhere),
        "inside, inside": (inside, strategy.scope),
        "inside, outside": (inside, nowhere),
        "outside, inside": (outside, strategy.scope),
    }
    if places == "inside":
        ways = dict(list(ways.items())[:2])
    found = {}
    for name in names or CASES:
        found[name] = {}
        for way, (models, scope) in ways.items():
            with scope():
                values = np.asarray(list(CASES[name](models)), "float64")
            found[name][way] = values.tolist()
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
