"""The least that a step with noise on the weights can take, for each estimator.

A floor makes the products of its estimator, forwards and backwards, and gives the optimizer two
weights for each of the plain layer's. It draws nothing and charges nothing, so it is no estimator:
what a step takes beyond its floor is noise, the divergence and what surrounds them.
"""

import keras

__all__ = ["Floor"]


class Floor(keras.layers.Layer):
    """A layer with a second kernel, used as the estimator would use its spread.

    Args:
        layer: a Keras layer with one kernel, not built.
        estimator: `"sample"` has one product, with the sum of both kernels; `"local"` a second one
            of squared inputs; `"flipout"` a second one between fixed signs.
    """

    def __init__(self, layer, estimator):
        super().__init__()
        self.estimator = estimator
        config = {**layer.get_config(), "activation": "linear"}
        self.mean = type(layer).from_config(config)
        self.spread = type(layer).from_config({**config, "use_bias": False})
        self.activation = layer.activation

    def build(self, input_shape):
        """Build both kernels, and signs of all inputs and outputs."""
        self.mean.build(input_shape)
        self.spread.build(input_shape)
        channels = input_shape[-1], self.mean.kernel.shape[-1]
        self.signs = [(-1.0) ** keras.ops.arange(n, dtype="float32") for n in channels]

    def call(self, inputs):
        """The layer's outputs, from means and spreads."""
        kernel, bias = self.mean.kernel.value, self.mean.bias.value
        if self.estimator == "sample":
            kernel = kernel + self.spread.kernel.value
        outputs, _ = self.mean.stateless_call([kernel, bias], [], inputs)
        if self.estimator == "local":
            outputs = outputs + self.spread(inputs * inputs)
        if self.estimator == "flipout":
            signs_in, signs_out = self.signs
            outputs = outputs + self.spread(inputs * signs_in) * signs_out
        return self.activation(outputs)
