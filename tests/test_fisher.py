"""Laws of the Fisher information, and the defects of other packages."""

import gc
import weakref

import keras
import numpy as np
import pytest
import reference_fisher as reference
import tensorflow as tf
import tensorflow_probability as tfp

from keras_infobottleneck.estimators import Estimate, FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher import gradients

layers = keras.layers
tfd = tfp.distributions
LOGITS = {"likelihood": "categorical", "labels": "expected"}


def classifier(dtype="float32"):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1), dtype=dtype),
            layers.Conv2D(3, 3, activation="tanh", dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
    )


def dense_classifier(outputs=3, activation=None, dtype="float32"):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", dtype=dtype),
            layers.Dense(outputs, activation=activation, dtype=dtype),
        ]
    )


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(11, 6, 6, 1)).astype(np.float32), rng.integers(0, 3, 11)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(11, 4)).astype(np.float32), rng.integers(0, 3, 11)


def diagonal(result):
    return reference.flat(result.diagonal())


@pytest.mark.parametrize("labels", ["expected", "sampled", "empirical"])
@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram", "implicit"])
def test_batch_size_does_not_matter(images, labels, structure):
    """A squared batch gradient, as in task2vec, would depend on it."""
    model = classifier()
    results = [
        fisher_information(
            model,
            images,
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


def test_arrays_datasets_and_generators_agree(images):
    x, y = images

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4]

    model = classifier()
    options = {"likelihood": "categorical", "labels": "empirical"}
    exact = diagonal(fisher_information(model, images, **options))
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    for data in (dataset, Batches()):
        result = fisher_information(model, data, **options)
        assert reference.relative_error(diagonal(result), exact) < 1e-6
        assert result.num_examples == 11


def test_divergence_of_a_small_step_is_half_the_quadratic_form(points):
    """KL(p_w || p_{w + dw}) = dw^T F dw / 2."""
    model = dense_classifier(dtype="float64")
    x = points[0].astype(np.float64)
    result = fisher_information(model, x, structure="dense", **LOGITS)
    before = tf.nn.log_softmax(model(x))
    rng = np.random.default_rng(2)
    step = 1e-4 * rng.normal(size=result.size)
    for variable, part in zip(model.trainable_variables, result.layout.split(step), strict=True):
        variable.assign_add(part)
    after = tf.nn.log_softmax(model(x))
    divergence = float(tf.reduce_mean(tf.reduce_sum(tf.exp(before) * (before - after), 1)))
    assert divergence == pytest.approx(step @ result.matrix @ step / 2, rel=1e-3)


def test_blocks_of_any_size_give_the_same(images, monkeypatch):
    from keras_infobottleneck.estimators.fisher import estimation

    exact = fisher_information(classifier(), images, likelihood="categorical", seed=3)
    for size in (1, 3000, 9000):
        monkeypatch.setattr(estimation, "BLOCK_BYTES", size)
        result = fisher_information(classifier(), images, likelihood="categorical", seed=3)
        assert reference.relative_error(diagonal(result), diagonal(exact)) < 1e-6
        assert result.standard_error == pytest.approx(exact.standard_error, rel=1e-5)


def test_a_second_call_does_not_trace_again(images, monkeypatch):
    model = classifier()
    options = {"likelihood": "categorical", "batch_size": 4}
    fisher_information(model, images, **options)
    traces = []
    monkeypatch.setattr(gradients.Bilinear, "rows", lambda *_: traces.append(1))
    model.layers[0].kernel.assign_add(tf.ones_like(model.layers[0].kernel))
    first = fisher_information(model, images, seed=1, **options)
    model.layers[0].kernel.assign_add(tf.ones_like(model.layers[0].kernel))
    second = fisher_information(model, images, seed=1, **options)
    assert not traces
    assert float(first.trace()) != float(second.trace()), "the weights of now count"


def test_a_model_is_freed_with_its_compiled_passes(points):
    model = dense_classifier()
    fisher_information(model, points, **LOGITS)
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_layers_are_left_as_they_were(points):
    model = dense_classifier()
    before = [dict(vars(layer)) for layer in model.layers]
    with pytest.raises(ValueError, match="labels"):
        fisher_information(
            model, (points[0], points[0]), labels="empirical", likelihood="categorical"
        )
    fisher_information(model, points, **LOGITS)
    assert [set(vars(layer)) for layer in model.layers] == [set(b) for b in before]
    assert model.layers[0].activation is keras.activations.tanh


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram", "implicit"])
def test_results_of_disjoint_data_add_up(images, structure):
    x, y = images
    model = classifier()
    options = {"structure": structure, "labels": "empirical", "likelihood": "categorical"}
    whole = fisher_information(model, images, **options)
    parts = [fisher_information(model, (x[s], y[s]), **options) for s in (slice(4), slice(4, 11))]
    merged = parts[0] + parts[1]
    assert merged.num_examples == 11
    assert reference.relative_error(diagonal(merged), diagonal(whole)) < 1e-5
    vector = whole.layout.split(np.random.default_rng(1).normal(size=whole.size))
    product = reference.flat(merged.matvec(vector))
    # Kronecker factors of a union are the means of the parts'.
    assert reference.relative_error(product, reference.flat(whole.matvec(vector))) < 1e-5


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram"])
def test_files_give_the_result_back(images, structure, tmp_path):
    result = fisher_information(classifier(), images, structure=structure, **LOGITS)
    result.to_npz(tmp_path / "fisher.npz")
    again = FisherInformation.from_npz(tmp_path / "fisher.npz")
    assert again.structure == structure
    assert again.variables == result.variables
    assert again.num_examples == 11
    np.testing.assert_array_equal(diagonal(again), diagonal(result))
    assert again.logdet(0.1) == pytest.approx(result.logdet(0.1))
    assert again.to_dict() == result.to_dict()


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "dense", "gram"])
def test_spectrum_trace_and_determinant_belong_together(images, structure):
    result = fisher_information(classifier(), images, structure=structure, **LOGITS)
    values = result.eigenvalues().astype(np.float64)
    assert len(values) == result.size
    assert np.all(np.diff(values) <= 0)
    assert values.sum() == pytest.approx(result.trace(), rel=1e-5)
    assert np.log(values + 0.01).sum() == pytest.approx(result.logdet(0.01), rel=1e-5)
    table = result.by_variable()
    assert sum(row["trace"] for row in table.values()) == pytest.approx(result.trace(), rel=1e-5)
    assert sum(row["size"] for row in table.values()) == result.size


