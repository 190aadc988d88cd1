"""Padding holds no label: everything is what it is on the positions that the mask keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_infobottleneck.auditing.performance import task_performance
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.estimators import fisher_information, hessian
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.introspection.contents import mask_of
from tests.support import reference_fisher as reference

layers = keras.layers
tfd = tfp.distributions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4, 2)).astype(np.float32)
X[0, 2:] = X[1, :2] = X[2, 1:] = 0.0
KEPT = np.any(X != 0, -1)
CLASSES, NUMBERS = RNG.integers(0, 3, (6, 4)), RNG.normal(size=(6, 4, 3)).astype(np.float32)


def network(activation=None):
    """One with a mask, and the same without, for sequences of any length."""
    keras.utils.set_random_seed(0)
    last = [layers.Dense(2, activation="tanh"), layers.Dense(3, activation=activation)]
    masked = keras.Sequential([keras.Input((4, 2)), layers.Masking(), *last])
    return masked, keras.Sequential([keras.Input((None, 2)), *last])


def of_kept(model, log_probability, labels):
    """Scores and losses of examples, each cut to its kept positions, one at a time."""
    gradient = reference.flat_gradient(model, model.trainable_variables, log_probability)
    cut = [
        (tf.constant(x[kept][None]), tf.constant(y[kept][None]))
        for x, y, kept in zip(X, labels, KEPT, strict=True)
    ]
    losses = [-float(tf.reduce_sum(log_probability(model(x), y))) for x, y in cut]
    return np.stack([gradient(x, y) for x, y in cut]), np.array(losses)


def of_class(logits, y):
    return tf.gather(tf.nn.log_softmax(logits), y, batch_dims=2)


def outside(labels, value):
    """Labels with something else where the mask keeps nothing."""
    kept = KEPT.reshape(KEPT.shape + (1,) * (labels.ndim - 2))
    return np.where(kept, labels, np.array(value, labels.dtype))


BITS = (NUMBERS > 0).astype(np.float32)
KINDS = {  # of a likelihood the activation, labels as given, labels, log-probability of the outputs
    "categorical": (None, outside(CLASSES, -1), CLASSES, of_class),
    "categorical_probabilities": (
        "softmax",
        outside(np.eye(3, dtype=np.float32)[CLASSES], np.nan),
        CLASSES,
        lambda p, y: tf.math.log(tf.gather(p, y, batch_dims=2)),
    ),
    "bernoulli": (None, outside(BITS, 7), BITS, lambda o, y: tfd.Bernoulli(o).log_prob(y)),
    "bernoulli_probabilities": (
        "sigmoid",
        outside(BITS, np.nan),
        BITS,
        lambda p, y: tfd.Bernoulli(probs=p).log_prob(y),
    ),
    "normal": (
        None,
        outside(NUMBERS, np.nan),
        NUMBERS,
        lambda o, y: tfd.Normal(o, 1.0).log_prob(y),
    ),
    "laplace": (
        None,
        outside(NUMBERS, np.nan),
        NUMBERS,
        lambda o, y: tfd.Laplace(o, 0.5).log_prob(y),
    ),
}


def laplace(outputs):
    return tfd.Independent(tfd.Laplace(outputs, 0.5), 1)


@pytest.mark.parametrize(
    "kind",
    [
        "categorical",
        "normal",
        *(
            pytest.param(k, marks=pytest.mark.slow)
            for k in KINDS
            if k not in ("categorical", "normal")
        ),
    ],
)
def test_scores_and_losses_are_those_of_the_kept_positions(kind):
    activation, given, labels, log_probability = KINDS[kind]
    masked, plain = network(activation)
    scores, losses = of_kept(plain, log_probability, labels)
    likelihood = laplace if kind == "laplace" else kind
    fisher = fisher_information(
        masked, (X, given), structure="dense", labels="empirical", likelihood=likelihood
    )
    assert reference.relative_error(fisher.matrix, scores.T @ scores / len(X)) < 1e-5
    found = find_likelihood(masked, likelihood)
    (term,) = found.terms(masked(X))
    np.testing.assert_allclose(-term.log_prob(tf.constant(given)), losses, rtol=1e-5)


@pytest.fixture(scope="module")
def expected():
    """Network, and its Fisher matrix."""
    masked, plain = network()
    one = keras.Sequential([plain, layers.Flatten()])
    values = [v.value for v in plain.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        log_p = tf.nn.log_softmax(one(X[KEPT][:, None]))
    rows = tape.jacobian(log_p, values)
    rows = np.concatenate([np.reshape(r, (*log_p.shape, -1)) for r in rows], 2)
    return masked, plain, np.einsum("nc,nci,ncj->ij", np.exp(log_p), rows, rows) / len(X)


@pytest.mark.parametrize(
    "structure",
    [
        "diagonal",
        "implicit",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("kronecker", "gram")),
    ],
)
def test_every_structure_leaves_padding_out(expected, structure):
    masked, _, matrix = expected
    options = {"labels": "expected", "likelihood": "categorical", "batch_size": 4}
    found = fisher_information(masked, X, structure=structure, **options)
    if structure == "implicit":
        ones = found.layout.split(np.ones(found.size))
        product = reference.flat(found.matvec(ones))
        assert reference.relative_error(product, matrix.sum(1)) < 1e-5
    elif structure == "diagonal":
        assert reference.relative_error(reference.flat(found.diagonal()), np.diag(matrix)) < 1e-5
    else:
        assert float(found.trace()) == pytest.approx(np.trace(matrix), rel=1e-5)


def test_products_of_the_hessian_leave_padding_out(expected):
    masked, plain, _ = expected

    def loss(outputs):
        log_p = of_class(outputs, tf.constant(CLASSES))
        return -tf.reduce_sum(tf.where(KEPT, log_p, 0.0)) / len(X)

    exact = reference.hessian(plain, plain.trainable_variables, X, loss)
    found = hessian(masked, (X, outside(CLASSES, -1)), likelihood="categorical")
    product = reference.flat(found.matvec(found.layout.split(np.ones(found.size))))
    assert reference.relative_error(product, exact.sum(1)) < 1e-4


def test_every_mask_is_that_of_its_own_output():
    """One distribution has a mask, one is of a whole example; the callable may leave one out."""
    inputs = keras.Input((4, 2))
    z = layers.Dense(2, activation="tanh")(layers.Masking()(inputs))
    outputs = {"tags": layers.Dense(3)(z), "whole": layers.Dense(1)(layers.Flatten()(inputs))}
    model = keras.Model(inputs, outputs)
    tags, whole = model(X)["tags"], model(X)["whole"]
    bits = np.arange(6)[:, None] % 2

    def both(o):
        return {"tags": tfd.Categorical(o["tags"]), "whole": tfd.Bernoulli(o["whole"])}

    first, second = find_likelihood(model, both).terms(model(X))
    exact = np.sum(np.where(KEPT, of_class(tags, CLASSES), 0.0), 1)
    np.testing.assert_allclose(first.log_prob(tf.constant(outside(CLASSES, -1))), exact, rtol=1e-5)
    exact = np.sum(tfd.Bernoulli(whole).log_prob(bits), 1)
    np.testing.assert_allclose(second.log_prob(tf.constant(bits)), exact, rtol=1e-5)
    (only,) = find_likelihood(model, lambda o: tfd.Bernoulli(o["whole"])).terms(model(X))
    np.testing.assert_allclose(only.log_prob(tf.constant(bits)), exact, rtol=1e-5)


class Pooled(layers.Layer):
    """Sum over the steps that hands the mask of the steps on, as any layer may."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return keras.ops.sum(inputs, 1)


