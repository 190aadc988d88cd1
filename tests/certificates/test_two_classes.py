"""A network of one output is certified as the network of two classes that it is."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def network(from_logits, one_output, flat=False):
    """Equal networks: one score, or that and a zero (as probabilities, it and the rest)."""
    inputs = keras.Input([4])
    dense = keras.layers.Dense(1 if one_output else 2, use_bias=False)
    layer = kib.layers.VariationalWeights(dense, prior_scale=1.0, initial_scale=0.1)
    outputs = layer(inputs)
    if not from_logits:
        outputs = keras.layers.Activation("sigmoid" if one_output else "softmax")(outputs)
    if flat:
        outputs = keras.layers.Reshape([])(outputs)
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=300)
    weights = np.array([[3.0], [0.5], [0.0], [0.0]])
    dense.kernel.assign(weights if one_output else np.hstack([-weights / 2, weights / 2]))
    return model


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(
    "labels", [Y, Y[:, None], Y.astype("float32")], ids=["flat", "column", "float"]
)
def test_errors_are_those_of_two_classes(from_logits, labels):
    options = {"from_logits": from_logits, "seed": 0}
    one = kib.estimators.certify(network(from_logits, True), (X, labels), **options)
    two = kib.estimators.certify(network(from_logits, False), (X, Y), **options)
    scores = X @ np.array([3.0, 0.5, 0.0, 0.0])
    assert one.mean_error == pytest.approx(np.mean((scores > 0) != Y))
    assert one.mean_error == two.mean_error
    probability = 1.0 / (1.0 + np.exp(-scores * (2 * Y - 1)))
    small_noise = -np.mean(np.log(np.maximum(probability, 1e-4)))
    assert one.randomized_cross_entropy == pytest.approx(small_noise, rel=0.05)
    assert one.mean_error < one.error_bound < 1.0


@pytest.mark.parametrize("from_logits", [True, False])
def test_an_output_without_an_axis_of_classes_is_certified_like_any(from_logits):
    """`[batch]`, as after a reshape or a mean."""
    options = {"from_logits": from_logits, "seed": 0}
    flat = kib.estimators.certify(network(from_logits, True, flat=True), (X, Y), **options)
    column = kib.estimators.certify(network(from_logits, True), (X, Y), **options)
    assert flat.mean_error == column.mean_error
    assert flat.error_bound == pytest.approx(column.error_bound, rel=1e-6)
    cross_entropy = column.randomized_cross_entropy
    assert flat.randomized_cross_entropy == pytest.approx(cross_entropy, rel=1e-5)


def test_the_compiled_loss_says_whether_it_is_a_logit():
    model = network(True, True)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    assert kib.estimators.certify(model, (X, Y), seed=0).mean_error < 0.2
    with pytest.raises(ValueError, match="must be probabilities"):
        kib.estimators.certify(model, (X, Y), from_logits=False)


def test_labels_beyond_the_two_are_refused():
    with pytest.raises(ValueError, match="classes from 0 to 1"):
        kib.estimators.certify(network(True, True), (X, Y + 1), from_logits=True)
