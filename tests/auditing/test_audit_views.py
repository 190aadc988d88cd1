"""What is taken of text, of wide convolutions, and of layers that pass their input through."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import draw_sample
from keras_infobottleneck.introspection.activations import passes_through
from tests.support import layers_of_keras
from tests.support.audited_networks import regression
from tests.support.unlike_networks import COUNT, FEW_EXAMPLES, RANDOM, X, compiled
from tests.support.verdicts_of_parts import check_verdicts

Dense = keras.layers.Dense


def texts():
    """Words are given as text, and their number is the label."""
    words = np.array(["red", "green", "blue", "black"])
    counts = RANDOM.integers(1, 4, size=COUNT)
    x = np.array([" ".join(RANDOM.choice(words, count)) for count in counts], dtype=object)
    reader = keras.layers.TextVectorization(output_sequence_length=4, name="reader")
    reader.adapt(x)
    inputs = keras.Input((), dtype="string")
    embedded = keras.layers.Embedding(8, 3, name="words")(reader(inputs))
    hidden = Dense(4, "relu", name="hidden")(keras.layers.Flatten(name="flat")(embedded))
    return compiled(keras.Model(inputs, Dense(3, name="logits")(hidden))), x, counts - 1


def test_models_that_read_text_are_measured_as_on_numbers():
    model, x, y = texts()
    parts = ["task", "fisher", "weights", "relevance", "total_correlation"]
    report = kib.audit(model, (x, y), include=parts)
    assert {reading.part for reading in report.readings} == set(parts)
    inputs = keras.Input((4,), dtype="int64")
    after = inputs
    for layer in model.layers[2:]:
        after = layer(after)
    tokens = model.get_layer("reader")(x).numpy()
    same = kib.audit(compiled(keras.Model(inputs, after)), (tokens, y), include=parts)
    assert report.numbers() == pytest.approx(same.numbers())
    batches = tf.data.Dataset.from_tensor_slices((x.astype(str), y)).batch(7)
    assert kib.audit(model, batches, include=parts).numbers() == pytest.approx(report.numbers())


def wide_images():
    """A convolution of 1,152 units, 8 channels at 144 places."""
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.ZeroPadding2D(name="pad"),
        keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
    ]
    shape = (12, 12, 1)
    model = keras.Sequential([keras.Input(shape), *layers, Dense(3, name="logits")])
    x = np.random.default_rng(5).normal(size=(60, *shape)).astype("float32")
    return compiled(model), (x, np.arange(60) % 3)


@pytest.fixture(scope="module")
def wide():
    return wide_images()


@pytest.mark.slow
def test_of_wide_convolutions_channels_are_measured_and_it_is_said(wide):
    model, data = wide
    nuisance = data[0].mean((1, 2, 3)) > 0
    options = {"examples": {"effective": 10}, "layers": ["conv", "pool"]}
    plan = kib.audit(model, data, nuisance=nuisance, dry_run=True, **options)
    assert "of conv, channels averaged over places" in str(plan)
    assert "of conv, channels at one place of each example" in str(plan)
    assert not any(omission.where == "conv" for omission in plan.omissions)
    report = kib.audit(model, data, nuisance=nuisance, **options)
    conv = report.layers["conv"]
    assert conv.num_units == 8 * 144
    assert conv.views == {
        "effective": "8 channels averaged over places",
        "relevance": "8 channels at one place of each example",
        "total_correlation": "8 channels at one place of each example",
        "nuisance": "8 channels averaged over places",
    }
    for reading in report.readings:
        if reading.where == "conv" and reading.part != "relevance":
            assert conv.views[reading.part] in reading.beside
    check_verdicts(report)
    # What the pooling puts out is what is measured of the convolution before it.
    pool = report.layers["pool"]
    assert conv.nuisance.nats == pytest.approx(pool.nuisance.nats, abs=0.02)
    assert conv.effective.nats == pytest.approx(pool.effective.nats, rel=1e-3)


def test_states_of_wide_convolutions_are_those_at_one_place_of_each_example(wide):
    model, data = wide
    report = kib.audit(model, data, include=["relevance"], seed=4)
    order = draw_sample(Batches(data), 2000, 4).indices
    z = keras.Model(model.inputs, model.get_layer("conv").output)(data[0]).numpy()[order]
    places = np.random.default_rng(4).integers(144, size=60)
    states = z.reshape(60, 144, 8)[np.arange(60), places] > 0
    point = kib.estimators.resolution_relevance(states)
    assert report.layers["conv"].relevance.to_dict() == point.to_dict()


def test_layers_that_pass_their_input_through_are_left_out():
    for layer in (
        keras.layers.ZeroPadding2D(name="x"),
        keras.layers.UpSampling2D(name="x"),
        keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)], name="x"),
        keras.layers.TimeDistributed(keras.layers.Dropout(0.5), name="x"),
        keras.layers.Activation("linear", name="x"),
    ):
        stack = [layer, keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten(), Dense(3)]
        model = compiled(keras.Sequential([keras.Input((5, 5, 1)), *stack]))
        plan = kib.audit(model, np.ones((4, 5, 5, 1), "float32"), dry_run=True)
        (omission,) = [each for each in plan.omissions if each.where == "x"]
        assert "passes its input through" in omission.reason
        assert "conv" in plan.layers
    for layer in (
        keras.layers.UpSampling2D(interpolation="bilinear"),
        keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(2)]),
        keras.layers.TimeDistributed(keras.layers.Dense(2)),
        keras.layers.Activation("relu"),
        keras.layers.Cropping2D(),
    ):
        assert not passes_through(layer)


@pytest.mark.parametrize("name", layers_of_keras.CASES)
def test_a_layer_passes_through_if_all_that_it_gets_comes_out_unchanged(name):
    """Moved, repeated or padded with zeros at most, and nothing dropped, on numbers unlike."""
    shape, make = layers_of_keras.CASES[name]
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    layer = make()
    given, found = set(x.ravel()), set(np.ravel(layer(x, training=False)))
    assert passes_through(layer) == (given <= found <= given | {0.0})


def test_an_output_layer_that_a_second_model_uses_is_still_the_output():
    model, data = regression()
    keras.Sequential([model, Dense(2)])
    second = keras.Model(model.inputs, model.layers[-1](model.layers[0].output))
    assert second.layers[-1] is model.layers[-1]
    plan = kib.audit(model, data, dry_run=True)
    assert plan.layers == {
        "hidden": ("effective", "relevance", "total_correlation"),
        model.layers[-1].name: ("effective",),
    }


def test_what_is_missing_for_one_reason_is_said_once(wide):
    _, data = wide
    layers = [keras.layers.Flatten(), Dense(1100, name="wide"), Dense(1200, name="wider"), Dense(3)]
    model = compiled(keras.Sequential([keras.Input((12, 12, 1)), *layers]))
    plan = kib.audit(model, data, dry_run=True)
    missing = [omission for omission in plan.omissions if "units take too long" in omission.reason]
    assert len(missing) == 4
    lines = [line for line in str(plan).splitlines() if "units take too long" in line]
    assert len(lines) == 1
    assert "relevance, total_correlation of wide (1,100 units" in lines[0]


def test_outputs_without_an_axis_of_their_own_are_measured_in_all_parts():
    bits = (X[:, 0] > 0).astype("float32")
    parts = ["task", "fisher", "weights", "effective", "relevance"]
    for loss, labels in (("binary_crossentropy", bits), ("mse", X[:, 0])):
        inputs = keras.Input((5,))
        activation = "sigmoid" if loss == "binary_crossentropy" else None
        outputs = Dense(1, activation, name="out")(Dense(4, "tanh", name="hidden")(inputs))
        with_axis = compiled(keras.Model(inputs, outputs), loss)
        without = compiled(
            keras.Model(inputs, keras.layers.Reshape((), name="flat")(outputs)), loss
        )
        options = {"include": parts, "examples": FEW_EXAMPLES, "layers": ["hidden"]}
        found = kib.audit(without, (X, labels), **options)
        assert {reading.part for reading in found.readings} == set(parts)
        expected = kib.audit(with_axis, (X, labels[:, np.newaxis]), **options)
        assert found.numbers() == pytest.approx(expected.numbers(), rel=1e-4)
