"""What the experiment measures of a classifier, and its controls."""

import keras
import numpy as np
import tensorflow as tf

import keras_infobottleneck as kib

REFERENCE_ENTROPY = 0.1  # of predictions, as a share of log |Y|
FACTORS = (1, 2, 4)  # by which the logits of a trained network are multiplied


def cross_entropy_and_accuracy(model: keras.Model, x, y) -> tuple[float, float]:
    """Mean nats per example, and the share of right predictions."""
    logits = logits_of(model, x)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    return float(tf.reduce_mean(losses)), float(np.mean(np.argmax(logits, axis=1) == y))


def logits_of(model: keras.Model, x) -> np.ndarray:
    """Logits ``[examples, classes]``, without noise."""
    parts = (x[start : start + 1000] for start in range(0, len(x), 1000))
    return np.concatenate([model(part, training=False) for part in parts])


def jacobian_trace(model: keras.Model, x) -> float:
    """Mean over examples of the squares of all derivatives of the logits by the weights.

    The Fisher trace is this with every derivative weighed by how unsure the prediction is: it can
    fall where this one does not.
    """
    fisher = kib.estimators.fisher_information(model, x, likelihood="normal", labels="expected")
    return float(fisher.trace())


def excess_log_det(fisher: kib.estimators.FisherInformation, shift: float) -> float:
    """``log det(I + F / shift)``, 0 where F = 0."""
    return float(fisher.logdet(shift)) - fisher.size * np.log(shift)


def at_reference_entropy(model: keras.Model, x, measure) -> dict[str, float]:
    """Measure the same boundary with logits rescaled to predictions of the reference entropy."""
    scale = model.get_layer("scale")
    logits = logits_of(model, x)
    scale.factor.assign(factor_of_entropy(logits, REFERENCE_ENTROPY * np.log(logits.shape[1])))
    try:
        return measure()
    finally:
        scale.factor.assign(1.0)


def factor_of_entropy(logits: np.ndarray, entropy: float) -> float:
    """By what to multiply logits for predictions of this mean entropy, nats; bisection."""
    low, high = np.log(1e-4), np.log(1e6)  # the entropy falls as the factor grows
    for _ in range(50):
        middle = (low + high) / 2
        if mean_entropy(np.exp(middle) * logits) > entropy:
            low = middle
        else:
            high = middle
    return float(np.exp(middle))


def mean_entropy(logits: np.ndarray) -> float:
    """Mean entropy of the predictions, nats."""
    log_p = tf.nn.log_softmax(np.asarray(logits, "float64")).numpy()
    return float(-np.mean(np.sum(np.exp(log_p) * log_p, axis=1)))


def traces_by_factor(model: keras.Model, x) -> dict[str, float]:
    """Fisher trace with logits multiplied by each of `FACTORS`: the boundary never moves."""
    scale, traces = model.get_layer("scale"), {}
    for factor in FACTORS:
        scale.factor.assign(float(factor))
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        traces[str(factor)] = float(fisher.trace())
    scale.factor.assign(1.0)
    return traces


def hessian_and_fisher(seed: int) -> dict[str, float]:
    """Largest entry of H - F over that of H, in float64, at random weights.

    ``logistic`` for logistic regression with three classes, where it is zero in exact arithmetic;
    ``hidden_layer`` for a network with one hidden layer, where it is not.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((60, 5)), rng.integers(0, 3, 60)
    result = {}
    for name, widths in {"logistic": [], "hidden_layer": [4]}.items():
        keras.utils.set_random_seed(seed)
        inputs = hidden = keras.Input((5,), dtype="float64")
        for width in widths:
            hidden = keras.layers.Dense(width, "tanh", dtype="float64")(hidden)
        model = keras.Model(inputs, keras.layers.Dense(3, dtype="float64")(hidden))
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        for weight in model.weights:
            weight.assign(rng.standard_normal(weight.shape))
        fisher = kib.estimators.fisher_information(model, x, structure="dense", labels="expected")
        curvature = as_matrix(kib.estimators.hessian(model, (x, y)), model)
        difference = np.abs(curvature - as_matrix(fisher, model))
        result[name] = float(difference.max() / np.abs(curvature).max())
    return result


def as_matrix(operator, model: keras.Model) -> np.ndarray:
    """All columns of an operator on the weights of a model."""
    shapes = [tuple(weight.shape) for weight in model.trainable_weights]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def column(unit):
        parts = np.split(unit, ends[:-1])
        parts = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        return np.concatenate([np.ravel(part) for part in operator.matvec(parts)])

    return np.stack([column(unit) for unit in np.eye(ends[-1])], axis=1)
