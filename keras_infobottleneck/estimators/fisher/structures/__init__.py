"""The structures of a Fisher matrix: one file each, with its sums, its memory and its methods."""

from keras_infobottleneck.estimators.fisher.structures.dense import DenseFisher
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher
from keras_infobottleneck.estimators.fisher.structures.gram import GramFisher
from keras_infobottleneck.estimators.fisher.structures.implicit import ImplicitFisher
from keras_infobottleneck.estimators.fisher.structures.kronecker import KroneckerFisher

__all__ = ["DenseFisher", "DiagonalFisher", "GramFisher", "ImplicitFisher", "KroneckerFisher"]
