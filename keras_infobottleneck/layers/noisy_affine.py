"""What drawn weights make of a layer's pre-activations, each example with noise of its own.

For layers that are linear in one kernel: no weights are drawn for an example, its pre-activations
are.
"""

import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.layers.linear_part import LinearPart

__all__ = ["NoisyAffine"]

MIN_VARIANCE = 1e-16  # inside the square root, whose gradient at zero is infinite


class NoisyAffine:
    """The affine map of a built layer, with a law for its kernel, and perhaps its bias.

    Not a Keras object on purpose: the layer that holds it must not track the twins inside.

    Args:
        layer: a Keras layer with a linear part.
        input_shape: of its inputs.

    References:
        Kingma, Salimans & Welling (2015), arXiv 1506.02557. Wen et al. (2018), arXiv 1803.04386.
    """

    def __init__(self, layer, input_shape):
        self._layer = layer
        # Squares of small scales vanish in float16: variances are formed in float32.
        self._variance = self._linear = LinearPart(layer, input_shape, "float32")
        if layer.compute_dtype != "float32":
            self._linear = LinearPart(layer, input_shape, layer.compute_dtype)

    def is_exact(self) -> bool:
        """Whether the layer is linear in the way that both estimators need."""
        return self._variance.has_one_product_per_weight()

    def local(self, inputs, law, parameters, next_seed) -> tf.Tensor:
        """Pre-activations drawn with the mean and variance that the weights give them, float32.

        Args:
            inputs: of the layer.
            law: the posterior of every weight.
            parameters: pairs of its mean and spread, of the kernel and perhaps the bias.
            next_seed: gives a fresh seed when called.
        """
        moments = [law.mean_and_variance(*pair) for pair in parameters]
        means, variances = (list(column) for column in zip(*moments, strict=True))
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        variance = self._variance(tf.square(tf.cast(inputs, tf.float32)), *variances)
        noise = distributions.standard_normal(tf.shape(mean), next_seed())
        # Minus: TensorFlow's oneDNN rewriter trips, loudly, over an activation of a sum.
        return mean - tf.sqrt(variance + MIN_VARIANCE) * noise

    def flipout(self, inputs, law, parameters, next_seed) -> tf.Tensor:
        """Mean pre-activations plus one perturbation with signs of its own for every example.

        Arguments as of `local`; the law is symmetric.
        """
        means = [loc for loc, _ in parameters]
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        noise = []
        for loc, spread in parameters:
            normal = distributions.standard_normal(tf.shape(spread), next_seed())
            noise.append(law.sample(tf.zeros_like(loc), spread, normal))
        inputs = tf.cast(inputs, tf.float32)
        inputs *= _signs(inputs, self._linear.input_sign_axes(inputs.shape.rank), next_seed())
        perturbation = self._variance(inputs, *noise)
        axes = self._linear.output_sign_axes(mean.shape.rank)
        # Minus: as in `local`.
        return mean - perturbation * _signs(perturbation, axes, next_seed())

    def _with_bias(self, weights):
        """Kernel and bias: the drawn ones, or the layer's own bias where it is deterministic."""
        if len(weights) == 1 and self._layer.bias is not None:
            return [*weights, tf.convert_to_tensor(self._layer.bias)]
        return weights


def _signs(tensor, axes, seed):
    """Random signs that vary along some axes of a tensor."""
    shape = tf.shape(tensor)
    sides = [shape[axis] if axis in axes else 1 for axis in range(tensor.shape.rank)]
    return distributions.random_signs(tf.stack(sides), seed)
