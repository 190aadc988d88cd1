"""Any model can be audited: what cannot be measured is named, with the reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import keras_infobottleneck as kib
from keras_infobottleneck.auditing.passing_through import passes_through
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import draw_sample

COUNT = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=(COUNT, 5)).astype("float32")
LABELS = RNG.integers(3, size=COUNT)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
EXAMPLES = {"effective": 4}
Dense = keras.layers.Dense


def compiled(model, loss=LOGITS):
    model.compile("sgd", loss)
    return model


def two_inputs():
    # Named so that their order in the graph and that of the names differ.
    second, first = keras.Input((5,), name="b"), keras.Input((2,), name="a")
    hidden = Dense(4, "relu", name="hidden")(keras.layers.Concatenate(name="both")([second, first]))
    model = keras.Model({"b": second, "a": first}, Dense(3)(hidden))
    return compiled(model), ({"a": X[:, :2], "b": X}, LABELS)


def tokens():
    inputs = keras.Input((7,), dtype="int32")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True, name="words")(inputs)
    read = keras.layers.SimpleRNN(4, name="rnn")(embedded)
    model = compiled(keras.Model(inputs, Dense(3)(read)))
    return model, (RNG.integers(9, size=(COUNT, 7)).astype("int32"), LABELS)


def any_length():
    inputs = keras.Input((None, 5))
    outputs = Dense(3)(Dense(4, "relu", name="each")(inputs))
    return compiled(keras.Model(inputs, outputs)), (
        RNG.normal(size=(COUNT, 6, 5)).astype("float32"),
        RNG.integers(3, size=(COUNT, 6)),
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = Dense(4, "relu"), Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))


def subclassed():
    return compiled(Subclassed()), (X, LABELS)


def held():
    network = Subclassed()
    network(X[:1])
    return compiled(kib.InformationBottleneckModel(network, num_examples=COUNT)), (X, LABELS)


def images():
    layers = [
        keras.layers.Conv2D(2, 3, activation="relu", name="conv"),
        keras.layers.Flatten(name="flat"),
    ]
    model = keras.Sequential([keras.Input((5, 5, 1)), *layers, Dense(3, "softmax", name="out")])
    compiled(model, "categorical_crossentropy")
    return model, (RNG.normal(size=(COUNT, 5, 5, 1)).astype("float32"), np.eye(3)[LABELS])


def regression():
    model = keras.Sequential([keras.Input((5,)), Dense(4, "tanh", name="hidden"), Dense(2)])
    return compiled(model, "mse"), (X, X[:, :2])


def own_loss():
    model = keras.Sequential([keras.Input((5,)), Dense(4, "relu", name="hidden"), Dense(3)])
    return compiled(model, lambda y, p: keras.ops.mean(p)), (X, LABELS)


def unlabelled():
    model = keras.Sequential([keras.Input((5,)), Dense(4, "relu", name="hidden"), Dense(3)])
    return compiled(model), X


def no_hidden_layer():
    return compiled(keras.Sequential([keras.Input((5,)), Dense(3, name="only")])), (X, LABELS)


def dead_layer():
    dead = Dense(4, "relu", kernel_initializer="zeros", name="dead")
    return compiled(keras.Sequential([keras.Input((5,)), dead, Dense(3)])), (X, LABELS)


def two_outputs():
    inputs = keras.Input((5,))
    hidden = Dense(4, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, [Dense(3, name="p")(hidden), Dense(1, name="q")(hidden)])
    return compiled(model, [LOGITS, "mse"]), (X, (LABELS, X[:, :1]))


def noise_without_a_price():
    noisy = kib.layers.VariationalWeights(Dense(3), name="noisy")
    return compiled(keras.Sequential([keras.Input((5,)), noisy])), (X, LABELS)


def frozen():
    model = keras.Sequential([keras.Input((5,)), Dense(4, "relu", name="hidden"), Dense(3)])
    model.trainable = False
    return compiled(model), (X, LABELS)


def not_a_number():
    model, data = unlabelled()
    model.layers[0].bias.assign([np.nan] * 4)
    return model, (data, LABELS)


# What is missing beside the nuisance and noise on activations, and a word of the reason.
MODELS = {
    two_inputs: {("effective", "both"): "weights", ("effective", "hidden"): "one array"},
    tokens: {("effective", "all"): "floats"},
    any_length: {("layers", "each"): "known size", ("relevance", "all"): "no layer"},
    held: {("total_correlation", "all"): "no layer"},
    images: {
        ("layers", "flat"): "passes",
        ("fisher", "squared derivatives of the logits"): "categorical_probabilities",
    },
    regression: {("fisher", "squared derivatives of the logits"): "normal"},
    own_loss: {
        ("task", "all"): "cannot be read",
        ("fisher", "all"): "cannot be read",
        ("weights", "all"): "cannot be read",
        ("effective", "all"): "cannot be read",
    },
    unlabelled: {("task", "all"): "no labels"},
    no_hidden_layer: {("relevance", "all"): "no layer", ("complexity", "all"): "4 x 4"},
    dead_layer: {("total_correlation", "dead"): "vary"},
    two_outputs: {("task", "all"): "cannot be read"},
    noise_without_a_price: {("weights", "paid"): "InformationBottleneckModel"},
    frozen: {("fisher", "all"): "at least one weight"},
    not_a_number: {
        ("task", "all"): "finite",
        ("fisher", "all"): "finite",
        ("relevance", "hidden"): "finite",
    },
}


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_what_cannot_be_measured_is_named_with_the_reason(make, tmp_path):
    model, data = make()
    report = kib.audit(model, data, examples=EXAMPLES)
    reasons = {(o.part, o.where): o.reason for o in report.omissions}
    for key, word in MODELS[make].items():
        assert word in reasons.get(key, ""), (key, reasons)
    for part in (part.name for part in PARTS):
        measured = any(reading.part == part for reading in report.readings)
        assert measured or any(o.part == part for o in report.omissions), part
    for omission in report.omissions:
        assert omission.reason
        assert "\n" not in omission.reason
        assert omission.reason in " ".join(report.table().split())
        assert omission.place in " ".join(report.table().split())
    report.to_json(tmp_path / "report.json")


def test_inputs_by_name_reach_the_layers_by_name():
    model, data = two_inputs()
    report = kib.audit(model, data, include=["total_correlation"], layers=["both"])
    z = np.concatenate([X, X[:, :2]], 1)
    omitted = {o.where: o.reason for o in report.omissions}
    # Two of the seven units are copies of others.
    assert "determine each other" in omitted["both"]
    assert np.linalg.matrix_rank(z) == 5


def test_several_inputs_in_a_tuple_are_measured_as_in_a_list():
    """As `tf.data` gives them; a tuple alone would be read as inputs and labels."""
    inputs = [keras.Input((5,)), keras.Input((2,))]
    both = keras.layers.Concatenate()(inputs)
    noisy = kib.layers.InformationDropout(Dense(4, "relu"), 0.1, name="noisy")
    model = compiled(keras.Model(inputs, Dense(3)(noisy(both))))
    first, second = X, X[:, :2]
    batches = tf.data.Dataset.from_tensor_slices(((first, second), LABELS)).batch(16)
    reports = [
        kib.audit(model, data, include=["task", "fisher", "activations", "relevance"])
        for data in (([first, second], LABELS), ((first, second), LABELS), batches)
    ]
    for report in reports:
        assert {reading.part for reading in report.readings} == set(report.examples)
        assert report.table() == reports[0].table()


def test_an_unbuilt_model_is_built():
    model, data = subclassed()
    assert not model.built
    report = kib.audit(model, data, include=["complexity", "task"])
    assert report.num_weights == 5 * 4 + 4 + 4 * 3 + 3
    assert report.task.num_examples == len(data[0])


def test_layers_of_a_subclassed_model_are_measured():
    model, data = subclassed()
    report = kib.audit(model, data, include=["fisher", "effective", "relevance"])
    hidden = report.layers[model.layers[0].name]
    states = kib.estimators.hidden_states(model, data[0], model.layers[0])
    assert hidden.relevance.relevance == kib.estimators.resolution_relevance(states).relevance
    assert hidden.effective.nats > 0


def test_a_bug_in_a_layer_is_told_by_its_type(monkeypatch):
    model, data = unlabelled()

    def broken(*_, **__):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(kib.estimators, "total_correlation", broken)
    report = kib.audit(model, data, include=["total_correlation"])
    (reason,) = [o.reason for o in report.omissions if o.where == "hidden"]
    assert reason == "RuntimeError: out of luck"


def test_a_bit_is_right_or_wrong_and_several_are_summed():
    bits = (X[:, :5] > 0).astype("float32")
    for outputs, beside in ((1, "frequent"), (5, "summed over 5 labels")):
        model = keras.Sequential([keras.Input((5,)), Dense(outputs, "sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
        data = (X, bits[:, :outputs])
        report = kib.audit(model, data, include=["task"])
        logged = model.evaluate(*data, verbose=0, return_dict=True)
        assert report.task.loss == pytest.approx(outputs * logged["loss"], rel=1e-5)
        assert beside in report.readings[0].beside
        if outputs == 1:
            assert report.task.accuracy == pytest.approx(logged["accuracy"])
            assert report.task.most_frequent == max(bits[:, 0].mean(), 1 - bits[:, 0].mean())
        else:
            assert report.task.accuracy is None


def test_a_bit_without_an_axis_of_its_own_is_measured_alike():
    bits = (X[:, 0] > 0).astype("float32")
    model = keras.Sequential([keras.Input((5,)), Dense(1)])

    def one_bit(logits):
        return tfp.distributions.Bernoulli(logits=logits[:, 0])

    found = [
        kib.audit(model, (X, bits), include=["task"], likelihood=likelihood).task.to_dict()
        for likelihood in (one_bit, "bernoulli")
    ]
    assert found[0] == {**found[1], "likelihood": "one_bit"}


def texts():
    """Words are given as text, and their number is the label."""
    words = np.array(["red", "green", "blue", "black"])
    counts = RNG.integers(1, 4, size=COUNT)
    x = np.array([" ".join(RNG.choice(words, count)) for count in counts], dtype=object)
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


def wide_images(**options):
    """A convolution of 1,152 units, 8 channels at 144 places."""
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.ZeroPadding2D(name="pad", **options),
        keras.layers.Conv2D(8, 3, activation="relu", name="conv", **options),
        keras.layers.GlobalAveragePooling2D(name="pool", **options),
    ]
    shape = (1, 12, 12) if options else (12, 12, 1)
    model = keras.Sequential([keras.Input(shape), *layers, Dense(3, name="logits")])
    x = np.random.default_rng(5).normal(size=(60, *shape)).astype("float32")
    return compiled(model), (x, np.arange(60) % 3)


def test_of_wide_convolutions_channels_are_measured_and_it_is_said():
    model, data = wide_images()
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
    # What the pooling puts out is what is measured of the convolution before it.
    pool = report.layers["pool"]
    assert conv.nuisance.nats == pytest.approx(pool.nuisance.nats, abs=0.02)
    assert conv.effective.nats == pytest.approx(pool.effective.nats, rel=1e-3)


def test_states_of_wide_convolutions_are_those_at_one_place_of_each_example():
    model, data = wide_images()
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


def test_an_output_layer_that_a_second_model_uses_is_still_the_output():
    model, data = regression()
    keras.Sequential([model, Dense(2)])
    second = keras.Model(model.inputs, model.layers[-1](model.layers[0].output))
    assert second is not None
    plan = kib.audit(model, data, dry_run=True)
    assert plan.layers == {
        "hidden": ("effective", "relevance", "total_correlation"),
        model.layers[-1].name: ("effective",),
    }


def test_what_is_missing_for_one_reason_is_said_once():
    _, data = wide_images()
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
        options = {"include": parts, "examples": EXAMPLES, "layers": ["hidden"]}
        found = kib.audit(without, (X, labels), **options)
        assert {reading.part for reading in found.readings} == set(parts)
        expected = kib.audit(with_axis, (X, labels[:, np.newaxis]), **options)
        assert found.numbers() == pytest.approx(expected.numbers(), rel=1e-4)
