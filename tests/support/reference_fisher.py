"""Slow and obvious curvature: one example, one label, one gradient at a time, in float64.

Nothing here knows about layers; everything is `tf.GradientTape` and NumPy.
"""

import keras
import numpy as np
import tensorflow as tf


def in_float64(build):
    """`build()` twice with equal weights: as configured, and in float64."""
    model = build()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        exact = build()
    finally:
        keras.config.set_dtype_policy(policy)
    for source, target in zip(model.weights, exact.weights, strict=True):
        target.assign(tf.cast(source.value, target.dtype))
    return model, exact


def as_float64(x):
    """A nest of arrays with its floats in float64."""
    return tf.nest.map_structure(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, x)


def num_examples(x):
    return len(tf.nest.flatten(x)[0])


def example(x, n):
    """Example number n of a nest of arrays, with a batch axis of one."""
    return tf.nest.map_structure(lambda a: tf.convert_to_tensor(a[n : n + 1]), x)


def flat_gradient(model, variables, log_probability):
    """A function from (x, label) to the gradient of the log-probability as one long vector."""
    values = [v.value for v in variables]

    @tf.function
    def gradient(x, label):
        with tf.GradientTape() as tape:
            target = tf.reduce_sum(log_probability(model(x, training=False), label))
        gradients = tape.gradient(target, values, unconnected_gradients="zero")
        return tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)

    return lambda x, label: gradient(x, label).numpy()


def class_scores(model, x, variables=None):
    """Score of every class for every example, `[examples, classes, weights]`, and p of each."""
    variables = model.trainable_variables if variables is None else variables
    gradient = flat_gradient(model, variables, lambda out, c: tf.nn.log_softmax(out)[0, c])
    probabilities = tf.nn.softmax(model(x, training=False)).numpy()
    scores = [
        [gradient(example(x, n), tf.constant(c)) for c in range(probabilities.shape[1])]
        for n in range(num_examples(x))
    ]
    return np.array(scores), probabilities


def categorical_fisher(scores, weights):
    """Mean over examples of the classes' outer products, weighed `[examples, classes]`."""
    return np.einsum("nc,nci,ncj->ij", weights, scores, scores) / len(scores)


def hessian(model, variables, x, negative_log_likelihood):
    """Hessian of a mean negative log-likelihood, one row at a time."""
    values = [v.value for v in variables]

    @tf.function
    def row(i):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = negative_log_likelihood(model(x, training=False))
            gradients = inner.gradient(loss, values)
            entry = tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)[i]
        gradients = outer.gradient(entry, values, unconnected_gradients="zero")
        return tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)

    size = sum(int(np.prod(v.shape)) for v in variables)
    return np.stack([row(tf.constant(i)).numpy() for i in range(size)])


def kronecker_factors(inputs, output_gradients):
    """Factors of one kernel with bias from `[examples, positions, in]` and `[..., out]`.

    Inputs, with a one appended, are summed over positions; output gradients are averaged.
    """
    first = np.zeros([inputs.shape[2] + 1] * 2)
    second = np.zeros([output_gradients.shape[2]] * 2)
    examples, positions = inputs.shape[:2]
    for n in range(examples):
        for t in range(positions):
            a = np.append(inputs[n, t], 1.0)
            g = output_gradients[n, t]
            first += np.outer(a, a) / examples
            second += np.outer(g, g) / (examples * positions)
    return first, second


def flat(tensors):
    """One array per variable as one long vector."""
    return np.concatenate([np.ravel(t) for t in tensors])


def relative_error(value, exact):
    """Largest difference over the largest magnitude."""
    return np.abs(np.asarray(value) - exact).max() / np.abs(exact).max()
