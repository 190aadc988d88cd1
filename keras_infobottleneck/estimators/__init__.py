"""Measure: functions from a model and data to numbers.

Each estimator states whether it is exact, unbiased, consistent, or a bound, in which unit, and at
which cost.
"""

from keras_infobottleneck.certificates.certificate import Certificate
from keras_infobottleneck.certificates.certification import certify
from keras_infobottleneck.certificates.fixed_network_bounds import (
    excess_loss_bound,
    occam_bound,
    recursive_bound,
    test_set_bound,
)
from keras_infobottleneck.estimators.coding.description_length import (
    DescriptionLength,
    description_length,
)
from keras_infobottleneck.estimators.coding.prequential import prequential_code
from keras_infobottleneck.estimators.coding.probe import MDLProbe, mdl_probe
from keras_infobottleneck.estimators.coding.switch_code import PrequentialCode
from keras_infobottleneck.estimators.complexity.block_decomposition import (
    block_decomposition_complexity,
)
from keras_infobottleneck.estimators.complexity.quantized_complexity import (
    ComplexityRatio,
    QuantizedComplexity,
    quantized_complexity,
)
from keras_infobottleneck.estimators.complexity.weight_compression import (
    WeightCompression,
    weight_compression,
)
from keras_infobottleneck.estimators.complexity.weight_quantization import quantize_to
from keras_infobottleneck.estimators.fisher import (
    DirectGradient,
    FisherInformation,
    KernelRule,
    LayerRule,
    MemoryEstimate,
    fisher_information,
    register_rule,
)
from keras_infobottleneck.estimators.fisher.hessian import Hessian, hessian
from keras_infobottleneck.estimators.geometry.intrinsic_dimension import (
    IntrinsicDimension,
    intrinsic_dimension,
)
from keras_infobottleneck.estimators.geometry.kernel_alignment import (
    KernelAlignment,
    centered_kernel_alignment,
)
from keras_infobottleneck.estimators.geometry.mean_squared_jacobian import mean_squared_jacobian
from keras_infobottleneck.estimators.geometry.participation_ratio import (
    ParticipationRatio,
    participation_ratio,
)
from keras_infobottleneck.estimators.influence.posterior_influence import (
    PosteriorInfluence,
    posterior_influence,
)
from keras_infobottleneck.estimators.influence.unique_information import (
    UniqueInformation,
    unique_information,
)
from keras_infobottleneck.estimators.influence.wrong_labels import WrongLabels, find_wrong_labels
from keras_infobottleneck.estimators.information.activation_bounds import (
    ActivationInformationBounds,
    activation_information_bounds,
    linear_layer_information,
    noise_variance_of_information,
)
from keras_infobottleneck.estimators.information.cross_entropy_decomposition import (
    CrossEntropyDecomposition,
    cross_entropy_decomposition,
)
from keras_infobottleneck.estimators.information.drawn_excess_loss import drawn_excess_loss
from keras_infobottleneck.estimators.information.effective_information import (
    EffectiveInformation,
    activation_fisher,
    effective_information,
)
from keras_infobottleneck.estimators.information.flat_minimum import flat_minimum_bound
from keras_infobottleneck.estimators.information.information_curve import (
    InformationCurve,
    information_curve,
)
from keras_infobottleneck.estimators.information.mutual_information import (
    MutualInformation,
    mutual_information,
)
from keras_infobottleneck.estimators.information.nuisance_information import (
    NuisanceInformation,
    nuisance_information,
)
from keras_infobottleneck.estimators.information.simulated_effective_information import (
    simulated_effective_information,
)
from keras_infobottleneck.estimators.information.total_correlation import (
    TotalCorrelation,
    total_correlation,
)
from keras_infobottleneck.estimators.information.uncertainty import (
    Uncertainty,
    decompose_uncertainty,
)
from keras_infobottleneck.estimators.information.weight_information import (
    WeightInformation,
    information_in_weights,
)
from keras_infobottleneck.estimators.learning_coefficient.estimation import (
    local_learning_coefficient,
)
from keras_infobottleneck.estimators.learning_coefficient.learning_coefficient import (
    LearningCoefficient,
)
from keras_infobottleneck.estimators.relevance.hidden_states import hidden_states
from keras_infobottleneck.estimators.relevance.maximum_relevance import (
    MaximumRelevance,
    maximum_relevance_curve,
)
from keras_infobottleneck.estimators.relevance.multiscale_relevance import (
    MultiscaleRelevance,
    layer_multiscale_relevance,
    multiscale_relevance,
)
from keras_infobottleneck.estimators.relevance.resolution_relevance import (
    RelevanceNull,
    ResolutionRelevance,
    relevance_null,
    resolution_relevance,
    resolution_relevance_of_counts,
)
from keras_infobottleneck.estimators.relevance.state_counts import StateCounts
from keras_infobottleneck.estimators.relevance.zipf import (
    RelevanceSlope,
    ZipfExponent,
    relevance_slope,
    zipf_exponent,
)
from keras_infobottleneck.pac_bayes import monte_carlo_bound, pac_bayes_bound
from keras_infobottleneck.results.estimate import Estimate

__all__ = [
    "ActivationInformationBounds",
    "Certificate",
    "ComplexityRatio",
    "CrossEntropyDecomposition",
    "DescriptionLength",
    "DirectGradient",
    "EffectiveInformation",
    "Estimate",
    "FisherInformation",
    "Hessian",
    "InformationCurve",
    "IntrinsicDimension",
    "KernelAlignment",
    "KernelRule",
    "LayerRule",
    "LearningCoefficient",
    "MDLProbe",
    "MaximumRelevance",
    "MemoryEstimate",
    "MultiscaleRelevance",
    "MutualInformation",
    "NuisanceInformation",
    "ParticipationRatio",
    "PosteriorInfluence",
    "PrequentialCode",
    "QuantizedComplexity",
    "RelevanceNull",
    "RelevanceSlope",
    "ResolutionRelevance",
    "StateCounts",
    "TotalCorrelation",
    "Uncertainty",
    "UniqueInformation",
    "WeightCompression",
    "WeightInformation",
    "WrongLabels",
    "ZipfExponent",
    "activation_fisher",
    "activation_information_bounds",
    "block_decomposition_complexity",
    "centered_kernel_alignment",
    "certify",
    "cross_entropy_decomposition",
    "decompose_uncertainty",
    "description_length",
    "drawn_excess_loss",
    "effective_information",
    "excess_loss_bound",
    "find_wrong_labels",
    "fisher_information",
    "flat_minimum_bound",
    "hessian",
    "hidden_states",
    "information_curve",
    "information_in_weights",
    "intrinsic_dimension",
    "layer_multiscale_relevance",
    "linear_layer_information",
    "local_learning_coefficient",
    "maximum_relevance_curve",
    "mdl_probe",
    "mean_squared_jacobian",
    "monte_carlo_bound",
    "multiscale_relevance",
    "mutual_information",
    "noise_variance_of_information",
    "nuisance_information",
    "occam_bound",
    "pac_bayes_bound",
    "participation_ratio",
    "posterior_influence",
    "prequential_code",
    "quantize_to",
    "quantized_complexity",
    "recursive_bound",
    "register_rule",
    "relevance_null",
    "relevance_slope",
    "resolution_relevance",
    "resolution_relevance_of_counts",
    "simulated_effective_information",
    "test_set_bound",
    "total_correlation",
    "unique_information",
    "weight_compression",
    "zipf_exponent",
]


def __dir__() -> list[str]:
    """Public names only; the sub-packages are internal."""
    return __all__
