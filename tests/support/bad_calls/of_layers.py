"""Bad calls of layers, models, callbacks and reports."""

import keras
import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    CHOICE,
    FLAG,
    LAYER,
    MAPPING,
    MODEL,
    OBJECT,
    PATH,
    POSITIVE,
    PRICE,
    PROBABILITY,
    SCALE,
    SEED,
    TEXT,
    VERBOSE_OR_AUTO,
    Mute,
    count,
    kinds,
    values,
)
from tests.support.bad_calls.things import things

PROBES = {"num_probes": count(2), "seed": kinds(1.5, "a", None) + values(-1)}
MACHINE = {
    "num_steps": count(),
    "persistent": FLAG,
    "num_chains": count(),
    "seed": [*SEED, *values(2**31)],
}
STATES = [*kinds(None, "text", ["a"], Mute()), *values(np.ones((2, 9)), np.full((2, 3), 5.0))]


def setter(thing, name):
    """An assignment as a function of the value."""
    return lambda value: setattr(thing, name, value)


def layer_table():
    """Of layers, models and callbacks."""
    t, layers, models = things(), kib.layers, kib.models
    callbacks = kib.callbacks
    noisy = layers.VariationalWeights(keras.layers.Dense(2))
    noisy.build((None, 3))

    def draw(seed=(0, 1), **options):
        with layers.drawing(list(seed) if isinstance(seed, tuple) else seed, **options):
            pass

    visible = [*kinds(None, "text", ["a"], Mute()), *values(np.ones((2, 9)), t.bits * 2, t.bits[0])]
    layer_number = [*count(), *values(3)]
    return {
        "VariationalWeights": (
            layers.VariationalWeights,
            {"layer": keras.layers.Dense(2)},
            {
                "layer": [*LAYER, *kinds(None)],
                "posterior": CHOICE,
                "prior_scale": SCALE[1:],  # None is taken
                "max_variance": POSITIVE,
                "estimator": CHOICE,
                "initial_scale": POSITIVE,
                "variational_bias": FLAG,
                "seed": SEED,
            },
        ),
        "VariationalWeights.anchor_prior": (noisy.anchor_prior, {}, {"scale": FLAG}),
        "InformationDropout": (
            layers.InformationDropout,
            {"layer": keras.layers.Dense(2, "relu"), "beta": 0.1},
            {
                "layer": [*LAYER, *kinds(None)],
                "beta": PRICE,
                "prior": CHOICE,
                "max_alpha": POSITIVE,
                "alpha_layer": LAYER,
                "activation_is_nonnegative": FLAG,
                "seed": SEED,
            },
        ),
        "GaussianBottleneck": (
            layers.GaussianBottleneck,
            {"units": 2, "beta": 0.1},
            {
                "units": count(),
                "beta": PRICE,
                "prior": CHOICE,
                "num_components": count(),
                "seed": SEED,
            },
        ),
        "GaussianBottleneck, conditional": (
            layers.GaussianBottleneck,
            {"units": 2, "beta": 0.1, "prior": "conditional", "num_classes": 3},
            {"num_classes": [*count(2), *kinds(None)]},
        ),
        "GaussianBottleneck.beta": (setter(t.bottleneck, "beta"), {}, {"value": PRICE}),
        "InformationDropout.beta": (setter(t.dropout, "beta"), {}, {"value": PRICE}),
        "drawing": (
            draw,
            {},
            {
                "seed": kinds(None, "a", [0.5, 1.0], ["a", "b"]) + values(3, [1], [1, 2, 3]),
                "weights": FLAG,
                "activations": FLAG,
                "layers": kinds(3, "hidden", [3], keras.layers.Dense(2)),
            },
        ),
        "InformationBottleneckModel": (
            kib.InformationBottleneckModel,
            {"inputs": t.net, "num_examples": 12},
            {
                "inputs": MODEL,
                "name": TEXT,
                "num_examples": count(),
                "weight_beta": PRICE,
                "objective": CHOICE,
                "delta": PROBABILITY,
            },
        ),
        "InformationBottleneckModel.num_examples": (
            setter(t.noisy, "num_examples"),
            {},
            {"value": count()},
        ),
        "InformationBottleneckModel.weight_beta": (
            setter(t.noisy, "weight_beta"),
            {},
            {"value": PRICE},
        ),
        "InformationBottleneckModel.predict_samples": (
            t.noisy.predict_samples,
            {"x": t.x, "num_samples": 1},
            {
                "num_samples": count(),
                "weights": FLAG,
                "activations": FLAG,
                "batch_size": count(),
                "verbose": VERBOSE_OR_AUTO,
                "seed": SEED,
            },
        ),
        "InformationBottleneckModel.weight_information": (
            t.noisy.weight_information,
            {},
            {"by_layer": FLAG},
        ),
        "InformationBottleneckModel.anchor_prior": (
            t.noisy.anchor_prior,
            {"data": t.data},
            {"scale": FLAG},
        ),
        "BoundedCrossentropy": (
            models.BoundedCrossentropy,
            {},
            {"from_logits": FLAG, "min_probability": PROBABILITY, "name": TEXT},
        ),
        "RestrictedBoltzmannMachine": (
            models.RestrictedBoltzmannMachine,
            {"units": 3},
            {"units": count(), **MACHINE},
        ),
        "RestrictedBoltzmannMachine.free_energy": (
            t.machine.free_energy,
            {},
            {"visible": visible},
        ),
        "RestrictedBoltzmannMachine.log_partition": (
            t.machine.log_partition,
            {},
            {"num_chains": count(2), "num_temperatures": count(), "seed": PROBES["seed"]},
        ),
        "RestrictedBoltzmannMachine.log_likelihood": (
            t.machine.log_likelihood,
            {"x": t.bits},
            {"x": visible, "batch_size": count()},
        ),
        "RestrictedBoltzmannMachine.hidden_states": (
            t.machine.hidden_states,
            {"x": t.bits},
            {"x": visible, "sample": FLAG, "batch_size": count()},
        ),
        "RestrictedBoltzmannMachine.generate": (
            t.machine.generate,
            {"states": np.ones((2, 3))},
            {"states": STATES, "num_steps": count(0)},
        ),
        "DeepBeliefNetwork": (
            models.DeepBeliefNetwork,
            {"units": [3, 2]},
            {
                "units": kinds(None, 3, "32", [2.5], ["3"], [True]) + values([], [3, 0]),
                **MACHINE,
            },
        ),
        "DeepBeliefNetwork.hidden_states": (
            t.network.hidden_states,
            {"x": t.bits, "layer": 1},
            {"x": visible, "layer": layer_number, "sample": FLAG, "batch_size": count()},
        ),
        "DeepBeliefNetwork.generate": (
            t.network.generate,
            {"layer": 1, "states": np.ones((2, 3))},
            {"layer": layer_number, "states": STATES, "num_steps": count(0)},
        ),
        "BetaSchedule": (
            callbacks.BetaSchedule,
            {"beta": keras.Variable(1.0)},
            {
                "beta": kinds(None, 0.1, "beta"),
                "schedule": CHOICE,
                "start": PRICE,
                "stop": PRICE,
                "num_epochs": count(0),
            },
        ),
        "BetaSchedule.value": (t.schedule.value, {}, {"epoch": count(0)}),
        "Checkpoint": (callbacks.Checkpoint, {}, {"filepath": PATH}),
        "Checkpoint.restore": (callbacks.Checkpoint("state.npz").restore, {}, {"model": MODEL}),
        "Measure": (
            callbacks.Measure,
            {"measurements": {"a": len}},
            {
                "measurements": [*MAPPING, *kinds({"a": 3}, {3: len}), *values({})],
                "every": kinds(None, 2.5, "x", True, [2.5]) + values(0, [], [-1]),
                "csv_path": PATH[1:],
                "log_dir": PATH[1:4],
            },
        ),
        "InformationReport.differences": (t.report.differences, {}, {"baseline": OBJECT}),
        "InformationReport.table": (t.report.table, {}, {"baseline": OBJECT[1:]}),
        "InformationReport.to_json": (t.report.to_json, {}, {"path": PATH}),
        "InformationReport.to_html": (
            t.report.to_html,
            {"path": "report.html"},
            {"path": PATH, "baseline": OBJECT[1:]},
        ),
    }
