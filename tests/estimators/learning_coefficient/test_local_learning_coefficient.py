"""Local learning coefficients against the known ones, and chains that cannot be believed."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

coefficient = kib.estimators.local_learning_coefficient
SETTINGS = {"num_chains": 8, "num_draws": 600, "localization": 0.01, "beta": 1e-3, "seed": 0}


def orthogonal(width, num_examples=32):
    """Inputs whose second moments are the unit matrix."""
    random = np.random.default_rng(0).normal(size=(num_examples, width))
    return (np.linalg.qr(random)[0] * num_examples**0.5).astype("float32")


@functools.cache
def linear(units=4):
    model = keras.Sequential([keras.Input((units,)), layers.Dense(1, use_bias=False)])
    model.compile(loss="mse")
    x = orthogonal(units)
    return model, (x, model.predict(x, verbose=0))


@functools.cache
def two_layers():
    """Reduced-rank regression of three inputs, one hidden unit and two outputs at rank zero."""
    zeros = {"use_bias": False, "kernel_initializer": "zeros"}
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(1, **zeros), layers.Dense(2, **zeros)]
    )
    model.compile(loss="mse")
    return model, (orthogonal(3), np.zeros((32, 2), "float32"))


@functools.cache
def of_linear():
    model, data = linear()
    return coefficient(model, data, **SETTINGS)


def agrees(found, truth, share=0.1):
    off = abs(float(found.coefficient) - truth)
    return off < share * truth and off < 4 * found.coefficient.standard_error


def test_a_regular_model_has_half_its_number_of_weights():
    found = of_linear()
    assert agrees(found, 2.0)
    assert found.coefficient.standard_error < 0.1
    assert found.flags == ()
    # With a weak localization the Gaussian code says the same.
    assert found.information_slope == pytest.approx(2.0, rel=0.01)
    assert (found.sampler, found.num_weights, found.num_examples) == ("hamiltonian", 4, 32)


@pytest.mark.slow
def test_two_layers_have_the_coefficient_of_reduced_rank_regression():
    model, data = two_layers()
    # Held a little stronger than a regular model, chains of this length come around.
    found = coefficient(model, data, **SETTINGS | {"localization": 0.1})
    # Of n = 3 inputs, m = 2 outputs, h = 1, r = 0: (2 h (m + n) - (m - n)^2 - h^2) / 8.
    assert agrees(found, (2 * 5 - 1 - 1) / 8)
    # No weight matters by itself, so that the Gaussian code sees nothing.
    assert found.information_slope == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_langevin_chains_with_minibatches_agree_with_tested_ones():
    model, data = linear()
    options = SETTINGS | {"num_draws": 300}
    found = coefficient(model, data, sampler="langevin", batch_size=16, **options)
    assert agrees(found, 2.0)
    assert found.acceptance > 0.5


@pytest.mark.slow
def test_a_quadratic_loss_has_the_closed_form_at_every_price_and_localization():
    # Each of four directions of curvature one: lambda = 1/2 sum_i 1 / (1 + beta localization).
    model, data = linear()
    found = coefficient(model, data, **SETTINGS | {"beta": 0.5, "localization": 2.0})
    assert agrees(found, 0.5 * 4 / (1 + 0.5 * 2.0))


def test_weights_that_are_no_minimum_are_told_of():
    model, (x, y) = linear()
    found = coefficient(model, (x, y + 1.0), **SETTINGS | {"num_draws": 50})
    assert found.coefficient < 0
    assert found.num_negative == 8
    assert any("not at a minimum" in sentence for sentence in found.flags)


@pytest.mark.slow
def test_chains_of_operations_that_cannot_be_stacked_run_one_after_the_other():
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), layers.Conv2D(1, 3, use_bias=False), layers.Flatten()]
    )
    model.compile(loss="mse")
    x = orthogonal(9).reshape(-1, 3, 3, 1)
    options = SETTINGS | {"num_chains": 2, "num_draws": 100}
    found = coefficient(model, (x, model.predict(x, verbose=0)), **options)
    assert agrees(found, 4.5)


@pytest.mark.slow
def test_the_same_seed_draws_the_same_and_weights_stay():
    model, data = linear()
    before = model.get_weights()
    again = coefficient(model, data, **SETTINGS)
    assert np.array_equal(again.traces, of_linear().traces)
    assert not np.array_equal(
        coefficient(model, data, **SETTINGS | {"seed": 1}).traces, again.traces
    )
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_a_dataset_gives_what_its_arrays_give():
    model, data = linear()
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(32)
    options = SETTINGS | {"fisher": kib.estimators.fisher_information(model, data[0], seed=0)}
    found = coefficient(model, dataset, **options)
    assert float(found.coefficient) == pytest.approx(
        float(coefficient(model, data, **options).coefficient), rel=1e-3
    )


@pytest.mark.slow
def test_examples_of_several_shapes_are_refused():
    model = keras.Sequential([keras.Input((None, 2)), layers.GlobalAveragePooling1D()])
    model.add(layers.Dense(1))
    model.compile(loss="mse")

    def batches():
        for length in (3, 5):
            yield np.ones((4, length, 2), "float32"), np.ones((4, 1), "float32")

    spec = tf.TensorSpec((None, None, 2)), tf.TensorSpec((None, 1))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    with pytest.raises(ValueError, match=r"^`data` must hold examples of one shape.* 2 shapes$"):
        coefficient(model, data, num_draws=4)


def test_running_means_are_drawn():
    ax = of_linear().plot()
    assert len(ax.get_lines()) == 8 + 1
    assert ax.get_lines()[0].get_ydata()[-1] == pytest.approx(of_linear().traces[0].mean())


def test_numbers_go_into_a_log_during_training():
    model, data = linear()
    measure = kib.callbacks.Measure(
        {"llc": lambda m: coefficient(m, data, **SETTINGS | {"num_draws": 20})}
    )
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    model.fit(*data, epochs=1, callbacks=[measure], verbose=0)
    assert {"llc_coefficient", "llc_standard_error", "llc_r_hat"} <= measure.rows[0].keys()


def test_the_result_says_in_one_line_what_was_found():
    text = repr(of_linear())
    assert text.startswith("LearningCoefficient(")
    assert "a regular model of 4 weights 2;" in text
    assert len(text.splitlines()) == 1


def test_variables_beside_a_fisher_matrix_are_refused():
    model, data = linear()
    fisher = kib.estimators.fisher_information(model, data[0], seed=0)
    with pytest.raises(ValueError, match=r"`variables`.*Received: 1 variables"):
        coefficient(model, data, fisher=fisher, variables=model.trainable_variables)


def test_labels_outside_the_classes_are_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"loss at the weights must be finite.*Received: .*nan"):
        coefficient(
            model, (np.ones([6, 2]), np.arange(6)), num_chains=2, num_draws=4, num_steps=1, seed=0
        )
