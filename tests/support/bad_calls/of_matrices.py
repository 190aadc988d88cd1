"""Bad calls of the methods of Fisher matrices and Hessians."""

import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import (
    CHOICE,
    LARGE,
    NAN,
    NUMBER,
    PATH,
    POSITIVE,
    PRICE,
    count,
    floats,
    kinds,
    values,
)
from tests.support.bad_calls.things import things

TENSORS = [
    *kinds(None, "text", 3, {}, LARGE),
    *values([], [np.ones(3)] * 4),
]
PROBES = {"num_probes": count(2), "seed": kinds(1.5, "a", None) + values(-1)}
STEPS = {**PROBES, "num_steps": count(2)}
ROWS = [*floats("rows", "weights"), *values(np.ones((2, 3)))]


def matrix_table():
    """Of the methods of Fisher matrices and Hessians."""
    t, table = things(), {}
    shift = {"structure": PRICE, "operator": POSITIVE}
    for name in ("fisher", "kronecker", "dense", "gram", "implicit", "hessian"):
        matrix = getattr(t, name)
        is_operator = name in ("implicit", "hessian")
        nothing = [t.tensors[0] * NAN, *t.tensors[1:]]
        tensors = [*TENSORS, *values(nothing)]
        of_shift = shift["operator" if is_operator else "structure"]
        table[f"{name}.matvec"] = (matrix.matvec, {}, {"tensors": tensors})
        counts = [*count(), *values(matrix.size + 1)]
        table[f"{name}.eigenvalues"] = (
            matrix.eigenvalues,
            {},
            {"count": counts}
            | (
                {"tolerance": PRICE, "max_steps": count(), "seed": PROBES["seed"]}
                if is_operator
                else {}
            ),
        )
        options = STEPS if is_operator else {}
        table[f"{name}.logdet"] = (matrix.logdet, {"shift": 1.0}, {"shift": of_shift, **options})
        if name != "hessian":
            table[f"{name}.spectrum"] = (matrix.spectrum, {}, STEPS)
        if not is_operator:
            table[f"{name}.power_product"] = (
                matrix.power_product,
                {"rows": np.ones((2, matrix.size)), "exponent": 0.5, "shift": 1.0},
                {"rows": ROWS, "exponent": NUMBER, "shift": PRICE},
            )
    table["fisher.to_npz"] = (t.fisher.to_npz, {}, {"path": PATH})
    table["from_npz"] = (kib.estimators.FisherInformation.from_npz, {}, {"path": PATH[:4]})
    table["implicit.trace"] = (t.implicit.trace, {}, {"method": CHOICE, **PROBES})
    table["hessian.trace"] = (t.hessian.trace, {}, {"method": CHOICE, **PROBES})
    table["hessian.diagonal"] = (t.hessian.diagonal, {}, PROBES)
    table["hessian.by_variable"] = (t.hessian.by_variable, {}, PROBES)
    table["hessian.nuclear_norm"] = (t.hessian.nuclear_norm, {}, STEPS)
    return table
