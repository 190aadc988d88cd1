"""Bad calls of functions of arrays and numbers."""

import functools

import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    CHOICE,
    FLAG,
    INF,
    NAMED_NUMBERS,
    NAN,
    NUMBER,
    OBJECT,
    PATH,
    POSITIVE,
    PRICE,
    SEED,
    VERBOSE,
    Mute,
    count,
    floats,
    integers,
    kinds,
    values,
)
from tests.support.bad_calls.things import things

Z = np.random.default_rng(1).normal(size=(40, 3))
N = np.arange(40) % 2
BITS = (Z > 0).astype(int)
WEIGHTS = {"w": np.random.default_rng(2).normal(size=(8, 8)).astype("float32")}
FOUR = [0.1, 0.2, 0.3, 0.4]
WEIGHT_ARRAYS = [
    *kinds(None, "text", 3, [None], {"w": np.ones((8, 8), int)}, {"w": np.ones((8, 8)) * 1j}),
    *values([], {"w": np.ones((2, 2))}, {"w": np.full((8, 8), NAN)}),
]
PERCENT = kinds("99", True, [99.0]) + values(NAN, 0, 101)
PROBES = {"num_probes": count(2), "seed": kinds(1.5, "a", None) + values(-1)}
WHOLE = kinds(1.5, "3", None, True) + values(0, -1)
CODE_BLOCKS = {"blocks": kinds(None, "3", True, 2.5) + values(1, [], [40], [9, 8, 40], [8, 41])}
SHARE = kinds("0", None, True) + values(-0.1, 1.1, NAN)
EXCESS = {
    "worse": SHARE,
    "better": SHARE,
    "kl": kinds("0", None, True) + values(-1, NAN),
    "num_examples": [*WHOLE, *kinds(INF)],
    "delta": kinds("0", None, True) + values(0, 1, NAN),
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
        "decompose_uncertainty, regression": (
            e.decompose_uncertainty,
            {"mean": np.ones((2, 3))},
            {"scale": [*floats()[1:], *values(-1, np.ones(7))]},
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
        "mdl_probe": (
            e.mdl_probe,
            {"z": Z, "y": N, "num_steps": 2, "blocks": 3},
            {
                "z": [*floats("examples", "units")[:7], *values(Z * NAN)],
                "y": kinds(None, "a", N * 1j, N * 0.5) + values(N[:9], N * 0, N - 1),
                "mask": kinds("a", N * 1j) + values(N[:9] == 0, N * 0.5, N * 0),
                **CODE_BLOCKS,
                "num_steps": count(),
                "seed": kinds(1.5, "a", None) + values(-1),
            },
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
        "test_set_bound": (
            e.test_set_bound,
            {"errors": 1, "num_examples": 10, "delta": 0.1},
            {
                "errors": kinds("0", None, True, 0.5) + values(-1, 11),
                "num_examples": [*WHOLE, *kinds(INF)],
                "delta": kinds("0", None, True) + values(0, 1, NAN),
                "kind": CHOICE,
            },
        ),
        "excess_loss_bound": (
            e.excess_loss_bound,
            {"worse": 0.1, "better": 0.1, "kl": 1.0, "num_examples": 10, "delta": 0.1},
            EXCESS,
        ),
        "recursive_bound": (
            functools.partial(e.recursive_bound, worse=0.1, better=0.1, kl=1.0, num_examples=10),
            {"previous": 0.1, "error": 0.1, "delta": 0.1},
            {"previous": SHARE, "error": SHARE, "gamma": SHARE, **EXCESS},
        ),
        "occam_bound": (
            e.occam_bound,
            {"bits": 8, "errors": 1, "num_examples": 10, "delta": 0.1},
            {
                "bits": kinds("0", None, True) + values(-1, NAN, INF),
                "errors": kinds("0", None, True) + values(-1, NAN, 11),
                "num_examples": [*WHOLE, *kinds(INF)],
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
                "rearrangements": kinds(None, "renumbered", 3, [3]) + values(["absent"]),
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
        "StateCounts.to_npz": (e.StateCounts().to_npz, {}, {"path": PATH}),
        "StateCounts.from_npz": (e.StateCounts.from_npz, {}, {"path": PATH[:4]}),
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
