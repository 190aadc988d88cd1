"""Certificates: by hand where that can be, true as often as they say, refused where they lie."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

certify = kib.estimators.certify
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
X_PRIOR = RANDOM.normal(size=(20, 5)).astype("float32")
Y_PRIOR = (X_PRIOR[:, 0] > 0).astype("int32")
OPTIONS = {"delta": 0.025, "num_samples": 3, "from_logits": True, "seed": 0}


def make_model(network=None, anchored=True, **options):
    network = network or keras.Sequential(
        [keras.Input((5,)), layers.Dense(6, "relu"), layers.Dense(2)]
    )
    options = {"variational_bias": True, "initial_scale": 0.1, **options}
    model = kib.make_variational(network, num_examples=60, verbose=0, **options)
    if anchored:
        model.anchor_prior((X_PRIOR, Y_PRIOR))
        model.variational_layers[0].layer.kernel.assign_add(np.full((5, 6), 0.05, "float32"))
    return model


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return make_model()


@pytest.fixture(scope="module")
def certificate(model):
    return certify(model, (X, Y), **OPTIONS)


def test_it_is_the_bound_of_the_bound(model, certificate):
    c = certificate
    assert (c.num_examples, c.num_trials, c.num_anchoring_examples) == (60, 180, 20)
    assert c.kl == pytest.approx(float(model.weight_information()), rel=1e-4)
    worst = math.log(1e4)
    for risk, expected in (
        (c.randomized_error, c.error_bound),
        (c.randomized_cross_entropy / worst, c.cross_entropy_bound / worst),
    ):
        upper = kib.estimators.monte_carlo_bound(risk, 180, 0.01)
        assert expected == pytest.approx(
            kib.estimators.pac_bayes_bound(upper, c.kl, 60, 0.025), abs=1e-9
        )
    predictions = model.predict(X, verbose=0).argmax(-1)
    assert c.mean_error == np.mean(predictions != Y)
    assert c.confidence == pytest.approx(0.965)


def test_one_layer_has_the_gibbs_error_of_the_closed_form():
    network = keras.Sequential([keras.Input((5,)), layers.Dense(2, use_bias=False)])
    for estimator in ("local", "sample"):
        model = make_model(
            network, anchored=False, prior_scale=1.0, initial_scale=0.7, estimator=estimator
        )
        found = certify(model, (X, Y), **{**OPTIONS, "num_samples": 200})
        kernel = network.layers[-1].kernel.numpy()
        margin = X @ (kernel[:, 1] - kernel[:, 0]) * (2 * Y - 1)
        z = margin / (0.7 * math.sqrt(2) * np.linalg.norm(X, axis=1))
        p = 0.5 * np.array([math.erfc(value / math.sqrt(2)) for value in z])
        error = math.sqrt(np.sum(p * (1 - p)) / 200) / 60
        assert found.randomized_error == pytest.approx(p.mean(), abs=5 * error)
        assert ("pre-activations" if estimator == "local" else "drawn anew") in found.method


def test_groups_that_are_not_full_widen_the_bound_as_they_must():
    network = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    network.layers[-1].kernel.assign(np.outer([1, 0, 0, 0, 0], [-2.0, 2.0]))
    model = make_model(network, anchored=False, prior_scale=2.0, estimator="sample")
    c = certify(model, (X[:50], Y[:50]), examples_per_draw=8, batch_size=20, **OPTIONS)
    num_groups = 3 + 3 + 2  # of batches of 20, 20 and 10
    filled = num_groups * 8 / 50
    assert c.num_trials == 3 * num_groups
    upper = filled * kib.estimators.monte_carlo_bound(
        c.randomized_error / filled, c.num_trials, 0.01
    )
    expected = kib.estimators.pac_bayes_bound(upper, c.kl, 50, 0.025)
    assert c.error_bound == pytest.approx(expected, abs=1e-9)
    assert c.error_bound < 1.0


def test_ten_percent_certificates_fail_in_ten_percent_at_most_and_unpaid_ones_more():
    # Labels are coins, so that every network errs on half of all new data.
    network = keras.Sequential([keras.Input((160,)), layers.Dense(2, use_bias=False)])
    model = make_model(network, anchored=False, prior_scale=1.0, initial_scale=1.0)
    random = np.random.default_rng(1)
    failures = unpaid = 0
    for seed in range(20):
        x = random.normal(size=(60, 160)).astype("float32")
        y = random.integers(0, 2, 60)
        direction = (2 * y - 1) @ x
        direction *= 8.0 / np.linalg.norm(direction) / math.sqrt(2)
        model.variational_layers[0].layer.kernel.assign(np.stack([-direction, direction], 1))
        c = certify(model, (x, y), **{**OPTIONS, "delta": 0.09, "num_samples": 30, "seed": seed})
        assert c.kl == pytest.approx(32.0, rel=1e-5)
        upper = kib.estimators.monte_carlo_bound(c.randomized_error, c.num_trials, 0.01)
        failures += c.error_bound < 0.5
        unpaid += kib.estimators.pac_bayes_bound(upper, 0.0, 60, 0.09) < 0.5
    assert failures <= 2
    assert unpaid > 10


def test_data_of_every_kind_give_one_certificate(model, certificate):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return X[index * 15 : index * 15 + 15], Y[index * 15 : index * 15 + 15]

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(15)
    expected = certify(model, (X, Y), batch_size=15, **OPTIONS)
    assert certify(model, dataset, **OPTIONS) == expected
    assert certify(model, Batches(), **OPTIONS) == expected
    assert certify(model, (X, np.eye(2)[Y]), batch_size=15, **OPTIONS) == expected
    assert expected.num_examples == certificate.num_examples
    assert certify(model, (X, Y), **OPTIONS) == certificate  # the same seed, the same noise


def test_it_survives_the_file_of_the_model(model, certificate, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = certify(loaded, (X, Y), **OPTIONS)
    assert again.error_bound == certificate.error_bound
    with pytest.raises(ValueError, match=r"no example that the prior depends on.* 20 of 20"):
        certify(loaded, (X_PRIOR, Y_PRIOR), **OPTIONS)


def test_it_reads_well_and_goes_to_json(certificate):
    assert "at most" in repr(certificate)
    assert "noise of its own for every example" in repr(certificate)
    fields = json.loads(json.dumps(certificate.to_dict()))
    assert fields["confidence"] == certificate.confidence
    assert {field.name for field in dataclasses.fields(certificate)} < set(fields)


def test_frozen_weights_that_anchoring_saw_are_accepted_and_learned_ones_are_not():
    network = keras.Sequential(
        [keras.Input((5,)), layers.Dense(6, "relu"), layers.BatchNormalization(), layers.Dense(2)]
    )
    model = make_model(network, variational_bias=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for layer in model.network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    for wrapper in model.variational_layers:
        wrapper.layer.bias.trainable = False
    model.compile("adam", loss)
    model.train_on_batch(X, Y)
    assert certify(model, (X, Y), **{**OPTIONS, "from_logits": None}).kl > 0.0
    model.variational_layers[1].layer.bias.trainable = True
    model.compile("adam", loss)
    model.train_on_batch(X, Y)
    with pytest.raises(ValueError, match=r"weights without a distribution.* [^,]*/bias$"):
        certify(model, (X, Y), **OPTIONS)


def anchored_again():
    model = make_model()
    for layer in model.variational_layers:
        layer.layer.kernel.assign_add(keras.ops.ones_like(layer.layer.kernel))
        layer.anchor_prior()
    return model


def prior_of_another_model():
    model, other = make_model(), make_model()
    for layer, source in zip(model.variational_layers, other.variational_layers, strict=True):
        for weight, value in zip(layer.prior_weights, source.prior_weights, strict=True):
            weight.assign(value + 0.1)
    return model


def drawing_by_itself(layer):
    inputs = keras.Input((5,))
    hidden = layer(layers.Dense(6, "relu")(inputs), training=True)
    return make_model(keras.Model(inputs, layers.Dense(2)(hidden)))


def layer_anchored_by_itself():
    model = make_model(anchored=False)
    for layer in model.variational_layers:
        layer.anchor_prior()
    return model


def plain(outputs=2, **options):
    return keras.Sequential([keras.Input((5,)), layers.Dense(outputs, **options)])


REFUSED_MODELS = {
    "no model": (lambda: None, TypeError, "`model` must be"),
    "a plain model": (plain, TypeError, "`model` must be"),
    "nothing variational": (
        lambda: kib.InformationBottleneckModel(plain(), num_examples=3),
        ValueError,
        "no VariationalWeights",
    ),
    "not built": (
        lambda: kib.InformationBottleneckModel(
            keras.Sequential([kib.layers.VariationalWeights(layers.Dense(2))]), num_examples=3
        ),
        ValueError,
        "before it is built",
    ),
    "a prior that learns": (lambda: make_model(anchored=False), ValueError, "prior follows"),
    "log-normal": (
        lambda: make_model(anchored=False, posterior="log_normal"),
        ValueError,
        "Only Gaussian",
    ),
    "truncated": (
        lambda: make_model(anchored=False, posterior="truncated_log_normal"),
        ValueError,
        "Only Gaussian",
    ),
    "anchored again": (anchored_again, ValueError, "Priors, and weights"),
    "the prior of another model": (prior_of_another_model, ValueError, "Priors, and weights"),
    "dropout in inference": (
        lambda: drawing_by_itself(layers.Dropout(0.5)),
        ValueError,
        "Predictions must draw nothing",
    ),
    "batch statistics in inference": (
        lambda: drawing_by_itself(layers.BatchNormalization()),
        ValueError,
        "Predictions must draw nothing",
    ),
    "anchored without data": (layer_anchored_by_itself, ValueError, "are not known"),
    "biases that may have learned": (
        lambda: make_model(anchored=False, prior_scale=1.0, variational_bias=False),
        ValueError,
        "Priors, and weights without a distribution",
    ),
    "one output": (lambda: make_model(plain(1), False, prior_scale=1.0), ValueError, "two classes"),
    "sequences": (
        lambda: make_model(
            keras.Sequential([keras.Input((5,)), layers.Reshape((5, 1)), layers.Dense(2)]),
            False,
            prior_scale=1.0,
        ),
        ValueError,
        "one output of shape",
    ),
}


@pytest.mark.parametrize("case", REFUSED_MODELS)
def test_models_that_cannot_be_certified_are_refused_in_a_sentence(case):
    build, error, message = REFUSED_MODELS[case]
    with pytest.raises(error, match=f"{message}[^\n]* Received: "):
        certify(build(), (X, Y), **OPTIONS)


REFUSED_ARGUMENTS = {
    "delta of zero": ({"delta": 0.0}, "`delta` must"),
    "delta of one": ({"delta": 1}, "`delta` must"),
    "delta of True": ({"delta": True}, "`delta` must"),
    "no delta": ({"delta": None}, "`delta` must"),
    "delta of the Monte Carlo": ({"delta_monte_carlo": -0.1}, "`delta_monte_carlo` must"),
    "no confidence left": ({"delta": 0.6, "delta_monte_carlo": 0.5}, "leave some confidence"),
    "no samples": ({"num_samples": 0}, "`num_samples` must"),
    "half a sample": ({"num_samples": 1.5}, "`num_samples` must"),
    "no examples to a draw": ({"examples_per_draw": 0}, "`examples_per_draw` must"),
    "a loss without a bound": ({"min_probability": 0.0}, "a loss without a bound"),
    "a floor of one": ({"min_probability": 1.0}, "`min_probability` must"),
    "logits unknown": ({"from_logits": None}, "`from_logits` must"),
    "logits called probabilities": ({"from_logits": False}, "must be probabilities"),
    "batches of none": ({"batch_size": 0}, "`batch_size` must"),
}


@pytest.mark.parametrize("case", REFUSED_ARGUMENTS)
def test_arguments_out_of_range_are_refused_in_a_sentence(model, case):
    changes, message = REFUSED_ARGUMENTS[case]
    with pytest.raises(ValueError, match=f"{message}[^\n]* Received: "):
        certify(model, (X, Y), **{**OPTIONS, **changes})


def joined(*parts):
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


REFUSED_DATA = {
    "no labels": ((X, None), "Received"),
    "inputs alone": (X, "Received"),
    "no examples": ((X[:0], Y[:0]), "at least one example"),
    "unequal lengths": ((X, Y[:7]), "Received"),
    "all of the prior's": ((X_PRIOR, Y_PRIOR), "20 of 20"),
    "the prior's in another form": ((X_PRIOR, np.eye(2)[Y_PRIOR]), "20 of 20"),
    "labels by name": ((X, {"y": Y}), "one array"),
    "inputs that are not numbers": ((X * np.nan, Y), "repeats"),
    "one of the prior's": (joined((X, Y), (X_PRIOR[:1], Y_PRIOR[:1])), "1 of 61"),
    "an example twice": (joined((X, Y), (X[:3], Y[:3])), "3 repeats among 63"),
    "an unknown class": ((X, Y + 1), "classes from 0 to 1"),
    "half a class": ((X, Y / 2), "classes from 0 to 1"),
    "soft labels": ((X, np.full((60, 2), 0.5)), "one-hot"),
    "endless": (tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).repeat(), "infinite"),
}


@pytest.mark.parametrize("case", REFUSED_DATA)
def test_data_that_cannot_be_certified_on_are_refused_in_a_sentence(model, case):
    data, message = REFUSED_DATA[case]
    with pytest.raises((TypeError, ValueError), match=message):
        certify(model, data, **OPTIONS)


@keras.saving.register_keras_serializable("tests")
class Twins(layers.Layer):
    """Two dense layers of one name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = (layers.Dense(5, "relu", name="d") for _ in range(2))

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], 5))

    def call(self, x):
        return self.second(self.first(x))


