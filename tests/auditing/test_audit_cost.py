"""A dry run tells what an audit will take, and the audit keeps to it."""

import math
import time

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.auditing import auditor, cost, drawn_code
from keras_infobottleneck.auditing import plan as planning
from keras_infobottleneck.auditing.parts.effective import MAX_NUMBERS, Effective
from keras_infobottleneck.auditing.plan import AuditPlan
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.auditing.subject import (
    SHARE_IN_LOOP,
    SHARE_OF_PRODUCT,
    Subject,
    backward_work,
)
from keras_infobottleneck.introspection import compiled_passes
from tests.support.audited_networks import network

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(1500, 6)).astype("float32")
DATA = X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
OPTIONS = {"examples": {"effective": 200, "activations": 100}}


@pytest.fixture
def trials(monkeypatch):
    """Trials, timed in processor time, of which other work on the machine takes none."""
    monkeypatch.setattr(auditor, "with_costs", cost.with_costs)
    monkeypatch.setattr(planning.time, "perf_counter", time.process_time)


def recorded(monkeypatch, model, data, **options):
    """Seconds that an audit takes, by part."""
    taken = {}

    def recording(*arguments):
        for (part, _), seconds in planning.measure(*arguments).items():
            taken[part] = taken.get(part, 0.0) + seconds

    monkeypatch.setattr(auditor, "measure", recording)
    kib.audit(model, data, **options)
    return taken


