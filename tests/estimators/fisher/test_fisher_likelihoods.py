"""Every likelihood against another route to the same matrix."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import keras_infobottleneck as kib
from keras_infobottleneck.estimators import fisher_information
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import LOGITS, POINTS, dense_classifier, diagonal

layers = keras.layers
tfd = tfp.distributions


@pytest.mark.parametrize("name", ["categorical", "categorical_probabilities"])
def test_confident_predictions_give_finite_right_results(name):
    """p = 1 in float32, where one minus a cumulative sum of p falls below zero."""
    activation = None if name == "categorical" else "softmax"
    model = dense_classifier(activation=activation)
    exact = dense_classifier(dtype="float64")
    exact.layers[-1].kernel.assign(exact.layers[-1].kernel * 40)
    for target, source in zip(model.weights, exact.weights, strict=True):
        target.assign(source)
    scores, probabilities = reference.class_scores(exact, POINTS[0].astype(np.float64))
    assert (probabilities.astype(np.float32).max(1) == 1).sum() >= 3
    fisher = reference.categorical_fisher(scores, probabilities)
    result = fisher_information(model, POINTS[0], likelihood=name, labels="expected")
    assert reference.relative_error(diagonal(result), np.diag(fisher)) < 1e-4


def test_probabilities_equal_logits_even_where_no_softmax_can_be_found():
    logits = dense_classifier()
    options = {"labels": "expected"}
    exact = fisher_information(logits, POINTS[0], likelihood="categorical", **options)
    scaled = keras.Sequential([logits, layers.Softmax(), layers.Rescaling(1.0)])
    result = fisher_information(
        scaled, POINTS[0], likelihood="categorical_probabilities", **options
    )
    assert reference.relative_error(diagonal(result), diagonal(exact)) < 1e-5


def test_bernoulli_is_the_categorical_of_two_classes():
    """Logits (0, z) and the logit z describe the same distribution."""
    inputs = keras.Input((4,))
    z = layers.Dense(1)(layers.Dense(5, activation="tanh")(inputs))
    bit = keras.Model(inputs, z)
    pair = keras.Model(inputs, layers.Concatenate()([layers.Rescaling(0.0)(z), z]))
    sigmoid = keras.Model(inputs, layers.Activation("sigmoid")(z))
    exact = diagonal(fisher_information(pair, POINTS[0], **LOGITS))
    for model, name in ((bit, "bernoulli"), (sigmoid, "bernoulli_probabilities")):
        result = fisher_information(model, POINTS[0], likelihood=name, labels="expected")
        assert reference.relative_error(diagonal(result), exact) < 1e-5
    implicit = fisher_information(
        bit, POINTS[0], likelihood="bernoulli", labels="expected", structure="implicit"
    )
    vector = implicit.layout.split(np.ones(implicit.size))
    dense = fisher_information(pair, POINTS[0], structure="dense", **LOGITS)
    product = reference.flat(implicit.matvec(vector))
    assert reference.relative_error(product, dense.matrix.sum(1)) < 1e-5


def test_normal_has_the_gram_matrix_of_the_jacobian():
    """Unit variance: F = mean_x J^T J; a scale of two divides it by four."""
    model = dense_classifier(outputs=2)
    x = POINTS[0]
    with tf.GradientTape() as tape:
        outputs = model(x)
    jacobian = tape.jacobian(outputs, [v.value for v in model.trainable_variables])
    rows = np.concatenate([np.reshape(j, (22, -1)) for j in jacobian], 1)
    exact = rows.T @ rows / 11
    options = {"labels": "expected", "structure": "dense"}
    plain = fisher_information(model, x, likelihood="normal", **options)
    assert reference.relative_error(plain.matrix, exact) < 1e-5
    wide = fisher_information(model, x, likelihood=lambda out: tfd.Normal(out, 2.0), **options)
    assert reference.relative_error(wide.matrix, exact / 4) < 1e-5


@pytest.mark.parametrize(
    "distribution",
    [
        lambda out: tfd.Normal(out[:, :1], tf.exp(out[:, 1:2])),
        lambda out: tfd.Independent(tfd.Bernoulli(logits=out), 1),
        lambda out: {"a": tfd.Categorical(logits=out[:, :2]), "b": tfd.Normal(out[:, 2:], 0.5)},
    ],
    ids=["normal with scale", "independent bits", "dictionary"],
)
def test_sampled_labels_approach_the_expectation(distribution):
    """A closed form and its own draws are two routes to the same matrix."""
    model = dense_classifier()
    options = {"likelihood": distribution, "structure": "dense"}
    exact = fisher_information(model, POINTS[0], labels="expected", **options)
    drawn = fisher_information(
        model, POINTS[0], labels="sampled", num_samples=4000, seed=0, **options
    )
    # A trace of 4,000 draws for each of 11 examples: the error is below its upper estimate.
    assert drawn.trace().standard_error > 0
    assert reference.relative_error(drawn.matrix, exact.matrix) < 0.05
    vector = exact.layout.split(np.ones(exact.size))
    implicit = fisher_information(
        model, POINTS[0], labels="expected", likelihood=distribution, structure="implicit"
    )
    product = reference.flat(implicit.matvec(vector))
    assert reference.relative_error(product, exact.matrix.sum(1)) < 1e-5


def test_any_distribution_is_differentiated():
    """A Laplace label has score sign(y - loc) / scale: F = mean_x J^T J / scale^2."""
    model = dense_classifier(outputs=1)
    y = np.random.default_rng(1).normal(size=(11, 1)).astype(np.float32)
    options = {"labels": "empirical", "structure": "dense"}
    normal = fisher_information(
        model, POINTS[0], likelihood="normal", labels="expected", structure="dense"
    )
    result = fisher_information(
        model, (POINTS[0], y), likelihood=lambda out: tfd.Laplace(out, 0.5), **options
    )
    assert reference.relative_error(result.matrix, 4 * normal.matrix) < 1e-5


@pytest.mark.parametrize("dtype", ["int64", "float64", "uint8"])
def test_labels_of_any_type_are_those_of_a_distribution(dtype):
    model, counts = dense_classifier(), np.arange(len(POINTS[0])) % 4
    options = {"labels": "empirical", "likelihood": lambda o: tfd.Poisson(log_rate=o[..., 0])}
    expected = fisher_information(model, (POINTS[0], counts.astype(np.float32)), **options)
    found = fisher_information(model, (POINTS[0], counts.astype(dtype)), **options)
    np.testing.assert_array_equal(diagonal(found), diagonal(expected))


def test_the_compiled_loss_names_the_likelihood():
    model = dense_classifier(activation="softmax")
    model.compile(loss="sparse_categorical_crossentropy")
    read = fisher_information(model, POINTS, labels="empirical")
    named = fisher_information(
        model, POINTS, labels="empirical", likelihood="categorical_probabilities"
    )
    np.testing.assert_array_equal(diagonal(read), diagonal(named))


CLASSES = keras.losses.CategoricalCrossentropy
READ = {
    "categorical": [
        CLASSES(from_logits=True, name="renamed"),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True)],
        kib.models.BoundedCrossentropy(from_logits=True),
    ],
    "categorical_probabilities": [CLASSES(), kib.models.BoundedCrossentropy()],
    "bernoulli_probabilities": ["bce", keras.losses.binary_crossentropy],
    "normal": ["mse", keras.losses.MeanSquaredError()],
}


@pytest.mark.parametrize("name", READ)
def test_the_loss_names_the_likelihood_whatever_form_it_is_given_in(name):
    model = dense_classifier()
    for loss in READ[name]:
        model.compile(loss=loss)
        assert find_likelihood(model, None).name == name


def mean_squared_error(y, predicted):
    """A loss of one's own, called like one of Keras."""
    return 50 * keras.ops.mean(keras.ops.abs(y - predicted), -1)