def test_weights_of_one_path_are_each_paid_for():
    wrapped = kib.layers.VariationalWeights(
        Twins(name="t"), estimator="sample", prior_scale=1.0, variational_bias=True
    )
    last = kib.layers.VariationalWeights(layers.Dense(2), prior_scale=1.0, variational_bias=True)
    network = keras.Sequential([keras.Input((5,)), wrapped, last])
    model = kib.InformationBottleneckModel(network, num_examples=60)
    assert len(wrapped.posterior()) == len(wrapped.variational_weights) == 4
    found = certify(model, (X, Y), **OPTIONS)
    assert found.kl == pytest.approx(float(model.weight_information()), rel=1e-5)


def test_inputs_by_name_are_those_of_a_list():
    first, second = keras.Input((2,), name="z"), keras.Input((3,), name="a")
    hidden = layers.Concatenate()([layers.Dense(3)(first), layers.Dense(4)(second)])
    network = keras.Model([first, second], layers.Dense(2)(hidden))
    model = make_model(network, anchored=False, prior_scale=1.0)
    as_list = certify(model, ([X[:, :2], X[:, 2:]], Y), **OPTIONS)
    by_name = certify(model, ({"z": X[:, :2], "a": X[:, 2:]}, Y), **OPTIONS)
    assert by_name.randomized_error == as_list.randomized_error
    assert by_name.method == as_list.method


def test_repeats_that_are_independent_draws_can_be_vouched_for(model):
    data = joined((X, Y), (X[:3], Y[:3]))
    assert certify(model, data, allow_repeats=True, **OPTIONS).num_examples == 63