def test_lanczos_determinant_is_within_its_error_and_one_percent(images):
    dense = fisher_information(classifier(), images, structure="dense", **LOGITS)
    implicit = fisher_information(classifier(), images, structure="implicit", **LOGITS)
    exact = dense.logdet(0.05)
    estimate = implicit.logdet(0.05, num_probes=48, num_steps=16, seed=1)
    assert estimate.agrees_with(exact, standard_errors=2)
    assert estimate == pytest.approx(exact, rel=1e-2)
    np.testing.assert_allclose(implicit.eigenvalues(3), dense.eigenvalues(3), rtol=1e-3)
    for method in ("xtrace", "hutchinson"):
        trace = implicit.trace(method=method, num_probes=12)
        assert trace.agrees_with(float(dense.trace()), standard_errors=4)
    assert implicit.trace(method="xtrace").standard_error < trace.standard_error


def test_kronecker_is_exact_for_one_dense_layer_and_one_example():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    for labels in ("expected", "sampled"):
        options = {"labels": labels, "likelihood": "categorical", "seed": 1}
        exact = fisher_information(model, x, structure="dense", **options)
        result = fisher_information(model, x, structure="kronecker", **options)
        products = [
            reference.flat(result.matvec(result.layout.split(row))) for row in np.eye(result.size)
        ]
        assert reference.relative_error(products, exact.matrix) < 1e-5


def test_kronecker_factors_equal_the_slow_ones(images):
    """Second moments of patches and of output gradients, position by position."""
    model, x = classifier("float64"), images[0].astype(np.float64)
    options = {"labels": "empirical", "likelihood": "categorical"}
    result = fisher_information(model, (x, images[1]), structure="kronecker", **options)
    patches = np.stack(
        [x[:, i : i + 3, j : j + 3].reshape(11, 9) for i in range(4) for j in range(4)], 1
    )
    with tf.GradientTape() as tape:
        outputs = tf.nn.conv2d(x, model.layers[0].kernel, 1, "VALID") + model.layers[0].bias
        tape.watch(outputs)
        logits = model.layers[2](model.layers[1](tf.tanh(outputs)))
        loss = tf.reduce_sum(
            tf.nn.sparse_softmax_cross_entropy_with_logits(images[1].astype(np.int32), logits)
        )
    gradient = tape.gradient(loss, outputs).numpy().reshape(11, 16, 3)
    first, second = reference.kronecker_factors(patches, gradient)
    np.testing.assert_allclose(result.blocks[0].inputs[0], first, rtol=1e-10)
    np.testing.assert_allclose(result.blocks[0].outputs[0], second, rtol=1e-10)


