"""Bad calls of plots."""

import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    AXES,
    NAMED_NUMBERS,
    NAN,
    NUMBER,
    POSITIVE,
    TEXT,
    Mute,
    count,
    floats,
    integers,
    kinds,
    values,
)

FOUR = [0.1, 0.2, 0.3, 0.4]


def plot_table():
    """Of plots."""
    plots = kib.plots
    points = floats("points")
    pair = kinds("ab", Mute(), [["a"], ["b"]]) + values(3, [[1.0]], [[1.0], [1.0, 2.0]])
    named = [*NAMED_NUMBERS, *values({"b": 1.0})]
    return {
        "plot_bit_planes": (
            plots.plot_bit_planes,
            {"ratios": np.ones(4)},
            {
                "ratios": [*points[:4], *points[5:], *values({}, {"a": [1.0], "b": [1.0, 2.0]})],
                "std": [*points[1:4], *points[5:], *values(np.ones(3), -np.ones(4))],
                "ax": AXES,
            },
        ),
        "plot_code_length": (
            plots.plot_code_length,
            {"ends": [2, 4], "block_nats": [1.0, 1.0], "num_classes": 2},
            {
                "ends": [*integers("blocks"), *values([0, 2], [4, 2])],
                "block_nats": [*floats("blocks"), *values([1.0], [1.0] * 3, [-1.0, 1.0])],
                "num_classes": count(2),
                "ax": AXES,
            },
        ),
        "plot_information_by_layer": (
            plots.plot_information_by_layer,
            {"nats": {"a": 1.0}},
            {
                "nats": [*NAMED_NUMBERS, *values({})],
                "errors": [*named, *values({"a": -1.0})],
                "null": named,
                "label": [*TEXT, *kinds(None)],
                "name": TEXT,
                "ax": AXES,
            },
        ),
        "plot_information_curve": (
            plots.plot_information_curve,
            {"beta": FOUR, "nats": FOUR},
            {
                "beta": [*points, *values([0.0, 1.0], [2.0, 1.0], [])],
                "nats": points,
                "expected_loss": points[1:],
                "marked": POSITIVE,
                "ax": AXES,
            },
        ),
        "plot_information_map": (
            plots.plot_information_map,
            {"nats": np.ones((4, 4))},
            {
                "nats": floats("height", "width"),
                "image": floats("height", "width")[1:],
                "label": TEXT,
                "ax": AXES,
            },
        ),
        "plot_phase_diagram": (
            plots.plot_phase_diagram,
            {"num_examples": FOUR, "beta": FOUR, "values": np.eye(4)},
            {
                "num_examples": [*points, *values([1.0])],
                "beta": [*points, *values([2.0, 1.0])],
                "values": floats("prices", "sizes", nan=False),
                "half_way": NUMBER,
                "limits": kinds("ab", ("a", "b"), 1j) + values((1.0,), (2.0, 1.0), (NAN, 1.0)),
                "label": TEXT,
                "ax": AXES,
            },
        ),
        "plot_pruning_curve": (
            plots.plot_pruning_curve,
            {"signal_to_noise": np.ones(9), "thresholds": FOUR, "scores": FOUR},
            {
                "signal_to_noise": kinds(None, "a", [1j]) + values({}, [], [-1.0], [NAN]),
                "thresholds": [*points[1:], *values(FOUR[::-1], [0.0, 1.0, 2.0, 3.0])],
                "scores": [*points[1:], *values([1.0])],
                "score_label": TEXT,
                "ax": AXES,
            },
        ),
        "plot_rank_frequency": (
            plots.plot_rank_frequency,
            {"counts": [3, 2]},
            {
                "counts": [*integers("states"), *values([0])],
                "mu": POSITIVE,
                "name": TEXT,
                "ax": AXES,
            },
        ),
        "plot_resolution_relevance": (
            plots.plot_resolution_relevance,
            {"resolution": FOUR, "relevance": FOUR},
            {
                "resolution": points,
                "relevance": points,
                "labels": kinds("abcd", 3, [1, 2, 3, 4]) + values(["a"]),
                "hull": [*pair, *values([[NAN], [NAN]])],
                "null": pair,
                "name": TEXT,
                "ax": AXES,
            },
        ),
        "plot_spectrum": (
            plots.plot_spectrum,
            {"eigenvalues": [1.0]},
            {
                "eigenvalues": [*points, *values([0.0], [])],
                "level": POSITIVE,
                "label": TEXT,
                "level_label": TEXT,
                "name": TEXT,
                "ax": AXES,
            },
        ),
        "plot_traces": (
            plots.plot_traces,
            {"traces": np.ones([2, 4])},
            {"traces": floats("chains", "draws"), "marked": NUMBER, "ax": AXES},
        ),
    }
