"""The variational information bottleneck: a Gaussian code of the input with a price in nats."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.arguments import check_choice, check_count, refusal
from keras_infobottleneck.introspection.refusals_in_calls import as_it_is
from keras_infobottleneck.layers.labels_given import ClassLabels, class_labels, current_labels
from keras_infobottleneck.layers.priced_activations import PricedActivations, one_array

__all__ = ["GaussianBottleneck"]

PRIORS = ("standard", "learned", "conditional")
MIN_SCALE = 1e-4  # smallest noise, so that the cost of a unit stays finite
SCALE_OFFSET = -5.0  # as published: training starts with little noise, softplus(-5) = 0.0067


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class GaussianBottleneck(PricedActivations):
    """Dense layer with a Gaussian output, and a price in nats for the information in it.

    The deep variational information bottleneck: ``z = mu(x) + sigma(x) n``, ``n ~ N(0, 1)``, where
    ``mu`` and ``sigma(x) = 1e-4 + softplus(s(x) - 5)`` are dense in the last axis of the input.
    Each example pays ``beta * KL(N(mu(x), sigma(x)^2) || m(z))``, the rate, summed over units and
    places. The layer adds the mean of this over the batch to the loss, in training and in
    evaluation. It draws ``z`` only in training: at inference, in an exported model and after
    `make_deterministic` the output is ``mu(x)``. `InformationBottleneckModel.predict_samples`
    draws too, so that ``predict_samples(x, 12).mean(0)`` averages over draws.

    On average over the data the rate is an upper bound on the information ``I(z; x)``, for any
    prior. With the conditional prior it is an upper bound on ``I(z; x | y)``, the information about
    the input that the label does not give.

    Args:
        units: Number of units of the code, the size of the last axis of the output.
        beta: Price of one nat, for a loss that is a mean over examples. It is a variable, which a
            callback may assign.
        prior: The prior ``m(z)``. ``"standard"``: N(0, 1). ``"learned"``: a mixture of
            `num_components` Gaussians with trained means, scales and shares. Its divergence has no
            closed form; the cost is ``-log sum_k share_k exp(-KL_k)``, an upper bound that is exact
            if one component is much nearer than the others. ``"conditional"``: a trained Gaussian
            for each class (the conditional entropy bottleneck). It needs labels, as class numbers
            or one-hot, for sequences at each place. `InformationBottleneckModel` provides them in
            training and evaluation if they are one array; otherwise call the layer with
            ``labels=``.
        num_components: Number of components of the learned prior.
        num_classes: Number of classes of the conditional prior; None for the other priors.
        seed: Seed of the noise, and of the initial means of the learned prior.

    The metric ``"{name}_information"`` is in nats per example. Noise and cost are computed in
    float32, which costs as much as one more dense layer of the same size. Places that a mask leaves
    out cost nothing. ``sample_weight`` does not weight this cost.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of range, or a conditional
            prior has no `num_classes` or is trained without labels.

    References:
        Alemi, Fischer, Dillon & Murphy (2017), "Deep Variational Information Bottleneck", arXiv
        1612.00410, equation 17; Fischer (2020), "The Conditional Entropy Bottleneck", arXiv
        2002.05379, equation 11; Hershey & Olsen (2007) for the bound of the mixture.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        layer = kib.layers.GaussianBottleneck(8, beta=1e-3)
        network = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(3)])
        x = np.ones((2, 4), "float32")
        print(network(x).shape, layer.information(x).shape)  # nats for each example and unit
        ```

        ```text
        (2, 3) (2, 8)
        ```
    """

    def __init__(
        self,
        units: int,
        beta: float,
        *,
        prior: Literal["standard", "learned", "conditional"] = "standard",
        num_components: int = 10,
        num_classes: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_count("units", units)
        check_choice("prior", prior, PRIORS)
        check_count("num_components", num_components)
        check_count("num_classes", num_classes, 2, optional=prior != "conditional")
        if num_classes is not None and prior != "conditional":
            expected = "be None unless the prior is conditional"
            raise refusal(ValueError, "num_classes", expected, num_classes)
        # The dense layers cast their own inputs; here, everything is float32.
        super().__init__(seed=seed, autocast=False, **kwargs)
        self.units, self.prior = int(units), prior
        self.num_components = int(num_components)
        self.num_classes = None if num_classes is None else int(num_classes)
        self.loc_layer = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="loc")
        self.scale_layer = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="scale")
        self._set_price(beta)
        self.supports_masking = True

    def build(self, inputs_shape: tuple[int | None, ...]) -> None:
        """Builds the two dense layers and the prior."""
        for layer in (self.loc_layer, self.scale_layer):
            layer.build(inputs_shape)
        if self.prior == "learned":
            shape = (self.num_components, self.units)
            # Different initial means, because components that are equal would stay equal.
            apart = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
            self.prior_loc = self._add_number("prior_loc", shape, apart)
            self.prior_log_scale = self._add_number("prior_log_scale", shape, 0.0)
            self.prior_logits = self._add_number("prior_logits", shape[:1], 0.0)
        elif self.prior == "conditional":
            shape = (self.num_classes, self.units)
            self.prior_loc = self._add_number("prior_loc", shape, 0.0)
            self.prior_log_scale = self._add_number("prior_log_scale", shape, 0.0)
        self.built = True

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """The price of a nat and the weights of the prior."""
        names = ("prior_loc", "prior_log_scale", "prior_logits")
        return [self.beta, *(getattr(self, name) for name in names if hasattr(self, name))]

    @property
    def noise_weights(self) -> list[keras.Variable]:
        """All weights except those of the mean."""
        kept = {id(weight) for weight in self.loc_layer.weights}
        return [weight for weight in self.weights if id(weight) not in kept]

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """Configuration of the dense layer of the mean, which replaces this layer."""
        dense = keras.layers.Dense(config["units"], dtype=config["dtype"])
        return keras.saving.serialize_keras_object(dense)

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input shape with `units` in place of its last axis."""
        return (*inputs_shape[:-1], self.units)

    def get_config(self) -> dict:
        """The arguments of the constructor; the current value of `beta` is saved as a weight."""
        names = ("units", "prior", "num_components", "num_classes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def call(
        self, inputs: tf.Tensor, labels: Any = None, mask: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """The mean of the code, or in training a draw; adds the cost in training and evaluation."""
        outputs = self.loc_layer(inputs)
        draws, counts = self.draws(training), self.counts(training)
        if not draws and not counts:
            return outputs
        loc, scale = tf.cast(outputs, tf.float32), self._scale(inputs)
        if counts:
            labels = self._labels_to_count_by(labels, training)
            # No labels: `predict` of a plain model, which cannot be distinguished from evaluation.
            if self.prior != "conditional" or labels is not None:
                there = self._mask_there(inputs, mask, loc.shape.rank)
                nats = self._kl_divergence(loc, tf.math.log(scale), labels, there)
                self._charge(self._unmasked(nats, inputs, mask))
        if draws:
            noise = distributions.standard_normal(tf.shape(loc), self.next_seed())
            outputs = tf.cast(loc + scale * noise, outputs.dtype)
        return outputs

    def information(self, inputs: Any, mask: Any = None, labels: Any = None) -> tf.Tensor:
        """Nats of each unit about each example, in the shape of the output, float32.

        Masked places count as 0. Without `mask`, the mask that Keras keeps with the inputs is used.
        The sum over all axes but the batch is what `beta` prices. No noise is drawn. For a mixture,
        the nats for the choice of a component are divided equally among the units. With the
        conditional prior and without `labels`, the prior is the mixture of the class priors with
        equal shares; the nats then include those about the label.
        """
        inputs, mask = one_array(inputs, mask)
        if not self.built:
            self(inputs)
        loc = tf.cast(self.loc_layer(inputs), tf.float32)
        there = self._mask_there(inputs, mask, loc.shape.rank)
        nats = self._kl_divergence(loc, tf.math.log(self._scale(inputs)), labels, there)
        return self._unmasked(nats, inputs, mask)

    def _scale(self, inputs: tf.Tensor) -> tf.Tensor:
        """Standard deviation of the code, float32."""
        logits = tf.cast(self.scale_layer(inputs), tf.float32)
        return MIN_SCALE + tf.math.softplus(logits + SCALE_OFFSET)

    def _labels_to_count_by(self, labels: Any, training: bool | None) -> Any:
        """The labels of the call, or those of the model whose training or test step is running."""
        if self.prior != "conditional":
            return None
        labels = current_labels() if labels is None else labels
        if labels is None and training:
            raise as_it_is(
                ValueError(
                    "A conditional prior is trained with labels: fit an "
                    "`InformationBottleneckModel` with labels in one array, or call the layer with "
                    f"`labels=`. Received: layer={self.name!r} in training, labels=None"
                )
            )
        return labels

    def _kl_divergence(
        self, loc: tf.Tensor, log_scale: tf.Tensor, labels: Any, there: Any
    ) -> tf.Tensor:
        """Nats per unit; where the mask `there` is false, any label is accepted."""
        if self.prior == "standard":
            return distributions.kl_normal_normal(loc, log_scale, 0.0, 0.0)
        prior = self.prior_loc.value, self.prior_log_scale.value
        if self.prior == "conditional" and labels is not None:
            labels = class_labels(labels, prior[0].shape[0], loc.shape, there)
            prior = (_of_labels(table, labels, loc.shape.rank) for table in prior)
            return distributions.kl_normal_normal(loc, log_scale, *prior)
        shares = self.prior_logits.value if self.prior == "learned" else tf.zeros(prior[0].shape[0])
        return _nats_to_mixture(loc, log_scale, *prior, tf.nn.log_softmax(shares))


def _of_labels(table: tf.Tensor, labels: ClassLabels, rank: int) -> tf.Tensor:
    """Rows of a table by label, with the axes of the code; NaN for an invalid label."""
    if labels.is_one_hot:
        rows = tf.tensordot(labels.values, table, 1)
    else:
        # The product makes the gradient of the table dense. A gather alone would give a list of
        # rows, one per example, which Keras' optimizers square before they add them up.
        rows = tf.gather(1.0 * table, labels.values)
    rows = tf.where(labels.are_wrong[..., None], np.nan, rows)
    ones = tf.ones([rank - rows.shape.rank], tf.int32)
    shape = tf.shape(rows)
    return tf.reshape(rows, tf.concat([shape[:-1], ones, shape[-1:]], 0))


def _nats_to_mixture(
    loc: tf.Tensor,
    log_scale: tf.Tensor,
    prior_loc: tf.Tensor,
    prior_log_scale: tf.Tensor,
    log_shares: tf.Tensor,
) -> tf.Tensor:
    """Upper bound on the nats of a Gaussian from a mixture, divided among units: ``[..., units]``.

    ``-log sum_k share_k exp(-KL_k) = KL(phi || share) + sum_k phi_k KL_k`` with ``phi_k``
    proportional to ``share_k exp(-KL_k)``: the nats for choosing a component plus those within it.
    """
    loc, log_scale = tf.expand_dims(loc, -2), tf.expand_dims(log_scale, -2)
    nats = distributions.kl_normal_normal(loc, log_scale, prior_loc, prior_log_scale)
    log_phi = tf.nn.log_softmax(log_shares - tf.reduce_sum(nats, -1), -1)
    phi = tf.exp(log_phi)
    which = tf.reduce_sum(phi * (log_phi - log_shares), -1, keepdims=True)
    where = tf.reduce_sum(phi[..., None] * nats, -2)
    return where + which / tf.cast(tf.shape(nats)[-1], tf.float32)
