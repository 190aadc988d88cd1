"""Quantised weights: integer levels for their bit planes, and a quantised copy of a model."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import check_count, check_model
from keras_infobottleneck.estimators.complexity.weight_matrices import (
    WEIGHTS_AT_ONCE,
    weight_matrices,
)
from keras_infobottleneck.introspection.cloning import (
    check_copyable,
    hand_on_adapted,
    uncompiled_clone,
)

__all__ = ["MAX_BITS", "central_range", "quantization_levels", "quantize_to"]

MAX_BITS = 16
# With more weights than this, the extreme ones are found from a sample.
MANY_WEIGHTS = 1 << 16


def quantization_levels(
    weights: np.ndarray,
    *,
    num_bits: int = 8,
    clip_percentile: float | None = 99.9,
    each: Callable[..., Iterable[Any]] = map,
) -> np.ndarray:
    """Levels of the asymmetric uniform quantiser over one tensor, ``[...]`` of uint8 or uint16.

    ``Q = clip(round((w - low) / step), 0, 2^b - 1)`` with ``step = (high - low) / (2^b - 1)``.
    The range is that of the weights, or of their central ``clip_percentile`` percent: without
    clipping, a few outliers widen it, and the upper bit planes look simple without structure.
    A constant tensor has all levels 0. Halves are rounded to even, in float64.

    Args:
        weights, num_bits, clip_percentile: As in ``quantized_complexity``.
        each: Calls a function on every part of the weights, like ``map``.

    References:
        Bakhtiarifard et al. (2026), arXiv 2605.15551; the authors' code.
    """
    top = 2**num_bits - 1
    if clip_percentile is None:
        low, high = float(weights.min()), float(weights.max())
    else:
        # In memory order: for a transposed kernel any other order would make a copy.
        low, high = central_range(weights.ravel("K"), (1 - clip_percentile / 100) / 2, each)
    levels = np.zeros(weights.shape, np.uint8 if num_bits <= 8 else np.uint16)
    if high > low:
        step = (high - low) / top
        rows = max(1, WEIGHTS_AT_ONCE // max(1, weights[0].size))

        def quantize(start: int) -> None:
            part = slice(start, start + rows)
            exact = np.subtract(weights[part], low, dtype=np.float64)
            exact /= step
            np.rint(exact, out=exact)
            levels[part] = np.clip(exact, 0, top, out=exact)

        list(each(quantize, range(0, len(weights), rows)))
    return levels


def central_range(
    values: np.ndarray, tail: float, each: Callable[..., Iterable[Any]] = map
) -> tuple[float, float]:
    """``numpy.quantile(values, [tail, 1 - tail])`` in float64, without sorting all of the values.

    A sample shows where the extreme values begin; only these are collected, part by part, and
    sorted.
    """
    count = len(values)
    sample = np.sort(values[:: max(1, count // MANY_WEIGHTS)])
    # Six standard errors further inside than the quantile of the sample.
    inside = tail * len(sample)
    place = int(inside + 6 * np.sqrt(inside) + 8)
    if count > MANY_WEIGHTS and 2 * place < len(sample):

        def extreme(start: int) -> tuple[np.ndarray, np.ndarray]:
            part = values[start : start + WEIGHTS_AT_ONCE]
            return part[part <= sample[place]], part[part >= sample[-1 - place]]

        found = zip(*each(extreme, range(0, count, WEIGHTS_AT_ONCE)), strict=True)
        lowest, highest = (np.sort(np.concatenate(parts)) for parts in found)
        low = _between(lowest, tail * (count - 1), 0)
        high = _between(highest, (1 - tail) * (count - 1), count - len(highest))
        if low is not None and high is not None:
            return low, high
    low, high = np.quantile(values.astype(np.float64), [tail, 1 - tail])
    return float(low), float(high)


def _between(ordered: np.ndarray, place: float, first: int) -> float | None:
    """Interpolated value at rank ``place``; ``ordered`` holds the values from rank ``first`` on.

    Rounded as in NumPy; None if the values do not reach as far.
    """
    before = int(np.floor(place))
    if not first <= before < first + len(ordered) - 1:
        return None
    a, b = ordered[before - first : before - first + 2].astype(np.float64)
    share = place - before
    return float(b - (b - a) * (1 - share) if share >= 0.5 else a + (b - a) * share)


def quantize_to(model: keras.Model, num_bits: int) -> keras.Model:
    """Copy ``model`` with kernels that have at most ``2^num_bits`` values per output channel.

    Post-training quantisation, per channel and symmetric: ``scale = max|w| / (2^(b-1) - 1)``,
    ``w -> scale * round(w / scale)``; one bit is ``sign(w) * mean|w|``. The kernels are those that
    ``quantized_complexity`` measures, and also small ones; everything else is copied. The values
    keep the type of the weights: this is for measuring accuracy, and does not save memory.

    Args:
        model: A built model that ``keras.models.clone_model`` can copy.
        num_bits: Number of bits, from 1 to 16.

    Returns:
        An uncompiled model of the same structure.

    Raises:
        ValueError: If ``num_bits`` is out of range or the model cannot be copied.
        TypeError: If ``model`` is not a Keras model.

    References:
        Bakhtiarifard et al. (2026), arXiv 2605.15551, post-training quantisation experiment.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(2, name="head")])
        coarse = kib.estimators.quantize_to(model, num_bits=2)
        print(len(np.unique(coarse.get_layer("head").kernel[:, 0])) <= 4)
        ```

        ```text
        True
        ```
    """
    check_model("model", model)
    check_count("num_bits", num_bits, most=MAX_BITS)
    matrices, _ = weight_matrices(model, name="model")
    check_copyable(model)
    try:
        copy = uncompiled_clone(model)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(
            "`model` must be one that keras.models.clone_model can copy, Functional or Sequential. "
            f"Received: model={model.name!r} of type {type(model).__name__}"
        ) from error
    copy.set_weights(model.get_weights())
    hand_on_adapted(model, copy)
    position = {id(variable): i for i, variable in enumerate(model.weights)}
    for matrix in matrices:
        quantized = matrix.to_tensor(_symmetric(matrix.values(), num_bits))
        copy.weights[position[id(matrix.tensor)]].assign(quantized)
    return copy


def _symmetric(matrix: np.ndarray, num_bits: int) -> np.ndarray:
    """Matrix ``[out, in]`` with each row rounded to its own symmetric grid."""
    magnitude = np.abs(matrix)
    if num_bits == 1:
        return np.where(matrix < 0, -1, 1) * magnitude.mean(axis=1, keepdims=True)
    scale = magnitude.max(axis=1, keepdims=True) / (2 ** (num_bits - 1) - 1)
    scale = np.where(scale > 0, scale, 1)  # rows of zeros are unchanged
    return scale * np.rint(matrix / scale)
