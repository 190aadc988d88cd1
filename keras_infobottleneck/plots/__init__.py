"""Show: plain arrays in, matplotlib axes out. Needs the ``plots`` extra.

Matplotlib is imported by the functions, so that importing the package does not need it.
"""

from keras_infobottleneck.plots.bit_planes import plot_bit_planes
from keras_infobottleneck.plots.relevance import plot_rank_frequency, plot_resolution_relevance

__all__ = [
    "plot_bit_planes",
    "plot_rank_frequency",
    "plot_resolution_relevance",
]