def test_kronecker_traces_are_of_the_size_of_the_exact_ones():
    """Without 1/positions in a convolution they would be 49 times too large."""
    model = keras.Sequential(
        [
            keras.Input((7, 7, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(40, 7, 7, 2)).astype(np.float32)
    exact = fisher_information(model, x, **LOGITS).by_variable()
    result = fisher_information(model, x, structure="kronecker", **LOGITS).by_variable()
    for path, row in exact.items():
        assert 1 / 4 < result[path]["trace"] / row["trace"] < 4, path


def test_kronecker_determinant_is_finite_for_singular_factors(points):
    x, y = points[0][:2], points[1][:2]
    result = fisher_information(dense_classifier(), (x, y), structure="kronecker", **LOGITS)
    assert np.isfinite(result.logdet(1e-6))
    assert result.logdet(0.0) == -np.inf


@pytest.mark.parametrize("name", ["categorical", "categorical_probabilities"])
def test_confident_predictions_give_finite_right_results(points, name):
    """p = 1 in float32, where one minus a cumulative sum of p falls below zero."""
    activation = None if name == "categorical" else "softmax"
    model = dense_classifier(activation=activation)
    exact = dense_classifier(dtype="float64")
    exact.layers[-1].kernel.assign(exact.layers[-1].kernel * 40)
    for target, source in zip(model.weights, exact.weights, strict=True):
        target.assign(source)
    scores, probabilities = reference.class_scores(exact, points[0].astype(np.float64))
    assert (probabilities.astype(np.float32).max(1) == 1).sum() >= 3
    fisher = reference.categorical_fisher(scores, probabilities)
    result = fisher_information(model, points[0], likelihood=name, labels="expected")
    assert reference.relative_error(diagonal(result), np.diag(fisher)) < 1e-4


def test_probabilities_equal_logits_even_where_no_softmax_can_be_found(points):
    logits = dense_classifier()
    options = {"labels": "expected"}
    exact = fisher_information(logits, points[0], likelihood="categorical", **options)
    scaled = keras.Sequential([logits, layers.Softmax(), layers.Rescaling(1.0)])
    result = fisher_information(
        scaled, points[0], likelihood="categorical_probabilities", **options
    )
    assert reference.relative_error(diagonal(result), diagonal(exact)) < 1e-5


def test_bernoulli_is_the_categorical_of_two_classes(points):
    """Logits (0, z) and the logit z describe the same distribution."""
    inputs = keras.Input((4,))
    z = layers.Dense(1)(layers.Dense(5, activation="tanh")(inputs))
    bit = keras.Model(inputs, z)
    pair = keras.Model(inputs, layers.Concatenate()([layers.Rescaling(0.0)(z), z]))
    sigmoid = keras.Model(inputs, layers.Activation("sigmoid")(z))
    exact = diagonal(fisher_information(pair, points[0], **LOGITS))
    for model, name in ((bit, "bernoulli"), (sigmoid, "bernoulli_probabilities")):
        result = fisher_information(model, points[0], likelihood=name, labels="expected")
        assert reference.relative_error(diagonal(result), exact) < 1e-5
    implicit = fisher_information(
        bit, points[0], likelihood="bernoulli", labels="expected", structure="implicit"
    )
    vector = implicit.layout.split(np.ones(implicit.size))
    dense = fisher_information(pair, points[0], structure="dense", **LOGITS)
    product = reference.flat(implicit.matvec(vector))
    assert reference.relative_error(product, dense.matrix.sum(1)) < 1e-5


def test_normal_has_the_gram_matrix_of_the_jacobian(points):
    """Unit variance: F = mean_x J^T J; a scale of two divides it by four."""
    model = dense_classifier(outputs=2)
    x = points[0]
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
def test_sampled_labels_approach_the_expectation(points, distribution):
    """A closed form and its own draws are two routes to the same matrix."""
    model = dense_classifier()
    options = {"likelihood": distribution, "structure": "dense"}
    exact = fisher_information(model, points[0], labels="expected", **options)
    drawn = fisher_information(
        model, points[0], labels="sampled", num_samples=4000, seed=0, **options
    )
    # A trace of 4,000 draws for each of 11 examples: the error is below its upper estimate.
    assert drawn.trace().standard_error > 0
    assert reference.relative_error(drawn.matrix, exact.matrix) < 0.05
    vector = exact.layout.split(np.ones(exact.size))
    implicit = fisher_information(
        model, points[0], labels="expected", likelihood=distribution, structure="implicit"
    )
    product = reference.flat(implicit.matvec(vector))
    assert reference.relative_error(product, exact.matrix.sum(1)) < 1e-5


def test_any_distribution_is_differentiated(points):
    """A Laplace label has score sign(y - loc) / scale: F = mean_x J^T J / scale^2."""
    model = dense_classifier(outputs=1)
    y = np.random.default_rng(1).normal(size=(11, 1)).astype(np.float32)
    options = {"labels": "empirical", "structure": "dense"}
    normal = fisher_information(
        model, points[0], likelihood="normal", labels="expected", structure="dense"
    )
    result = fisher_information(
        model, (points[0], y), likelihood=lambda out: tfd.Laplace(out, 0.5), **options
    )
    assert reference.relative_error(result.matrix, 4 * normal.matrix) < 1e-5


def test_the_compiled_loss_names_the_likelihood(points):
    model = dense_classifier(activation="softmax")
    model.compile(loss="sparse_categorical_crossentropy")
    read = fisher_information(model, points, labels="empirical")
    named = fisher_information(
        model, points, labels="empirical", likelihood="categorical_probabilities"
    )
    np.testing.assert_array_equal(diagonal(read), diagonal(named))


def test_error_of_a_sampled_trace_covers_the_expected_trace():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    model = dense_classifier()
    exact = float(fisher_information(model, x, **LOGITS).trace())
    for structure in ("diagonal", "kronecker", "dense", "gram"):
        options = {"structure": structure, "likelihood": "categorical", "seed": 3}
        trace = fisher_information(model, x, **options).trace()
        if structure == "kronecker":
            target = fisher_information(model, x, structure="kronecker", **LOGITS).trace()
            assert trace.agrees_with(float(target)), structure
        else:
            assert trace.agrees_with(exact), structure
        assert 0 < trace.standard_error < exact


def test_frozen_and_chosen_weights(images):
    model = classifier()
    kernel = model.layers[0].kernel
    whole = fisher_information(model, images, **LOGITS)
    one = fisher_information(model, images, variables=[kernel], **LOGITS)
    np.testing.assert_allclose(one.diagonal()[0], whole.diagonal()[0], rtol=1e-5)
    model.layers[0].trainable = False
    assert len(fisher_information(model, images, **LOGITS).variables) == 2
    factors = fisher_information(model, images, variables=[kernel], structure="kronecker", **LOGITS)
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


def test_half_precision_stays_close():
    full = dense_classifier()
    half = dense_classifier(dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    exact = diagonal(fisher_information(full, x, **LOGITS))
    result = diagonal(fisher_information(half, x, **LOGITS))
    # bfloat16 keeps eight bits.
    assert reference.relative_error(result, exact) < 0.05


def test_an_estimate_is_a_float_with_an_error():
    estimate = Estimate(2.0, 0.5)
    assert estimate + 1 == 3.0
    assert not isinstance(estimate + 1, Estimate)
    assert estimate.agrees_with(3.9)
    assert not estimate.agrees_with(4.1)
    assert repr(estimate) == "2 ± 0.5"


def test_kronecker_factors_follow_the_size_of_the_images():
    """What is kept with the model holds nothing of the shapes it was first made for."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2D(3, 2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    options = {"structure": "kronecker", "likelihood": "categorical", "seed": 0}
    for size in (4, 6, 4):
        x = np.random.default_rng(0).normal(size=(5, size, size, 2)).astype(np.float32)
        block = fisher_information(model, x, **options).blocks[0]
        assert block.inputs[0, -1, -1] == pytest.approx((size - 1) ** 2)
