"""Any model can be audited: what cannot be measured is named, with the reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import keras_infobottleneck as kib
from keras_infobottleneck.auditing.registration import PARTS
from tests.support.audited_networks import regression
from tests.support.unlike_networks import COUNT, FEW_EXAMPLES, LABELS, LOGITS, RANDOM, X, compiled
from tests.support.verdicts_of_parts import check_verdicts

Dense = keras.layers.Dense


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
    return model, (RANDOM.integers(9, size=(COUNT, 7)).astype("int32"), LABELS)


def any_length():
    inputs = keras.Input((None, 5))
    outputs = Dense(3)(Dense(4, "relu", name="each")(inputs))
    return compiled(keras.Model(inputs, outputs)), (
        RANDOM.normal(size=(COUNT, 6, 5)).astype("float32"),
        RANDOM.integers(3, size=(COUNT, 6)),
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
    return model, (RANDOM.normal(size=(COUNT, 5, 5, 1)).astype("float32"), np.eye(3)[LABELS])


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
# Those that measure most parts are measured in all; of the others, the parts named and the task.
IN_ALL_PARTS = (two_inputs, tokens, any_length, held, images, own_loss)
MODELS = {
    two_inputs: {("effective", "both"): "weights"},
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
    named = {part for part, _ in MODELS[make]} | {"task"}
    include = None if make in IN_ALL_PARTS else named
    report = kib.audit(model, data, examples=FEW_EXAMPLES, include=include)
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
    check_verdicts(report)
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


def test_labels_at_positions_are_compared_with_what_all_of_them_hold():
    labels = RANDOM.integers(3, size=(COUNT, 6))
    inputs = keras.Input((6, 3))
    model = compiled(keras.Model(inputs, Dense(3, use_bias=False)(inputs)))
    model.set_weights([3 * np.eye(3)])
    report = kib.audit(model, (np.eye(3)[labels], labels), include=["task"])
    share = np.bincount(labels.ravel()) / labels.size
    entropy = -6 * np.sum(share * np.log(share))
    loss = 6 * np.log1p(2 * np.exp(-3))
    verdict = report.verdicts()["task"]
    assert report.task.loss == pytest.approx(loss, rel=1e-5)
    assert f"tells {entropy - loss:.2g}" in verdict.statement
    assert f"of the {entropy:.2g} nats that an example's 6 labels hold" in verdict.statement
    assert f"frequencies alone give {entropy:.3g}" in verdict.evidence
    assert f"classes are: {entropy:.4g}" in report.readings[0].beside
    assert f"alone give {entropy:.3g}" in " ".join(report.table().split())


def test_predictions_that_follow_no_weight_are_told():
    model = keras.Sequential([keras.Input((5,)), Dense(4, "relu", bias_initializer="zeros")])
    model.add(Dense(3, use_bias=False))
    compiled(model).set_weights([np.zeros((5, 4)), -np.ones(4), np.ones((4, 3))])
    report = kib.audit(model, (X, LABELS), include=["fisher", "weights"])
    check_verdicts(report)
    assert "follow no weight" in report.verdicts()["fisher"].statement
    assert report.verdicts()["fisher"].urgency == 2


@pytest.mark.parametrize("kind", ["frozen", "int8"])
def test_weights_that_are_not_trained_are_named(kind):
    layers = [keras.Input((5,)), Dense(4, "relu", name="first"), Dense(3, name="last")]
    model = compiled(keras.Sequential(layers))

    def omissions():
        report = kib.audit(model, (X, LABELS), include=("fisher",))
        return [each for each in report.omissions if each.part == "fisher"]

    assert not omissions()
    if kind == "int8":
        model.get_layer("first").quantize("int8")
    else:
        model.get_layer("first").trainable = False
    (omission,) = omissions()
    count = {"frozen": 5 * 4 + 4, "int8": 5 * 4}[kind]
    assert omission.where == f"{count} weights"
    assert "frozen or integers" in omission.reason
    assert "first/kernel" in omission.reason


def test_noisy_layers_of_masked_sequences_are_reported_as_they_pay():
    """What Keras calls the input of such a layer is a list, with the mask in it."""
    words = np.where(np.arange(5) < RANDOM.integers(1, 6, (COUNT, 1)), 3, 0)
    inputs = keras.Input((5,), dtype="int32")
    hidden = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    hidden = kib.layers.InformationDropout(Dense(4, "relu"), 0.1, name="noisy")(hidden)
    hidden = kib.layers.GaussianBottleneck(3, 0.1, name="code")(hidden)
    model = compiled(keras.Model(inputs, Dense(3)(hidden)))
    data = words, np.minimum(words, 2)
    report = kib.audit(model, data, include=["activations"], seed=0)
    logs = model.evaluate(*data, verbose=0, return_dict=True)
    for name in ("noisy", "code"):
        paid = report.layers[name].activations
        assert paid.nats == pytest.approx(logs[f"{name}_information"], rel=1e-5)
