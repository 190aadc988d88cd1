"""A model that holds a network is a Keras model like any other."""

import concurrent.futures
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.bottleneck_networks import (
    LOSS,
    NUM_EXAMPLES,
    Network,
    VariationalWeights,
    assert_objective,
    make_model,
    small_data,
)


@pytest.fixture(scope="module")
def data():
    return small_data()


def test_functional_and_subclassed_networks_live_in_one_process_in_any_order(data):
    x, y = data

    class Named(kib.InformationBottleneckModel):
        """A user's own subclass."""

    def functional(kind):
        inputs = keras.Input((4,))
        outputs = VariationalWeights(layers.Dense(2))(VariationalWeights(layers.Dense(4))(inputs))
        return kind(inputs, outputs, num_examples=NUM_EXAMPLES)

    def subclassed(kind):
        return kind(Network(), num_examples=NUM_EXAMPLES)

    for make in (functional, subclassed, functional):
        for kind in (kib.InformationBottleneckModel, Named):
            model = make(kind)
            model.compile("sgd", LOSS, run_eagerly=True)
            assert_objective(model.evaluate(x, y, verbose=0, return_dict=True), model)
            assert len(model.variational_layers) == 2


def test_layers_inputs_outputs_and_summary_are_those_of_the_network(data, capsys):
    x, _ = data
    inputs = keras.Input((4,))
    hidden = VariationalWeights(layers.Dense(5, "relu"), name="hidden")(inputs)
    outputs = VariationalWeights(layers.Dense(2), name="head")(hidden)
    model = kib.InformationBottleneckModel(inputs, outputs, name="mine", num_examples=48)
    probe = keras.Model(model.inputs, model.get_layer("hidden").output)
    assert probe([x]).shape == (48, 5)
    np.testing.assert_array_equal(keras.Model(model.input, model.output)(x), model(x))
    assert [layer.name for layer in model.layers][1:] == ["hidden", "head"]
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    total = float(model.weight_information())
    assert f"Information in the weights: {total:,.1f} nats" in lines
    assert any(line.strip().startswith("hidden: ") for line in lines)
    kib.InformationBottleneckModel(Network(), num_examples=3).summary()  # unbuilt: no table
    assert "nats" not in capsys.readouterr().out


def test_a_clone_has_the_structure_and_its_own_weights(data):
    x, _ = data
    model = make_model(3.0)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, kib.InformationBottleneckModel)
    assert (clone.num_examples, float(clone.weight_beta)) == (NUM_EXAMPLES, 3.0)
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), model(x))


def test_inputs_reach_the_network_as_they_are_given():
    """Token ids above 2048 have no float16: the network, not this model, casts its inputs."""
    inputs = keras.Input((1,), dtype="float32")
    outputs = layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="float32")(inputs)
    network = keras.Model(inputs, outputs)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = kib.InformationBottleneckModel(network, num_examples=3)
        mixed = make_model()
        mixed.compile("sgd", LOSS)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert float(model(np.array([[4099.0]], "float32"))[0, 0]) == 4099.0
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
    revived = kib.InformationBottleneckModel.from_config(mixed.get_config())
    assert revived.dtype_policy.name == "mixed_float16"


def test_masks_pass_through_given_or_made_inside():
    inputs = keras.Input((None,), dtype="int32")
    vectors = layers.Embedding(5, 3, mask_zero=True)(inputs)
    states = VariationalWeights(layers.LSTM(2), estimator="sample")(vectors)
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    network = keras.Model(inputs, states)
    model = kib.InformationBottleneckModel(network, num_examples=3)
    np.testing.assert_array_equal(model(tokens), network(tokens))
    np.testing.assert_allclose(model(tokens[:, :2])[0], model(tokens)[0], atol=1e-7)

    sequences = keras.Input((4, 3))
    recurrent = keras.Model(sequences, layers.LSTM(2)(sequences))
    outer = kib.InformationBottleneckModel(recurrent, num_examples=3)
    x, mask = np.ones((2, 4, 3), "float32"), np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(outer(x, mask=mask), recurrent(x, mask=mask))
    assert np.abs(outer(x, mask=mask) - outer(x)).max() > 0.0


