"""The variational information bottleneck: a Gaussian code of the input, and its price in nats."""

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
MIN_SCALE = 1e-4  # least noise: keeps the cost of a unit finite
SCALE_OFFSET = -5.0  # as published: training starts with little noise, softplus(-5) = 0.0067


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class GaussianBottleneck(PricedActivations):
    """Dense layer with a Gaussian output, and a price in nats for the information in it.

    The deep variational information bottleneck: ``z = mu(x) + sigma(x) n``, ``n ~ N(0, 1)``, where
    ``mu`` and ``sigma(x) = 1e-4 + softplus(s(x) - 5)`` are dense in the last axis of the input, and
    each example pays ``beta * KL(N(mu(x), sigma(x)^2) || m(z))``, the rate, summed over units and
    places. The layer adds the mean of this over the batch to the loss, in training and in
    evaluation; only in training is ``z`` drawn. At inference, in an exported model and after
    `make_deterministic` the output is ``mu(x)``. `InformationBottleneckModel.predict_samples`
    draws, so that ``predict_samples(x, 12).mean(0)`` averages over draws.

    On average over the data the rate is an upper bound on the information ``I(z; x)``, whatever
    the prior; with the conditional prior it is one on ``I(z; x | y)``, what the code tells about
    the input beyond the label.

    Args:
        units: size of the code, which takes the place of the last axis.
        beta: price of one nat, for a loss that is a mean over examples. A variable: a callback may
            assign it.
        prior: ``m(z)``. ``"standard"``: N(0, 1). ``"learned"``: a mixture of `num_components`
            Gaussians with means, scales and shares that are trained with the rest. Its divergence
            has no closed form; charged is ``-log sum_k share_k exp(-KL_k)``, which is an upper
            bound on it and exact where one component is much the nearest. ``"conditional"``: a
            Gaussian for each class, trained with the rest (the conditional entropy bottleneck).
            It needs the labels, which `InformationBottleneckModel` gives in training and
            evaluation where they are one array; elsewhere, call the layer with ``labels=``.
            Class numbers or one-hot; for each place of a sequence too.
        num_components: of the learned prior.
        num_classes: of the conditional prior, which alone takes it.
        seed: seed of the noise, and of the learned prior's first means.

    The metric ``"{name}_information"`` is in nats per example. Noise and cost are computed in
    float32, at the price of one more dense layer of the same size. With a mask, masked places
    cost nothing. ``sample_weight`` does not weigh this cost.

    Raises:
        TypeError, ValueError: arguments of the wrong kind or out of range; a conditional prior
            without `num_classes`, or trained without labels.

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
            expected = "be None but for the conditional prior"
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
        """Build the two dense layers and the prior."""
        for layer in (self.loc_layer, self.scale_layer):
            layer.build(inputs_shape)
        if self.prior == "learned":
            shape = (self.num_components, self.units)
            # Apart from the start: components that are equal stay equal.
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
        """The price of a nat, and the prior from which nats are counted."""
        names = ("prior_loc", "prior_log_scale", "prior_logits")
        return [self.beta, *(getattr(self, name) for name in names if hasattr(self, name))]

    @property
    def noise_weights(self) -> list[keras.Variable]:
        """All weights but those of the mean."""
        kept = {id(weight) for weight in self.loc_layer.weights}
        return [weight for weight in self.weights if id(weight) not in kept]

    @classmethod
    def without_noise(cls, config: dict) -> dict:
        """The dense layer of the mean."""
        dense = keras.layers.Dense(config["units"], dtype=config["dtype"])
        return keras.saving.serialize_keras_object(dense)

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input shape with `units` in place of its last axis."""
        return (*inputs_shape[:-1], self.units)

    def get_config(self) -> dict:
        """The arguments of the constructor; the current value of `beta` is a weight."""
        names = ("units", "prior", "num_components", "num_classes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def call(
        self, inputs: tf.Tensor, labels: Any = None, mask: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """The mean of the code; in training a draw of it, at a cost in evaluation too."""
        outputs = self.loc_layer(inputs)
        draws, counts = self.draws(training), self.counts(training)
        if not draws and not counts:
            return outputs
        loc, scale = tf.cast(outputs, tf.float32), self._scale(inputs)
        if counts:
            labels = self._labels_to_count_by(labels, training)
            # Without labels, `predict` of a plain model, which is not told from evaluation.
            if self.prior != "conditional" or labels is not None:
                there = self._mask_there(inputs, mask, loc.shape.rank)
                nats = self._kl_divergence(loc, tf.math.log(scale), labels, there)
                self._charge(self._unmasked(nats, inputs, mask))
        if draws:
            noise = distributions.standard_normal(tf.shape(loc), self.next_seed())
            outputs = tf.cast(loc + scale * noise, outputs.dtype)
        return outputs

    def information(self, inputs: Any, mask: Any = None, labels: Any = None) -> tf.Tensor:
        """Nats that each unit tells about each example, in the shape of the output, float32.

        Masked places tell nothing. Without `mask`, that which Keras keeps with the inputs is used.
        Its sum over everything but the batch is what `beta` prices. No noise is drawn. What a
        mixture charges for choosing a component is shared equally by the units. With the
        conditional prior and without `labels`, the prior is the mixture of those of the classes,
        each with the same share: nats about the input, the label included.
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
        """Labels given in the call, or by the model whose step runs."""
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
        """Nats per unit; where the mask `there` says that nothing is, any label will do."""
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
    """Rows of a table by label, with the axes of the code; NaN for a wrong label."""
    if labels.is_one_hot:
        rows = tf.tensordot(labels.values, table, 1)
    else:
        # The product makes the gradient of the table dense. Of a bare gather it is a list of
        # rows, one an example, which Keras' optimizers square before they add them up.
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
    """Nats per unit of a Gaussian from a mixture, an upper bound: ``[..., units]``.

    ``-log sum_k share_k exp(-KL_k) = KL(phi || share) + sum_k phi_k KL_k`` with ``phi_k`` in
    proportion to ``share_k exp(-KL_k)``: the code says which component it is near, then where.
    """
    loc, log_scale = tf.expand_dims(loc, -2), tf.expand_dims(log_scale, -2)
    nats = distributions.kl_normal_normal(loc, log_scale, prior_loc, prior_log_scale)
    log_phi = tf.nn.log_softmax(log_shares - tf.reduce_sum(nats, -1), -1)
    phi = tf.exp(log_phi)
    which = tf.reduce_sum(phi * (log_phi - log_shares), -1, keepdims=True)
    where = tf.reduce_sum(phi[..., None] * nats, -2)
    return where + which / tf.cast(tf.shape(nats)[-1], tf.float32)
