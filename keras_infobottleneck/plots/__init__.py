"""Show: plain arrays in, matplotlib axes out. Needs the ``plots`` extra.

Matplotlib is imported by the functions, so that importing the package does not need it.
"""

from keras_infobottleneck.plots.bit_planes import plot_bit_planes

__all__ = ["plot_bit_planes"]
