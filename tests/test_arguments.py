"""Every public name refuses what it cannot use: the kind of the error, and one clear sentence.

The table holds every argument of every public function, constructor and method; data, which are
read by one reader, have tests of their own. What is new and not in the table fails here.
"""

import functools
import types

import keras
import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_values import (
    BUDGET,
    CHOICE,
    FLAG,
    INF,
    LARGE,
    LAYER_OF,
    LIKELIHOOD,
    MAPPING,
    MODEL,
    NAMED_NUMBERS,
    NAN,
    NUMBER,
    OBJECT,
    POSITIVE,
    PRICE,
    PROBABILITY,
    SCALE,
    SEED,
    TEXT,
    VERBOSE,
    Mute,
    count,
    floats,
    integers,
    kinds,
    values,
)

# Data, and what Keras checks itself.
ELSEWHERE = {"data", "x", "outputs", "kwargs", "options", "fisher_options", "reduction", "dtype"}


@functools.cache
def things():
    """Small objects that good arguments are made of."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 4), np.float32), rng.integers(0, 3, 12)
    layers = [keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(3, name="out")]
    net = keras.Sequential([keras.Input((4,)), *layers])
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    normalised = [keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    options = {"labels": "expected"}
    of = functools.partial(kib.estimators.fisher_information, net, (x, y), **options)
    bits = rng.integers(0, 2, (12, 5)).astype("float32")
    machine = kib.models.RestrictedBoltzmannMachine(3, seed=0)
    machine.build((None, 5))
    network = kib.models.DeepBeliefNetwork([3, 2], seed=0)
    network.build((None, 5))
    broken = keras.models.clone_model(net)
    broken.set_weights([w * NAN for w in net.get_weights()])
    return types.SimpleNamespace(
        x=x,
        data=(x, y),
        net=net,
        broken=broken,
        normalised=keras.Sequential([keras.Input((4,)), *normalised]),
        noisy=kib.make_variational(net, num_examples=12, verbose=0, prior_scale=0.3),
        fisher=of(),
        kronecker=of(structure="kronecker"),
        dense=of(structure="dense"),
        gram=of(structure="gram"),
        implicit=of(structure="implicit"),
        hessian=kib.estimators.hessian(net, (x, y)),
        tensors=[np.ones(v.shape, np.float32) for v in net.trainable_variables],
        bits=bits,
        machine=machine,
        network=network,
        dropout=kib.layers.InformationDropout(keras.layers.Dense(3, "relu"), 0.1),
        schedule=kib.callbacks.BetaSchedule(keras.Variable(1.0)),
        report=kib.audit(net, (x, y), include=("weights",)),
        null=kib.estimators.relevance_null(bits.astype(int), num_draws=2),
    )


Z = np.random.default_rng(1).normal(size=(40, 3))
N = np.arange(40) % 2
BITS = (Z > 0).astype(int)
WEIGHTS = {"w": np.random.default_rng(2).normal(size=(8, 8)).astype("float32")}
FOUR = [0.1, 0.2, 0.3, 0.4]
DATA_OPTIONS = {"batch_size": count(), "likelihood": LIKELIHOOD}
VARIABLES = kinds("kernel", 3, [3], {}, Mute()) + values([], [keras.Variable(1.0)])
FISHER = {
    **DATA_OPTIONS,
    "labels": CHOICE,
    "memory_limit": BUDGET,
    "num_samples": count(),
    "seed": SEED,
    "variables": VARIABLES,
    "verbose": VERBOSE,
}
CODE = {
    "model": MODEL,
    "prior_scale": SCALE,
    "structure": CHOICE,
    "paper_form": FLAG,
    "num_probes": count(2),
    "num_steps": count(2),
    **FISHER,
}
OF_LAYER = {
    "model": MODEL,
    "layer": LAYER_OF,
    "fisher": OBJECT,
    "beta": POSITIVE,
    "prior_scale": SCALE,
    "memory_limit": BUDGET,
}
TENSORS = [
    *kinds(None, "text", 3, {}, LARGE),
    *values([], [np.ones(3)] * 4),
]
WEIGHT_ARRAYS = [
    *kinds(None, "text", 3, [None], {"w": np.ones((8, 8), int)}, {"w": np.ones((8, 8)) * 1j}),
    *values([], {"w": np.ones((2, 2))}, {"w": np.full((8, 8), NAN)}),
]
PERCENT = kinds("99", True, [99.0]) + values(NAN, 0, 101)
PROBES = {"num_probes": count(2), "seed": kinds(1.5, "a", None) + values(-1)}
STEPS = {**PROBES, "num_steps": count(2)}
ROWS = [*floats("rows", "weights"), *values(np.ones((2, 3)))]
SHARES = {"risk": values(-0.1, 1.1, NAN), "mean": values(-0.1, 1.1, NAN)}
WHOLE = kinds(1.5, "3", None, True) + values(0, -1)
MACHINE = {
    "num_steps": count(),
    "persistent": FLAG,
    "num_chains": count(),
    "seed": [*SEED, *values(2**31)],
}
STATES = [*kinds(None, "text", ["a"], Mute()), *values(np.ones((2, 9)), np.full((2, 3), 5.0))]


def estimators_table():
    """Of `kib.estimators` and the functions of `kib`."""
    e, t = kib.estimators, things()
    layer = {"model": t.net, "x": t.x, "layer": "hidden", "fisher": t.fisher, "beta": 0.1}
    code = {"model": t.net, "data": t.data}
    names = kinds("hidden", 3, LARGE, [3]) + values([], ["absent"], ["hidden", "hidden"])
    return {
        "audit": (
            kib.audit,
            {**code, "include": ("weights",)},
            {
                "model": MODEL,
                "nuisance": kinds("a", Mute()) + values(np.ones(12), np.arange(3)),
                "layers": names,
                "include": kinds("task", 3, None) + values([], ["absent"]),
                "examples": [*MAPPING, *kinds({"task": 2.5}), *values({"task": 0}, {"none": 3})],
                "num_examples": count(),
                "likelihood": LIKELIHOOD,
                "seed": SEED,
                "dry_run": FLAG,
                "verbose": VERBOSE,
            },
        ),
        "make_deterministic": (
            kib.make_deterministic,
            {"model": t.noisy},
            {"model": [*MODEL, *values(t.broken)], "prune_below": POSITIVE},
        ),
        "make_variational": (
            kib.make_variational,
            {"model": t.net, "num_examples": 12, "verbose": 0},
            {
                "model": [*MODEL, *values(t.broken)],
                "num_examples": count(),
                "include": kinds("hidden", 3, [3]) + values([], ["absent"]),
                "weight_beta": PRICE,
                "objective": CHOICE,
                "delta": PROBABILITY,
                "name": TEXT,
                "verbose": VERBOSE,
                "seed": SEED,
                "prior_scale": POSITIVE,
                "estimator": CHOICE,
            },
        ),
        "recalibrate_batch_normalization": (
            kib.recalibrate_batch_normalization,
            {"model": t.normalised, "data": t.x},
            {"model": MODEL, "batch_size": count(), "verbose": VERBOSE},
        ),
        "activation_fisher": (e.activation_fisher, layer, {**OF_LAYER, "paper_form": FLAG}),
        "effective_information": (
            e.effective_information,
            layer,
            {**OF_LAYER, "paper_form": FLAG, "verbose": VERBOSE},
        ),
        "simulated_effective_information": (
            e.simulated_effective_information,
            layer,
            {
                **OF_LAYER,
                "linear_input": FLAG,
                "num_draws": count(16),
                "seed": PROBES["seed"],
            },
        ),
        "certify": (
            e.certify,
            {"model": t.noisy, "data": t.data, "from_logits": True},
            {
                "model": MODEL,
                "delta": PROBABILITY,
                "num_samples": count(),
                "delta_monte_carlo": PROBABILITY,
                "examples_per_draw": count(),
                "min_probability": PROBABILITY,
                "from_logits": kinds(1, "yes"),
                "allow_repeats": FLAG,
                "batch_size": count(),
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
        "fisher_information": (
            e.fisher_information,
            code,
            {"model": MODEL, "structure": CHOICE, "dry_run": FLAG, **FISHER},
        ),
        "hessian": (e.hessian, code, {"model": MODEL, "variables": VARIABLES, **DATA_OPTIONS}),
        "information_in_weights": (
            e.information_in_weights,
            {**code, "beta": 0.1},
            {"beta": POSITIVE, **CODE},
        ),
        "information_curve": (
            e.information_curve,
            code,
            {
                "beta": kinds("a", ["a"], 1j) + values([2.0, 1.0], [-1.0], []),
                "loss": NUMBER,
                **CODE,
            },
        ),
        "hidden_states": (
            e.hidden_states,
            {"model": t.net, "data": t.x, "layer": "hidden"},
            {
                "model": MODEL,
                "layer": LAYER_OF,
                "threshold": kinds(None, "0", True, 1j) + values(NAN, [], [2.0, 1.0]),
                "batch_size": count(),
                "verbose": VERBOSE,
            },
        ),
        "quantize_to": (
            e.quantize_to,
            {"model": t.net, "num_bits": 3},
            {"model": MODEL, "num_bits": [*count(), *values(17)]},
        ),
    }


def number_table():
    """Of functions of arrays and numbers."""
    e = kib.estimators
    bound = {"risk": 0.1, "kl": 3.0, "num_examples": 100, "delta": 0.1}
    resolution = {"resolution": FOUR, "relevance": FOUR}
    return {
        "activation_information_bounds": (
            e.activation_information_bounds,
            {"alpha": 0.5, "num_units": [3, 4]},
            {
                "alpha": [*floats(), *values(0, -1, [0.1] * 3)],
                "num_units": kinds(2.5, "3", True, None) + values(0, [3, -1], [[3]]),
            },
        ),
        "linear_layer_information": (
            e.linear_layer_information,
            {"kernel": np.ones((3, 2)), "alpha": 0.3, "x": Z},
            {
                "kernel": floats("inputs", "units"),
                "alpha": [*floats(), *values(0, np.ones(7))],
                "x": [*floats("examples", "inputs"), *values(np.ones((4, 9)))],
            },
        ),
        "noise_variance_of_information": (
            e.noise_variance_of_information,
            {"nats": [3.0, 1.0], "num_weights": 10},
            {
                "nats": [*floats(), *values(-1)],
                "num_weights": [*WHOLE, *values([1, 2, 3])],
                "max_variance": POSITIVE,
                "paper_form": FLAG,
            },
        ),
        "block_decomposition_complexity": (
            e.block_decomposition_complexity,
            {"bits": BITS},
            {
                "bits": integers("rows", "columns"),
                "boundary": CHOICE,
                "min_length": count(),
                "shift": count(),
                "normalized": FLAG,
            },
        ),
        "cross_entropy_decomposition": (
            e.cross_entropy_decomposition,
            {"joint": np.full((2, 2, 2, 2), 1 / 16), "q": np.full((2, 2, 2), 0.5)},
            {"joint": floats(*"txyw"), "q": floats(*"xyw")},
        ),
        "decompose_uncertainty": (
            e.decompose_uncertainty,
            {},
            {
                "probabilities": floats(*"sbc")[1:],
                "mean": [*floats("samples", "batch")[1:7], *values(np.ones(3))],
            },
        ),
        "flat_minimum_bound": (
            e.flat_minimum_bound,
            {"weights": [np.ones(3)], "nuclear_norm": 2.0, "num_examples": 10},
            {
                "weights": kinds(None, "text", 3, {}) + values([], [np.zeros(3)], [[NAN]]),
                "nuclear_norm": POSITIVE,
                "num_examples": count(),
                "weight_beta": POSITIVE,
                "paper_form": FLAG,
            },
        ),
        "layer_multiscale_relevance": (
            e.layer_multiscale_relevance,
            {"activations": Z},
            {
                "activations": floats("num_samples", "units"),
                "by": CHOICE,
                "scales": kinds("a", [1.5], 1j) + values(3, [0], [9], []),
                "threshold": NUMBER,
                "seed": SEED,
            },
        ),
        "maximum_relevance_curve": (
            e.maximum_relevance_curve,
            {"num_samples": 20},
            {
                "num_samples": count(2),
                "mu": kinds("a", [1j]) + values([], [-1.0], [1.0, 0.5], NAN),
            },
        ),
        "MaximumRelevance.at": (
            e.maximum_relevance_curve(10, mu=[0.0]).at,
            {},
            {"resolution": [*floats(), *values(-0.1, 1.1)]},
        ),
        "monte_carlo_bound": (
            e.monte_carlo_bound,
            {"mean": 0.1, "num_trials": 10, "delta": 0.1},
            {
                "mean": kinds("0", None, True) + values(-0.1, 1.1, NAN),
                "num_trials": [*WHOLE, *kinds(INF)],
                "delta": kinds("0", None, True) + values(0, 1, NAN),
            },
        ),
        "pac_bayes_bound": (
            e.pac_bayes_bound,
            bound,
            {
                "risk": kinds("0", None, True) + values(-0.1, 1.1, NAN),
                "kl": kinds("0", None, True) + values(-1, NAN),
                "num_examples": [*WHOLE, *kinds(INF)],
                "delta": kinds("0", None, True) + values(0, 1, NAN),
                "kind": CHOICE,
                "beta": values(1.0),
            },
        ),
        "pac_bayes_bound, linear": (
            functools.partial(e.pac_bayes_bound, **bound, kind="linear"),
            {"beta": 1.0},
            {"beta": kinds("1", True) + values(0.5, NAN, INF)},
        ),
        "multiscale_relevance": (
            e.multiscale_relevance,
            {},
            {"spikes": [*integers("time"), *values([1, 1], [0, 0, 1])]},
        ),
        "nuisance_information": (
            e.nuisance_information,
            {"z": Z, "n": N, "epochs": 1, "num_folds": 2},
            {
                "z": [*floats("examples", "units")[:7], *values(Z[:, 0], Z * NAN)],
                "n": kinds(None, "a", N * 1j) + values(N[:9], N * 0, N * NAN),
                "discriminator": kinds("net", 3, Mute()),
                "normalize": FLAG,
                "num_folds": count(2),
                "num_permutations": count(),
                "epochs": count(),
                "batch_size": count(),
                "learning_rate": POSITIVE,
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
        "quantized_complexity": (
            e.quantized_complexity,
            {"weights": WEIGHTS, "num_bits": 2},
            {
                "weights": WEIGHT_ARRAYS,
                "layout": CHOICE,
                "num_bits": [*count(), *values(17)],
                "clip_percentile": PERCENT,
                "baseline": kinds(None, 3, Mute()) + values("first", [], {"w": np.ones((4, 8))}),
                "num_shuffles": count(2),
                "crop": kinds("ab", (4.5, 5), (True, True)) + values((2, 2), (4,), (10**6,) * 2),
                "num_crops": count(),
                "seed": PROBES["seed"],
                "verbose": VERBOSE,
            },
        ),
        "weight_compression": (
            e.weight_compression,
            {"weights": WEIGHTS},
            {
                "weights": WEIGHT_ARRAYS,
                "layout": CHOICE,
                "num_bits": [*count(), *values(17)],
                "clip_percentile": PERCENT,
            },
        ),
        "relevance_null": (
            e.relevance_null,
            {"states": BITS, "num_draws": 2},
            {
                "states": [*integers("samples", "units"), *values(BITS[:, :1])],
                "kind": CHOICE,
                "num_draws": count(2),
                "num_levels": count(2),
                "seed": SEED,
            },
        ),
        "RelevanceNull.at": (things().null.at, {}, {"resolution": floats()}),
        "relevance_slope": (
            e.relevance_slope,
            resolution,
            {
                "resolution": floats("points"),
                "relevance": [*floats("points"), *values([0.1])],
                "points_per_step": count(),
            },
        ),
        "resolution_relevance": (
            e.resolution_relevance,
            {"states": BITS},
            {"states": integers("samples", "units"), "num_levels": count(2)},
        ),
        "resolution_relevance_of_counts": (
            e.resolution_relevance_of_counts,
            {},
            {"counts": [*integers("states"), *values([1])]},
        ),
        "StateCounts": (e.StateCounts, {}, {"num_levels": count(2)}),
        "StateCounts.update": (e.StateCounts().update, {}, {"states": integers("s", "u")}),
        "StateCounts.merge": (e.StateCounts().merge, {}, {"other": OBJECT}),
        "total_correlation": (
            e.total_correlation,
            {"z": Z},
            {
                "z": [*floats("examples", "units")[:7], *values(Z[:, 0], Z[:2], Z * NAN)],
                "estimator": CHOICE,
                "log": FLAG,
                "num_permutations": count(2),
                "seed": SEED,
            },
        ),
        "zipf_exponent": (
            e.zipf_exponent,
            {"counts": [1, 2, 3]},
            {"counts": [*integers("states"), *values([3, -1, 2])], "min_count": count()},
        ),
        "WeightInformation.from_divergences": (
            e.WeightInformation.from_divergences,
            {"divergences": {"a": 1.0}, "num_examples": 10, "beta": 0.1},
            {
                "divergences": [*NAMED_NUMBERS, *values({})],
                "num_examples": count(),
                "beta": PRICE,
            },
        ),
    }
