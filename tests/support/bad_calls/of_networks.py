"""Bad calls of functions that take a network."""

import keras
import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    BUDGET,
    CHOICE,
    FLAG,
    LARGE,
    LAYER_OF,
    LIKELIHOOD,
    MAPPING,
    MODEL,
    NAN,
    NUMBER,
    OBJECT,
    PATH,
    POSITIVE,
    PRICE,
    PROBABILITY,
    SCALE,
    SEED,
    TEXT,
    VERBOSE,
    VERBOSE_OR_AUTO,
    Mute,
    count,
    floats,
    kinds,
    values,
)
from tests.support.bad_calls.things import things

DATA_OPTIONS = {"batch_size": count(), "likelihood": LIKELIHOOD}
VARIABLES = kinds("kernel", 3, [3], {}, Mute()) + values([], [keras.Variable(1.0)])
FISHER = {
    **DATA_OPTIONS,
    "labels": CHOICE,
    "max_side": count(),
    "memory_limit": BUDGET,
    "num_samples": count(),
    "pass_limit": count(),
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
PROBES = {"num_probes": count(2), "seed": kinds(1.5, "a", None) + values(-1)}


def network_table():
    """Of `kib.estimators` and the functions of `kib`."""
    e, t = kib.estimators, things()
    layer = {"model": t.net, "x": t.x, "layer": "hidden", "fisher": t.fisher, "beta": 0.1}
    code = {"model": t.net, "data": t.data}
    names = kinds("hidden", 3, LARGE, [3]) + values([], ["absent"], ["hidden", "hidden"])
    return {
        "mean_squared_jacobian": (
            e.mean_squared_jacobian,
            {"model": t.net, "x": t.x},
            {
                "model": MODEL,
                "x": kinds(None, "text", Mute()),
                "num_probes": count(),
                "batch_size": count(),
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
        "audit": (
            kib.audit,
            {**code, "include": ("weights",)},
            {
                "model": MODEL,
                "nuisance": kinds("a", Mute()) + values(np.ones(12), np.arange(3)),
                "layers": names,
                "parts": kinds(3, "task", [3], None),
                "include": kinds("task", 3) + values([], ["absent"]),
                "examples": [*MAPPING, *kinds({"task": 2.5}), *values({"task": 0}, {"none": 3})],
                "num_examples": count(),
                "likelihood": LIKELIHOOD,
                "seed": SEED,
                "dry_run": FLAG,
                "verbose": VERBOSE,
            },
        ),
        "compress": (
            kib.compress,
            {"model": t.noisy, "path": "network.kib", "verbose": 0},
            {
                "model": [*MODEL, *values(t.broken)],
                "path": PATH,
                "bits_per_block": count() + values(21),
                "beam": count(),
                "rate": POSITIVE + values(17),
                "finetune": kinds(True, "fit", [3]) + values(0, 3),
                "batch_size": count(),
                "delta": PROBABILITY,
                "num_stages": count(),
                "step": POSITIVE + values(17),
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
        "decompress": (
            kib.decompress,
            {"path": "network.kib"},
            {"path": PATH[:4], "max_weights": count()},
        ),
        "make_deterministic": (
            kib.make_deterministic,
            {"model": t.noisy},
            {"model": [*MODEL, *values(t.broken)], "prune_below": POSITIVE, "remove_units": FLAG},
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
                "prior_scale": SCALE[1:],
                "estimator": CHOICE,
            },
        ),
        "sweep_beta": (
            kib.sweep_beta,
            {"build": lambda: t.noisy, "data": t.data, "betas": [0.1, 1.0]},
            {
                "build": kinds(None, "build", 3, t.net),
                "betas": [*floats("prices"), *values([0.1], [1.0, 0.1], [0.0, 1.0])],
                "epochs": count(),
                "first_epochs": count() + values(19),
                "warm_up": count(0) + values(20),
                "batch_size": count(),
                "warm_start": FLAG,
                "prune_below": POSITIVE,
                "path": PATH[1:],
                "seed": SEED + values(2**32),
                "verbose": VERBOSE,
            },
        ),
        "recalibrate_batch_normalization": (
            kib.recalibrate_batch_normalization,
            {"model": t.normalised, "data": t.x},
            {"model": MODEL, "batch_size": count(), "verbose": VERBOSE_OR_AUTO},
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
                "num_samples": [case for case in count() if case[0] is not None],
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
        "description_length": (
            e.description_length,
            {"model": t.paid, "data": t.data, "from_logits": True},
            {
                "model": MODEL,
                "num_draws": count(2),
                "from_logits": kinds(1, "yes"),
                "batch_size": count(),
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
        "prequential_code": (
            e.prequential_code,
            {"build": lambda: t.net, "data": t.data, "blocks": 2, "epochs": 1},
            {
                "build": kinds(None, "model", 3, Mute()),
                "blocks": kinds(None, "3", True, 2.5) + values(1, [], [12], [9, 8, 12], [8, 13]),
                "epochs": count(),
                "min_updates": count(0),
                "batch_size": count(),
                "warm_start": FLAG,
                "shuffle": FLAG,
                "from_logits": kinds(1, "yes"),
                "path": kinds(3, True, ["a"]) + values("", "/nowhere/at all/file"),
                "seed": kinds(1.5, "a", None) + values(-1),
                "verbose": VERBOSE,
            },
        ),
        "fisher_information": (
            e.fisher_information,
            code,
            {
                "model": MODEL,
                "structure": CHOICE,
                "dry_run": FLAG,
                "first_example": count(0),
                **FISHER,
            },
        ),
        "drawn_excess_loss": (
            e.drawn_excess_loss,
            {**code, "fisher": t.fisher, "beta": 0.1},
            {
                "model": MODEL,
                "fisher": OBJECT,
                "beta": POSITIVE,
                "prior_scale": SCALE,
                "num_draws": count(2),
                "seed": SEED,
                **DATA_OPTIONS,
            },
        ),
        "register_rule": (
            e.register_rule,
            {"layer_class": keras.layers.Dense, "rule_class": e.LayerRule},
            {
                "layer_class": kinds(None, "dense", dict, keras.layers.Dense(1)),
                "rule_class": kinds(None, "rule", dict),
                "check": FLAG,
            },
        ),
        "hessian": (
            e.hessian,
            code,
            {
                "model": MODEL,
                "variables": VARIABLES,
                "memory_limit": BUDGET,
                "dry_run": FLAG,
                **DATA_OPTIONS,
            },
        ),
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
        "local_learning_coefficient": (
            e.local_learning_coefficient,
            {"model": t.net, "data": t.data, "num_chains": 2, "num_draws": 4},
            {
                "model": MODEL,
                "num_chains": count(2),
                "num_draws": count(4),
                "num_steps": count(),
                "num_warmup": count(0),
                "beta": POSITIVE,
                "localization": POSITIVE,
                "step_size": SCALE,
                "sampler": CHOICE,
                "fisher": OBJECT[1:],
                "variables": VARIABLES,
                **DATA_OPTIONS,
                "seed": SEED,
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
        "StateCounts.from_model": (
            e.StateCounts.from_model,
            {"model": t.net, "data": t.x, "layer": "hidden"},
            {
                "model": MODEL,
                "layer": LAYER_OF,
                "threshold": kinds(None, "0", True, 1j) + values(NAN, [], [2.0, 1.0]),
                "batch_size": count(),
                "verbose": VERBOSE,
            },
        ),
        "StateCounts.by_layer": (
            e.StateCounts.by_layer,
            {"model": t.net, "data": t.x, "layers": ["hidden"]},
            {
                "model": MODEL,
                "layers": kinds("hidden", 3, None) + values([]),
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
