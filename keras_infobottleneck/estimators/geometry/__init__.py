"""The shape of hidden states: dimensions, alignment, how much an input moves an output."""
