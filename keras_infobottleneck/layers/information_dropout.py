"""Noise on the activations, with a price in nats for the information they hold about the input."""

from typing import Any, Literal

import keras
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.layers.dropout_options import check_options, output_activation
from keras_infobottleneck.layers.linear_part import Shape, without_activation
from keras_infobottleneck.layers.noisy_layer import NoisyWrapper, call_with_mask
from keras_infobottleneck.layers.priced_activations import PricedActivations, one_array
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = ["InformationDropout"]

MIN_ALPHA = 0.001  # smallest noise, as published; keeps the cost of a unit finite
MIN_ACTIVATION = 1e-4  # floor of f, whose logarithm is taken; as published
MIN_EXPONENTIAL = 2.0**-126  # smallest normal number of float32 and bfloat16
MIN_EXPONENTIAL_HALF = 2.0**-14  # smallest normal number of float16
TWIN_SEED_OFFSET = 2**20  # so that the twin's weights do not repeat the noise of the layer's


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class InformationDropout(PricedActivations, NoisyWrapper):
    """Multiplies a layer's output by learned log-normal noise, and prices the information left.

    With ``f`` the wrapped layer, non-negative, and ``a`` another layer on the same input:

        z = f(x) exp(alpha(x) n),  n ~ N(0, 1),  alpha(x) = 0.001 + max_alpha sigmoid(a(x))
        loss added: beta * mean_batch KL(p(z|x) || p(z))

    - The divergence is summed over units and time steps, in nats.
    - The loss is added in training and in evaluation; the noise is drawn only in training. A plain
      call and an exported model do neither. `predict` of a plain `keras.Model`, which a layer
      cannot distinguish from evaluation, adds the loss too.
    - ``beta`` multiplies nats per example; the published values (3.0, 0.5) are divided by the
      number of training examples.

    Args:
        layer: A Keras layer with a non-negative output, such as ``Dense(10, "relu")``, or
            `VariationalWeights` of such a layer. With a mask, masked time steps cost nothing.
        beta: Price of one nat. It is a variable, which a callback may assign.
        prior: ``"log_uniform"``, for relu and relu6: ``KL = log(cap / alpha)`` per unit, zero at
            ``cap = max_alpha + 0.001``. ``"log_normal"``, for softplus, exponential and sigmoid:
            ``[alpha^2 + (log f - m)^2] / (2 s^2) - log(alpha / s) - 1/2`` per unit, where the layer
            learns ``m`` and ``s``, starting at 0 and 1. The floor of ``log f`` is ``log 1e-4``; for
            an exponential it is the logarithm of the smallest normal number, so that in float32 the
            layer is the Gaussian VAE encoder of ``log z``.
        max_alpha: Range of the standard deviation of the noise in ``log z``.
        alpha_layer: The layer ``a``, with an unbounded output of the same shape. By default a twin
            of `layer`: the same configuration without activation, regularisers and constraints, and
            its own weights. A `layer` that consists of several layers has no twin.
        activation_is_nonnegative: Set to True for a non-negative activation that is not listed,
            such as a squared relu; it is not checked.
        seed: Seed of the noise.

    Input and output shapes and the dtype policy are those of `layer`; noise and cost are computed
    in float32, which costs as much as one more layer of the same size. The metric
    ``"{name}_information"`` is in nats per example, the sum over all calls of one forward pass.
    ``sample_weight`` does not weight this cost: a layer does not see it, and a weight of the error
    is unrelated to the information in the activations. Inside `TimeDistributed` the number of time
    steps must be known.

    Raises:
        TypeError, ValueError: An argument is invalid; in particular, the activation is not listed
            for the prior, or `alpha_layer` is missing or has another output shape.

    References:
        Achille & Soatto (2018), "Information Dropout", arXiv 1611.01353.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        layer = kib.layers.InformationDropout(keras.layers.Dense(8, activation="relu"), beta=1e-3)
        x = np.ones((2, 4), "float32")
        print(layer(x).shape, layer.information(x).shape)  # nats for each example and unit
        ```

        ```text
        (2, 8) (2, 8)
        ```
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        beta: float,
        *,
        prior: Literal["log_uniform", "log_normal"] = "log_uniform",
        max_alpha: float = 0.7,
        alpha_layer: keras.layers.Layer | None = None,
        activation_is_nonnegative: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(layer, seed=seed, **kwargs)
        check_options(layer, beta, prior, max_alpha, alpha_layer, activation_is_nonnegative)
        self.prior = prior
        self.max_alpha = float(max_alpha)
        self.activation_is_nonnegative = activation_is_nonnegative
        self.alpha_layer = _twin(layer) if alpha_layer is None else alpha_layer
        self._alpha_is_twin = alpha_layer is None
        self._set_price(beta)

    def build(self, inputs_shape: Shape) -> None:
        """Builds the wrapped layer, the layer of alpha and the prior."""
        for layer in (self.layer, self.alpha_layer):
            if not layer.built:
                layer.build(inputs_shape)
                layer.built = True
        shapes = [
            tuple(layer.compute_output_shape(inputs_shape))
            for layer in (self.layer, self.alpha_layer)
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "`alpha_layer` must have outputs of the same shape as `layer`. "
                f"Received: alpha_layer={self.alpha_layer!r} with {shapes[1]}, "
                f"layer={self.layer!r} with {shapes[0]}"
            )
        if self.prior == "log_normal":
            self.prior_loc = self._add_number("prior_loc", (), 0.0)
            self.prior_log_scale = self._add_number("prior_log_scale", (), 0.0)
        self.built = True

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """The price of a nat and the weights of the prior."""
        has_prior = self.built and self.prior == "log_normal"
        return [self.beta, *([self.prior_loc, self.prior_log_scale] if has_prior else [])]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """The output shape of the wrapped layer."""
        return self.layer.compute_output_shape(inputs_shape)

    def get_config(self) -> dict:
        """The arguments of the constructor; the current value of `beta` is saved as a weight."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "prior": self.prior,
            "max_alpha": self.max_alpha,
            "alpha_layer": None if self._alpha_is_twin else serialize(self.alpha_layer),
            "activation_is_nonnegative": self.activation_is_nonnegative,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "InformationDropout":
        """Makes a layer from its configuration."""
        config = dict(config)
        if config["alpha_layer"] is not None:
            config["alpha_layer"] = keras.saving.deserialize_keras_object(
                config["alpha_layer"], custom_objects=custom_objects
            )
        layer = super().from_config(config, custom_objects=custom_objects)
        if config["alpha_layer"] is None and isinstance(layer.layer, VariationalWeights):
            # A twin has no entry in the configuration, but models also anchor its prior.
            layer.alpha_layer.anchored = layer.layer.anchored
        return layer

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> tf.Tensor:
        """The wrapped layer's output, with noise in training; evaluation adds the cost too."""
        outputs = call_with_mask(self.layer, inputs, mask=mask)
        draws, counts = self.draws(training), self.counts(training)
        if not draws and not counts:
            return outputs
        activations = tf.cast(outputs, tf.float32)
        alpha = self._alpha(inputs, mask)
        if counts:
            self._charge(self._unmasked(self._kl_divergence(activations, alpha), inputs, mask))
        if draws:
            noise = distributions.standard_normal(tf.shape(outputs), self.next_seed())
            outputs = tf.cast(activations * tf.exp(alpha * noise), outputs.dtype)
        return outputs

    def information(self, inputs: Any, mask: Any = None) -> tf.Tensor:
        """Nats of each unit about each example, in the shape of the output, float32.

        Masked places count as 0. Without `mask`, the mask that Keras keeps with the inputs is used.
        The sum over all axes but the batch is what `beta` prices. No noise is drawn.
        """
        inputs, mask = one_array(inputs, mask)
        activations = tf.cast(self(inputs, mask=mask), tf.float32)
        nats = self._kl_divergence(activations, self._alpha(inputs, mask))
        return self._unmasked(nats, inputs, mask)

    def _alpha(self, inputs: Any, mask: Any) -> tf.Tensor:
        """Standard deviation of ``log z``, float32."""
        logits = call_with_mask(self.alpha_layer, inputs, mask=mask)
        return MIN_ALPHA + self.max_alpha * tf.sigmoid(tf.cast(logits, tf.float32))

    def _kl_divergence(self, activations: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        """Nats per unit."""
        if self.prior == "log_uniform":
            return distributions.kl_log_normal_log_uniform(alpha, self.max_alpha + MIN_ALPHA)
        loc = tf.math.log(tf.maximum(activations, self._floor()))
        prior = self.prior_loc.value, self.prior_log_scale.value
        return distributions.kl_normal_normal(loc, tf.math.log(alpha), *prior)

    def _floor(self) -> float:
        """Smallest activation whose logarithm is taken; smaller ones are replaced by it."""
        if output_activation(self.layer) is keras.activations.exponential:
            return (
                MIN_EXPONENTIAL_HALF if self.layer.compute_dtype == "float16" else MIN_EXPONENTIAL
            )
        return MIN_ACTIVATION


def _twin(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A new layer of the same configuration with an unbounded output."""
    name = f"{layer.name}_alpha"
    if not isinstance(layer, VariationalWeights):
        return without_activation(layer, name=name, trainable=True)
    seed = None if layer.seed is None else layer.seed + TWIN_SEED_OFFSET
    fresh = {"trainable": True, "anchored": False}
    inner = keras.saving.serialize_keras_object(_twin(layer.layer))
    return VariationalWeights.from_config(
        {**layer.get_config(), "layer": inner, "name": name, "seed": seed, **fresh}
    )
