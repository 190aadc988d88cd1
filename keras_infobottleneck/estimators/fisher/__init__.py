"""Fisher information of the weights, in five structures."""

from keras_infobottleneck.estimators.fisher.estimation import fisher_information
from keras_infobottleneck.estimators.fisher.information import FisherInformation
from keras_infobottleneck.estimators.fisher.memory import MemoryEstimate

__all__ = ["FisherInformation", "MemoryEstimate", "fisher_information"]
