"""Slow and obvious Fisher matrices: one example, one label, one gradient at a time.

Everything is float64 NumPy around `tf.GradientTape`; nothing here knows about layers.
"""

import keras
import numpy as np
import tensorflow as tf


def flat_gradient(target, tape, variables):
    """One long vector: the gradient of a scalar with respect to every variable."""
    gradients = tape.gradient(target, [v.value for v in variables], unconnected_gradients="zero")
    return np.concatenate([np.reshape(tf.convert_to_tensor(g), -1) for g in gradients])


def log_probability_gradient(model, variables, x, log_probability):
    """Gradient of `log_probability(output)` for one example, given with its batch axis."""
    with tf.GradientTape() as tape:
        target = tf.reduce_sum(log_probability(model(x, training=False)))
    return flat_gradient(target, tape, variables)


def example(x, n):
    """Example number n of a nest of arrays, with a batch axis of one."""
    return tf.nest.map_structure(lambda a: tf.convert_to_tensor(a[n : n + 1]), x)


def num_examples(x):
    return len(tf.nest.flatten(x)[0])


def score_rows(model, variables, x, labels_of, log_probability):
    """One row per example and label: sqrt(probability of the label) * score, `[rows, weights]`.

    `labels_of(output, n)` lists the pairs (probability, label) of example n.
    """
    rows = []
    for n in range(num_examples(x)):
        one = example(x, n)
        for probability, label in labels_of(model(one, training=False), n):
            gradient = log_probability_gradient(
                model, variables, one, lambda output, label=label: log_probability(output, label)
            )
            rows.append(np.sqrt(probability) * gradient)
    return np.stack(rows)


def fisher_from_rows(rows, examples):
    """Mean over examples of the outer products of the rows."""
    return rows.T @ rows / examples


def categorical_log_probability(output, label):
    """Log-probability of one integer label under logits `[1, classes]`."""
    return tf.nn.log_softmax(output)[0, label]


def every_class(output, n):
    """Each class with its probability: the expectation, term by term."""
    probabilities = np.asarray(tf.nn.softmax(tf.cast(output, tf.float64)))[0]
    return [(p, c) for c, p in enumerate(probabilities)]


def categorical_fisher(model, x, variables=None):
    """Exact Fisher matrix of a classifier with logits."""
    variables = model.trainable_variables if variables is None else variables
    rows = score_rows(model, variables, x, every_class, categorical_log_probability)
    return fisher_from_rows(rows, num_examples(x))


def label_fisher(model, x, labels, variables=None):
    """Fisher matrix of a classifier with logits for given labels `[examples, draws]`."""
    variables = model.trainable_variables if variables is None else variables
    labels = np.reshape(labels, [num_examples(x), -1])
    draws = labels.shape[1]
    rows = score_rows(
        model,
        variables,
        x,
        lambda output, n: [(1 / draws, int(label)) for label in labels[n]],
        categorical_log_probability,
    )
    return fisher_from_rows(rows, num_examples(x))


def hessian(model, variables, x, negative_log_likelihood):
    """Hessian of the mean negative log-likelihood, one row at a time."""
    values = [v.value for v in variables]
    rows = []
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            loss = negative_log_likelihood(model(x, training=False))
        gradients = inner.gradient(loss, values)
        entries = tf.unstack(tf.concat([tf.reshape(g, [-1]) for g in gradients], 0))
    for entry in entries:
        rows.append(flat_gradient(entry, outer, variables))
    return np.stack(rows)


def split_like(flat, variables):
    """The flat vector as one array per variable."""
    ends = np.cumsum([int(np.prod(v.shape)) for v in variables])
    parts = np.split(np.asarray(flat), ends[:-1])
    return [p.reshape(v.shape) for p, v in zip(parts, variables, strict=True)]


def kronecker_dense_layer(inputs, output_gradients):
    """Factors of one Dense layer with bias from `[rows, in]` and `[rows, out]` of one example each.

    Both are second moments: inputs with a one appended, and output gradients.
    """
    inputs = np.concatenate([inputs, np.ones([len(inputs), 1])], axis=1)
    first = sum(np.outer(a, a) for a in inputs) / len(inputs)
    second = sum(np.outer(g, g) for g in output_gradients) / len(output_gradients)
    return first, second


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
