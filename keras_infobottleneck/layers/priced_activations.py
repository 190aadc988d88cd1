"""Base class of layers with a price on their activations: the price, its metric, and masks."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_numbers, check_price, refusal
from keras_infobottleneck.introspection.contents import mask_of, own_losses
from keras_infobottleneck.layers.noisy_layer import NoisyLayer

__all__ = ["PricedActivations", "one_array"]


class PricedActivations(NoisyLayer):
    """Abstract: a layer with noise on its activations and a price for their information.

    A subclass calls `_set_price` in its constructor, and `_charge` in its `call` if `counts` is
    true.
    """

    noise = "activations"

    def _set_price(self, beta: Any) -> None:
        """Creates the variable of the price, and the metric that the logs show."""
        check_price("beta", beta)
        self._initial_beta = float(beta)
        self._beta = self._add_number("beta", (), self._initial_beta, trainable=False)
        self._information = _NatsPerExample(name=f"{self.name}_information")

    @property
    def beta(self) -> keras.Variable:
        """The price of a nat in the activations: a variable, which traced functions read anew."""
        return self._beta

    @beta.setter
    def beta(self, value: Any) -> None:
        check_price("beta", value)
        self._beta.assign(value)

    def get_config(self) -> dict:
        """The arguments of the constructor; the current value of `beta` is saved as a weight."""
        return {**super().get_config(), "beta": self._initial_beta}

    def _add_number(
        self, name: str, shape: tuple, value: Any, trainable: bool = True
    ) -> keras.Variable:
        """A float32 weight, for any compute dtype; `value` is a number or an initializer."""
        if not isinstance(value, keras.initializers.Initializer):
            value = keras.initializers.Constant(value)
        options = {"dtype": "float32", "autocast": False, "trainable": trainable}
        return self.add_weight(shape=shape, initializer=value, name=name, **options)

    def _mask_there(self, inputs: Any, mask: Any, rank: int) -> Any:
        """The mask of examples or time steps that applies to the output; None if there is none.

        Args:
            inputs, mask: Arguments of the call.
            rank: Number of axes of the output.
        """
        if self.supports_masking:
            mask = self.compute_mask(inputs, mask)
        elif mask is not None and len(mask.shape) > 1:
            return None  # Keras too drops a mask at a layer that does not support masking
        # The mask may be of time steps that the layer has summed over, if it passed the mask on. A
        # mask with a single step is treated as one of examples.
        is_of_others = mask is not None and len(mask.shape) >= rank and mask.shape[-1] != 1
        return None if is_of_others else mask

    def _unmasked(self, nats: tf.Tensor, inputs: Any, mask: Any) -> tf.Tensor:
        """The nats with zeros at masked places."""
        mask = self._mask_there(inputs, mask, nats.shape.rank)
        if mask is None:
            return nats
        mask = tf.cast(mask, tf.float32)
        ones = tf.ones([nats.shape.rank - mask.shape.rank], tf.int32)
        return nats * tf.reshape(mask, tf.concat([tf.shape(mask), ones], 0))

    def _charge(self, nats: tf.Tensor) -> None:
        """Adds the loss and updates the metric, from the nats per unit of one call."""
        num_examples = tf.cast(tf.shape(nats)[0], tf.float32)
        total = tf.reduce_sum(nats)
        # Keras clears the losses at the start of every forward pass. If one pass has several calls
        # (time steps, a shared layer), examples are counted at the first.
        is_first_call = not own_losses(self)
        self._information.update_state(total, num_examples if is_first_call else 0.0)
        cost = self.beta * tf.math.divide_no_nan(total, num_examples)
        self.add_loss(tf.cast(cost, keras.config.floatx()))  # the type of the compiled loss


def one_array(inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Inputs and mask of a call outside a model, as tensors.

    Without a mask, the mask that Keras keeps with the inputs is used, as in a call of the layer.

    Raises:
        TypeError, ValueError: There are several arrays, the inputs are not numbers, or the mask has
            a wrong shape.
    """
    if isinstance(inputs, list | tuple) and any(hasattr(part, "shape") for part in inputs):
        expected = "be one array (`layer.input` of a layer with a mask or labels is a list of them)"
        raise refusal(TypeError, "inputs", expected, inputs)
    if not tf.is_tensor(inputs) and not isinstance(inputs, keras.KerasTensor | keras.Variable):
        shape = "[num_examples, ...]"
        inputs = check_numbers("inputs", inputs, shape, finite=False, nan=True, booleans=True)
        inputs = tf.cast(inputs, keras.config.floatx())
    if mask is None:
        return inputs, mask_of(inputs)
    mask = tf.convert_to_tensor(mask)
    sizes = inputs.shape[: mask.shape.rank]
    if not 0 < mask.shape.rank < len(inputs.shape) or not mask.shape.is_compatible_with(sizes):
        expected = f"be of the examples or places of inputs of shape {tuple(inputs.shape)}"
        raise refusal(ValueError, "mask", expected, mask)
    return inputs, mask


class _NatsPerExample(keras.metrics.Mean):
    """Total nats divided by the number of examples, both of which are given."""

    def update_state(self, nats: tf.Tensor, num_examples: tf.Tensor | float) -> None:
        self.total.assign_add(nats)
        self.count.assign_add(num_examples)
