"""A layer on drawn weights: called with them in place of its own, or drawn before its activation.

Of a layer that is linear in one kernel no weights are drawn for an example, its pre-activations
are.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.introspection.contents import all_layers, own_weights
from keras_infobottleneck.layers.linear_part import ADDED_LOSS, LinearPart, Shape
from keras_infobottleneck.layers.posteriors import Posterior

__all__ = ["DrawnWeights", "NoisyAffine", "weights_to_draw"]

MIN_VARIANCE = 1e-16  # inside the square root, whose gradient at zero is infinite


class NoisyAffine:
    """The affine map of a built layer, with a posterior for its kernel, and perhaps its bias.

    Not a Keras object on purpose: the layer that holds it must not track the twins inside.

    Args:
        layer: a Keras layer with a linear part.
        input_shape: of its inputs.

    References:
        Kingma, Salimans & Welling (2015), arXiv 1506.02557. Wen et al. (2018), arXiv 1803.04386.
    """

    def __init__(self, layer: keras.layers.Layer, input_shape: Shape):
        self._layer = layer
        # Squares of small scales vanish in float16: variances are formed in float32.
        self._variance = self._linear = LinearPart(layer, input_shape, "float32")
        if layer.compute_dtype != "float32":
            self._linear = LinearPart(layer, input_shape, layer.compute_dtype)

    def is_exact(self, *, bias_is_drawn: bool) -> bool:
        """Whether the layer is linear in the way that both estimators need."""
        return self._variance.has_one_product_per_weight(bias_is_drawn=bias_is_drawn)

    def local(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Pre-activations drawn with the mean and variance that the weights give them, float32.

        Args:
            inputs: of the layer.
            posterior: the posterior of every weight.
            parameters: pairs of its mean and spread, of the kernel and perhaps the bias.
            next_seed: gives a fresh seed when called.
        """
        moments = [posterior.mean_and_variance(*pair) for pair in parameters]
        means, variances = (list(column) for column in zip(*moments, strict=True))
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        variance = self._variance.with_least_output(
            MIN_VARIANCE, tf.square(tf.cast(inputs, tf.float32)), *variances
        )
        noise = distributions.standard_normal(tf.shape(mean), next_seed())
        # Minus: TensorFlow's oneDNN rewriter trips, loudly, over an activation of a sum.
        return mean - tf.sqrt(variance) * noise

    def flipout(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Mean pre-activations plus one perturbation with signs of its own for every example.

        Arguments as of `local`; the posterior is symmetric.
        """
        means = [loc for loc, _ in parameters]
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        noise = []
        for _, spread in parameters:
            normal = distributions.standard_normal(tf.shape(spread), next_seed())
            noise.append(posterior.sample(tf.zeros([]), spread, normal))
        inputs = tf.cast(inputs, tf.float32)
        inputs *= _signs(inputs, self._linear.input_sign_axes(inputs.shape.rank), next_seed())
        perturbation = self._variance(inputs, *noise)
        axes = self._linear.output_sign_axes(mean.shape.rank)
        # Minus: as in `local`.
        return mean - perturbation * _signs(perturbation, axes, next_seed())

    def _with_bias(self, weights: list[tf.Tensor]) -> list[tf.Tensor]:
        """Kernel and bias: the drawn ones, or the layer's own bias where it is deterministic."""
        if len(weights) == 1 and self._layer.bias is not None:
            return [*weights, tf.convert_to_tensor(self._layer.bias)]
        return weights


def _signs(tensor: tf.Tensor, axes: list[int], seed: tf.Tensor) -> tf.Tensor:
    """Random signs that vary along some axes of a tensor."""
    shape = tf.shape(tensor)
    sides = [shape[axis] if axis in axes else 1 for axis in range(tensor.shape.rank)]
    return distributions.random_signs(tf.stack(sides), seed)


# Weights that stay deterministic: they are few, and noise on them costs accuracy for no nats.
DETERMINISTIC = ("bias", "beta", "gamma", "scale")


def weights_to_draw(layer: keras.layers.Layer, variational_bias: bool) -> list[keras.Variable]:
    """The weights of a layer that get a distribution, frozen ones included, each once."""
    # Not `trainable_weights`: frozen layers still draw. A weight held twice is one weight.
    created_trainable = {
        id(weight): weight for inner in all_layers(layer) for weight in own_weights(inner)
    }
    return [
        weight
        for weight in created_trainable.values()
        if variational_bias or not (weight.name in DETERMINISTIC or weight.name.endswith("_bias"))
    ]


class DrawnWeights(keras.StatelessScope):
    """Inside, some variables have the values given; what the layer assigns is kept for later.

    What a layer assigns are recurrent states, moving statistics and seeds; Keras would drop them
    with the scope. Call `assign_updates` after it.

    Args:
        values: pairs of a Keras variable and the tensor that stands for it.

    Raises:
        ValueError: when a layer adds a loss inside, which would be lost.
    """

    def __init__(self, values: Iterable[tuple[keras.Variable, tf.Tensor]]):
        super().__init__(values, collect_losses=True)
        self._updates: dict[int, tuple[keras.Variable, tf.Tensor]] = {}

    def add_loss(self, loss: tf.Tensor) -> NoReturn:
        """Refuse: the loss would be lost with the scope."""
        raise ValueError(ADDED_LOSS.format(loss))

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """Remember what the layer assigns."""
        super().add_update(update)
        self._updates[id(update[0])] = update

    def get_current_value(self, variable: keras.Variable) -> Any:
        """The value given or assigned, else that of the scope around this one."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def assign_updates(self) -> None:
        """Give the variables that the layer assigned their new values."""
        for variable, value in self._updates.values():
            variable.assign(value)