def augmented_model():
    """Keras' augmentation reads an open `training` as True, and with it all layers behind it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    z = layers.BatchNormalization()(layers.RandomFlip()(inputs))
    z = layers.Dropout(0.5)(VariationalWeights(layers.Conv2D(2, 3), initial_scale=1.0)(z))
    z = kib.layers.InformationDropout(layers.Dense(3, "relu"), beta=1.0, name="noisy")(z)
    return kib.InformationBottleneckModel(inputs, layers.Flatten()(z), num_examples=16)


def test_with_augmentation_predictions_draw_nothing_and_change_nothing(tmp_path):
    model = augmented_model()
    x = np.random.default_rng(0).normal(3.0, size=(16, 4, 4, 1)).astype("float32")
    at_rest = model(x, training=False)
    before = [variable.numpy() for variable in model.variables]
    np.testing.assert_allclose(model(x), at_rest, atol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), at_rest, atol=1e-6)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), at_rest, atol=1e-6)
    for one, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, variable)  # nor is anything charged


def test_with_augmentation_samples_of_an_open_call_still_draw():
    model = augmented_model()
    x = np.ones((16, 4, 4, 1), "float32")
    with kib.layers.drawing([1, 2]):
        drawn = model(x)
    assert np.abs(drawn - model(x)).max() > 1e-3


def test_a_prediction_in_one_thread_leaves_the_noise_of_others_on():
    predicting, drawn = threading.Event(), threading.Event()

    class Slow(layers.Layer):
        def call(self, inputs):
            if tf.executing_eagerly():
                predicting.set()
                drawn.wait(10.0)
            return inputs

    def model(*before):
        network = [*before, VariationalWeights(layers.Dense(2), initial_scale=1.0)]
        return kib.InformationBottleneckModel(keras.Sequential(network), num_examples=8)

    x, slow, other = np.ones((8, 4), "float32"), model(Slow()), model()
    means = other(x)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        prediction = threads.submit(slow, x)
        assert predicting.wait(10.0)
        noisy = other(x, training=True)
        drawn.set()
        prediction.result()
    assert np.abs(noisy - means).min() > 0.0


class HandsTrainingOn(keras.Model):
    """A subclassed network, unbuilt, that tells each layer whether it trains."""

    def __init__(self):
        super().__init__()
        self.noisy = kib.layers.InformationDropout(keras.layers.Dense(3, "relu"), beta=0.1)

    def call(self, inputs, training=None):
        return self.noisy(inputs, training=training)


@pytest.mark.parametrize("training", [True, False])
def test_the_call_that_builds_a_network_already_trains_or_evaluates_it(training, data):
    x, _ = data
    model = kib.InformationBottleneckModel(HandsTrainingOn(), num_examples=NUM_EXAMPLES)
    outputs = model(x, training=training)
    assert len(model.losses) == 1
    assert np.any(outputs != model(x)) == training


class Sized(keras.Model):
    """A subclassed network whose configuration has sizes of layers, not layers."""

    def __init__(self, layers):
        super().__init__()
        self.sizes = layers
        self.blocks = [VariationalWeights(keras.layers.Dense(size, "relu")) for size in layers]

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return inputs

    def get_config(self):
        return {**super().get_config(), "layers": self.sizes}


NETWORKS = {
    "sequential": lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
    "sequential, built by a call": lambda: keras.Sequential([layers.Dense(2)]),
    "sizes for a configuration": lambda: Sized([3, 2]),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_networks_without_an_input_of_their_own_are_exported(make, data, tmp_path):
    x, _ = data
    model = kib.InformationBottleneckModel(make(), num_examples=NUM_EXAMPLES)
    means = model(x)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), means, atol=1e-6)


def test_a_held_sequential_network_is_a_layer_like_any(data):
    x, _ = data
    network = keras.Sequential([keras.Input((4,)), VariationalWeights(layers.Dense(3, "relu"))])
    model = kib.InformationBottleneckModel(network, num_examples=NUM_EXAMPLES)
    np.testing.assert_array_equal(keras.Model(model.input, model.output)(x), model(x))
    outer = keras.Sequential([keras.Input((4,)), model, layers.Dense(2)])
    np.testing.assert_allclose(outer(x), outer.layers[-1](model(x)), atol=1e-6)
    assert np.abs(outer(x, training=True) - outer(x)).max() > 0.0


def test_sizes_of_layers_are_no_layers_to_replace(data):
    x, _ = data
    network = Sized([3, 2])
    network(x)
    with pytest.raises(TypeError, match=r"sequential or functional model.* Received: model="):
        kib.make_deterministic(network)
