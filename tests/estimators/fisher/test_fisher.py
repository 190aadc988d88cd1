"""Laws of the Fisher information, and the defects of other packages."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information, hessian, information_curve
from keras_infobottleneck.estimators.fisher import measurement, planning
from keras_infobottleneck.estimators.fisher.planning import Trial
from keras_infobottleneck.estimators.fisher.rules import bilinear, gradients
from keras_infobottleneck.estimators.fisher.scores import Scores
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import (
    IMAGES,
    LOGITS,
    POINTS,
    classifier,
    dense_classifier,
    diagonal,
)

layers = keras.layers


@pytest.mark.parametrize("labels", ["expected", "sampled", "empirical"])
@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram", "implicit"])
def test_batch_size_does_not_matter(labels, structure):
    """A squared batch gradient, as in task2vec, would depend on it."""
    model = classifier()
    results = [
        fisher_information(
            model,
            IMAGES,
            structure=structure,
            labels=labels,
            likelihood="categorical",
            batch_size=size,
            seed=5,
        )
        for size in (1, 7, 11)
    ]
    vector = results[0].layout.split(np.random.default_rng(1).normal(size=results[0].size))
    expected = reference.flat(results[2].matvec(vector))
    for result in results[:2]:
        assert reference.relative_error(reference.flat(result.matvec(vector)), expected) < 1e-6
        assert result.num_examples == 11


def test_arrays_datasets_and_generators_agree():
    x, y = IMAGES

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4]

    model = classifier()
    options = {"likelihood": "categorical", "labels": "empirical"}
    exact = diagonal(fisher_information(model, IMAGES, **options))
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    for data in (dataset, Batches()):
        result = fisher_information(model, data, **options)
        assert reference.relative_error(diagonal(result), exact) < 1e-6
        assert result.num_examples == 11


def test_divergence_of_a_small_step_is_half_the_quadratic_form():
    """KL(p_w || p_{w + dw}) = dw^T F dw / 2."""
    model = dense_classifier(dtype="float64")
    x = POINTS[0].astype(np.float64)
    result = fisher_information(model, x, structure="dense", **LOGITS)
    before = tf.nn.log_softmax(model(x))
    rng = np.random.default_rng(2)
    step = 1e-4 * rng.normal(size=result.size)
    for variable, part in zip(model.trainable_variables, result.layout.split(step), strict=True):
        variable.assign_add(part)
    after = tf.nn.log_softmax(model(x))
    divergence = float(tf.reduce_mean(tf.reduce_sum(tf.exp(before) * (before - after), 1)))
    assert divergence == pytest.approx(step @ result.matrix @ step / 2, rel=1e-3)


def test_blocks_of_any_size_give_the_same(monkeypatch):
    exact = fisher_information(classifier(), IMAGES, likelihood="categorical", seed=3)
    for size in (1, 3000, 9000):
        monkeypatch.setattr(gradients, "BLOCK_BYTES", size)
        result = fisher_information(classifier(), IMAGES, likelihood="categorical", seed=3)
        assert reference.relative_error(diagonal(result), diagonal(exact)) < 1e-6
        assert result.standard_error == pytest.approx(exact.standard_error, rel=1e-5)


@pytest.mark.parametrize("labels", ["expected", "sampled", "empirical"])
def test_batches_split_for_the_cache_give_the_same(labels, monkeypatch):
    options = {"likelihood": "categorical", "labels": labels, "seed": 3}
    model = classifier()
    whole = fisher_information(model, IMAGES, **options)
    heights = []

    def noted(model, variables, source, batch, key):
        heights.append(batch.weights.shape[0])
        return Scores(model, variables, source, batch, key)

    monkeypatch.setattr(Trial, "rows_in_cache", lambda *_: 3)
    monkeypatch.setattr(measurement, "Scores", noted)
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(7)
    for data in (IMAGES, dataset):
        split = fisher_information(classifier(), data, **options)
        assert reference.relative_error(diagonal(split), diagonal(whole)) < 1e-6
        assert split.standard_error == pytest.approx(whole.standard_error, rel=1e-5)
        assert split.num_examples == 11
    assert heights == [3, 3], "11 in 4 parts; 7 in 3, 4 in 2"


def test_no_part_is_small_beside_the_weights_or_less_than_one_example(monkeypatch):
    variables = classifier().trainable_variables
    weights = 4 * sum(np.prod(v.shape) for v in variables)
    monkeypatch.setattr(planning, "CACHE_BYTES", 0)
    assert Trial(1, 10).rows_in_cache(variables) == 4 * weights // 10
    assert Trial(1, 5 * weights).rows_in_cache(variables) == 1
    assert Trial(1, 0).rows_in_cache(variables) is None, "no layer with a rule"


def test_a_second_call_does_not_trace_again(monkeypatch):
    model = classifier()
    options = {"likelihood": "categorical", "batch_size": 4}
    fisher_information(model, IMAGES, **options)
    traces = []
    monkeypatch.setattr(bilinear.BilinearGradient, "rows", lambda *_: traces.append(1))
    model.layers[0].kernel.assign_add(tf.ones_like(model.layers[0].kernel))
    first = fisher_information(model, IMAGES, seed=1, **options)
    model.layers[0].kernel.assign_add(tf.ones_like(model.layers[0].kernel))
    second = fisher_information(model, IMAGES, seed=1, **options)
    assert not traces
    assert float(first.trace()) != float(second.trace()), "the weights of now count"


def test_a_model_is_freed_with_its_compiled_passes():
    model = dense_classifier()
    fisher_information(model, POINTS, **LOGITS)
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_layers_are_left_as_they_were():
    model = dense_classifier()
    before = [dict(vars(layer)) for layer in model.layers]
    with pytest.raises(ValueError, match="labels"):
        fisher_information(
            model, (POINTS[0], POINTS[0]), labels="empirical", likelihood="categorical"
        )
    fisher_information(model, POINTS, **LOGITS)
    assert [set(vars(layer)) for layer in model.layers] == [set(b) for b in before]
    assert model.layers[0].activation is keras.activations.tanh


def test_frozen_and_chosen_weights():
    model = classifier()
    kernel = model.layers[0].kernel
    whole = fisher_information(model, IMAGES, **LOGITS)
    one = fisher_information(model, IMAGES, variables=[kernel], **LOGITS)
    np.testing.assert_allclose(one.diagonal()[0], whole.diagonal()[0], rtol=1e-5)
    model.layers[0].trainable = False
    assert len(fisher_information(model, IMAGES, **LOGITS).variables) == 2
    factors = fisher_information(model, IMAGES, variables=[kernel], structure="kronecker", **LOGITS)
    assert factors.blocks[0].bias == -1


def test_inference_mode_holds_whatever_the_layers():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    moving = model.layers[0].moving_mean.numpy()
    first = fisher_information(model, x, **LOGITS)
    second = fisher_information(model, x, batch_size=2, **LOGITS)
    assert reference.relative_error(diagonal(second), diagonal(first)) < 1e-6
    np.testing.assert_array_equal(model.layers[0].moving_mean.numpy(), moving)


@pytest.mark.slow
def test_text_gives_what_its_tokens_give():
    """Behind a layer of text the number of examples is not known while the model is traced."""
    texts = np.array(["a b", "b c d", "d", "a c", "c c b"], dtype=object)
    y = np.array([0, 1, 2, 1, 0])
    reader = layers.TextVectorization(vocabulary=list("abcd"), output_sequence_length=3)
    parts = [
        layers.Embedding(6, 3, mask_zero=True),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3),
    ]
    of_text = keras.Sequential([keras.Input((), dtype="string"), reader, *parts])
    of_tokens = keras.Sequential([keras.Input((3,), dtype="int64"), *parts])
    tokens = reader(texts).numpy()
    options = {"likelihood": "categorical"}

    def same(read):
        found = [reference.flat(read(*each)) for each in ((of_text, texts), (of_tokens, tokens))]
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-7)

    for structure in ("diagonal", "dense", "gram", "implicit"):

        def product(model, x, structure=structure):
            fisher = fisher_information(model, x, structure=structure, labels="expected", **options)
            return fisher.matvec([np.ones(shape) for shape in fisher.layout.shapes])

        same(product)
        batches = tf.data.Dataset.from_tensor_slices((texts.tolist(), y)).batch(2)
        product(of_text, batches)
    ones = [np.ones(v.shape) for v in of_text.weights]
    same(lambda model, x: hessian(model, (x, y), **options).matvec(ones))
    same(lambda model, x: [information_curve(model, (x, y), seed=0, **options).expected_loss])


def test_half_precision_stays_close():
    full = dense_classifier()
    half = dense_classifier(dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    exact = diagonal(fisher_information(full, x, **LOGITS))
    result = diagonal(fisher_information(half, x, **LOGITS))
    # bfloat16 keeps eight bits.
    assert reference.relative_error(result, exact) < 0.05
