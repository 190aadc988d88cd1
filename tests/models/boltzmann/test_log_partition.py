"""The normalisation of Boltzmann machines."""

import itertools

import numpy as np
import pytest

from keras_infobottleneck.models import RestrictedBoltzmannMachine
from keras_infobottleneck.models.boltzmann import machine as boltzmann


def machine_of(num_visible, num_hidden, scale=1.0, seed=0):
    machine = RestrictedBoltzmannMachine(num_hidden, seed=1)
    machine.build((None, num_visible))
    rng = np.random.default_rng(seed)
    for weight in (machine.kernel, machine.visible_bias, machine.hidden_bias):
        weight.assign(scale * rng.normal(size=weight.shape))
    return machine


def states(num_units):
    return np.array(list(itertools.product([0, 1], repeat=num_units)), "float32")


@pytest.mark.parametrize(("num_visible", "num_hidden"), [(5, 3), (3, 6), (4, 4)])
def test_enumeration_sums_over_all_states_of_both_sides(num_visible, num_hidden):
    machine = machine_of(num_visible, num_hidden)
    v, h = states(num_visible), states(num_hidden)
    kernel, bias, hidden_bias = (
        w.numpy().astype(float) for w in (machine.kernel, machine.visible_bias, machine.hidden_bias)
    )
    negative_energy = v @ kernel @ h.T + (v @ bias)[:, None] + h @ hidden_bias
    log_z = machine.log_partition()
    assert float(log_z) == pytest.approx(np.log(np.exp(negative_energy).sum()), rel=1e-9)
    assert log_z.standard_error == 0.0


def test_probabilities_of_all_states_add_up_to_one():
    machine = machine_of(8, 15)
    x = states(8)
    log_probability = -machine.free_energy(x).numpy() - float(machine.log_partition())
    assert np.exp(log_probability.astype(float)).sum() == pytest.approx(1.0, rel=1e-5)
    found = machine.log_likelihood(x[:37], batch_size=10)
    assert float(found) == pytest.approx(log_probability[:37].mean(), rel=1e-6)


def test_states_are_enumerated_in_parts_of_any_size(monkeypatch):
    machine = machine_of(7, 9)
    whole = float(machine.log_partition())
    monkeypatch.setattr("keras_infobottleneck.models.boltzmann.log_partition.NUM_STATES", 10)
    assert float(machine.log_partition()) == pytest.approx(whole, rel=1e-12)


@pytest.mark.slow
def test_annealing_agrees_with_enumeration_within_its_error(monkeypatch):
    machine = machine_of(12, 10, scale=0.7)
    exact = float(machine.log_partition())
    monkeypatch.setattr(boltzmann, "MAX_ENUMERATED", 5)
    found = [
        machine.log_partition(num_chains=200, num_temperatures=300, seed=seed) for seed in range(20)
    ]
    values = np.array([float(each) for each in found])
    errors = np.array([each.standard_error for each in found])
    assert abs(values.mean() - exact) < 4 * errors.mean() / np.sqrt(20)
    assert 0.5 < values.std(ddof=1) / np.sqrt(np.mean(errors**2)) < 1.7  # of 20 values
    assert values[0] == float(machine.log_partition(num_chains=200, num_temperatures=300, seed=0))


def test_a_machine_without_weights_is_a_sentence():
    with pytest.raises(ValueError, match=r"must be built.*Received"):
        RestrictedBoltzmannMachine(3).log_partition()
    with pytest.raises(TypeError, match=r"num_chains.*Received: num_chains=2\.5"):
        machine_of(3, 3).log_partition(num_chains=2.5)
