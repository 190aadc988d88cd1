"""Write the tables of the coding theorem method from those of ``pybdm`` (MIT licence).

``pybdm`` imports only beside ``setuptools<81`` and unpickles its tables; the package ships them as
plain arrays instead. Run once, from the root of the tree, with the ``test`` extra installed:

    python tools/write_coding_theorem_tables.py
"""

from pathlib import Path

import numpy as np
from pybdm.utils import get_ctm_dataset

TARGET = Path("keras_infobottleneck/estimators/complexity/coding_theorem_tables.npz")


def table(keys: dict[str, float], shape: tuple[int, ...]) -> np.ndarray:
    """Complexity in bits of every binary block of ``shape``, by code.

    Row ``i``, column ``j`` of a square of side ``s`` is bit ``i + s j`` of the code; symbol ``i``
    of a string is bit ``i``. ``pybdm`` keeps one of each pair of complements, the one whose first
    symbol is 0.
    """
    bits = np.array([[int(symbol) for symbol in key] for key in keys])
    weights = 2 ** np.arange(bits.shape[1]).reshape(shape, order="F").ravel()
    codes = bits @ weights
    complexities = np.full(2 ** bits.shape[1], np.nan)
    complexities[codes] = complexities[weights.sum() - codes] = list(keys.values())
    if np.isnan(complexities).any():
        raise ValueError(f"pybdm's table must be complete. Received: shape={shape}")
    return complexities


def tables() -> dict[str, np.ndarray]:
    """All tables by name: ``string_1`` to ``string_12`` and ``matrix_1`` to ``matrix_4``."""
    sources = {"string": "CTM-B2-D12", "matrix": "CTM-B2-D4x4"}
    return {
        f"{kind}_{shape[0]}": table(keys, shape)
        for kind, name in sources.items()
        for shape, keys in sorted(get_ctm_dataset(name)[0].items())
    }


if __name__ == "__main__":
    np.savez_compressed(TARGET, **tables())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
