"""Noisy layers of a user's own, defined in this file alone, are known to the whole package."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.contents import noise_weights
from keras_infobottleneck.layers.noisy_layer import noisy_layers

X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
Y = np.arange(64) % 3


@keras.saving.register_keras_serializable(package="tests")
class UnitNoise(kib.layers.NoisyLayer):
    """A dense layer whose weights share one scale for each unit; prior N(0, 1)."""

    noise = "weights"

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.log_scale = self.add_weight(
            shape=(self.units,), initializer=keras.initializers.Constant(-1.0), name="log_scale"
        )

    @property
    def noise_weights(self):
        return [self.log_scale]

    @property
    def variational_weights(self):
        return [self.kernel]

    def kl_divergence(self):
        variance = tf.exp(2.0 * self.log_scale.value)
        kl = variance + tf.square(self.kernel.value) - 1.0 - 2.0 * self.log_scale.value
        return 0.5 * tf.reduce_sum(kl)

    def signal_to_noise(self):
        return {self.kernel.path: tf.abs(self.kernel.value) / tf.exp(self.log_scale.value)}

    def call(self, inputs, training=None):
        kernel = self.kernel.value
        if self.draws(training):
            noise = tf.random.stateless_normal(kernel.shape, self.next_seed())
            kernel = kernel + tf.exp(self.log_scale.value) * noise
        return tf.matmul(inputs, kernel)

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    @classmethod
    def without_noise(cls, config):
        dense = keras.layers.Dense(config["units"], use_bias=False, dtype=config["dtype"])
        return keras.saving.serialize_keras_object(dense)


@keras.saving.register_keras_serializable(package="tests")
class GaussianChannel(kib.layers.NoisyLayer):
    """Adds Gaussian noise of a learned scale; each unit pays its divergence from N(0, 1)."""

    noise = "activations"

    def __init__(self, beta, **kwargs):
        super().__init__(**kwargs)
        self.initial_beta = float(beta)
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), name="beta", trainable=False
        )

    def build(self, input_shape):
        self.log_scale = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros", name="log_scale"
        )

    @property
    def noise_weights(self):
        return [self.beta, self.log_scale]

    @property
    def pricing_weights(self):
        return [self.beta]

    def information(self, inputs, mask=None):
        log_scale = self.log_scale.value
        return 0.5 * (tf.exp(2.0 * log_scale) + tf.square(inputs) - 1.0) - log_scale

    def call(self, inputs, training=None):
        if self.counts(training):
            nats = tf.reduce_mean(tf.reduce_sum(self.information(inputs), -1))
            self.add_loss(self.beta * nats)
        if self.draws(training):
            noise = tf.random.stateless_normal(tf.shape(inputs), self.next_seed())
            return inputs + tf.exp(self.log_scale.value) * noise
        return inputs

    def get_config(self):
        return {**super().get_config(), "beta": self.initial_beta}

    @classmethod
    def without_noise(cls, config):
        return keras.saving.serialize_keras_object(keras.layers.Activation("linear"))


def network(nested=False):
    """A model with both, the second perhaps in a model of its own."""
    keras.utils.set_random_seed(0)
    layers = [UnitNoise(8, seed=1), GaussianChannel(0.01, seed=2), keras.layers.Dense(3)]
    if nested:
        layers = [keras.Sequential([keras.Input([5]), *layers[:2]]), layers[2]]
    model = kib.InformationBottleneckModel(
        keras.Sequential([keras.Input([5]), *layers]), num_examples=64
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def parts(model):
    """The two noisy layers."""
    return noisy_layers(model.network, "weights") + noisy_layers(model.network, "activations")


@pytest.mark.parametrize("nested", [False, True])
class TestModel:
    def test_training_charges_both(self, nested):
        model = network(nested)
        weights, _ = parts(model)
        logs = model.evaluate(X, Y, verbose=0, return_dict=True)
        assert logs["weight_information"] == pytest.approx(float(weights.kl_divergence()), rel=1e-5)
        hidden = X @ weights.kernel.numpy()
        nats = np.mean(np.sum(0.5 * hidden**2, -1))
        price = float(weights.kl_divergence()) / 64 + 0.01 * nats
        assert logs["loss"] == pytest.approx(logs["task_loss"] + price, rel=1e-5)
        before = float(weights.log_scale[0])
        model.fit(X, Y, verbose=0)
        assert float(weights.log_scale[0]) != before
        assert list(model.weight_information(by_layer=True)) == [weights.path]

    @pytest.mark.parametrize("kind", ["weights", "activations"])
    def test_each_kind_draws_when_asked(self, nested, kind):
        model = network(nested)
        kinds = {"weights": False, "activations": False, kind: True}
        still = model.predict_samples(X, 2, **{**kinds, kind: False})
        drawn = model.predict_samples(X, 2, seed=0, **kinds)
        np.testing.assert_allclose(still[0], model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
        assert np.abs(drawn[0] - still[0]).max() > 0.1
        with kib.layers.drawing([1, 2], **kinds):
            first, second = model(X), model(X)
        assert np.abs(first - second).max() > 0.1

    def test_without_noise_the_predictions_are_the_same(self, nested):
        model = network(nested)
        model.fit(X, Y, verbose=0)
        plain = kib.make_deterministic(model)
        assert not [x for x in plain._flatten_layers() if isinstance(x, kib.layers.NoisyLayer)]
        np.testing.assert_allclose(
            plain.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
        )
        pruned = kib.make_deterministic(model, prune_below=1.0)
        kernel = parts(model)[0].kernel.numpy()
        ratio = np.abs(kernel) / np.exp(parts(model)[0].log_scale.numpy())
        np.testing.assert_array_equal(pruned.weights[0].numpy(), np.where(ratio < 1.0, 0.0, kernel))

    def test_saving_keeps_the_noise_going(self, nested, tmp_path):
        model = network(nested)
        model.fit(X, Y, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(model(X, training=True), loaded(X, training=True))

    def test_its_own_weights_are_told_from_those_of_predictions(self, nested):
        model = network(nested)
        weights, activations = parts(model)
        own = [weights.log_scale, activations.beta, activations.log_scale]
        assert {id(w) for w in noise_weights(model)} == {id(w) for w in own}
        assert [id(w) for w in model.pricing_weights] == [id(activations.beta)]
        dense = model.network.layers[-1]
        # With noise on activations, their scale is a weight like others: predictions may read it.
        others = {id(activations.log_scale), id(dense.kernel), id(dense.bias)}
        assert {id(w) for w in model.deterministic_weights} == others


def test_the_audit_counts_the_weights_that_predictions_read():
    plan = kib.audit(network(), (X, Y), dry_run=True)
    assert plan.num_weights == 5 * 8 + 8 * 3 + 3


def test_what_cannot_be_anchored_is_refused():
    with pytest.raises(ValueError, match="Only Gaussian priors can be anchored"):
        network().anchor_prior((X, Y))


def test_a_layer_that_says_not_what_takes_its_place_is_refused():
    class Silent(GaussianChannel):
        @classmethod
        def without_noise(cls, config):
            return kib.layers.NoisyLayer.without_noise.__func__(cls, config)

    model = keras.Sequential([keras.Input([5]), Silent(0.1), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match=r"without_noise.*Received: Silent"):
        kib.make_deterministic(model)


def test_it_is_not_wrapped_again():
    with pytest.raises(ValueError, match="must not contain layers that draw noise"):
        kib.layers.VariationalWeights(UnitNoise(3), estimator="sample")
    model = keras.Sequential([keras.Input([5]), UnitNoise(4), keras.layers.Dense(2)])
    converted = kib.make_variational(model, num_examples=64, verbose=0)
    assert [row.estimator for row in converted.conversion] == [None, "local"]