def convolutional():
    """Eleven layers, of which most have places."""
    keras.utils.set_random_seed(0)
    blocks = [
        block
        for _ in range(3)
        for block in (
            layers.Conv2D(6, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
        )
    ]
    model = keras.Sequential(
        [keras.Input((12, 12, 1)), *blocks, layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


IMAGES = RNG.normal(size=(1000, 12, 12, 1)).astype("float32"), RNG.integers(0, 3, 1000)


def test_a_dry_run_tells_seconds_within_a_factor_of_two(trials, monkeypatch, capsys):
    plan = kib.audit(network(), DATA, dry_run=True, **OPTIONS)
    assert f"in all: about {plan.seconds:,.2g} s" in capsys.readouterr().out
    assert plan.costs.keys() == plan.titles.keys()
    # Another network, for which nothing was compiled.
    taken = recorded(monkeypatch, network(), DATA, **OPTIONS)
    assert taken.keys() == plan.costs.keys()
    assert plan.seconds / 2 < sum(taken.values()) < plan.seconds * 2


@pytest.mark.slow
def test_a_dry_run_of_a_convolutional_network_is_cheap_and_right(trials, monkeypatch):
    start = time.process_time()
    plan = kib.audit(convolutional(), IMAGES, dry_run=True)
    spent = time.process_time() - start
    taken = sum(recorded(monkeypatch, convolutional(), IMAGES).values())
    assert plan.seconds / 2 < taken < plan.seconds * 2
    assert spent < taken / 2


def test_activations_are_recorded_batch_by_batch(trials, monkeypatch):
    """A second a batch of 128 examples, of whatever size: 2,000 examples are 16 batches."""
    model = network()
    data = RNG.normal(size=(2000, 6)).astype("float32"), RNG.integers(0, 3, 2000)
    clock = [0.0]
    monkeypatch.setattr(cost.time, "perf_counter", lambda: clock[0])

    def passes(model, layers, sample, seed):
        clock[0] += math.ceil(sample.size / 128)
        raise ValueError("the numbers are not wanted")

    monkeypatch.setattr(cost, "taken_of_layers", passes)
    options = {"include": ["total_correlation"], "dry_run": True}
    plan = kib.audit(model, data, **options)
    assert plan.costs["total_correlation"].seconds == pytest.approx(16.0, abs=0.5)


def informed(num_groups=66, per_group=3):
    """A network that tells an example's label up to one of a group, and examples of many labels.

    Of few examples nearly every one has a label of its own: a guess that knows how frequent these
    few are seems as good as the network.
    """
    inputs = keras.Input((num_groups,))
    outputs = layers.Dense(num_groups * per_group, use_bias=False, name="out")(inputs)
    model = keras.Model(inputs, outputs)
    model.layers[-1].set_weights([30 * np.tile(np.eye(num_groups), per_group)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = RNG.integers(0, num_groups * per_group, 1000)
    return model, (np.eye(num_groups, dtype="float32")[labels % num_groups], labels)


@pytest.mark.parametrize(("adds", "num_prices"), [(0.0, 1), (math.inf, 4)])
def test_prices_at_which_the_code_is_drawn_are_foretold(trials, monkeypatch, adds, num_prices):
    """A second for each example and price, of noise that loses the network or does not."""
    clock, draws = [0.0], []

    def drawn_excess_loss(model, data, fisher, **options):
        clock[0] += len(data[0])
        draws.append(len(data[0]))
        assert options["batch_size"] == 64  # what the dry run compiles serves the audit
        return kib.estimators.Estimate(adds, 0.0)

    for module in (cost, planning):
        monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(drawn_code, "drawn_excess_loss", drawn_excess_loss)
    model, data = informed(3, 66)
    options = {"include": ["task", "fisher", "weights"]}
    plan = kib.audit(model, data, dry_run=True, **options)
    assert draws == num_prices * [64] + num_prices * [64] + num_prices * [128]
    draws.clear()
    taken = recorded(monkeypatch, model, data, **options)
    assert draws == num_prices * [1000]
    assert taken["weights"] == plan.costs["weights"].seconds == num_prices * 1000


def test_a_network_that_knows_nothing_is_foretold_no_draws(trials, monkeypatch):
    model, data = informed(3, 66)
    model.layers[-1].set_weights([np.zeros((3, 198))])
    monkeypatch.setattr(drawn_code, "drawn_excess_loss", None)  # not called
    plan = kib.audit(model, data, dry_run=True, include=["task", "fisher", "weights"])
    assert plan.costs["weights"].seconds > 0


def test_passes_that_are_not_compiled_are_foretold_batch_by_batch(trials, monkeypatch):
    """A second for each call of the network, whatever its batch."""
    clock = [0.0]

    class Slow(keras.layers.Layer):
        def call(self, x):
            clock[0] += 1.0
            return x

    for module in (cost, planning):
        monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    model = keras.Sequential([keras.Input((6,)), Slow(), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    foretold = kib.audit(model, DATA, dry_run=True, include=["task"]).seconds
    taken = recorded(monkeypatch, model, DATA, include=["task"])["task"]
    assert taken == math.ceil(1500 / 128)
    assert taken <= foretold <= 2 * taken


def test_an_audit_takes_up_the_passes_that_the_dry_run_traced(trials, monkeypatch):
    model, made = network(), []
    options = {"include": ["fisher"], "examples": {"fisher": 300}}
    kib.audit(model, DATA, dry_run=True, **options)
    sums = compiled_passes.CompiledSum

    class Counted(sums):
        def __init__(self, of_batch):
            made.append(of_batch)
            super().__init__(of_batch)

    monkeypatch.setattr("keras_infobottleneck.estimators.fisher.measurement.CompiledSum", Counted)
    kib.audit(model, DATA, **options)
    assert not made
    kib.audit(network(), DATA, **options)
    assert made, "of another model they are traced"


def test_a_dry_run_tells_the_bytes_of_the_examples_and_disturbs_nothing(trials):
    model = network()
    before = model.get_weights()
    plan = kib.audit(model, DATA, include=["task", "total_correlation"], dry_run=True)
    assert plan.sample_bytes == 1500 * (6 * 4 + 8)
    # Activations of 1,500 examples of eight units, twice in four bytes.
    assert plan.costs["total_correlation"].bytes == 2 * 4 * 1500 * 8
    assert plan.bytes == plan.sample_bytes + plan.costs["total_correlation"].bytes
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("count", [3, 4, 9])
def test_trials_of_few_examples_take_what_there_is(trials, count):
    data = tuple(a[:count] for a in DATA)
    plan = kib.audit(network(), data, include=["task", "relevance"], dry_run=True)
    assert all(cost.seconds > 0 for cost in plan.costs.values())


def test_seconds_follow_a_straight_line_after_what_comes_once():
    # 3 s of compilation, 0.5 s a call, 0.1 s a unit of work.
    trials = cost.Trials(3 + 0.5 + 1.0, 0.5 + 1.0, 0.5 + 2.0, 10, 20)
    assert trials.once == pytest.approx(3.0)
    assert trials.seconds(1000) == pytest.approx(100.5)
    alone = cost.Trials(4.0, 1.0, 1.0, 5, 5)  # as many as there are
    assert alone.seconds(10) == pytest.approx(2.0)


def test_a_kernel_counts_at_every_place_and_time_step():
    image = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(3, 3, padding="same")])
    assert backward_work(image) == pytest.approx(SHARE_OF_PRODUCT * 3 * 3 * 2 * 3 * 64)
    first = layers.Conv2D(3, 3, padding="same", data_format="channels_first")
    assert backward_work(keras.Sequential([keras.Input((2, 8, 8)), first])) == backward_work(image)
    text = keras.Sequential([keras.Input((11,)), layers.Embedding(50, 4), layers.LSTM(5)])
    assert backward_work(text) == pytest.approx(SHARE_IN_LOOP * 11 * (4 + 5) * 4 * 5)
    both = keras.Sequential([keras.Input((7, 4)), layers.Bidirectional(layers.GRU(5))])
    kernels = 7 * (4 + 5) * 3 * 5
    biases = 7 * 2 * 3 * 5  # of input and state, in one array
    assert backward_work(both) == pytest.approx(SHARE_IN_LOOP * 2 * (kernels + biases))
    cells = layers.StackedRNNCells([layers.GRUCell(5)])
    stack = keras.Sequential([keras.Input((7, 4)), layers.RNN(cells)])
    assert backward_work(stack) == pytest.approx(kernels + biases)  # it has no rule
    flat = keras.Sequential([keras.Input((6,)), layers.Dense(5)])
    assert backward_work(flat) == pytest.approx(SHARE_OF_PRODUCT * 30)


def test_the_plan_takes_recurrent_layers_with_a_rule_and_leaves_out_others():
    """64 units over 40 steps: 0.08 s an example by the rule, a second without one."""
    model = keras.Sequential([keras.Input((40, 36)), layers.LSTM(64), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    subject = Subject.of(model, None, False, None)
    recurrent = next(layer for layer in subject.layers if "lstm" in layer.name)
    assert Effective().reason_to_omit_layer(subject, recurrent, 50) is None
    cells = layers.StackedRNNCells([layers.LSTMCell(64)])
    model = keras.Sequential([keras.Input((40, 36)), layers.RNN(cells, name="stack")])
    model.compile("sgd", "mse")
    subject = Subject.of(model, None, False, None)
    (stack,) = subject.layers
    assert 50 * stack.num_units * stack.num_weights < MAX_NUMBERS
    assert Effective().reason_to_omit_layer(subject, stack, 50)
    assert Effective().reason_to_omit_layer(subject, stack, 5) is None


def test_of_layers_that_take_too_long_together_those_of_most_work_are_left_out(monkeypatch):
    subject = Subject.of(network(), None, False, None)
    options = {"include": ["effective"], "counts": {"effective": 50, "fisher": 100}}
    plan = AuditPlan.of(subject, PARTS, **options)
    works = {layer.name: Effective().work(layer, 50) for layer in plan.taken["effective"]}
    dearest = max(works, key=lambda name: works[name])
    monkeypatch.setattr(Effective, "most_work", sum(works.values()) - 1)
    less = AuditPlan.of(subject, PARTS, **options)
    assert {layer.name for layer in less.taken["effective"]} == works.keys() - {dearest}
    (omission,) = [each for each in less.omissions if each.where == dearest]
    assert "together" in omission.reason
