"""Slow and obvious: information in weights and activations by dense matrices in float64."""

import numpy as np
import tensorflow as tf


def gaussian_divergence(loc, covariance, prior_scale):
    """KL in nats of N(loc, covariance) from N(0, prior_scale^2 I)."""
    size = len(loc)
    return 0.5 * (
        (np.trace(covariance) + loc @ loc) / prior_scale**2
        - size
        + size * np.log(prior_scale**2)
        - np.linalg.slogdet(covariance)[1]
    )


def posterior_covariance(curvature, beta, prior_scale):
    """beta (F + beta / prior_scale^2 I)^-1."""
    return beta * np.linalg.inv(curvature + beta / prior_scale**2 * np.eye(len(curvature)))


def printed_covariance(curvature, beta, prior_scale):
    """The paper's (beta / 2) (F + beta / (2 prior_scale^2) I)^-1."""
    shift = beta / (2 * prior_scale**2)
    return beta / 2 * np.linalg.inv(curvature + shift * np.eye(len(curvature)))


def printed_information(curvature, loc, beta, prior_scale):
    """The paper's equation 8, term by term."""
    size, square = len(loc), prior_scale**2
    shifted = curvature + beta / (2 * square) * np.eye(size)
    trace = np.trace(printed_covariance(curvature, beta, prior_scale))
    return (
        0.5 * np.linalg.slogdet(shifted)[1]
        + size / 2 * np.log(2 * square / beta)
        - size
        + (loc @ loc + trace) / (2 * square)
    )


def jacobians(model, layer, x, variables):
    """dz/dw `[n, units, weights]` and dz/dx `[n, units, inputs]`, one entry at a time."""
    by_weights, by_inputs = [], []
    values = [v.value for v in variables]
    for example in x:
        example = tf.constant(example[None])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(example)
            z = example
            for each in model.layers:
                z = each(z)
                if each is layer:
                    break
            units = tf.unstack(tf.reshape(z, [-1]))
        rows = [tape.gradient(u, values, unconnected_gradients="zero") for u in units]
        by_weights.append([np.concatenate([np.ravel(g) for g in row]) for row in rows])
        by_inputs.append([np.ravel(tape.gradient(u, example)) for u in units])
    return np.array(by_weights), np.array(by_inputs)
