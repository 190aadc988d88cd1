"""The numbers of a report are the estimators' own."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import draw_sample
from tests.support.audited_networks import COUNT, noisy_network


@pytest.fixture(scope="module")
def report(model, data):
    return kib.audit(model, data, examples={"effective": COUNT})


def test_task_is_what_evaluate_says_and_entropies_are_those_of_probabilities(report, model, data):
    loss, accuracy = model.evaluate(*data, verbose=0)
    assert report.task.loss == pytest.approx(loss, rel=1e-5)
    assert report.task.accuracy == pytest.approx(accuracy)
    p = keras.ops.convert_to_numpy(keras.ops.softmax(model(data[0]))).astype(float)
    assert report.task.prediction_entropy == pytest.approx(-np.sum(p * np.log(p), 1).mean())
    share = np.bincount(data[1]) / COUNT
    assert report.task.label_entropy == pytest.approx(-np.sum(share * np.log(share)))
    assert report.task.most_frequent == share.max()
    per_example = -np.log(p[np.arange(COUNT), data[1]])
    error = per_example.std(ddof=1) / np.sqrt(COUNT)
    assert report.task.loss_standard_error == pytest.approx(error, rel=1e-4)


def test_weights_and_curvature_are_the_estimators_own(report, model, data):
    x = data[0]
    fisher = estimators.fisher_information(model, x, labels="expected")
    assert float(report.fisher.trace()) == pytest.approx(float(fisher.trace()), rel=1e-5)
    code = estimators.information_in_weights(model, fisher, beta=1 / COUNT)
    assert report.weights.nats == pytest.approx(code.nats, rel=1e-5)
    assert report.weights.by_variable == pytest.approx(code.by_variable, rel=1e-5)
    curve = estimators.information_curve(model, data, labels="expected")
    np.testing.assert_allclose(report.curve.beta, curve.beta)
    np.testing.assert_allclose(report.curve.nats, curve.nats, rtol=1e-5)
    np.testing.assert_allclose(report.curve.expected_loss, curve.expected_loss, rtol=1e-4)
    logits = estimators.fisher_information(model, x, labels="expected", likelihood="normal").trace()
    assert report.output_derivatives.agrees_with(float(logits))
    excess = {r.name: r.value for r in report.readings}["excess_logdet"]
    assert excess == pytest.approx(np.sum([np.log1p(COUNT * d).sum() for d in fisher.diagonal()]))


def test_layers_are_the_estimators_own(report, model, data):
    x = data[0]
    fisher = estimators.fisher_information(model, x, labels="expected")
    for name in ("first", "second", "logits"):
        felt = estimators.effective_information(model, x, layer=name, fisher=fisher, beta=1 / COUNT)
        ours = report.layers[name].effective
        # In another order of the examples; infinite where a unit is off.
        assert ours.nats == pytest.approx(felt.nats, rel=1e-3)
    for name, threshold in (("first", 0.0), ("second", report.layers["second"].threshold)):
        states = estimators.hidden_states(model, x, name, threshold=threshold)
        point = estimators.resolution_relevance(states)
        assert dataclasses.astuple(report.layers[name].relevance) == pytest.approx(
            dataclasses.astuple(point)
        )
    z = keras.Model(model.inputs, model.get_layer("second").output)(x).numpy()
    assert 0 < z.min() < report.layers["second"].threshold == np.median(z)  # a sigmoid is never 0
    correlation = estimators.total_correlation(z)
    assert report.layers["second"].total_correlation.nats == pytest.approx(correlation.nats)
    hull = estimators.maximum_relevance_curve(COUNT)
    np.testing.assert_array_equal(report.maximum_relevance.relevance, hull.relevance)


def test_complexity_is_the_estimators_own(report, model):
    ours, theirs = report.complexity, estimators.quantized_complexity(model)
    assert (ours.total_bits, ours.ratio) == (theirs.total_bits, theirs.ratio)
    kinds = ("within_rows", "within_columns", "renumbered")
    theirs = estimators.quantized_complexity(model, rearrangements=kinds).rearranged
    assert {kind: each.value for kind, each in ours.rearranged.items()} == {
        kind: each.value for kind, each in theirs.items()
    }
    (ratio,) = [r for r in report.readings if r.name == "complexity_ratio" and not r.where]
    spread = np.hypot(ours.shuffled_ratio_std, theirs["renumbered"].std)
    assert ratio.standard_error == pytest.approx(spread)
    noise = abs(ours.shuffled_ratio - 1) <= max(0.015, 2 * spread)
    assert ("not arranged" in report.verdicts()["complexity"].statement) == noise


def test_fisher_of_a_few_examples_is_priced_by_all_of_them(model, data):
    counts = {"fisher": 20}
    report = kib.audit(model, data, include=["weights"], examples=counts, seed=3)
    largest = kib.audit(model, data, dry_run=True).examples["task"]
    chosen = draw_sample(Batches(data), largest, 3).indices[:20]
    fisher = estimators.fisher_information(model, data[0][chosen], labels="expected")
    code = estimators.information_in_weights(model, fisher, beta=1 / COUNT)
    assert report.weights.nats == pytest.approx(code.nats, rel=1e-5)
    assert report.weights.nats_per_example == pytest.approx(code.nats / COUNT, rel=1e-5)
    assert (report.weights.beta, report.examples) == (1 / COUNT, {"fisher": 20})


def test_a_part_of_the_training_set_is_priced_by_its_whole_size(model, data):
    report = kib.audit(model, data, include=["weights"], num_examples=1000)
    code = estimators.information_in_weights(model, report_fisher(model, data), beta=1e-3)
    assert report.weights.nats == pytest.approx(code.nats, rel=1e-5)
    assert report.weights.nats_per_example == pytest.approx(code.nats / 1000, rel=1e-5)


def report_fisher(model, data):
    return estimators.fisher_information(model, data[0], labels="expected")


def test_a_seed_decides_everything_however_the_data_come(model, data):
    class Sequence(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return tuple(a[15 * index : 15 * index + 15] for a in data)

    options = {"include": ["task", "fisher", "relevance"], "seed": 5}
    options["examples"] = {"task": 40, "fisher": 20, "relevance": 30}
    kinds = [data, data, tf.data.Dataset.from_tensor_slices(data).batch(13), Sequence()]
    found = [kib.audit(model, kind, **options).to_dict() for kind in kinds]
    assert found[0] == found[1] == found[2] == found[3]
    other = kib.audit(model, data, **{**options, "seed": 6}).to_dict()
    assert other["task"]["loss"] != found[0]["task"]["loss"]


def test_sample_is_uniform_and_in_random_order():
    parts = [(np.arange(start, min(start + 7, 20)), ()) for start in (0, 7, 14)]

    class Stream:
        num_examples = None

        def parts(self):
            return parts

    hits = np.zeros([20, 2])
    for seed in range(600):
        sample = draw_sample(Stream(), 5, seed)
        np.testing.assert_array_equal(sample.x, sample.indices)
        assert len(set(sample.indices)) == 5
        hits[sample.indices, 0] += 1
        hits[sample.first(1).indices, 1] += 1
    for column, expected in zip(hits.T, (150, 30), strict=True):
        assert np.sum((column - expected) ** 2 / expected) < 43.8  # chi squared, 19 dof, p = 0.001


def test_nuisance_goes_with_its_examples(data):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4)).astype("float32")
    nuisance = x[:, 0] > 0
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="z", use_bias=False)])
    model.add(keras.layers.Dense(1))
    model.layers[0].set_weights([np.eye(4)])
    report = kib.audit(model, x, include=["nuisance"], nuisance=nuisance, likelihood="normal")
    told = report.layers["z"].nuisance
    assert told.nats - told.null > 0.4  # log 2 = 0.69
    assert told.num_examples == 150


def test_noisy_layers_are_reported_as_they_pay(data):
    model = noisy_network()
    report = kib.audit(model, data, include=["activations", "fisher"])
    layer = model.get_layer("noisy")
    nats = layer.information(data[0]).numpy()
    paid = report.layers["noisy"].activations
    assert paid.nats == pytest.approx(nats.sum(1).mean(), rel=1e-5)
    np.testing.assert_allclose(paid.by_unit, nats.mean(0), rtol=1e-5)
    assert paid.beta == pytest.approx(0.1)
    logs = model.evaluate(*data, verbose=0, return_dict=True)
    assert paid.nats == pytest.approx(logs["noisy_information"], rel=1e-5)
    measured = {path.split("/")[-2] for path in report.fisher.variables}
    assert not any("alpha" in name for name in measured)  # predictions do not depend on it


def test_weights_with_noise_are_reported_as_they_pay(data):
    inputs = keras.Input((6,))
    hidden = kib.layers.VariationalWeights(keras.layers.Dense(7, "relu"), name="hidden")(inputs)
    outputs = kib.layers.VariationalWeights(keras.layers.Dense(3), name="out")(hidden)
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=80, weight_beta=0.5)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    report = kib.audit(model, data)
    assert report.weights.by_variable == model.weight_information(by_layer=True)
    assert report.weights.nats_per_example == report.weights.nats / 80
    assert report.weights.beta == 0.5 / 80
    assert report.curve is None
    sizes = [variable.size for variable in report.fisher.diagonal()]
    assert sum(sizes) == 6 * 7 + 7 + 7 * 3 + 3  # no scales of noise
    for threshold, kept, accuracy in zip(
        report.pruning.thresholds, report.pruning.kept, report.pruning.accuracy, strict=True
    ):
        ratios = [r for layer in model.layers[1:] for r in layer.signal_to_noise().values()]
        assert kept == np.mean(np.concatenate([np.ravel(r) for r in ratios]) >= threshold)
        pruned = kib.make_deterministic(model, prune_below=float(threshold))
        right = np.argmax(pruned(data[0]), 1) == data[1]
        assert accuracy == pytest.approx(right.mean())


def test_weights_without_a_price_are_reported_as_they_are(data):
    layer = kib.layers.VariationalWeights(keras.layers.Dense(3))
    network = keras.Sequential([keras.Input((6,)), layer])
    model = kib.InformationBottleneckModel(network, num_examples=80, weight_beta=0.0)
    report = kib.audit(model, data, include=["weights"])
    assert report.weights.nats == float(model.weight_information()) > 0
    (reason,) = [o.reason for o in report.omissions if o.where == "price of a nat"]
    assert "`weight_beta` is 0" in reason
    assert "at a price of 0" in report.table()


def test_every_part_has_numbers_or_a_reason(report):
    for part in (part.name for part in PARTS):
        measured = any(reading.part == part for reading in report.readings)
        omitted = any(omission.part == part for omission in report.omissions)
        assert measured or omitted, part
    assert [(o.part, o.where) for o in report.omissions] == [
        ("activations", "all"),
        ("nuisance", "all"),
        ("layers", "dropout"),
        ("weights", "drawn code"),
    ]
    assert "better than a guess" in report.omissions[-1].reason
    known = {measure.name for part in PARTS for measure in part.measures}
    assert {reading.name for reading in report.readings} <= known


def test_a_code_that_loses_the_network_does_not_head_the_report():
    # A sure classifier of few examples: at 1/N the code's noise passes the loss of guessing.
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = (rng.normal(size=(40, 6)) + 3.0 * y[:, None]).astype("float32")
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(x, y, epochs=60, batch_size=40, verbose=0)
    report = kib.audit(model, (x, y), include=("task", "fisher", "weights"))
    drawn = report.others["drawn_code"]
    assert drawn.excess_loss_at_full_price > drawn.loss_of_guessing - report.task.loss
    assert drawn.beta < report.weights.beta
    assert report.task.loss + drawn.excess_loss < drawn.loss_of_guessing
    at_that_price = kib.estimators.information_in_weights(model, report.fisher, beta=drawn.beta)
    assert drawn.nats == at_that_price.nats
    heads = [reading.name for reading in report.readings if reading.part == "weights"]
    assert heads[0] == "working_code"
    assert "loses the network" in report.table()


def test_labels_of_one_class_hold_zero_nats_without_a_sign():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    data = np.ones((4, 2), "float32"), np.zeros(4, int)
    report = kib.audit(model, data, include=("task",), likelihood="categorical")
    assert str(report.task.label_entropy) == "0.0"
