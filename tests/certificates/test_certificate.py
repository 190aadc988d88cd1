"""Certificates: by hand where that can be, and true as often as they say."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.certified_networks import (
    OPTIONS,
    RANDOM,
    X_PRIOR,
    Y_PRIOR,
    X,
    Y,
    joined,
    make_model,
)

certify = kib.estimators.certify


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


def test_the_test_set_bound_beside_it_is_of_the_network_that_never_saw_the_examples(
    model, certificate
):
    c = certificate
    anchored = kib.make_deterministic(make_model())
    for old, layer in zip(anchored.layers, model.variational_layers, strict=True):
        pairs = layer.at_prior()
        old.set_weights([mean for _, mean in pairs[: len(pairs) // 2]])
    errors = int(np.sum(anchored.predict(X, verbose=0).argmax(-1) != Y))
    assert c.prior_mean_error == errors / 60
    assert c.prior_mean_error != c.mean_error
    assert c.test_set_bound == kib.estimators.test_set_bound(errors, 60, 0.035)
    assert "tighter than the test-set bound" in c.comparison
    assert c.comparison in repr(c)
    assert str(c).splitlines()[-1].strip() == c.comparison  # a statement on each line
    required = [f.name for f in dataclasses.fields(c) if f.default is dataclasses.MISSING]
    old = {name: getattr(c, name) for name in required}
    assert type(c)(**old).test_set_bound is None  # as results of 0.1.0 were written
    assert "test_set_bound" not in type(c)(**old).numbers()


def test_bounds_by_reference_are_those_of_the_formulas_from_what_the_networks_get_wrong():
    # Two layers, a posterior and a prior so narrow that every draw is the mean.
    model = make_model(initial_scale=1e-6)
    model.variational_layers[1].layer.kernel.assign_add(RANDOM.normal(size=(6, 2)))
    c = certify(model, (X, Y), **OPTIONS)
    wrong = model.predict(X, verbose=0).argmax(-1) != Y
    at_prior = [pair for layer in model.variational_layers for pair in layer.at_prior()]
    with keras.StatelessScope(at_prior):
        reference = model(X, training=False).numpy().argmax(-1) != Y
    worse, better = np.mean(wrong & ~reference), np.mean(~wrong & reference)
    assert worse > 0 or better > 0
    e = kib.estimators

    def upper(mean, parts):
        return e.monte_carlo_bound(mean, 180, 0.01 / parts)

    excess = e.excess_loss_bound(upper(worse, 2), 1 - upper(1 - better, 2), c.kl, 60, 0.0125)
    errors = int(reference.sum())
    first = e.test_set_bound(errors, 60, 0.0125)
    assert c.excess_error_bound == pytest.approx(min(first + excess, 1.0), abs=1e-8)
    shares = upper(wrong.mean(), 3), upper(worse, 3), 1 - upper(1 - better, 3)
    expected = e.recursive_bound(first, *shares, c.kl, 60, 0.0125)
    assert c.recursive_error_bound == pytest.approx(expected, abs=1e-8)


def test_draws_of_a_prior_that_examples_share_give_no_recursive_bound():
    model = make_model(estimator="sample")
    shared = certify(model, (X, Y), examples_per_draw=4, **OPTIONS)
    assert shared.recursive_error_bound is None
    assert 0.0 < shared.excess_error_bound <= 1.0
    alone = certify(model, (X, Y), from_logits=True, seed=0)
    assert alone.randomized_error < alone.recursive_error_bound <= 1.0
    assert alone.prior_mean_error == shared.prior_mean_error
    assert alone.num_samples == 10  # drawn weights are dear


def test_draws_are_many_where_they_are_cheap(model):
    assert certify(model, (X, Y), from_logits=True).num_samples == 100


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


def test_the_data_are_read_once(model):
    reads = []

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            reads.append(index)
            return X[index * 15 : index * 15 + 15], Y[index * 15 : index * 15 + 15]

    certify(model, Batches(), **OPTIONS)
    assert reads == [0, *range(4)]  # first a look at how an example is shaped


@pytest.mark.slow
def test_every_bit_of_the_seed_counts(model):
    def observed(seed):
        c = certify(model, (X, Y), **{**OPTIONS, "seed": seed})
        return c.randomized_cross_entropy

    seeds = [5, 5 + 2**32, 5 + 2**63, 2**64 - 1]
    assert len({observed(seed) for seed in seeds}) == len(seeds)
    assert observed(np.uint64(seeds[-1])) == observed(seeds[-1])


def noisy_network(prior, activation, alpha_layer=None):
    """Noise on weights and activations, priors fixed before the data."""
    options = {"prior_scale": 1.0, "variational_bias": True}
    hidden = kib.layers.VariationalWeights(layers.Dense(6, activation), **options)
    hidden = kib.layers.InformationDropout(hidden, 0.1, prior=prior, alpha_layer=alpha_layer)
    head = kib.layers.VariationalWeights(layers.Dense(2), **options)
    return keras.Sequential([keras.Input((5,)), hidden, head])


@pytest.mark.parametrize(
    ("prior", "activation"), [("log_uniform", "relu"), ("log_normal", "softplus")]
)
def test_what_activations_cost_may_learn_since_no_prediction_reads_it(prior, activation):
    network = noisy_network(prior, activation)
    dropout = network.layers[0]

    def predictions(x):
        with kib.layers.drawing([1, 2], activations=False):
            return network(x), network(x, training=False)

    traced = tf.function(predictions).get_concrete_function(tf.TensorSpec([None, 5]))
    read = {id(variable) for variable in traced.graph.variables}
    priced = dropout.pricing_weights
    assert len(priced) == (1 if prior == "log_uniform" else 3)
    assert not read & {id(weight.value) for weight in priced}
    assert read & {id(weight.value) for weight in network.weights}
    model = kib.InformationBottleneckModel(network, num_examples=60)
    found = certify(model, (X, Y), **OPTIONS)
    # The layer of alpha has a posterior too, and is paid for.
    assert found.kl == pytest.approx(float(model.weight_information()), rel=1e-5)
    assert len(model.variational_layers) == 3
    for weight in priced:
        weight.assign_add(0.5)
    assert certify(model, (X, Y), **OPTIONS) == found


def test_a_layer_of_alpha_without_a_distribution_is_refused():
    network = noisy_network("log_uniform", "relu", layers.Dense(6, name="alpha"))
    model = kib.InformationBottleneckModel(network, num_examples=60)
    with pytest.raises(
        ValueError,
        match=r"the divergence does not include.*: [^,]*/alpha/kernel, [^,]*/alpha/bias$",
    ):
        certify(model, (X, Y), **OPTIONS)


def test_it_survives_the_file_of_the_model(model, certificate, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = certify(loaded, (X, Y), **OPTIONS)
    assert again.error_bound == certificate.error_bound
    with pytest.raises(
        ValueError, match=r"not hold examples on which the prior depends.* 20 of 20"
    ):
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
    with pytest.raises(ValueError, match=r"weights without a posterior.* [^,]*/bias$"):
        certify(model, (X, Y), **OPTIONS)


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
