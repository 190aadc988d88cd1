"""Truncated laws by quadrature, and derivatives by differences."""

import math

import tensorflow as tf
from scipy import integrate

LOW, HIGH = 1e-6, 1e2
LOG_LOW, LOG_HIGH = math.log(LOW), math.log(HIGH)
# Inside the support, at its edges, outside; from points to noise much wider than the support.
TRUNCATED = [
    (0.0, 1e-8),
    (0.0, 0.1),
    (-3.0, 1.0),
    (4.6, 0.5),
    (-13.8, 1.0),
    (-13.8, 1e-3),
    (4.7, 0.02),
    (-20.0, 1.0),
    (0.0, 30.0),
    (0.0, 1e4),
]
EXTREME_SCALES = [0.001, 0.351, 0.701, 1e-8, 1e4]


def values_and_gradients(function, *arguments, dtype=tf.float64):
    tensors = [tf.constant(argument, dtype) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    return value.numpy(), [gradient.numpy() for gradient in gradients]


def central_differences(function, loc, scale):
    step = 1e-4 * scale
    return [
        (function(loc + step, scale) - function(loc - step, scale)) / (2 * step),
        (function(loc, scale + step) - function(loc, scale - step)) / (2 * step),
    ]


def truncated_expectation(integrand, loc, scale):
    """E integrand(t, p(t)) over the standardised truncated normal, by quadrature."""
    lower, upper = (LOG_LOW - loc) / scale, (LOG_HIGH - loc) / scale
    mode = min(max(0.0, lower), upper)
    ends = max(lower, mode - 12.0), min(upper, mode + 12.0)
    points = [t for t in (mode - 5.0, mode - 1.0, mode + 1.0, mode + 5.0) if ends[0] < t < ends[1]]
    if mode != 0.0:  # a tail, which is exponential
        decay = 1.0 / abs(mode)
        signed = decay if mode == lower else -decay
        points += [mode + k * signed for k in (1, 5, 20) if ends[0] < mode + k * signed < ends[1]]

    def quad(function):
        options = {"epsabs": 0.0, "epsrel": 1e-12, "limit": 500, "points": points or None}
        return integrate.quad(function, *ends, **options)[0]

    def density(t):
        return math.exp(-0.5 * (t * t - mode * mode))

    total = quad(density)
    return quad(lambda t: density(t) / total * integrand(t, density(t) / total))


def truncated_kl(loc, scale):
    width = (LOG_HIGH - LOG_LOW) / scale
    return truncated_expectation(lambda t, p: math.log(max(p, 1e-300) * width), loc, scale)


def truncated_mean(loc, scale):
    return truncated_expectation(lambda t, p: math.exp(loc + scale * t), loc, scale)


def truncated_variance(loc, scale):
    mean = truncated_mean(loc, scale)
    return truncated_expectation(lambda t, p: (math.exp(loc + scale * t) - mean) ** 2, loc, scale)
