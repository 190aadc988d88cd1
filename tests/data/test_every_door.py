"""Every function that takes data takes and refuses the same, in the same words.

Sample weights are refused by all. Those that take a mean over examples would have to say what a
weighted one is, in Keras not divided by the sum of weights; a certificate and a standard error hold
for examples that count once; and where there is a row for each example, or a state, weights would
be dropped without a word.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.data import datasets

NUM, WIDTH = 12, 4
random = np.random.default_rng(0)
X = random.uniform(size=(NUM, WIDTH)).astype(np.float32)
Y = np.arange(NUM) % 3
OTHERS = X + 1.0  # of which a prior knows nothing


@functools.cache
def network():
    inputs = keras.Input((WIDTH,))
    hidden = keras.layers.Dense(3, "tanh", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))


@functools.cache
def curvature():
    return estimators.fisher_information(network(), X, likelihood="categorical", seed=0)


@functools.cache
def noisy():
    return anchored(False)


@functools.cache
def certified():
    return anchored(True)


def anchored(anchor):
    inputs = keras.Input((WIDTH,))
    layer = kib.layers.VariationalWeights(keras.layers.Dense(3), variational_bias=True)
    model = kib.InformationBottleneckModel(inputs, layer(inputs), num_examples=NUM)
    if anchor:
        model.anchor_prior((OTHERS, Y))
    return model


@functools.cache
def normalised():
    layers = [keras.Input((WIDTH,)), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    return keras.Sequential(layers)


@functools.cache
def machine():
    model = kib.models.RestrictedBoltzmannMachine(3, seed=0)
    model.compile("sgd", jit_compile=False)  # compiling would take longer than all data
    model(X)
    return model


@functools.cache
def stack():
    model = kib.models.DeepBeliefNetwork([3, 2], seed=0)
    model.compile("sgd", jit_compile=False)
    model(X)
    return model


LIKELIHOOD = {"likelihood": "categorical"}
LAYER = {"layer": "logits", "beta": 0.1, "prior_scale": 1.0}

# Functions of (x, y), and those whose labels do not matter.
WITH_LABELS = {
    "fisher_information": lambda data: estimators.fisher_information(
        network(), data, labels="empirical", **LIKELIHOOD
    ),
    "hessian": lambda data: estimators.hessian(network(), data, **LIKELIHOOD),
    "information_curve": lambda data: estimators.information_curve(network(), data, **LIKELIHOOD),
    "local_learning_coefficient": lambda data: estimators.local_learning_coefficient(
        network(), data, num_chains=2, num_draws=4, num_steps=1, **LIKELIHOOD
    ),
    "information_in_weights": lambda data: estimators.information_in_weights(
        network(), data, beta=0.1, labels="empirical", **LIKELIHOOD
    ),
    "unique_information": lambda data: estimators.unique_information(
        network(), data, beta=0.1, fisher=curvature(), **LIKELIHOOD
    ),
    "posterior_influence": lambda data: estimators.posterior_influence(
        network(), data, fisher=curvature(), **LIKELIHOOD
    ),
    "find_wrong_labels": lambda data: estimators.find_wrong_labels(
        network(), data, fisher=curvature(), **LIKELIHOOD
    ),
    "certify": lambda data: estimators.certify(certified(), data, from_logits=True, num_samples=1),
    "anchor_prior": lambda data: noisy().anchor_prior(data),
}
WITHOUT = {
    "sampled fisher_information": lambda data: estimators.fisher_information(
        network(), data, **LIKELIHOOD
    ),
    "effective_information": lambda data: estimators.effective_information(
        network(), data, fisher=curvature(), **LAYER
    ),
    "activation_fisher": lambda data: estimators.activation_fisher(
        network(), data, fisher=curvature(), **LAYER
    ),
    "simulated_effective_information": lambda data: estimators.simulated_effective_information(
        network(), data, fisher=curvature(), num_draws=16, **LAYER
    ),
    "hidden_states": lambda data: estimators.hidden_states(network(), data, "hidden"),
    "audit": lambda data: kib.audit(network(), data, include=["task"], **LIKELIHOOD),
    "recalibrate_batch_normalization": lambda data: kib.recalibrate_batch_normalization(
        normalised(), data
    ),
}
# A tuple of arrays is a structure of inputs, as in Keras.
OF_INPUTS = {
    "predict_samples": lambda data: noisy().predict_samples(data, 2),
    "RestrictedBoltzmannMachine.hidden_states": lambda data: machine().hidden_states(data),
    "DeepBeliefNetwork.hidden_states": lambda data: stack().hidden_states(data, 1),
}
TRAINING = {
    "RestrictedBoltzmannMachine.fit": lambda data: machine().fit(data, verbose=0),
    "DeepBeliefNetwork.fit": lambda data: stack().fit(data, verbose=0),
}
DOORS = {**WITH_LABELS, **WITHOUT, **OF_INPUTS, **TRAINING}


def refused(door, data, error, words):
    """The sentence that refuses the data."""
    with pytest.raises(error, match=words) as found:
        DOORS[door](data)
    text = str(found.value)
    assert type(found.value) in (TypeError, ValueError)
    assert "\n" not in text
    assert text.startswith(("`data` must", "`x` must"))
    assert "Received: " in text
    assert len(text) < 500
    return text


def shaped(door, x):
    """Inputs as the function takes them: with labels, or alone."""
    return (x, Y) if door in WITH_LABELS else x


def batched(*parts, size=5):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(size)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("x", "received"),
    [
        (X[:, :3], r"\[batch, 3\] of float32"),
        (X[:, :, None, None], r"\[batch, 4, 1, 1\] of float32"),
        (np.float64(X[:, 0]), r"\[batch\] of float64"),
        ([X, X], r"a list of 2, \[batch, 4\] of float32 and \[batch, 4\] of float32"),
        ({"first": X}, r"\{'first': \[batch, 4\] of float32\}"),
    ],
    ids=["width", "rank", "rank of one", "several inputs", "keys"],
)
def test_inputs_that_the_model_does_not_take_give_the_same_sentence(door, x, received):
    text = refused(
        door,
        shaped(door, x),
        ValueError,
        rf"must hold inputs that the model takes.*\[batch, 4\].* Received: .*{received}",
    )
    assert "matmul" not in text.lower()


@pytest.mark.parametrize("door", DOORS)
def test_a_dataset_of_the_wrong_width_gives_it_too(door):
    data = batched(X[:, :3], Y) if door not in TRAINING else batched(X[:, :3])
    refused(door, data, ValueError, r"model takes.*\[batch, 4\].* Received: \[batch, 3\]")


KINDS = {
    "complex numbers": (X.astype(np.complex64), TypeError),
    "masked arrays": (np.ma.masked_less(X, 0.5), ValueError),
    "ragged arrays": (tf.ragged.constant([[1.0], [2.0, 3.0]] * 6), TypeError),
    "sparse arrays": (tf.sparse.from_dense(X), TypeError),
    "dates": (X.astype("timedelta64[s]"), TypeError),
    "records": (np.zeros(NUM, [("a", "f4")]), TypeError),
    "other objects": (X.astype(object), TypeError),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_dense_array_of_real_numbers_is_named(door, kind):
    x, error = KINDS[kind]
    refused(door, shaped(door, x), error, f"not {kind}: .*the model takes .batch, 4.* Received: ")


@pytest.mark.parametrize("door", DOORS)
def test_text_for_a_model_of_numbers_is_refused(door):
    words = r"inputs that the model takes: \[batch, 4\].* Received: \[batch, 4\] of string"
    text = np.full((NUM, WIDTH), "a")
    for data in (text, text.astype(object), text.tolist()):
        refused(door, shaped(door, data), TypeError, words)


@pytest.mark.parametrize("door", {**WITH_LABELS, **WITHOUT})
def test_sample_weights_are_refused(door):
    weights = np.linspace(0, 1, NUM)
    for data in ((X, Y, weights), batched(X, Y, weights)):
        refused(door, data, ValueError, "without sample weights.* each example once.* Received: ")


@pytest.mark.parametrize("door", {**OF_INPUTS, "fit": None})
def test_sample_weights_of_datasets_are_refused_where_tuples_are_inputs(door):
    door = "RestrictedBoltzmannMachine.fit" if door == "fit" else door
    refused(door, batched(X, Y, Y), ValueError, "without sample weights.* Received: ")


def test_a_boltzmann_machine_takes_no_weights_beside_its_data():
    for weights in ({"sample_weight": np.ones(NUM)}, {"class_weight": {0: 1.0}}):
        with pytest.raises(ValueError, match=r"accepts no weights.* Received: "):
            machine().fit(X, verbose=0, **weights)


class Sequence(keras.utils.PyDataset):
    """Three batches, or one that raises."""

    def __init__(self, parts, num_batches=3, exception=None):
        super().__init__()
        self.parts, self.count, self.exception = parts, num_batches, exception

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        if self.exception is not None and index == self.exception[0]:
            raise self.exception[1]
        found = tuple(part[4 * index : 4 * index + 4] for part in self.parts)
        return found if len(found) > 1 else found[0]


@pytest.mark.parametrize("door", {**WITH_LABELS, **WITHOUT, **OF_INPUTS})
def test_data_without_an_end_are_refused(door, monkeypatch):
    refused(door, batched(X, Y).repeat(), ValueError, "must end.* Received: an infinite")
    refused(door, Sequence((X, Y), None), ValueError, "must end.* Received: an infinite")
    monkeypatch.setattr(datasets, "MOST_EXAMPLES", 3 * NUM)
    endless = tf.data.Dataset.from_generator(
        lambda: itertools.repeat((X, Y)),
        output_signature=(
            tf.TensorSpec([None, WIDTH], tf.float32),
            tf.TensorSpec([None], tf.int64),
        ),
    )
    refused(door, endless, ValueError, "must end.* Received: a dataset that does not say")


class Mine(Exception):
    """Of the user."""


@pytest.mark.parametrize("door", {**WITH_LABELS, **WITHOUT, **OF_INPUTS})
@pytest.mark.parametrize("index", [0, 2])
def test_an_exception_of_the_data_comes_out_as_it_is(door, index):
    with pytest.raises(Mine, match=r"^no such file$"):
        DOORS[door](Sequence((X, Y), exception=(index, Mine("no such file"))))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (None, TypeError, "PyDataset"),
        ("mnist", TypeError, "PyDataset"),
        (3.5, TypeError, "PyDataset"),
        (print, TypeError, "PyDataset"),
        (X[:0], ValueError, "at least one example"),
    ],
    ids=["None", "a name", "a number", "a function", "none"],
)
def test_what_is_no_data_is_refused(door, data, error, words):
    data = (data, Y[:0]) if isinstance(data, np.ndarray) and door in WITH_LABELS else data
    refused(door, data, error, f"{words}.* Received: ")


@pytest.mark.parametrize("door", DOORS)
def test_a_generator_is_refused(door):
    refused(door, (pair for pair in [(X, Y)]), TypeError, "generator or iterator.* Received: ")


BY_BATCHES = {
    "certify": lambda n: estimators.certify(certified(), (X, Y), from_logits=True, batch_size=n),
    "hessian": lambda n: estimators.hessian(network(), (X, Y), batch_size=n, **LIKELIHOOD),
    "fisher_information": lambda n: estimators.fisher_information(
        network(), (X, Y), batch_size=n, **LIKELIHOOD
    ),
    "information_curve": lambda n: estimators.information_curve(
        network(), (X, Y), batch_size=n, **LIKELIHOOD
    ),
    "hidden_states": lambda n: estimators.hidden_states(network(), X, "hidden", batch_size=n),
    "recalibrate_batch_normalization": lambda n: kib.recalibrate_batch_normalization(
        normalised(), X, batch_size=n
    ),
    "predict_samples": lambda n: noisy().predict_samples(X, 2, batch_size=n),
}


@pytest.mark.parametrize("door", BY_BATCHES)
def test_batches_of_no_examples_are_refused(door):
    for size, error in ((0, ValueError), (-3, ValueError), (2.5, TypeError), ("8", TypeError)):
        with pytest.raises(error, match=r"`batch_size` must .* Received: batch_size="):
            BY_BATCHES[door](size)


@pytest.mark.parametrize("door", {**WITHOUT, **OF_INPUTS})
def test_data_of_every_kind_are_taken(door):
    for data in (X, X.tolist(), batched(X), batched(X, Y), Sequence((X,)), Sequence((X, Y))):
        DOORS[door](data)
    if door in WITHOUT:
        DOORS[door]((X, Y))
        DOORS[door]((X, Y, None))


@pytest.mark.slow
@pytest.mark.parametrize("door", TRAINING)
def test_machines_train_on_data_of_every_kind(door):
    for data in (X, X.tolist(), tf.constant(X), batched(X)):
        DOORS[door](data)
    machine().fit(batched(X, Y).repeat(), steps_per_epoch=2, verbose=0)
    machine().fit(Sequence((X, Y)), verbose=0)
