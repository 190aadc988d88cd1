"""The objective: the price of the weights, counted once, wherever they sit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.bottleneck_networks import (
    LOSS,
    NUM_EXAMPLES,
    VariationalWeights,
    assert_objective,
    make_model,
    small_data,
)


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.mark.parametrize("weight_beta", [0.0, 0.5, 3.0])
def test_a_step_adds_the_price_of_the_weights_once(data, weight_beta):
    x, y = data
    model = make_model(weight_beta)
    model.compile(keras.optimizers.SGD(0.0), LOSS, run_eagerly=True)
    information = float(model.weight_information())
    for logs in (
        model.train_on_batch(x, y, return_dict=True),
        model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True),
    ):
        assert logs["weight_information"] == pytest.approx(information, rel=1e-6)
        assert_objective(logs, model, weight_beta)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, model(x))), rel=1e-5)


def test_the_gradient_is_that_of_the_objective_in_a_loop_of_ones_own(data):
    x, y = data
    model = make_model(2.0)
    model.compile("sgd", LOSS)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x), training=False)
    with tf.GradientTape() as reference_tape:
        price = 2.0 * model.weight_information() / NUM_EXAMPLES
        reference = LOSS(y, model(x)) + price
    assert float(loss) == pytest.approx(float(reference), rel=1e-6)
    expected = reference_tape.gradient(reference, variables)
    for gradient, value in zip(tape.gradient(loss, variables), expected, strict=True):
        np.testing.assert_allclose(gradient, value, rtol=1e-6)


def test_regularizers_count_in_the_loss_but_not_in_the_task_loss(data):
    x, y = data
    inputs = keras.Input((4,))
    dense = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))
    plain = layers.Dense(2, activity_regularizer=keras.regularizers.L1(0.1))
    outputs = plain(VariationalWeights(dense)(inputs))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=48, weight_beta=0.0)
    model.compile("sgd", LOSS, run_eagerly=True)
    logs = model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True)
    predictions = model(x)
    penalty = 0.1 * np.sum(np.square(dense.kernel)) + 0.1 * np.abs(predictions).sum() / len(x)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, predictions)), rel=1e-5)
    assert logs["loss"] - logs["task_loss"] == pytest.approx(penalty, rel=1e-4)


class ChargesExamples(layers.Layer):
    """Adds a loss with a value for each example."""

    def call(self, inputs):
        self.add_loss(keras.ops.sum(keras.ops.square(inputs), axis=-1))
        return inputs


def test_a_loss_added_for_each_example_is_no_part_of_the_task_loss(data):
    x, y = data
    inputs = keras.Input((4,))
    outputs = VariationalWeights(layers.Dense(2))(ChargesExamples()(inputs))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=48)
    model.compile("sgd", LOSS, run_eagerly=True)
    logs = model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, model(x))), rel=1e-4)
    price = float(model.weight_information()) / 48
    assert logs["loss"] - logs["task_loss"] - price == pytest.approx(np.sum(x**2), rel=1e-4)


def test_the_price_follows_num_examples_after_tracing(data):
    x, y = data
    model = make_model()
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    for num_examples in (48, 480):
        model.num_examples = num_examples
        assert_objective(model.train_on_batch(x, y, return_dict=True), model)
        assert_objective(model.evaluate(x, y, verbose=0, return_dict=True), model)
    with pytest.raises(ValueError, match=r"`num_examples`.*Received"):
        model.num_examples = 0


def test_the_price_follows_weight_beta_after_tracing(data):
    x, y = data
    model = make_model(1.0)
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    for weight_beta in (1.0, 7.0):
        model.weight_beta = weight_beta
        model.reset_metrics()
        assert_objective(model.train_on_batch(x, y, return_dict=True), model, weight_beta)
    schedule = kib.callbacks.BetaSchedule(model.weight_beta, lambda epoch: [5.0, 0.0][epoch])
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[schedule]).history
    for epoch, weight_beta in enumerate([5.0, 0.0]):
        logs = {key: values[epoch] for key, values in history.items()}
        assert_objective(logs, model, weight_beta)


@keras.saving.register_keras_serializable(package="tests")
class Holder(layers.Layer):
    """A custom layer that makes its variational layers itself, one of them in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = VariationalWeights(layers.Dense(3))
        self.others = [layers.Dense(3), VariationalWeights(layers.Dense(4))]

    def build(self, input_shape):
        self.first.build(input_shape)
        self.others[0].build((None, 3))
        self.others[1].build((None, 3))

    def call(self, inputs):
        return self.others[1](self.others[0](self.first(inputs)))


