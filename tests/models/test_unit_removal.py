"""Units that carry nothing are taken out, and the network predicts as it did."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.models.unit_removal import without_silent_units

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 2)).astype("float32")
VECTORS = RNG.normal(size=(7, 4)).astype("float32")


def silenced(model, **units):
    """The model with no weights into some units of layers, and other numbers in all the rest."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        moved = [w + 0.3 * rng.uniform(0.2, 1, w.shape) for w in layer.get_weights()]
        if layer.name in units:
            moved[0][..., units[layer.name]] = 0.0
        layer.set_weights(moved)
    return model


def assert_same(model, smaller, x, rtol=1e-5):
    expected, found = model(x, training=False), smaller(x, training=False)  # no trace of `predict`
    for a, b in zip(keras.tree.flatten(expected), keras.tree.flatten(found), strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-5)


def widths(model):
    return {x.name: x.kernel.shape[-1] for x in model.layers if hasattr(x, "kernel")}


def dense_chain(**options):
    parts = [
        layers.Dense(6, "sigmoid", name="first", **options),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(5, name="second", use_bias=False),
        layers.LeakyReLU(),
        layers.Dense(3, name="head", use_bias=False),
    ]
    return keras.Sequential([keras.Input((4,)), *parts])


def image_chain(padding="valid"):
    parts = [
        layers.Conv2D(6, 3, name="first", activation="elu", padding=padding),
        layers.BatchNormalization(scale=False),
        layers.Activation("tanh"),
        layers.MaxPooling2D(2),
        layers.Conv2D(5, 2, name="second"),
        layers.ReLU(),
        layers.AveragePooling2D(2, padding="same"),
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.Dense(4, "softmax", name="head"),
    ]
    return keras.Sequential([keras.Input((8, 8, 2)), *parts])


def test_units_between_dense_layers_go_and_what_they_put_out_stays():
    model = silenced(dense_chain(), first=[0, 3], second=[1])
    smaller, removal = without_silent_units(model)
    assert_same(model, smaller, VECTORS)
    assert widths(smaller) == {"first": 4, "second": 4, "head": 3}
    assert smaller.count_params() < model.count_params()
    assert [(row.layer, row.units, row.removed, row.silent) for row in removal] == [
        *(("first", 6, 2, 0), ("second", 5, 1, 0), ("head", 3, 0, 0))
    ]
    assert not any(row.reason for row in removal)


def test_filters_go_through_pooling_normalisation_and_flattening():
    model = silenced(image_chain(), first=[1, 5], second=[0, 2, 4])
    smaller, _ = without_silent_units(model)
    assert_same(model, smaller, IMAGES)
    assert widths(smaller) == {"first": 4, "second": 2, "head": 4}


def test_a_unit_whose_weights_go_nowhere_goes_and_others_that_only_feed_it():
    model = silenced(dense_chain())
    kernel = model.get_layer("head").get_weights()[0]
    kernel[2] = 0.0  # nothing reads unit 2 of the second layer
    model.get_layer("head").set_weights([kernel])
    kernel = model.get_layer("second").get_weights()[0]
    kernel[4, [0, 1, 3, 4]] = 0.0  # unit 4 of the first is read by that unit alone
    model.get_layer("second").set_weights([kernel])
    smaller, removal = without_silent_units(model)
    assert_same(model, smaller, VECTORS)
    assert widths(smaller) == {"first": 5, "second": 4, "head": 3}
    assert [row.removed for row in removal] == [1, 1, 0]


