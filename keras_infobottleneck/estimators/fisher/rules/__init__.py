"""Rules for the gradients of single examples: one file for each family of layers."""

from keras_infobottleneck.estimators.fisher.rules.convolution import (
    ConvolutionRule,
    DepthwiseRule,
    TransposeRule,
)
from keras_infobottleneck.estimators.fisher.rules.einsum import EinsumRule
from keras_infobottleneck.estimators.fisher.rules.gradients import DirectGradient
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule
from keras_infobottleneck.estimators.fisher.rules.kernel_free import (
    EmbeddingRule,
    NormalizationRule,
)
from keras_infobottleneck.estimators.fisher.rules.recurrent import RecurrentRule
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, register_rule

__all__ = [
    "ConvolutionRule",
    "DepthwiseRule",
    "DirectGradient",
    "EinsumRule",
    "EmbeddingRule",
    "KernelRule",
    "LayerRule",
    "NormalizationRule",
    "RecurrentRule",
    "TransposeRule",
    "register_rule",
]
