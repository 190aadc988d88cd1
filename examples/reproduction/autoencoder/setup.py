"""The autoencoder of the experiment: made of layers, and the same written out by hand."""

import functools

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import keras_infobottleneck as kib
from reproduction.frame.training import start_again

LEARNING_RATE = 1e-3
MAX_ALPHA = 1.0
MIN_ALPHA = 0.001  # the layer's own


def fresh_autoencoder(
    num_pixels: int, width: int, num_units: int, beta: float, seed: int
) -> keras.Model:
    """An autoencoder before training, whose code is the Information Dropout layer ``code``.

    With an exponential activation and the log-normal prior it encodes ``log z`` by a normal, of
    prior ``N(prior_loc, prior_scale^2)`` for every unit. The decoder reads ``log z``. One model
    serves all runs, so that nothing is compiled twice: earlier ones are no longer valid.
    """
    model = _compiled(num_pixels, width, num_units)
    keras.utils.set_random_seed(seed)
    fresh = _network(num_pixels, width, num_units, seed)
    start_again(model, fresh, LEARNING_RATE)
    code = model.get_layer("code")
    code.beta.assign(beta)
    code.seed_generator.state.assign(fresh.get_layer("code").seed_generator.state)
    return model


@functools.cache
def _compiled(num_pixels, width, num_units):
    """The model of all runs."""
    model = _network(num_pixels, width, num_units)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, reconstruction_error)
    optimizer.build(model.trainable_variables)
    return model


def _network(num_pixels, width, num_units, seed=None):
    """An untrained network."""
    inputs = keras.Input((num_pixels,))
    x = keras.layers.Dense(width, "relu", name="encoder")(inputs)
    x = kib.layers.InformationDropout(
        keras.layers.Dense(num_units, "exponential"),
        1.0,
        prior="log_normal",
        max_alpha=MAX_ALPHA,
        seed=seed,
        name="code",
    )(x)
    x = keras.layers.Dense(width, "relu", name="decoder")(keras.ops.log(x))
    return keras.Model(inputs, keras.layers.Dense(num_pixels, name="pixels")(x))


def reconstruction_error(pixels, logits) -> tf.Tensor:
    """Nats per image, ``[batch]``: cross-entropy of grey levels as probabilities, summed."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(pixels, logits), axis=-1)


def decode(model: keras.Model, log_z) -> tf.Tensor:
    """Images, pixels in [0, 1], from codes ``log z``."""
    return tf.sigmoid(model.get_layer("pixels")(model.get_layer("decoder")(log_z)))


def differences_from_gaussian_autoencoder(model: keras.Model, x) -> dict[str, float]:
    """How far loss and gradient are from a Gaussian VAE of the same weights and the same noise.

    At beta = 1: the VAE's negative evidence lower bound, which uses nothing of the package but
    the noise that the layer is about to draw. Relative differences, of the gradient by its norm.
    """
    code = model.get_layer("code")
    noise = kib.distributions.standard_normal((len(x), code.layer.units), code.seed_generator.state)
    weights = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(reconstruction_error(x, model(x, training=True))) + sum(model.losses)
    gradient = tape.gradient(loss, weights)
    with tf.GradientTape() as tape:
        expected_loss = _negative_evidence_lower_bound(model, x, noise)
    expected = tape.gradient(expected_loss, weights)
    distance = tf.linalg.global_norm([g - e for g, e in zip(gradient, expected, strict=True)])
    return {
        "loss": float(expected_loss),
        "loss_difference": float(abs(loss - expected_loss) / expected_loss),
        "gradient_difference": float(distance / tf.linalg.global_norm(expected)),
    }


def _negative_evidence_lower_bound(model, x, noise):
    """The textbook's formula, from the weights of `model`."""

    def affine(x, layer):
        return x @ layer.kernel.value + layer.bias.value

    normal, code = tfp.distributions.Normal, model.get_layer("code")
    hidden = tf.nn.relu(affine(x, model.get_layer("encoder")))
    loc = affine(hidden, code.layer)
    scale = MIN_ALPHA + MAX_ALPHA * tf.sigmoid(affine(hidden, code.alpha_layer))
    hidden = tf.nn.relu(affine(loc + scale * noise, model.get_layer("decoder")))
    logits = affine(hidden, model.get_layer("pixels"))
    log_likelihood = x * tf.math.log_sigmoid(logits) + (1 - x) * tf.math.log_sigmoid(-logits)
    prior = normal(code.prior_loc.value, tf.exp(code.prior_log_scale.value))
    divergence = tf.reduce_sum(tfp.distributions.kl_divergence(normal(loc, scale), prior), -1)
    return tf.reduce_mean(divergence - tf.reduce_sum(log_likelihood, -1))
