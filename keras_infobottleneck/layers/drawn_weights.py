"""Calls of a layer with drawn weights, or with noise on its pre-activations.

For a layer that is linear in one kernel, drawing the pre-activations of each example replaces
drawing weights for each example.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.introspection.contents import all_layers, own_weights
from keras_infobottleneck.introspection.refusals_in_calls import as_it_is
from keras_infobottleneck.layers.linear_part import ADDED_LOSS, LinearPart, Shape
from keras_infobottleneck.layers.posteriors import Posterior

__all__ = ["DrawnWeights", "NoisyAffine", "weights_to_draw"]

ASSIGNED = (
    "`layer` must not assign weights that have a posterior in its call, as SpectralNormalization "
    "does, because the draw would replace their means. Received: an assignment of {}"
)
MIN_VARIANCE = 1e-16  # inside the square root, whose gradient at zero is infinite


class NoisyAffine:
    """The affine map of a built layer, with a posterior over its kernel and possibly its bias.

    This is not a Keras object, so that the layer that holds it does not track the twins inside.

    Args:
        layer: A Keras layer with a linear part.
        input_shape: Shape of its inputs.

    References:
        Kingma, Salimans & Welling (2015), arXiv 1506.02557. Wen et al. (2018), arXiv 1803.04386.
    """

    def __init__(self, layer: keras.layers.Layer, input_shape: Shape):
        self._layer = layer
        # Squares of small scales underflow in float16: variances are computed in float32.
        self._variance = self._linear = LinearPart(layer, input_shape, "float32")
        if layer.compute_dtype != "float32":
            self._linear = LinearPart(layer, input_shape, layer.compute_dtype)

    def is_exact(self, *, bias_is_drawn: bool) -> bool:
        """Whether the layer is linear in the way that `local` and `flipout` require."""
        return self._variance.has_one_product_per_weight(bias_is_drawn=bias_is_drawn)

    def local(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Pre-activations drawn with the mean and variance that follow from the weights, float32.

        Args:
            inputs: Inputs of the layer.
            posterior: The posterior of every weight.
            parameters: Pairs of its mean and spread, for the kernel and possibly the bias.
            next_seed: Returns a fresh seed when called.
        """
        moments = [posterior.mean_and_variance(*pair) for pair in parameters]
        means, variances = (list(column) for column in zip(*moments, strict=True))
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        variance = self._variance.with_least_output(
            MIN_VARIANCE, tf.square(tf.cast(inputs, tf.float32)), *variances
        )
        noise = distributions.standard_normal(tf.shape(mean), next_seed())
        # Minus, because TensorFlow's oneDNN rewriter logs errors for an activation of a sum.
        return mean - tf.sqrt(variance) * noise

    def flipout(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Mean pre-activations plus one shared perturbation with random signs for each example.

        Arguments as in `local`; the posterior must be symmetric.
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
        # Minus, as in `local`.
        return mean - perturbation * _signs(perturbation, axes, next_seed())

    def _with_bias(self, weights: list[tf.Tensor]) -> list[tf.Tensor]:
        """Kernel and bias; the layer's own bias is used if it is deterministic."""
        if len(weights) == 1 and self._layer.bias is not None:
            return [*weights, tf.convert_to_tensor(self._layer.bias)]
        return weights


def _signs(tensor: tf.Tensor, axes: list[int], seed: tf.Tensor) -> tf.Tensor:
    """Random signs that vary along the given axes of a tensor."""
    shape = tf.shape(tensor)
    sides = [shape[axis] if axis in axes else 1 for axis in range(tensor.shape.rank)]
    return distributions.random_signs(tf.stack(sides), seed)


# Weights that stay deterministic: they are few, and noise on them costs accuracy but saves no nats.
DETERMINISTIC = ("bias", "beta", "gamma", "scale")


def weights_to_draw(layer: keras.layers.Layer, variational_bias: bool) -> list[keras.Variable]:
    """The weights of a layer that get a distribution, including frozen ones, each once."""
    # Not `trainable_weights`, because frozen layers still draw.
    created_trainable = {
        id(weight): weight for inner in all_layers(layer) for weight in own_weights(inner)
    }
    return [
        weight
        for weight in created_trainable.values()
        if variational_bias or not (weight.name in DETERMINISTIC or weight.name.endswith("_bias"))
    ]


class DrawnWeights(keras.StatelessScope):
    """Scope in which some variables have given values; assignments by the layer are collected.

    A layer assigns recurrent states, moving statistics and seeds, which Keras would drop at the end
    of the scope. Call `assign_updates` after the scope to apply them.

    Args:
        values: Pairs of a Keras variable and the tensor that replaces its value.

    Raises:
        ValueError: A layer adds a loss inside the scope, where it would be lost, or assigns a
            weight that was drawn, whose mean would be lost.
    """

    def __init__(self, values: Iterable[tuple[keras.Variable, tf.Tensor]]):
        values = list(values)
        super().__init__(values, collect_losses=True)
        self._drawn = {id(variable) for variable, _ in values}
        self._updates: dict[int, tuple[keras.Variable, tf.Tensor]] = {}

    def add_loss(self, loss: tf.Tensor) -> NoReturn:
        """Refuses the loss, which would be lost with the scope."""
        raise ValueError(ADDED_LOSS.format(loss))

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """Collects an assignment by the layer, which must not be to a weight that was drawn."""
        if id(update[0]) in self._drawn:
            raise as_it_is(ValueError(ASSIGNED.format(update[0].path)))
        super().add_update(update)
        self._updates[id(update[0])] = update

    def get_current_value(self, variable: keras.Variable) -> Any:
        """The value given or assigned here, else that of the enclosing scope."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def assign_updates(self) -> None:
        """Applies the collected assignments to their variables."""
        for variable, value in self._updates.values():
            variable.assign(value)
