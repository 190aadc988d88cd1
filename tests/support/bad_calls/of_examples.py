"""Bad calls of functions about single examples."""

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    CHOICE,
    FLAG,
    LIKELIHOOD,
    MODEL,
    OBJECT,
    POSITIVE,
    PRICE,
    SCALE,
    SEED,
    VERBOSE,
    count,
)
from tests.support.bad_calls.things import things

PASS = {"model": MODEL, "batch_size": count(), "likelihood": LIKELIHOOD, "verbose": VERBOSE}
CURVATURE = {"beta": POSITIVE, "fisher": OBJECT[1:], "prior_scale": SCALE, "structure": CHOICE}


def example_table():
    """Of what each example leaves, does, and how it is forgotten."""
    e, t = kib.estimators, things()
    good = {"model": t.net, "data": t.data}
    parts = {"forget": (t.x[:4], t.data[1][:4]), "retain": (t.x[4:], t.data[1][4:])}
    drawn = {**PASS, **CURVATURE, "num_draws": count(3), "seed": SEED}
    return {
        "unique_information": (
            e.unique_information,
            {**good, "beta": 0.1},
            {**PASS, **CURVATURE, "space": CHOICE, "leverage": FLAG},
        ),
        "posterior_influence": (e.posterior_influence, good, drawn),
        "find_wrong_labels": (e.find_wrong_labels, good, drawn),
        "forget": (
            kib.forget,
            {"model": t.net, **parts, "price": 1e-6},
            {
                **PASS,
                "price": POSITIVE,
                "structure": CHOICE,
                "shift": PRICE,
                "weight_decay": PRICE,
                "tolerance": POSITIVE,
                "seed": SEED,
            },
        ),
    }
