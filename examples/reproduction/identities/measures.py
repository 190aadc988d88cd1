"""Identities of papers 1, 2 and 4, one function each: numbers, a sentence, and whether it holds.

Every function returns a `Found`. Claims and criteria stand in ``claims.py``.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize

import keras_infobottleneck as kib


class Found(NamedTuple):
    """What was measured, and whether the criterion holds."""

    setting: str
    measured: str
    holds: bool
    numbers: dict


def layer_formula():
    """1-i: g(alpha) against the exact formula of one layer."""
    rng = np.random.default_rng(0)
    kernel, x = rng.normal(size=(400, 8)), rng.normal(size=(4000, 400))
    alphas = [0.05, 0.2, 0.5, 1.0]
    exact = [kib.estimators.linear_layer_information(kernel, a, x) / 8 for a in alphas]
    bounds = [kib.estimators.activation_information_bounds(a, [8]) for a in alphas]
    lower = [bound.per_unit[0] for bound in bounds]
    above = np.subtract(exact, lower)
    return Found(
        "400 Gaussian inputs, 8 units, 4,000 examples, alpha 0.05 to 1",
        f"above g(alpha) by {above.min():.4f} to {above.max():.4f} nats per unit",
        bool(np.all(np.diff(exact) < 0) and np.all(above >= 0) and np.all(above < 0.02)),
        {"alpha": alphas, "exact_per_unit": exact, "g": [float(g) for g in lower]},
    )


def nuisance_bound():
    """1-j: I(z;n) <= I(z;x) - I(x;y) for a representation that is sufficient."""
    rng = np.random.default_rng(0)
    slacks, deficits, about_nuisance = [], [], []
    for _ in range(1000):
        # x = (u, n), y = u + noise, z = (u + a little noise, mixed u and n + noise): all Gaussian.
        task, nuisance, label_noise = rng.integers(1, 4), rng.integers(1, 4), rng.gamma(1.0) + 0.1
        width = task + nuisance
        channel = np.vstack([np.eye(task, width), rng.normal(size=(3, width))])
        noise = np.diag([1e-6 * label_noise] * task + [rng.gamma(1.0) + 0.1] * 3)
        of_z = channel @ channel.T + noise
        given_n = channel[:, :task] @ channel[:, :task].T + noise
        # Knowing y leaves of u the variance label_noise / (1 + label_noise).
        left = np.diag([label_noise / (1 + label_noise)] * task + [1.0] * nuisance)
        given_y = channel @ left @ channel.T + noise
        nats = {name: _half_log_det(a) for name, a in (("z", of_z), ("x", noise))}
        of_n, of_y = (nats["z"] - _half_log_det(a) for a in (given_n, given_y))
        of_x_about_y = 0.5 * task * np.log1p(1 / label_noise)
        slacks.append(nats["z"] - nats["x"] - of_x_about_y - of_n)
        deficits.append(of_x_about_y - of_y)
        about_nuisance.append(of_n)
    return Found(
        "linear-Gaussian, 1,000 random problems, task seen through noise of 1e-6 of the label's",
        f"smallest slack {min(slacks):.3g} nats where I(z;n) is {np.mean(about_nuisance):.2f} on "
        f"average; sufficiency missed by at most {max(deficits):.1g} nats",
        bool(min(slacks) > -1e-9 and max(deficits) < 1e-5),
        {"smallest_slack": min(slacks), "largest_deficit": max(deficits)},
    )


def _half_log_det(matrix):
    """Entropy of a Gaussian up to its constant."""
    return float(0.5 * np.linalg.slogdet(matrix)[1])


def autoencoder():
    """2-e: Information Dropout with y = x and beta = 1 is the Gaussian autoencoder of log z."""
    keras.utils.set_random_seed(0)
    x = tf.random.stateless_normal([8, 5], [0, 0])
    encoder = kib.layers.InformationDropout(
        keras.layers.Dense(3, "exponential"), 1.0, prior="log_normal", seed=2
    )
    decoder = keras.layers.Dense(5)
    encoder.build((None, 5))
    decoder.build((None, 3))
    values = [v.value for v in [*encoder.trainable_variables, *decoder.trainable_variables]]
    with tf.GradientTape() as tape:
        z = encoder(x, training=True)
        loss = tf.reduce_mean(tf.reduce_sum((decoder(z) - x) ** 2, 1)) + sum(encoder.losses)
    gradients = tape.gradient(loss, values)
    with tf.GradientTape() as tape:
        loc = x @ encoder.layer.kernel.value + encoder.layer.bias.value
        scale = 0.001 + 0.7 * tf.sigmoid(
            x @ encoder.alpha_layer.kernel.value + encoder.alpha_layer.bias.value
        )
        noise = tf.stop_gradient((tf.math.log(z) - loc) / scale)  # the layer's own draw
        prior_loc, prior_scale = encoder.prior_loc.value, tf.exp(encoder.prior_log_scale.value)
        distance = (scale**2 + (loc - prior_loc) ** 2) / (2 * prior_scale**2)
        divergence = tf.reduce_sum(distance - 0.5 - tf.math.log(scale / prior_scale), 1)
        image = decoder(tf.exp(loc + scale * noise))
        bound = tf.reduce_mean(tf.reduce_sum((image - x) ** 2, 1) + divergence)
    pairs = list(zip(gradients, tape.gradient(bound, values), strict=True))
    errors = [float(tf.norm(a - b) / tf.norm(b)) for a, b in pairs]
    error = abs(float(loss / bound) - 1)
    return Found(
        "exponential encoder of 3 units, linear decoder, 8 examples, one draw of the noise",
        f"loss off by {error:.1g}, gradients by at most {max(errors):.1g}, relative",
        bool(max(error, *errors) < 1e-5),
        {"loss_error": error, "gradient_errors": errors},
    )


def activation_divergence():
    """2-f: both closed forms of the activation's cost against drawn activations."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    many = np.repeat(x, 20_000, axis=0)
    inner = functools.partial(keras.layers.Dense, 3, bias_initializer="ones")
    soft = kib.layers.InformationDropout(inner("softplus"), 1.0, prior="log_normal", seed=1)
    draws = np.log(soft(many, training=True).numpy().astype(float).reshape(4, 20_000, 3))
    loc = np.log(soft(x, training=False).numpy().astype(float))[:, None]
    scale = 0.001 + 0.7 / (1 + np.exp(-soft.alpha_layer(x).numpy().astype(float)))[:, None]
    terms = -np.log(scale) - ((draws - loc) / scale) ** 2 / 2 + draws**2 / 2  # prior N(0, 1)
    error = terms.std(1, ddof=1) / np.sqrt(20_000)
    z_score = np.abs(terms.mean(1) - np.asarray(soft.information(x))) / error
    hard = kib.layers.InformationDropout(inner("relu"), 1.0, seed=1)
    information = np.asarray(hard.information(x), float)
    alpha = 0.001 + 0.7 / (1 + np.exp(-hard.alpha_layer(x).numpy().astype(float)))
    constants = information + np.log(alpha)
    spread = float(np.ptp(constants))
    return Found(
        "4 examples, 3 units, 20,000 draws each",
        f"largest deviation {z_score.max():.2f} standard errors; constant {constants.mean():.5f}, "
        f"spread {spread:.1g}",
        bool(z_score.max() < 4 and spread < 1e-5),
        {"deviations": z_score.ravel().tolist(), "constant": float(constants.mean())},
    )


