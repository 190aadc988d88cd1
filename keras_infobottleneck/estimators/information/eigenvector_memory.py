"""How much memory the eigenvectors of a Fisher matrix need, before any work."""

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

# A copy in float64, the vectors, and the solver's work: 4.2 to 4.4 measured at 1,500 to 2,200 rows.
NUM_MATRICES = 5


def eigenvector_bytes(structure: str, num_weights: int, num_rows: int) -> int:
    """Bytes beside the Fisher matrix itself; 0 where eigenvectors are of blocks, or not made.

    Args:
        structure: of the matrix.
        num_weights: side of the matrix.
        num_rows: side of its dual, for "gram", which decomposes the smaller of the two.
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
    """Refuses a structure whose Fisher matrix would fit in memory and whose eigenvectors not.

    Raises:
        ValueError: with the bytes and the next cheaper structure; or an option of
            `fisher_information` that cannot be used.
    """

    def needs(name: str) -> tuple[int, int]:
        """Bytes to make the matrix, and to hold it beside its eigenvectors."""
        with contextlib.redirect_stdout(io.StringIO()):  # a dry run prints its plan for people
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
    # A matrix that does not fit is refused where it would be made.
    if limit is None or to_make > limit or with_vectors <= limit:
        return
    cheaper = [name for name, kind in STRUCTURES.items() if structure in kind.cheaper_than]
    needed = {name: max(needs(name)) for name in cheaper}
    fitting = {name: need for name, need in needed.items() if need <= limit}
    advice = ""
    if fitting:  # what holds most tells most
        best = max(fitting, key=lambda name: fitting[name])
        advice = f"; structure={best!r} needs {mebibytes(fitting[best])}"
    raise ValueError(
        f"structure={structure!r} needs {mebibytes(with_vectors)} with its eigenvectors{advice}. "
        f"Received: memory_limit={mebibytes(limit)}"
    )


def check_eigenvectors_fit(fisher: FisherInformation, memory_limit: int | None) -> None:
    """Refuses a Fisher matrix whose eigenvectors have no room beside it.

    Raises:
        ValueError: with the bytes; or a limit that is not a positive integer.
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
