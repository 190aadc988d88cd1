"""Algorithmic complexity of a network's weights, by bit plane and layer (QuBD), with its nulls."""

import functools
import itertools
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_integers,
    check_names,
    check_number,
    check_verbose,
    described,
    refusal,
)
from keras_infobottleneck.estimators.complexity.bit_planes import (
    BLOCK_SIDE,
    NUM_BLOCKS,
    count_planes,
)
from keras_infobottleneck.estimators.complexity.block_decomposition import (
    coding_theorem_tables,
    complexity_of_counts,
)
from keras_infobottleneck.estimators.complexity.complexity_result import (
    ComplexityRatio,
    QuantizedComplexity,
)
from keras_infobottleneck.estimators.complexity.weight_matrices import (
    Layout,
    WeightMatrix,
    Weights,
    matrices_of_blocks,
)
from keras_infobottleneck.estimators.complexity.weight_quantization import (
    MAX_BITS,
    quantization_levels,
)
from keras_infobottleneck.estimators.complexity.weight_rearrangements import (
    KINDS,
    Rearrangement,
    rearranged,
    shuffles,
)
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["quantized_complexity"]

# Each thread has the memory of a tensor; NumPy releases the interpreter's lock for most of the
# work.
MOST_THREADS = 4
# Tensors with more weights are measured one at a time, with all threads working on parts.
MANY_WEIGHTS = 1 << 22


