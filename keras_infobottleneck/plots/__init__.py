"""Plots: from plain arrays to matplotlib axes. Needs the ``plots`` extra.

Matplotlib is imported by the functions, so that importing the package does not need it.
"""

from keras_infobottleneck.plots.bit_planes import plot_bit_planes
from keras_infobottleneck.plots.code_length import plot_code_length
from keras_infobottleneck.plots.information_by_layer import plot_information_by_layer
from keras_infobottleneck.plots.information_curve import plot_information_curve
from keras_infobottleneck.plots.information_map import plot_information_map
from keras_infobottleneck.plots.phase_diagram import plot_phase_diagram
from keras_infobottleneck.plots.pruning import plot_pruning_curve
from keras_infobottleneck.plots.relevance import plot_rank_frequency, plot_resolution_relevance
from keras_infobottleneck.plots.spectrum import plot_spectrum
from keras_infobottleneck.plots.traces import plot_traces

__all__ = [
    "plot_bit_planes",
    "plot_code_length",
    "plot_information_by_layer",
    "plot_information_curve",
    "plot_information_map",
    "plot_phase_diagram",
    "plot_pruning_curve",
    "plot_rank_frequency",
    "plot_resolution_relevance",
    "plot_spectrum",
    "plot_traces",
]
