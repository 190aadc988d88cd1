"""The geometry of hidden states: dimension, alignment, and sensitivity to inputs."""
