import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.estimators import hidden_states
from keras_infobottleneck.introspection.compiled_passes import _KEPT

pytestmark = pytest.mark.quick


@pytest.fixture
def model():
    inputs = keras.Input([6])
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    hidden = keras.layers.Dropout(0.5)(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(50, 6)).astype("float32")


def activations(model, x, layer):
    return keras.Model(model.inputs, model.get_layer(layer).output).predict(x, verbose=0)


@pytest.mark.parametrize("layer", ["hidden", "logits"])
def test_states_are_units_above_the_threshold(model, x, layer):
    for threshold in (0.0, 0.3):
        states = hidden_states(model, x, layer, threshold=threshold, batch_size=7)
        assert states.dtype == bool
        np.testing.assert_array_equal(states, activations(model, x, layer) > threshold)


def test_several_thresholds_give_levels(model, x):
    levels = hidden_states(model, x, "logits", threshold=[-0.5, 0.0, 0.5])
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(
        levels, np.digitize(activations(model, x, "logits"), [-0.5, 0.0, 0.5], right=True)
    )


def test_every_kind_of_data_and_of_layer_name_gives_the_same_states(model, x):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            part = slice(10 * index, 10 * index + 10)
            return x[part], np.zeros(10)

    labels = np.zeros(50)
    expected = hidden_states(model, x, "hidden")
    dataset = tf.data.Dataset.from_tensor_slices((x, labels)).batch(8)
    for data in ((x, labels), dataset, dataset.map(lambda x, y: x), Batches()):
        np.testing.assert_array_equal(hidden_states(model, data, "hidden"), expected)
    for layer in (1, -3, model.get_layer("hidden")):
        np.testing.assert_array_equal(hidden_states(model, x, layer), expected)


def test_several_inputs_as_a_list_a_dictionary_or_a_dataset_give_the_same_states(x):
    first, second = keras.Input([6], name="first"), keras.Input([2], name="second")
    joined = keras.layers.Concatenate()([first, second])
    outputs = keras.layers.Dense(5, name="z")(joined)
    model = keras.Model([first, second], outputs)
    expected = model.predict([x, x[:, :2]], verbose=0) > 0
    arrays = [x, x[:, :2]]
    named = {"first": x, "second": x[:, :2]}
    dataset = tf.data.Dataset.from_tensor_slices((tuple(arrays), np.zeros(50))).batch(8)
    for data in (arrays, (arrays, np.zeros(50)), (tuple(arrays),), named, dataset):
        size = None if data is dataset else 7
        np.testing.assert_array_equal(hidden_states(model, data, "z", batch_size=size), expected)


def test_text_is_an_input_like_any():
    words = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b", "c"])
    model = keras.Sequential([keras.Input((), dtype="string"), words, keras.layers.Dense(5)])
    text = np.array(["a b", "c", "b c", "a"], object)
    expected = model.predict(text, verbose=0) > 0
    for data in (text, text.astype(str), tf.constant(text), (text, np.zeros(4))):
        np.testing.assert_array_equal(hidden_states(model, data, -1, batch_size=3), expected)


def test_a_list_of_numbers_is_one_array(model, x):
    np.testing.assert_array_equal(
        hidden_states(model, x.tolist(), "hidden"), hidden_states(model, x, "hidden")
    )
    rows = [list(row) for row in x]  # of NumPy's numbers
    np.testing.assert_array_equal(
        hidden_states(model, rows, "hidden"), hidden_states(model, x, "hidden")
    )


def test_positions_and_channels_are_flattened():
    model = keras.Sequential([keras.Input([8, 8, 1]), keras.layers.Conv2D(3, 3, name="map")])
    x = np.random.default_rng(1).normal(size=(4, 8, 8, 1)).astype("float32")
    states = hidden_states(model, x, "map")
    np.testing.assert_array_equal(states, model.predict(x, verbose=0).reshape(4, -1) > 0)


def test_a_second_call_does_not_retrace_and_the_model_can_be_forgotten(model, x):
    traces = []

    @keras.saving.register_keras_serializable("test")
    class Counting(keras.layers.Layer):
        def call(self, inputs):
            traces.append(1)
            return inputs

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)

    counting = keras.Sequential([keras.Input([6]), Counting(name="count")])
    hidden_states(counting, x, "count", batch_size=25)
    first = len(traces)
    hidden_states(counting, x, "count", batch_size=25)
    assert len(traces) == first > 0
    held = len(_KEPT)
    del counting
    gc.collect()
    assert len(_KEPT) < held


def test_a_failed_call_does_not_spoil_the_next(model, x):
    with pytest.raises(ValueError, match="inputs that the model takes"):
        hidden_states(model, x[:, :4], "hidden")
    np.testing.assert_array_equal(
        hidden_states(model, x, "hidden"), activations(model, x, "hidden") > 0
    )


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ({"model": "mlp"}, {}, TypeError, "keras.Model"),
        ({"layer": "absent"}, {}, ValueError, "one of the model's layers"),
        ({"layer": 17}, {}, ValueError, "one of the model's layers"),
        ({"layer": 1.5}, {}, TypeError, "a name, an index or a layer"),
        ({"layer": keras.layers.Dense(2)}, {}, ValueError, "one of the model's layers"),
        ({}, {"threshold": [0.5, 0.1]}, ValueError, "increasing"),
        ({}, {"threshold": []}, ValueError, "increasing"),
        ({}, {"threshold": np.nan}, ValueError, "finite"),
        ({}, {"batch_size": 0}, ValueError, "batch_size"),
        ({"data": np.full((4, 6), np.nan, "float32"), "layer": 0}, {}, ValueError, "NaN"),
        ({"data": np.zeros((0, 6), "float32")}, {}, ValueError, "at least one example"),
        ({"data": [np.zeros((4, 6)), np.zeros((3, 6))]}, {}, ValueError, "the same examples"),
        ({"data": [np.zeros((4, 6)), np.zeros(4)]}, {}, ValueError, "labels stand apart"),
        ({"data": tf.ragged.constant([[1.0], [2.0, 3.0]])}, {}, TypeError, "dense arrays"),
    ],
)
def test_bad_input_gives_one_clear_sentence(model, x, arguments, options, error, message):
    arguments = {"model": model, "data": x, "layer": "hidden"} | arguments
    with pytest.raises(error, match=f"(?s){message}.*Received: "):
        hidden_states(**arguments, **options)


def test_counts_may_be_numpys_integers(model, x):
    two = np.int64(2)
    states = hidden_states(model, x, "hidden", batch_size=two)
    np.testing.assert_array_equal(states, hidden_states(model, x, "hidden"))
    assert kib.estimators.relevance_null(states, num_draws=two, seed=0).num_draws == 2
    z = np.random.default_rng(0).normal(size=(9, 4))
    total = [kib.estimators.total_correlation(z, num_permutations=n, seed=0) for n in (2, two)]
    assert total[0] == total[1]
    weights = z[:8]
    for options in ({"num_shuffles": two}, {"num_crops": two, "crop": (two + 2, two + 2)}):
        assert kib.estimators.quantized_complexity(weights, **options).total_bits > 0
    points = np.arange(6.0)
    assert len(kib.estimators.relevance_slope(points, -points, points_per_step=two).slope) == 2
