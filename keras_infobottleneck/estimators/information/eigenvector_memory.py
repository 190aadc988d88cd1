"""Memory for the eigenvectors of a Fisher matrix, computed before any work."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import keras

from keras_infobottleneck.arguments import check_count
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.information import STRUCTURES
from keras_infobottleneck.estimators.fisher.structures.gram import GramFisher
from keras_infobottleneck.introspection.contents import chosen_variables

__all__ = ["check_eigenvectors_fit", "check_eigenvectors_will_fit", "eigenvector_bytes"]

# A float64 copy, the vectors, and the solver's work: 4.2 to 4.4 measured for 1,500 to 2,200 rows.
NUM_MATRICES = 5


def eigenvector_bytes(structure: str, num_weights: int, num_rows: int) -> int:
    """Bytes in addition to the Fisher matrix; 0 if eigenvectors are not needed, or are of blocks.

    Args:
        structure: Structure of the matrix.
        num_weights: Side of the matrix.
        num_rows: Side of its dual; "gram" decomposes the smaller of the two.
    """
    if structure == "dense":
        return 8 * NUM_MATRICES * num_weights**2
    if structure == "gram":
        scores = 8 * num_rows * num_weights
        if num_rows < num_weights:
            return 2 * scores + 8 * NUM_MATRICES * num_rows**2
        return scores + 8 * (NUM_MATRICES + 1) * num_weights**2
    return 0


def check_eigenvectors_will_fit(
    model: keras.Model, data: Any, structure: str, fisher_options: dict[str, Any]
) -> None:
    """Refuses a structure whose Fisher matrix fits in memory, but without its eigenvectors.

    Raises:
        ValueError: The memory is too small; the message has the bytes and a cheaper structure. Or
            an option of `fisher_information` is invalid.
    """

    def needs(name: str) -> tuple[int, int]:
        """Bytes to make the matrix, and bytes to hold it with its eigenvectors."""
        with contextlib.redirect_stdout(io.StringIO()):  # a dry run prints its plan
            options = {**fisher_options, "structure": name, "dry_run": True}
            plan: Any = fisher_information(model, data, **options)
        variables = chosen_variables(model, fisher_options.get("variables"))
        vector = plan.num_weights * (8 if str(variables[0].dtype) == "float64" else 4)
        vectors = eigenvector_bytes(name, plan.num_weights, plan.result_bytes // vector)
        return plan.total_bytes, plan.result_bytes + vectors

    if structure not in ("dense", "gram"):
        return
    to_make, with_vectors = needs(structure)
    limit = fisher_options.get("memory_limit") or available_bytes()
    # A matrix that does not fit is refused later, where it would be made.
    if limit is None or to_make > limit or with_vectors <= limit:
        return
    cheaper = [name for name, kind in STRUCTURES.items() if structure in kind.cheaper_than]
    needed = {name: max(needs(name)) for name in cheaper}
    fitting = {name: need for name, need in needed.items() if need <= limit}
    advice = ""
    if fitting:  # the largest result contains the most information
        best = max(fitting, key=lambda name: fitting[name])
        advice = f"; structure={best!r} needs {mebibytes(fitting[best])}"
    raise ValueError(
        f"structure={structure!r} needs {mebibytes(with_vectors)} with its eigenvectors{advice}. "
        f"Received: memory_limit={mebibytes(limit)}"
    )


def check_eigenvectors_fit(fisher: FisherInformation, memory_limit: int | None) -> None:
    """Refuses a Fisher matrix if there is no memory for its eigenvectors.

    Raises:
        ValueError: The memory is too small, or the limit is not a positive integer.
    """
    check_count("memory_limit", memory_limit, optional=True)
    num_rows = len(fisher.rows) if isinstance(fisher, GramFisher) else 0
    need = eigenvector_bytes(fisher.structure, fisher.size, num_rows)
    limit = available_bytes() if memory_limit is None else memory_limit
    if limit is not None and need > limit:
        raise ValueError(
            f"The eigenvectors of a Fisher matrix with structure={fisher.structure!r} of "
            f"{fisher.size:,} weights need {mebibytes(need)}; measure it with "
            f"structure='kronecker' or 'diagonal'. Received: memory_limit={mebibytes(limit)}"
        )