@on_replicas
def quantized_complexity(
    weights: Weights,
    *,
    num_bits: int = 8,
    clip_percentile: float | None = 99.9,
    baseline: Literal["shuffled"] | Weights | QuantizedComplexity = "shuffled",
    num_shuffles: int = 3,
    rearrangements: Collection[Rearrangement] = (),
    crop: tuple[int, int] | None = None,
    num_crops: int = 8,
    seed: int = 0,
    verbose: int = 0,
    layout: Layout | None = None,
) -> QuantizedComplexity:
    """Algorithmic complexity of the weights of a network, in bits, beside that of its null.

    The complexity is a sum over tensors and over bit planes:

        C(w) = sum BDM(B_i),  B_i = floor(Q / 2^i) mod 2

    ``Q`` are the levels of ``quantization_levels`` as a matrix ``[out, in...]``, and ``BDM`` is
    ``block_decomposition_complexity`` with 4 x 4 blocks, remainder ignored.

    - A low ratio to *initial* weights may come from the distribution of the values alone. The ratio
      to the *shuffled* weights measures the arrangement, and is always computed.
    - Ratios are ratios of sums, not means of ratios.
    - Deterministic except for the shuffles and crops.
    - Cost: one pass over the weights per plane, times ``1 + num_shuffles``, on up to four threads,
      whose number does not change the result. Memory in addition to the weights: 3 to 7 bytes per
      weight of the largest tensor, 5 to 10 above eight bits, fewer for larger tensors. Up to four
      tensors below four million weights are measured at once, each with up to 12 bytes per weight,
      and 0.5 MiB per bit plane.

    Args:
        weights: A Keras model, or arrays: one, a sequence, or a mapping from names. For a model
            with noise on its weights the means are measured, without the noise scales and the
            priors.
        num_bits: Number of bit planes, from 1 to 16.
        clip_percentile: Central share of the weights, in percent, that determines the quantiser's
            range; ``None`` uses the extremes.
        baseline: Denominator of the ratio: ``"shuffled"``, another model or arrays of equal shapes,
            or an earlier result (such as that of the initial weights).
        num_shuffles: Number of shuffles, at least two, for their mean and spread.
        rearrangements: Further nulls with the same number of draws: ``"within_rows"`` and
            ``"within_columns"`` shuffle each row or column separately and keep the scales of units
            and of inputs; ``"renumbered"`` changes the order of units, so that its spread is noise
            of the measure. Each costs as much as the shuffles.
        crop: ``(rows, columns)``: replace the complexity of a larger matrix by the mean over
            ``num_crops`` random crops of this shape. This keeps layers of different sizes, and
            those above about 10^6 weights, comparable: a crop of 512 x 512 fills at most a quarter.
        num_crops: Number of crops of each larger matrix.
        seed: Seed of shuffles and crops.
        verbose: 1 shows a progress bar over tensors.
        layout: Layout of arrays: ``"out_first"`` for ``[out, in...]``, ``"keras"`` for
            ``[..., in, out]`` as in ``model.get_weights()``. By default it is found from the biases
            in a sequence, or requested by a refusal; without biases the first axis is the output.
            Give the model itself if you can: it also identifies embeddings, depthwise and einsum
            kernels.

    Returns:
        A ``QuantizedComplexity``.

    Raises:
        TypeError: If ``weights`` or ``baseline`` is of another kind, or arrays are not floating.
        ValueError: If an option is out of range, no tensor holds a block, weights are not finite,
            or the baseline differs in shapes or options.

    References:
        Bakhtiarifard et al. (2026), "Characterizing Learning in DNNs using Tractable Algorithmic
        Complexity Analysis", arXiv 2605.15551, Eq 2, Eq 14.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        rows = np.tile(np.sin(np.arange(64)), (64, 1))  # every row is the same
        found = kib.estimators.quantized_complexity(rows, seed=0)
        print(f"{found.shuffled_ratio:.1f} of the same values shuffled")
        ```

        ```text
        0.0 of the same values shuffled
        ```
    """
    check_count("num_bits", num_bits, most=MAX_BITS)
    check_number("clip_percentile", clip_percentile, 0, 100, open_below=True, optional=True)
    check_count("num_shuffles", num_shuffles, 2)  # a spread needs two
    check_count("num_crops", num_crops)
    check_names("rearrangements", rearrangements, KINDS, "rearrangements", least=0)
    check_count("seed", seed, 0)
    check_verbose("verbose", verbose)
    if isinstance(baseline, str):
        check_choice("baseline", baseline, ("shuffled",))
    elif not isinstance(baseline, QuantizedComplexity):
        of_arrays = None if isinstance(baseline, keras.Model) else layout
        matrices_of_blocks(baseline, of_arrays, BLOCK_SIDE, "baseline")
    measured, skipped = matrices_of_blocks(weights, layout, BLOCK_SIDE)
    if crop is not None:
        crop = tuple(check_integers("crop", crop, "[2]", BLOCK_SIDE).tolist())
        if all(np.all(np.less(matrix.shape, crop)) for matrix in measured):
            raise refusal(ValueError, "crop", "be no larger than every matrix of the weights", crop)
    options: dict[str, Any] = {"clip_percentile": clip_percentile, "crop": crop}
    shapes = {matrix.path: matrix.shape for matrix in measured}
    given = None if isinstance(baseline, str) else baseline
    if given is not None and not isinstance(given, QuantizedComplexity):
        given = quantized_complexity(
            given,
            num_bits=num_bits,
            **options,
            num_shuffles=2,
            num_crops=num_crops,
            seed=seed,
            layout=None if isinstance(given, keras.Model) else layout,
        )
    if given is not None:
        _check_comparable(given, shapes, num_bits, options)

    progress = keras.utils.Progbar(len(measured), verbose=verbose, unit_name="tensor")
    measure = functools.partial(
        _measured_tensor,
        num_bits=num_bits,
        clip_percentile=clip_percentile,
        num_shuffles=num_shuffles,
        kinds=[kind for kind in KINDS if kind in rearrangements],
        crop=crop,
        num_crops=num_crops,
    )
    # Each tensor has its own random stream, so that its result does not depend on the others.
    tasks = [(matrix, (seed, index)) for index, matrix in enumerate(measured)]
    found: dict[str, _MeasuredTensor] = {}
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        # Small tensors are measured side by side; a large one alone, with all threads on its parts.
        small = [task for task in tasks if np.prod(task[0].shape) <= MANY_WEIGHTS]
        large = [task for task in tasks if np.prod(task[0].shape) > MANY_WEIGHTS]
        for task, result in zip(
            [*small, *large],
            itertools.chain(
                pool.map(measure, *zip(*small, strict=True)) if small else (),
                (measure(*task, each=pool.map) for task in large),
            ),
            strict=True,
        ):
            found[task[0].path] = result
            progress.add(1)
    planes = {matrix.path: found[matrix.path].planes for matrix in measured}
    shuffled_planes = {path: found[path].shuffled for path in planes}
    others = {
        kind: {path: found[path].rearranged[kind] for path in planes}
        for kind in KINDS
        if kind in rearrangements
    }
    saturation = {path: found[path].saturation for path in planes}

    against_shuffled = ComplexityRatio.of(planes, shuffled_planes)
    against_baseline = against_shuffled
    if given is not None:
        fixed = [bits[np.newaxis] for bits in given.planes.values()]
        against_baseline = ComplexityRatio.of(planes, dict(zip(planes, fixed, strict=True)))
    by_plane = np.sum([*planes.values()], axis=0)
    return QuantizedComplexity(
        total_bits=float(by_plane.sum()),
        by_plane=by_plane,
        by_layer={path: float(bits.sum()) for path, bits in planes.items()},
        planes=planes,
        ratio=against_baseline.value,
        ratio_std=against_baseline.std,
        shuffled_ratio=against_shuffled.value,
        shuffled_ratio_std=against_shuffled.std,
        baseline="shuffled" if given is None else "given",
        against_baseline=against_baseline,
        against_shuffled=against_shuffled,
        saturation=saturation,
        shapes=shapes,
        skipped=skipped,
        num_bits=num_bits,
        options=options,
        rearranged={kind: ComplexityRatio.of(planes, draws) for kind, draws in others.items()},
    )