class BinaryCrossentropy(keras.losses.Loss):
    """Another one."""

    def call(self, y, predicted):
        return keras.ops.mean(keras.ops.abs(y - predicted), -1)


REFUSED = {
    "loss=mean_squared_error of module '.*test_fisher_likelihoods'": mean_squared_error,
    "loss=BinaryCrossentropy of module '.*test_fisher_likelihoods'": BinaryCrossentropy(),
    "label_smoothing=0.1; give likelihood='categorical',": CLASSES(
        from_logits=True, label_smoothing=0.1
    ),
    "ignore_class=0; give likelihood='categorical_probabilities',": (
        keras.losses.SparseCategoricalCrossentropy(ignore_class=0)
    ),
    "moveaxis\\(o, 1, -1\\)\\)`, or likelihood='categorical' where 1 is the last.": CLASSES(
        from_logits=True, axis=1
    ),
    "likelihood='categorical_probabilities', .* loss=CategoricalFocalCrossentropy": (
        keras.losses.CategoricalFocalCrossentropy()
    ),
    "likelihood='bernoulli_probabilities', .* loss=binary_focal": "binary_focal_crossentropy",
    "one for each label. Received: .* losses \\['mean_squared_error', 'Huber'\\]": {
        "a": "mse",
        "b": keras.losses.Huber(),
    },
    "loss=mean_absolute_error": "mae",
}


def test_classes_on_another_axis_are_measured_as_the_sentence_says():
    last = [layers.Dense(3, kernel_initializer="ones"), layers.Dense(4)]
    x = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    in_front = keras.Sequential([keras.Input((3, 2)), *last, layers.Permute((2, 1))])
    usual = keras.Sequential([keras.Input((3, 2)), *last])
    moved = fisher_information(
        in_front,
        x,
        labels="expected",
        likelihood=lambda o: tfd.Categorical(logits=keras.ops.moveaxis(o, 1, -1)),
    )
    np.testing.assert_allclose(
        diagonal(moved), diagonal(fisher_information(usual, x, **LOGITS)), rtol=1e-5
    )


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_loss_that_names_no_likelihood_is_named_with_what_to_give(sentence):
    model = dense_classifier()
    model.compile(loss=REFUSED[sentence])
    with pytest.raises(ValueError, match=sentence) as refused:
        find_likelihood(model, None)
    assert len(str(refused.value)) < 300