def test_a_constant_stays_where_zeros_are_padded_to_it():
    parts = [
        layers.Conv2D(4, 3, activation="relu", name="first"),
        layers.Conv2D(3, 3, padding="same", name="padded"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ]
    model = silenced(keras.Sequential([keras.Input((8, 8, 2)), *parts]), first=[0, 1])
    kernel, bias = model.get_layer("first").get_weights()
    bias[1] = -1.0  # below zero, relu puts out zeros, with which padding agrees
    model.get_layer("first").set_weights([kernel, bias])
    smaller, (row, *_) = without_silent_units(model)
    assert_same(model, smaller, IMAGES)
    assert (row.removed, row.silent) == (1, 1)
    assert "zeros are padded" in row.reason


def test_one_unit_of_a_layer_stays():
    model = silenced(dense_chain(), first=range(6))
    smaller, (row, *_) = without_silent_units(model)
    assert_same(model, smaller, VECTORS)
    assert (row.removed, row.silent, row.reason) == (5, 1, "a layer keeps one unit")


def skip_connection():
    inputs = keras.Input((4,))
    z = layers.Dense(6, "relu", name="first")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(6, name="second")(z) + z))


def two_readers():
    inputs = keras.Input((4,))
    z = layers.Dense(6, "relu", name="first")(inputs)
    return keras.Model(inputs, [layers.Dense(2)(z), layers.Dense(3)(z)])


def also_an_output():
    inputs = keras.Input((4,))
    z = layers.Dense(6, "relu", name="first")(inputs)
    return keras.Model(inputs, [layers.Dense(2)(z), z])


def called_twice():
    inputs = keras.Input((4,))
    first = layers.Dense(4, "relu", name="first")
    return keras.Model(inputs, layers.Dense(2)(first(first(inputs))))


def mixing_activation():
    first = layers.Dense(6, "softmax", name="first")
    return keras.Sequential([keras.Input((4,)), first, layers.Dense(2)])


def mixing_layer():
    parts = [layers.Dense(6, name="first"), layers.LayerNormalization(), layers.Dense(2)]
    return keras.Sequential([keras.Input((4,)), *parts])


def inside_a_model():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="first"), layers.Dense(3)])
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (skip_connection, "2 layers read them"),
        (two_readers, "2 layers read them"),
        (also_an_output, "output of the model"),
        (called_twice, "used in several places"),
        (mixing_activation, "mixes units"),
        (mixing_layer, "LayerNormalization"),
        (inside_a_model, "is inside another layer"),
    ],
)
def test_units_stay_where_the_structure_does_not_allow_it_and_the_result_says_so(make, words):
    model = make()
    holder = model.layers[0] if make is inside_a_model else model
    silenced(holder, first=[0, 2])
    smaller, removal = without_silent_units(model)
    assert_same(model, smaller, VECTORS)
    (row,) = [row for row in removal if row.layer == "first"]
    assert (row.removed, row.silent) == (0, 2)
    assert words in row.reason


def test_a_pruned_network_gets_smaller_and_predicts_the_same():
    keras.utils.set_random_seed(0)
    plain = keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, "tanh", name="wide"), layers.Dense(3)]
    )
    noisy = kib.make_variational(plain, num_examples=10, verbose=0)
    wide = noisy.layers[0]
    loc, spread, *rest = wide.get_weights()
    spread[:, 5:] = 5.0  # all noise
    wide.set_weights([loc, spread, *rest])
    pruned = kib.make_deterministic(noisy, prune_below=1e-3)
    smaller = kib.make_deterministic(noisy, prune_below=1e-3, remove_units=True)
    assert_same(pruned, smaller, VECTORS)
    assert (
        smaller.layers[0].units == smaller.unit_removal[0].units - smaller.unit_removal[0].removed
    )
    assert not hasattr(pruned, "unit_removal")
    with pytest.raises(TypeError, match=r"`remove_units`.*Received: "):
        kib.make_deterministic(noisy, remove_units="yes")


def test_a_smaller_network_is_saved_and_loaded(tmp_path):
    smaller, _ = without_silent_units(silenced(image_chain(), first=[1]))
    smaller.save(tmp_path / "smaller.keras")
    assert_same(smaller, keras.models.load_model(tmp_path / "smaller.keras"), IMAGES, rtol=0)