@dataclass(frozen=True)
class _MeasuredTensor:
    """Complexity of a tensor by bit plane, ``[num_bits]``; nulls ``[draws, num_bits]``."""

    planes: np.ndarray
    saturation: float
    shuffled: np.ndarray
    rearranged: dict[Rearrangement, np.ndarray]


def _measured_tensor(
    matrix: WeightMatrix,
    stream: tuple[int, int],
    *,
    num_bits: int,
    clip_percentile: float | None,
    num_shuffles: int,
    kinds: list[Rearrangement],
    crop: tuple[int, int] | None,
    num_crops: int,
    each: Callable[..., Iterable[Any]] = map,
) -> _MeasuredTensor:
    """Complexity of a tensor and of its nulls, with its own random stream."""
    levels = quantization_levels(
        matrix.values(), num_bits=num_bits, clip_percentile=clip_percentile, each=each
    )
    rng = np.random.default_rng(stream)
    corners = _crop_corners(matrix, crop, num_crops, rng)

    def bits(levels: np.ndarray) -> np.ndarray:
        return _measure(levels, num_bits, corners, crop, each)[0]

    planes, saturation = _measure(levels, num_bits, corners, crop, each)
    # Mapped, because a loop variable would keep one shuffle in memory while the next is made.
    by_shuffle = np.array([*map(bits, shuffles(levels, num_shuffles, rng, each))])
    others = {}
    for kind in kinds:
        # Another stream than that of the shuffles, which are then the same with and without these.
        rng = np.random.default_rng([*stream, KINDS.index(kind)])
        others[kind] = np.array([bits(rearranged(levels, kind, rng)) for _ in by_shuffle])
    return _MeasuredTensor(planes, saturation, by_shuffle, others)


def _measure(
    levels: np.ndarray,
    num_bits: int,
    corners: list[tuple[int, int]],
    crop: tuple[int, int] | None,
    each: Callable[..., Iterable[Any]],
) -> tuple[np.ndarray, float]:
    """Mean complexity of each bit plane over crops, and saturation of the fullest plane."""
    table = coding_theorem_tables(2)[BLOCK_SIDE]
    bits, most_distinct = np.zeros(num_bits), 0
    for row, column in corners:
        part = levels if crop is None else levels[row : row + crop[0], column : column + crop[1]]
        for plane, counts in enumerate(count_planes(part, num_bits, each)):
            bits[plane] += complexity_of_counts(counts, table) / len(corners)
            most_distinct = max(most_distinct, np.count_nonzero(counts))
    return bits, most_distinct / NUM_BLOCKS


def _crop_corners(
    matrix: WeightMatrix, crop: tuple[int, int] | None, num_crops: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Upper left corners of the crops; one at the origin for a matrix within the crop's shape."""
    if crop is None or (matrix.shape[0] <= crop[0] and matrix.shape[1] <= crop[1]):
        return [(0, 0)]
    room = [max(side - wanted, 0) for side, wanted in zip(matrix.shape, crop, strict=True)]
    corners = [rng.integers(0, room, endpoint=True) for _ in range(num_crops)]
    return [(int(row), int(column)) for row, column in corners]


def _check_comparable(
    baseline: QuantizedComplexity,
    shapes: dict[str, tuple[int, int]],
    num_bits: int,
    options: dict[str, Any],
) -> None:
    """Checks that the baseline has the same shapes, in order, and the same options."""
    ours, theirs = list(shapes.values()), list(baseline.shapes.values())
    if ours != theirs:
        raise ValueError(
            "`baseline` must have matrices of the same shapes, as the measure does not scale with "
            f"size. Received: shapes {described(theirs)} for weights of shapes {described(ours)}"
        )
    ours = {"num_bits": num_bits, **options}
    theirs = {"num_bits": baseline.num_bits, **baseline.options}
    if ours != theirs:
        raise ValueError(
            f"`baseline` must have been measured with the same options, {ours}. Received: {theirs}"
        )