def test_information_is_collected_once_from_wherever_it_sits(data):
    x, y = data
    shared = VariationalWeights(layers.Dense(4), name="shared")
    nested_input = keras.Input((4,))
    nested = keras.Model(nested_input, VariationalWeights(layers.Dense(4))(nested_input))
    stack = keras.Sequential([VariationalWeights(layers.Dense(4)), nested])
    timed = layers.TimeDistributed(VariationalWeights(layers.Dense(4)))
    inputs = keras.Input((4,))
    z = shared(shared(inputs))
    z = stack(z) + stack(nested(z))
    z = timed(keras.ops.stack([z, z, z], axis=1))[:, 0]
    outputs = Holder()(z)
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=NUM_EXAMPLES)

    found = model.variational_layers
    assert len(found) == len({id(layer) for layer in found}) == 6
    total = sum(float(layer.kl_divergence()) for layer in found)
    assert float(model.weight_information()) == pytest.approx(total, rel=1e-6)
    table = model.weight_information(by_layer=True)
    assert len(table) == 6
    assert sum(table.values()) == pytest.approx(total, rel=1e-6)
    model.compile("sgd", LOSS, run_eagerly=True)
    assert_objective(model.evaluate(x, y, verbose=0, return_dict=True), model)


def test_layers_of_equal_path_each_have_their_row():
    def part(name):
        inputs = keras.Input((4,))
        return keras.Model(inputs, VariationalWeights(layers.Dense(4), name="d")(inputs), name=name)

    inputs = keras.Input((4,))
    outputs = part("b")(part("a")(inputs))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=3)
    table = model.weight_information(by_layer=True)
    assert len(table) == 2
    assert sum(table.values()) == pytest.approx(float(model.weight_information()), rel=1e-6)


def functional_ends():
    inputs = keras.Input((4,))
    return inputs, layers.Dense(2)(inputs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "num_examples"),
        ({"num_examples": 0}, ValueError, "`num_examples` must be at least 1"),
        ({"num_examples": -3}, ValueError, "`num_examples` must be at least 1"),
        ({"num_examples": 2.5}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": True}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": "many"}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": 3, "weight_beta": -1.0}, ValueError, "at least 0"),
        ({"num_examples": 3, "weight_beta": float("nan")}, ValueError, "at least 0"),
        ({"num_examples": 3, "weight_beta": float("inf")}, ValueError, "at least 0"),
        ({"num_examples": 3, "weight_beta": "1"}, TypeError, "`weight_beta` must be a number"),
        ({"num_examples": 3, "beta": 1.0}, ValueError, "beta"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, error, message):
    with pytest.raises(error, match=message):
        kib.InformationBottleneckModel(*functional_ends(), **options)


def test_bad_networks_and_betas_are_refused_in_a_sentence():
    inputs, outputs = functional_ends()
    network = keras.Model(inputs, outputs)
    for bad in ((inputs,), (None,), ("network",), (network, outputs)):
        with pytest.raises(TypeError, match=r"`inputs` must be a Keras model where .* Received: "):
            kib.InformationBottleneckModel(*bad, num_examples=3)
    model = kib.InformationBottleneckModel(network, num_examples=3)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"`weight_beta` must be at least 0"):
            model.weight_beta = bad
    assert float(model.weight_beta) == 1.0
    with pytest.raises(ValueError, match=r"before it is built.* Received: "):
        kib.InformationBottleneckModel(
            keras.Sequential([VariationalWeights(layers.Dense(2))]), num_examples=3
        ).weight_information()
