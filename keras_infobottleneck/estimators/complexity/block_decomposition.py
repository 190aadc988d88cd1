"""Algorithmic complexity of a binary array by block decomposition, in bits.

The complexity of a small block comes from the coding theorem: a block that many small Turing
machines print is simple. A large array is cut into such blocks, and repeating a block costs only
the logarithm of the number of its occurrences.
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from math import log2
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_integers,
    described,
    refusal,
)
from keras_infobottleneck.estimators.complexity.bit_planes import BLOCK_SIDE, count_planes

__all__ = [
    "block_decomposition_complexity",
    "coding_theorem_tables",
    "complexity_of_counts",
]

STRING_LENGTH = 12


def block_decomposition_complexity(
    bits: ArrayLike,
    *,
    boundary: Literal["ignore", "recursive", "correlated"] = "ignore",
    min_length: int = 2,
    shift: int = 1,
    normalized: bool = False,
) -> float:
    """Algorithmic complexity of a binary string or matrix, in bits.

    ``BDM(X) = sum over distinct blocks r of [CTM(r) + log2 n_r]``, where block ``r`` occurs
    ``n_r`` times and ``CTM(r) = -log2`` of the frequency with which small halting Turing machines
    print it. Blocks are strings of 12 symbols or matrices of 4 x 4.

    An estimate, similar to an upper bound, of a quantity that cannot be computed: exact as a
    formula, without sampling error. It saturates: only 65,536 blocks of 4 x 4 exist, so above about
    10^6 entries the value grows with the logarithm of the size. Compare only arrays of equal shape.
    Cost: one pass over the bits.

    Args:
        bits: Array of 0 and 1, boolean or integer, ``[length]`` or ``[rows, columns]``.
        boundary: ``"ignore"`` drops the remainder at the right and the bottom; ``"recursive"`` cuts
            it into the largest smaller squares (shorter strings) that fit; ``"correlated"`` moves
            the block over the array in steps of ``shift``.
        min_length: Shortest side that ``"recursive"`` still counts.
        shift: Step of ``"correlated"``.
        normalized: Return ``(BDM - least) / (most - least)``, where least and most are the extremes
            over arrays with the same numbers of blocks of each size (0 if they are equal). Not
            defined for ``"correlated"``, whose blocks overlap.

    Returns:
        The complexity in bits, or a number in [0, 1] if ``normalized``.

    Raises:
        TypeError: If ``bits`` is neither boolean nor integer.
        ValueError: If ``bits`` holds other symbols, has another rank, or is smaller than a block.

    References:
        Zenil et al. (2018), "A decomposition method for global evaluation of Shannon entropy and
        local estimations of algorithmic complexity", Entropy 20(8), 605.
        Soler-Toscano et al. (2014), "Calculating Kolmogorov complexity from the output frequency
        distributions of small Turing machines", PLoS ONE 9(5). The tables are those of ``pybdm``.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        ones = np.ones((12, 12), int)
        print(f"{kib.estimators.block_decomposition_complexity(ones):.3f} bits")
        ```

        ```text
        25.177 bits
        ```
    """
    check_choice("boundary", boundary, ("ignore", "recursive", "correlated"))
    min_length, shift = check_count("min_length", min_length), check_count("shift", shift)
    if check_flag("normalized", normalized) and boundary == "correlated":
        raise ValueError(
            "`normalized` is not defined for overlapping blocks, boundary='correlated'. "
            f"Received: normalized={normalized!r}"
        )
    bits = _as_bits(bits)
    counts = _count_by_size(bits, boundary, min_length, shift)
    if not counts:
        block = f"{BLOCK_SIDE} x {BLOCK_SIDE}" if bits.ndim == 2 else f"{STRING_LENGTH}"
        raise ValueError(
            f"`bits` must hold at least one block (of {block}, or with boundary='recursive' of "
            f"min_length). Received: bits={described(bits)}, boundary={boundary!r}"
        )
    tables = coding_theorem_tables(bits.ndim)
    complexity = sum(complexity_of_counts(n, tables[size]) for size, n in counts.items())
    if not normalized:
        return complexity
    totals = {size: int(n.sum()) for size, n in counts.items()}
    least = sum(tables[size].min() + log2(n) for size, n in totals.items())
    most = sum(_largest_complexity(n, tables[size]) for size, n in totals.items())
    return float((complexity - least) / (most - least)) if most > least else 0.0


@lru_cache(maxsize=2)
def coding_theorem_tables(ndim: int) -> dict[int, np.ndarray]:
    """Complexity in bits of every block, by side length, for strings or square matrices.

    Symbol ``i`` of a string is bit ``i`` of the index; row ``i``, column ``j`` of a square of side
    ``s`` is bit ``i + s j``.
    """
    kind = {1: "string", 2: "matrix"}[ndim]
    with (files(__package__) / "coding_theorem_tables.npz").open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        return {int(k.split("_")[1]): arrays[k] for k in arrays.files if k.startswith(kind)}


def complexity_of_counts(counts: np.ndarray, table: np.ndarray) -> float:
    """``sum over blocks that occur of [table + log2 counts]``, in bits."""
    # Not "@": on a busy machine the threads of BLAS cost a hundred times this sum.
    return float(np.einsum("i,i", table, counts > 0) + np.log2(counts[counts > 1]).sum())


def _largest_complexity(num_blocks: int, table: np.ndarray) -> float:
    """Largest complexity of ``num_blocks`` blocks: all distinct blocks, as evenly as possible."""
    each, extra = divmod(num_blocks, table.size)
    most_complex_first = np.sort(table)[::-1]
    counts = np.full(table.size, each)
    counts[:extra] += 1
    return complexity_of_counts(counts, most_complex_first)


def _count_by_size(
    bits: np.ndarray, boundary: str, min_length: int, shift: int
) -> dict[int, np.ndarray]:
    """Counts of every block, by side length; sizes without any block are absent."""
    side = BLOCK_SIDE if bits.ndim == 2 else STRING_LENGTH
    counts: dict[int, np.ndarray] = {}
    if min(bits.shape) >= side:
        if bits.ndim == 2 and boundary != "correlated":
            counts[side] = count_planes(bits, 1)[0]
        else:
            step = slice(None, None, shift if boundary == "correlated" else side)
            codes = _window_codes(bits[np.newaxis], side)[:, *[step] * bits.ndim]
            counts[side] = np.bincount(codes.ravel(), minlength=2**side**bits.ndim)
    if boundary == "recursive":
        for size, codes in _edge_codes(bits, side, min_length):
            counted = np.bincount(codes.ravel(), minlength=2**size**bits.ndim)
            counts[size] = counts.get(size, 0) + counted
    return counts


def _window_codes(parts: np.ndarray, size: int) -> np.ndarray:
    """Code of the block that starts at each position of ``parts [number, ...]``."""
    codes = parts.astype(np.uint16)
    for axis in range(1, parts.ndim):
        codes = np.moveaxis(codes, axis, 0)
        length = len(codes) - size + 1
        stride = size ** (axis - 1)
        shifted = [codes[i : i + length] << np.uint16(i * stride) for i in range(size)]
        codes = np.add.reduce(shifted, axis=0, dtype=codes.dtype)
        codes = np.moveaxis(codes, 0, axis)
    return codes


def _edge_codes(bits: np.ndarray, side: int, min_length: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs (size, codes) for the parts at the right and bottom that do not fill a block."""
    if bits.ndim == 1:
        rest = bits[len(bits) - len(bits) % side :]
        if len(rest) >= min_length:
            yield len(rest), _window_codes(rest[np.newaxis], len(rest))
        return
    rows, columns = (n - n % side for n in bits.shape)
    right, bottom, corner = bits[:rows, columns:], bits[rows:, :columns], bits[rows:, columns:]
    yield from _squares(right.reshape(rows // side, side, -1) if right.size else None, min_length)
    bottom = bottom.reshape(-1, columns // side, side).swapaxes(0, 1) if bottom.size else None
    yield from _squares(bottom, min_length)
    yield from _squares(corner[np.newaxis] if corner.size else None, min_length)


def _squares(parts: np.ndarray | None, min_length: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs (size, codes) of the squares into which ``parts [number, height, width]`` are cut."""
    if parts is None or min(parts.shape[1:]) < min_length:
        return
    _, height, width = parts.shape
    size = min(height, width)
    yield size, _window_codes(parts, size)[:, ::size, ::size]
    rest = (
        parts[:, height - height % size :] if width == size else parts[..., width - width % size :]
    )
    yield from _squares(rest if rest.size else None, min_length)


def _as_bits(bits: ArrayLike) -> np.ndarray:
    """Checks that the array holds only 0 and 1, and converts it to uint8."""
    bits = check_integers("bits", bits, booleans=True)
    if bits.ndim not in (1, 2):
        raise refusal(ValueError, "bits", "have one or two axes", bits)
    # The bitwise "or" of all values shows in one pass whether any is outside 0 and 1.
    if bits.dtype.kind != "b" and bits.size and np.bitwise_or.reduce(bits, axis=None) not in (0, 1):
        raise ValueError(
            f"`bits` must hold only 0 and 1. Received: bits from {bits.min()} to {bits.max()}"
        )
    return bits.astype(np.uint8, copy=False)
