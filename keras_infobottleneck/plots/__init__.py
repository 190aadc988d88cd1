"""Show: plain arrays in, matplotlib axes out. Needs the ``plots`` extra."""

from keras_infobottleneck.plots.relevance import plot_rank_frequency, plot_resolution_relevance

__all__ = ["plot_rank_frequency", "plot_resolution_relevance"]
