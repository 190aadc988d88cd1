"""Fisher information of the weights, in five structures."""

from keras_infobottleneck.estimators.fisher.cost import MemoryEstimate
from keras_infobottleneck.estimators.fisher.estimation import fisher_information
from keras_infobottleneck.estimators.fisher.information import FisherInformation
from keras_infobottleneck.estimators.fisher.rules import (
    DirectGradient,
    KernelRule,
    LayerRule,
    register_rule,
)
from keras_infobottleneck.estimators.fisher.structures import (
    DenseFisher,
    DiagonalFisher,
    GramFisher,
    ImplicitFisher,
    KroneckerFisher,
)

__all__ = [
    "DenseFisher",
    "DiagonalFisher",
    "DirectGradient",
    "FisherInformation",
    "GramFisher",
    "ImplicitFisher",
    "KernelRule",
    "KroneckerFisher",
    "LayerRule",
    "MemoryEstimate",
    "fisher_information",
    "register_rule",
]