def maximal_relevance():
    """4-c: maximally informative samples have m_k ~ k^(-1-mu); the sum is largest at mu = 1."""
    counts = np.arange(1, 51)
    exponents = {}
    for mu in (0.5, 1.0, 2.0):

        def objective(logits, mu=mu):
            log_q = logits - np.logaddexp.reduce(logits)
            q = np.exp(log_q)
            gradient = log_q + mu * np.log(counts)
            return q @ gradient, q * (gradient - q @ gradient)

        best = optimize.minimize(objective, np.zeros(50), jac=True, tol=1e-12)
        exponents[mu] = float(np.polyfit(np.log(counts), best.x, 1)[0])
    mu = np.array([0.5, 0.75, 1.0, 1.25, 1.5])
    curve = kib.estimators.maximum_relevance_curve(1000, mu=mu)
    order = np.argsort(curve.resolution)
    slopes = np.diff(curve.relevance[order]) / np.diff(curve.resolution[order])
    prices = curve.mu[order]
    bracketed = np.all((-prices[1:] <= slopes + 1e-9) & (slopes <= -prices[:-1] + 1e-9))
    best_mu = float(curve.mu[np.argmax(curve.resolution + curve.relevance)])
    error = max(abs(exponent + mu) for mu, exponent in exponents.items())
    return Found(
        "numerical optimum over 50 counts for mu 0.5, 1, 2; exact integer samples of 1,000",
        f"exponent of k m_k off -mu by at most {error:.1g}; sum largest at mu = {best_mu:g}",
        bool(error < 1e-3 and bracketed and best_mu == 1.0),
        {"exponents": {str(k): v for k, v in exponents.items()}, "slopes": slopes.tolist()},
    )


MEASURES = {
    "1-i": layer_formula,
    "1-j": nuisance_bound,
    "2-e": autoencoder,
    "2-f": activation_divergence,
    "4-c": maximal_relevance,
}
