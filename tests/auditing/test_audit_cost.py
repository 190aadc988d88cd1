"""A dry run tells what an audit will take, and the audit keeps to it."""

import math
import time

import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.auditing import auditor, cost, measuring
from keras_infobottleneck.auditing.registration import PARTS
from tests.support.audited_networks import network

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1500, 6)).astype("float32")
DATA = X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
OPTIONS = {"examples": {"effective": 200, "activations": 100}}


@pytest.fixture
def trials(monkeypatch):
    """Trials, timed in processor time, of which other work on the machine takes none."""
    monkeypatch.setattr(auditor, "with_costs", cost.with_costs)
    monkeypatch.setattr(measuring.time, "perf_counter", time.process_time)


def test_a_dry_run_tells_seconds_within_a_factor_of_two(trials, monkeypatch, capsys):
    plan = kib.audit(network(), DATA, dry_run=True, **OPTIONS)
    assert f"in all: about {plan.seconds:,.2g} s" in capsys.readouterr().out
    assert plan.costs.keys() == plan.titles.keys()
    taken = {}

    def recording(*arguments):
        taken.update(measuring.measure(*arguments))

    monkeypatch.setattr(auditor, "measure", recording)
    kib.audit(network(), DATA, **OPTIONS)  # another network, for which nothing was compiled
    assert taken.keys() == plan.costs.keys()
    assert plan.seconds / 2 < sum(taken.values()) < plan.seconds * 2


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


def test_trials_have_other_sizes_than_the_audit():
    plan = kib.audit(network(), DATA, dry_run=True, **OPTIONS)
    small, large = cost.trial_sizes(plan, PARTS, 1500)
    for part, count in plan.examples.items():
        assert 2 <= small[part] < large[part] < min(count, 1500)
    assert small["total_correlation"] >= 8 + 2  # not fewer examples than units
    assert math.isnan(plan.seconds)  # without trials nothing is foretold


@pytest.mark.parametrize("count", [3, 4, 9])
def test_trials_of_few_examples_take_what_there_is(trials, count):
    data = tuple(a[:count] for a in DATA)
    plan = kib.audit(network(), data, include=["task", "relevance"], dry_run=True)
    assert all(cost.seconds > 0 for cost in plan.costs.values())
