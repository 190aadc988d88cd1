"""Measure: functions from a model and data to numbers.

Each estimator says whether it is exact, unbiased, consistent, or a bound, in which unit, and at
which cost.
"""

from keras_infobottleneck.estimators.block_decomposition import block_decomposition_complexity
from keras_infobottleneck.estimators.quantized_complexity import (
    ComplexityRatio,
    QuantizedComplexity,
    quantized_complexity,
)
from keras_infobottleneck.estimators.uncertainty import Uncertainty, decompose_uncertainty
from keras_infobottleneck.estimators.weight_compression import WeightCompression, weight_compression
from keras_infobottleneck.estimators.weight_quantization import quantize_to

__all__ = [
    "ComplexityRatio",
    "QuantizedComplexity",
    "Uncertainty",
    "WeightCompression",
    "block_decomposition_complexity",
    "decompose_uncertainty",
    "quantize_to",
    "quantized_complexity",
    "weight_compression",
]