@pytest.fixture(scope="module")
def pooled():
    """Networks of as many classes as steps, and of a single step; their examples."""
    keras.utils.set_random_seed(1)
    steps, one = (
        keras.Sequential([keras.Input((n, 2)), layers.Masking(), Pooled(), layers.Dense(4)])
        for n in (4, 1)
    )
    return (steps, X), (one, X[:, :1])


LOSSES = {
    "categorical": (keras.losses.CategoricalCrossentropy(from_logits=True), 1.0),
    "bernoulli": (keras.losses.BinaryCrossentropy(from_logits=True), 4.0),
}


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "callable"])
def test_a_mask_of_steps_that_the_losses_lack_leaves_out_what_it_does_in_keras(pooled, likelihood):
    """Keras knows no loss of several such examples, and of one the whole of it counts."""
    loss, per_mean = LOSSES["bernoulli" if likelihood == "bernoulli" else "categorical"]
    labels = np.eye(4, dtype=np.float32)[CLASSES[:, 0]]

    def of_rows(logits):
        return tfd.OneHotCategorical(logits)

    found = of_rows if likelihood == "callable" else likelihood
    (model, x), (one, first) = pooled
    outputs = model(x)
    assert mask_of(outputs).shape == outputs.shape
    by_keras = [per_mean * float(loss(labels[i : i + 1], model(x[i : i + 1]))) for i in range(6)]
    (term,) = find_likelihood(model, found).terms(outputs)
    np.testing.assert_allclose(-term.log_prob(tf.constant(labels)), by_keras, rtol=1e-5)
    gradient = term.score(tf.constant(labels))[0].numpy()
    assert np.all(np.any(gradient != 0, 1))  # of every example
    # A mask of a single step has the losses' axes once the last is dropped, in Keras too.
    masked = one(first)
    (term,) = find_likelihood(one, found).terms(masked)
    log_prob = term.log_prob(tf.constant(labels)).numpy()
    kept = KEPT[:, 0]
    assert 0 < kept.sum() < 6
    np.testing.assert_array_equal(log_prob[~kept], 0.0)
    by_keras = per_mean * float(loss(labels, masked))
    assert -log_prob.sum() / kept.sum() == pytest.approx(by_keras, rel=1e-5)


def test_a_report_counts_labels_and_not_padding(expected):
    masked, _, _ = expected
    given = outside(CLASSES, -1)
    found = task_performance(masked, Sample(X, given, np.arange(6), 6), "categorical", batch_size=4)
    p = np.asarray(tf.nn.softmax(masked(X)))[KEPT]
    shares = np.bincount(CLASSES[KEPT], minlength=3) / KEPT.sum()
    assert found.labels_per_example == pytest.approx(17 / 6)
    assert found.accuracy == pytest.approx(np.mean(p.argmax(1) == CLASSES[KEPT]))
    assert found.prediction_entropy == pytest.approx(-np.sum(p * np.log(p)) / len(p), rel=1e-5)
    assert found.most_frequent == pytest.approx(shares.max())
    assert found.label_entropy == pytest.approx(-np.sum(shares * np.log(shares)), rel=1e-5)
