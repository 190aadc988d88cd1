"""The writer's choice of each weight's code: drawn, quantised, as short floats, or exact."""

from __future__ import annotations

import math

import numpy as np

from keras_infobottleneck.compression import tensor_codes
from keras_infobottleneck.compression.drawn_weights import best_groups
from keras_infobottleneck.compression.posteriors_of_networks import KeptWeight
from keras_infobottleneck.compression.quantising import Quantised, quantised_means, rounded_weights
from keras_infobottleneck.compression.scale_grid import scale_at
from keras_infobottleneck.compression.weight_stream import CodedWeight

__all__ = ["normal_code_length", "planned", "stored_dtype"]


def stored_dtype(dtype: str) -> np.dtype:
    """The type in which weights are stored in the file; half precision is stored as float32."""
    if dtype == "float64" or "int" in dtype:
        return np.dtype(dtype)
    return np.dtype("bool" if dtype == "bool" else "float32")


def planned(weight: KeptWeight, relative_step: float) -> tuple[CodedWeight, float]:
    """The code of a weight, and the nats that it holds."""
    is_float = weight.mean.dtype.kind not in "iub"
    shape = weight.mean.shape
    with np.errstate(over="ignore"):
        means = np.asarray(weight.mean, np.float32)
    # Every other mode gives float32 values, which cannot represent all float64 values.
    is_wide = not np.all(np.isfinite(means))
    if not is_float or weight.is_adapted or is_wide or not weight.mean.size:
        dtype = stored_dtype(str(weight.mean.dtype))
        return CodedWeight(tensor_codes.EXACT, shape, weight.mean.astype(dtype)), 0.0
    if weight.scale is None:
        if means.ndim < 2:
            return CodedWeight(tensor_codes.SHORT, shape, means), 0.0
        rounded = rounded_weights(means, relative_step)
        nats = normal_code_length(rounded.integers)
        return _quantised(shape, rounded), nats
    scales = np.asarray(weight.scale, np.float64)
    chosen = best_groups(means, scales)
    prior = chosen.spread(shape)[0].reshape(shape)
    rounded = quantised_means(means, scales, prior)
    if not weight.is_gaussian:
        return _quantised(shape, rounded), normal_code_length(rounded.integers)
    # For a draw from the posterior, the mean of the log density ratio is the divergence.
    if rounded.num_bits * math.log(2.0) < chosen.nats <= rounded.log_ratio:
        return _quantised(shape, rounded), chosen.nats
    return CodedWeight(tensor_codes.DRAWN, shape, groups=chosen), chosen.nats


def _quantised(shape: tuple[int, ...], rounded: Quantised) -> CodedWeight:
    """The weight with the values that a reader obtains."""
    values = (rounded.integers * scale_at(rounded.step_index)).astype(np.float32)
    return CodedWeight(
        tensor_codes.QUANTISED, shape, values, rounded.step_index, integers=rounded.integers
    )


def normal_code_length(integers: np.ndarray) -> float:
    """Nats of integers under a normal distribution around 0 with their own mean square, by bins."""
    values, counts = np.unique(np.abs(integers), return_counts=True)
    spread = math.sqrt(
        float(np.sum(counts * values.astype(np.float64) ** 2)) / max(integers.size, 1)
    )
    if spread == 0.0:
        return 0.0
    nats = 0.0
    for value, number in zip(values.tolist(), counts.tolist(), strict=True):
        below, above = ((value + side) / spread / math.sqrt(2.0) for side in (-0.5, 0.5))
        share = 0.5 * (math.erfc(below) - math.erfc(above))
        # If both tails underflow, the density in the middle of the bin.
        log_density = -0.5 * (value / spread) ** 2 - math.log(spread * math.sqrt(2.0 * math.pi))
        nats -= number * (math.log(share) if share > 1e-290 else log_density)
    return nats
