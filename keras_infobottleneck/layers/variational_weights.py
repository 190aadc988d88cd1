"""Noise on the weights, with a price in nats for the information they hold about the data."""

import inspect
import warnings
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.introspection.making import charges_nothing
from keras_infobottleneck.layers.drawn_weights import (
    DrawnWeights,
    NoisyAffine,
    weights_to_draw,
)
from keras_infobottleneck.layers.linear_part import Shape
from keras_infobottleneck.layers.noisy_layer import call_with_mask
from keras_infobottleneck.layers.posteriors import posterior_of
from keras_infobottleneck.layers.priced_weights import PricedWeights
from keras_infobottleneck.layers.variational_options import (
    NOTHING_CHARGED,
    check_layer,
    check_options,
)

__all__ = ["VariationalWeights"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class VariationalWeights(PricedWeights):
    """Puts a distribution over the weights of any Keras layer, and measures their information.

    The wrapped layer's own weights are the means of the posterior, so that pretrained weights can
    be used as they are, and unwrapping gives a plain layer. Weights are drawn in training;
    otherwise the means are used. An `InformationBottleneckModel` adds `kl_divergence` of each layer
    once, divided by the number of training examples. Shapes and dtype policy are those of `layer`.

    Posteriors:

    - ``"gaussian"``: ``w ~ N(loc, scale^2)`` with prior ``N(0, prior_scale^2)``.
    - ``"log_normal"``: ``w = loc * eps`` with ``log eps ~ N(-a/2, a)``, cost
      ``1/2 sum log(max_variance / a)``: a relative information, not a divergence from a fixed
      prior.
    - ``"truncated_log_normal"``: the same within ``1e-6 <= |w| <= 100``, with the log-uniform prior
      there. This is a divergence, given the signs of the weights.

    Estimators of the gradient; the first two need a layer that is linear in its one kernel:

    - ``"local"`` draws the pre-activations, independently for every example and position: least
      variance, two passes of the linear part. For log-normal posteriors the pre-activations are
      normal with the right mean and variance.
    - ``"flipout"`` draws one perturbation per batch and flips its signs at random for every
      example: uncorrelated examples, for symmetric posteriors.
    - ``"sample"`` draws the weights once per call: for any layer; examples are correlated.

    Args:
        layer: A Keras layer with weights. Inner layers that add losses or draw noise are refused;
            nest them the other way, as in
            ``InformationDropout(VariationalWeights(Dense(10, "relu")), beta)``.
        posterior: Form of the posterior.
        prior_scale: Standard deviation of the Gaussian prior. `None` uses, for each weight tensor
            and at every step, the scale that minimises the divergence (empirical Bayes, in closed
            form). ``"grid"`` uses the best of ``10 exp(-j / 16)``, and adds the price of the
            choice, ``2 log(j + 1) + log(pi^2 / 6)`` nats, as certificates require.
            ``"grid_per_unit"`` has one scale for each output unit (last axis), whose price depends
            on the number of steps from the scale of the tensor.
        max_variance: Cap of ``a``, at which a log-normal posterior costs nothing.
        estimator: How the gradient is estimated.
        initial_scale: Initial standard deviation of the weights (log-normal: of ``log w``); by
            default a tenth of the fan-in scale (log-normal: 0.1).
        variational_bias: Whether biases, and offsets and scales of normalisation, are drawn too.
        seed: Seed of the noise.

    References:
        Achille & Soatto (2018), arXiv 1706.01350, equation 3 and section 4.1. Kingma, Salimans &
        Welling (2015), arXiv 1506.02557, "local". Wen et al. (2018), arXiv 1803.04386, "flipout".

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        layer = kib.layers.VariationalWeights(keras.layers.Dense(3), estimator="local")
        outputs = layer(keras.ops.ones((2, 4)), training=True)  # weights are drawn
        print(outputs.shape, float(layer.kl_divergence()) > 0)
        ```

        ```text
        (2, 3) True
        ```
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        *,
        posterior: Literal["gaussian", "log_normal", "truncated_log_normal"] = "gaussian",
        prior_scale: float | Literal["grid", "grid_per_unit"] | None = None,
        max_variance: float = 1.0,
        estimator: Literal["local", "flipout", "sample"] = "local",
        initial_scale: float | None = None,
        variational_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(layer, seed=seed, **kwargs)
        check_options(
            posterior=posterior,
            prior_scale=prior_scale,
            max_variance=max_variance,
            estimator=estimator,
            initial_scale=initial_scale,
            variational_bias=variational_bias,
        )
        check_layer(layer, estimator)
        self.posterior_name = posterior
        self.prior_scale = prior_scale
        self.max_variance = max_variance
        self.estimator = estimator
        self.initial_scale = initial_scale
        self.variational_bias = variational_bias
        self._set_posterior(posterior_of(posterior, max_variance))
        self._affine: NoisyAffine | None = None
        self._said_nothing_charged = False

    def build(
        self, inputs_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        """Builds the wrapped layer and one spread per variational weight."""
        self._build_layer(inputs_shape, value_shape, key_shape)
        loc = self.variational_weights
        if not loc:
            raise ValueError(
                f"`layer` has no weights to put a distribution on. Received: layer={self.layer!r}"
            )
        prefix = f"{self.layer.path}/"
        self._spread = [
            self.add_weight(
                shape=weight.shape,
                initializer=keras.initializers.Constant(
                    self._posterior.initial_spread(tuple(weight.shape), self.initial_scale)
                ),
                name=weight.path.removeprefix(prefix).replace("/", "_") + "_spread",
                dtype="float32",
                autocast=False,
            )
            for weight in loc
        ]
        if self.anchored:
            self._anchor.build(tuple(tuple(weight.shape) for weight in loc))
        if self.estimator != "sample":
            self._build_affine(inputs_shape)
        self.built = True

    def _build_layer(self, inputs_shape: Shape, *others: Shape | None) -> None:
        if self.layer.built:
            return
        given = [shape for shape in others if shape is not None]
        names = list(inspect.signature(self.layer.build).parameters)[1:]
        accepted = sum(name.endswith("_shape") for name in names)
        self.layer.build(inputs_shape, *given[:accepted])
        self.layer.built = True

    def _build_affine(self, input_shape: Shape) -> None:
        self._affine = NoisyAffine(self.layer, input_shape)
        if not self._affine.is_exact(bias_is_drawn=len(self.variational_weights) > 1):
            raise ValueError(
                f'estimator="{self.estimator}" needs a layer that is linear in one kernel, each '
                "weight of which enters an output through one input only, and that adds its bias, "
                f'if that is drawn; use estimator="sample". Received: layer={self.layer!r}'
            )

    def compute_output_shape(
        self, inputs_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> Shape:
        """The output shape of the wrapped layer."""
        others = [shape for shape in (value_shape, key_shape) if shape is not None]
        return self.layer.compute_output_shape(inputs_shape, *others)

    def compute_output_spec(
        self,
        inputs: Any,
        value: Any = None,
        key: Any = None,
        mask: Any = None,
        training: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The output of the wrapped layer, which may depend on its own keyword arguments."""
        del mask, training
        others = [tensor for tensor in (value, key) if tensor is not None]
        return self.layer.compute_output_spec(inputs, *others, **kwargs)

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "posterior": self.posterior_name,
            "prior_scale": self.prior_scale,
            "max_variance": self.max_variance,
            "estimator": self.estimator,
            "initial_scale": self.initial_scale,
            "variational_bias": self.variational_bias,
            "anchored": self.anchored,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "VariationalWeights":
        """Makes the layer; for an anchored prior, `build` will create the weights of the prior."""
        config = dict(config)
        anchored = config.pop("anchored", False)
        layer = super().from_config(config, custom_objects=custom_objects)
        layer.anchored = anchored
        return layer

    def call(
        self,
        inputs: Any,
        value: Any = None,
        key: Any = None,
        mask: Any = None,
        training: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The wrapped layer, with drawn weights in training and mean weights otherwise."""
        others = [tensor for tensor in (value, key) if tensor is not None]
        if not self.draws(training):
            return call_with_mask(self.layer, inputs, *others, mask=mask, **kwargs)
        if training and not self._said_nothing_charged and charges_nothing():
            self._said_nothing_charged = True
            warnings.warn(NOTHING_CHARGED.format(self.name), stacklevel=2)
        if self.estimator == "sample":
            return self._call_with_sample(inputs, *others, mask=mask, **kwargs)
        noisy_affine = self._affine
        assert noisy_affine is not None  # built with the layer
        draw = noisy_affine.local if self.estimator == "local" else noisy_affine.flipout
        affine = draw(inputs, self._posterior, self._parameters(), self.next_seed)
        return self.layer.activation(tf.cast(affine, self.compute_dtype))

    def _call_with_sample(self, inputs: Any, *others: Any, **kwargs: Any) -> Any:
        with DrawnWeights(zip(self.variational_weights, self.draw_weights(), strict=True)) as scope:
            outputs = call_with_mask(self.layer, inputs, *others, **kwargs)
        scope.assign_updates()
        return outputs

    def draw_weights(self) -> list[tf.Tensor]:
        """One draw of each of `variational_weights`, float32."""
        return [
            self._posterior.sample(loc, spread, self._noise(tf.shape(spread)))
            for loc, spread in self._parameters()
        ]

    def _noise(self, shape: tf.Tensor) -> tf.Tensor:
        return distributions.standard_normal(shape, self.next_seed())

    @property
    def variational_weights(self) -> list[keras.Variable]:
        """The wrapped layer's weights that have a distribution; their values are the means."""
        return weights_to_draw(self.layer, self.variational_bias)
