"""Which layer has which rule."""

from __future__ import annotations

import keras

from keras_infobottleneck.estimators.fisher.rules.convolution import (
    ConvolutionRule,
    DepthwiseRule,
    TransposeRule,
)
from keras_infobottleneck.estimators.fisher.rules.dense import DenseRule, EinsumRule
from keras_infobottleneck.estimators.fisher.rules.kernel_free import (
    EmbeddingRule,
    NormalizationRule,
)
from keras_infobottleneck.estimators.fisher.rules.rule import Rule

__all__ = ["rule_for"]


def rule_for(layer: keras.layers.Layer) -> Rule | None:
    """The layer's rule. A subclass may compute anything, so only the layers themselves have one."""
    kind = type(layer)
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return None
    if kind is keras.layers.Dense:
        return DenseRule(layer)
    if kind is keras.layers.EinsumDense:
        return EinsumRule(layer)
    if kind in (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D):
        return ConvolutionRule(layer)
    if kind in (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D):
        return DepthwiseRule(layer)
    if kind in (
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    ):
        return TransposeRule(layer)
    if kind in (
        keras.layers.BatchNormalization,
        keras.layers.LayerNormalization,
        keras.layers.GroupNormalization,
    ):
        return NormalizationRule(layer)
    if kind is keras.layers.Embedding:
        return EmbeddingRule(layer)
    return None
