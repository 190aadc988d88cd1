"""Influence the slow way: models of one layer, fitted again without each example, in float64.

Losses are means over all N examples with a ridge term `shift / 2 |w|^2`; leaving an example out
drops its term and keeps N.
"""

import keras
import numpy as np
from scipy.special import log_softmax, softmax


def one_layer(weights, loss):
    """A network of one linear layer with these weights `[inputs, outputs]`, in float64."""
    layer = keras.layers.Dense(weights.shape[1], use_bias=False, dtype="float64")
    model = keras.Sequential([keras.Input((len(weights),), dtype="float64"), layer])
    layer.kernel.assign(weights)
    model.compile("adam", loss=loss)
    return model


def ridge(x, y, shift, counts=None):
    """The weights `[inputs]` of least squares, each example counted so many times."""
    counts = np.ones(len(x)) if counts is None else counts
    moments = (x * counts[:, None]).T @ x / len(x) + shift * np.eye(x.shape[1])
    return np.linalg.solve(moments, (x * counts[:, None]).T @ y / len(x))


def hat_leverages(x, shift):
    """The diagonal of the hat matrix, `[examples]`."""
    moments = x.T @ x / len(x) + shift * np.eye(x.shape[1])
    return np.einsum("ni,ni->n", x, np.linalg.solve(moments, x.T).T) / len(x)


def softmax_losses(weights, x, y):
    """Minus the log-probability of each label, in nats."""
    return -log_softmax(x @ weights, axis=1)[np.arange(len(x)), y]


def softmax_curvature(weights, x, counts=None):
    """Hessian of the mean loss, `[inputs * classes, inputs * classes]`."""
    counts = np.ones(len(x)) if counts is None else counts
    p = softmax(x @ weights, axis=1)
    inner = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None, :]
    blocks = np.einsum("n,ni,nj,ncd->icjd", counts, x, x, inner) / len(x)
    return blocks.reshape(weights.size, weights.size)


def softmax_regression(x, y, classes, shift, counts=None, start=None):
    """Weights `[inputs, classes]`, by Newton's method until nothing moves."""
    counts = np.ones(len(x)) if counts is None else counts
    weights = np.zeros([x.shape[1], classes]) if start is None else start
    for _ in range(50):
        slopes = softmax(x @ weights, axis=1) - np.eye(classes)[y]
        gradient = (x * counts[:, None]).T @ slopes / len(x) + shift * weights
        curvature = softmax_curvature(weights, x, counts) + shift * np.eye(weights.size)
        step = np.linalg.solve(curvature, gradient.ravel()).reshape(weights.shape)
        weights = weights - step
        if np.abs(step).max() < 1e-12:
            break
    return weights


def without(number, count):
    """How often each example counts when one is left out."""
    counts = np.ones(count)
    counts[number] = 0.0
    return counts


def covariance_of_squares(x, y, mean, scale, against_x, against_y):
    """Exact covariances of squared-error losses under weights `N(mean, diag scale^2)`.

    Of `1/2 e^2` with e normal: half the squared covariance, and the means' part. Returns
    `[examples, others]`.
    """
    shared = (x * scale**2) @ against_x.T
    means = np.outer(x @ mean - y, against_x @ mean - against_y)
    return shared**2 / 2 + means * shared
