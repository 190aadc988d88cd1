"""Every layer, label mode and structure against the dense float64 reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information
from keras_infobottleneck.estimators.fisher.terms import Categorical
from tests.support import reference_fisher as reference
from tests.support.networks_of_every_layer import BATCH, CASES, EXAMPLES, inputs_for

SEED = 7
STRUCTURES = ("diagonal", "dense", "gram", "implicit")
# Label modes choose weights of classes whatever the layer: all modes and structures on a few.
EVERY_MODE = ("dense on a sequence", "depthwise conv2d", "time in the batch", "shared layer")
# One of every mechanism: rules, shared weights, several inputs, loops. The others are slow.
IN_EVERY_RUN = (
    "dense",
    "dense on a sequence",
    "conv2d",
    "normalizations",
    "lstm",
    "shared layer",
    "attention",
    "tied embedding",
    "two inputs",
)


def label_weights(labels, probabilities, y):
    """What each class counts, `[examples, classes]`, for a label mode."""
    if labels == "expected":
        return probabilities
    if labels == "sampled":
        # The documented draw: the inverse cumulative distribution at the example's own numbers.
        term = Categorical(tf.math.log(tf.constant(probabilities, tf.float32)))
        y = term.draw(tf.constant(SEED, tf.int64), tf.constant(0, tf.int64), 1)[0].numpy()
    return np.eye(probabilities.shape[1])[y]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in IN_EVERY_RUN else pytest.mark.slow) for n in CASES],
)
def test_every_structure_equals_the_reference(name):
    model, exact = reference.in_float64(CASES[name])
    for variable in exact.trainable_variables:
        # Biases and offsets start at zero, scales at one: moved, so that an error shows.
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.1, dtype="float64"))
    for target, source in zip(model.weights, exact.weights, strict=True):
        target.assign(source)
    x = inputs_for(name)
    y = np.arange(EXAMPLES) % 3
    scores, probabilities = reference.class_scores(exact, reference.as_float64(x))
    vector = np.random.default_rng(0).normal(size=scores.shape[2])
    every_mode = name in EVERY_MODE
    for labels in ("expected", "empirical", *(("sampled",) if every_mode else ())):
        fisher = reference.categorical_fisher(scores, label_weights(labels, probabilities, y))
        in_full = labels == "expected" or every_mode
        for structure in STRUCTURES if in_full else ("diagonal",):
            result = fisher_information(
                model,
                (x, y),
                structure=structure,
                labels=labels,
                likelihood="categorical",
                batch_size=BATCH,
                seed=SEED,
            )
            if structure == "implicit":
                product = reference.flat(result.matvec(result.layout.split(vector)))
                assert reference.relative_error(product, fisher @ vector) < 1e-5, labels
                continue
            diagonal = reference.flat(result.diagonal())
            assert reference.relative_error(diagonal, np.diag(fisher)) < 1e-5, (labels, structure)
            if structure == "dense":
                assert reference.relative_error(result.matrix, fisher) < 1e-5, labels
            if structure == "gram":
                matrix = result.rows.T @ result.rows / EXAMPLES
                assert reference.relative_error(matrix, fisher) < 1e-5, labels


@pytest.mark.parametrize("name", ["conv2d", "normalizations", "residual", "attention"])
def test_known_layers_need_no_loop_over_examples(name, monkeypatch):
    """The rules, not the fallback, are what the cases above have tested."""
    from keras_infobottleneck.estimators.fisher import scores

    def refuse(*_):
        raise AssertionError("a loop over examples")

    monkeypatch.setattr(scores.Scores, "_loop", refuse)
    fisher_information(CASES[name](), inputs_for(name), likelihood="categorical")
