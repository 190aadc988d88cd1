"""Bad calls of functions of hidden states: what they tell of others, and their geometry."""

import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    CHOICE,
    NAN,
    POSITIVE,
    SEED,
    VERBOSE,
    Mute,
    count,
    kinds,
    values,
)

Z = np.random.default_rng(1).normal(size=(40, 3))
STATES = kinds(None, "text", ["a"], Z * 1j, {"a": 1}, Mute()) + values(Z * NAN, np.ones((40, 3)))


def state_table():
    """Of functions of hidden states."""
    e = kib.estimators
    return {
        "intrinsic_dimension": (
            e.intrinsic_dimension,
            {"z": Z},
            {
                "z": [*STATES, *values(Z[:9])],
                "discard_share": kinds("0", None, True) + values(-0.1, 1.0, NAN),
                "seed": SEED,
            },
        ),
        "participation_ratio": (
            e.participation_ratio,
            {"z": Z},
            {"z": [*STATES, *values(Z[:9])]},
        ),
        "centered_kernel_alignment": (
            e.centered_kernel_alignment,
            {"first": Z, "second": Z**2},
            {"first": STATES, "second": [*STATES, *values(Z[:9])], "seed": SEED},
        ),
        "mutual_information": (
            e.mutual_information,
            {"z": Z, "x": Z**2, "epochs": 1, "num_folds": 2},
            {
                "z": STATES,
                "x": [*STATES, *values(Z[:9])],
                "method": CHOICE,
                "num_folds": count(2),
                "num_permutations": count(),
                "num_neighbors": count(),
                "epochs": count(),
                "batch_size": count(2),
                "learning_rate": POSITIVE,
                "seed": SEED,
                "verbose": VERBOSE,
            },
        ),
    }
