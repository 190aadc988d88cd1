import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.models import RestrictedBoltzmannMachine
from keras_infobottleneck.models.boltzmann import machine as boltzmann
from keras_infobottleneck.models.boltzmann.bernoulli import bernoulli


def all_states(num_units):
    return np.array(list(itertools.product([0, 1], repeat=num_units)), "float32")


def energies(machine):
    """Energy of every visible with every hidden state, by the definition."""
    kernel, visible_bias, hidden_bias = (
        weight.numpy().astype(float)
        for weight in (machine.kernel, machine.visible_bias, machine.hidden_bias)
    )
    v, h = all_states(len(visible_bias)), all_states(len(hidden_bias))
    return -(v @ kernel @ h.T + (v @ visible_bias)[:, None] + h @ hidden_bias)


def visible_law(machine):
    """Exact probability of every visible state."""
    weight = np.exp(-energies(machine)).sum(axis=1)
    return weight / weight.sum()


def machine_with_weights(num_visible=4, num_hidden=3, **options):
    machine = RestrictedBoltzmannMachine(num_hidden, seed=1, **options)
    machine.build((None, num_visible))
    rng = np.random.default_rng(0)
    for weight in (machine.kernel, machine.visible_bias, machine.hidden_bias):
        weight.assign(rng.normal(size=weight.shape))
    return machine


@pytest.fixture
def bars():
    """Data on a few of the 2^6 states, in two groups that flip together."""
    rng = np.random.default_rng(0)
    groups = rng.integers(2, size=(2000, 2))
    x = np.repeat(groups, 3, axis=1)
    return (x ^ (rng.random(x.shape) < 0.05)).astype("float32")


def test_free_energy_sums_over_the_hidden_states():
    machine = machine_with_weights()
    expected = -np.log(np.exp(-energies(machine)).sum(axis=1))
    np.testing.assert_allclose(machine.free_energy(all_states(4)), expected, rtol=1e-5)


def test_output_is_the_conditional_law_of_the_hidden_units():
    machine = machine_with_weights()
    joint = np.exp(-energies(machine))
    expected = joint @ all_states(3) / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(machine(all_states(4)), expected, rtol=1e-5)
    np.testing.assert_array_equal(machine.hidden_states(all_states(4)), expected > 0.5)


def test_gibbs_steps_reach_the_exact_law():
    machine = machine_with_weights()
    num_chains = 20_000
    visible = machine.generate(np.zeros((num_chains, 3)), num_steps=60)
    law = visible_law(machine)
    mean = law @ all_states(4)
    spread = visible.std(axis=0) / np.sqrt(num_chains)
    assert np.all(np.abs(visible.mean(axis=0) - mean) < 4 * spread)
    drawn = machine._bernoulli(tf.constant(visible), 5).numpy() @ [8, 4, 2, 1]
    frequency = np.bincount(drawn.astype(int), minlength=16) / num_chains
    assert np.all(np.abs(frequency - law) < 4.5 * np.sqrt(law / num_chains))


def test_sampled_states_have_the_conditional_probability():
    machine = machine_with_weights()
    x = np.repeat(all_states(4)[[5]], 40_000, axis=0)
    states = machine.hidden_states(x, sample=True)
    probability = machine(x[:1]).numpy()[0]
    error = np.sqrt(probability * (1 - probability) / len(x))
    assert np.all(np.abs(states.mean(axis=0) - probability) < 4 * error)
    again = machine.hidden_states(x, sample=True)
    assert np.any(states != again)


@pytest.mark.parametrize("persistent", [False, True])
def test_expected_step_follows_the_gradient_of_the_free_energy_contrast(persistent):
    machine = machine_with_weights(persistent=persistent, num_chains=20_000, num_steps=20)
    x = np.repeat(all_states(4)[[3, 5, 14]], 7000, axis=0)
    weights = [machine.kernel, machine.visible_bias, machine.hidden_bias]
    before = [weight.numpy() for weight in weights]
    with tf.GradientTape() as tape:
        free = machine.free_energy(all_states(4))
        law = tf.constant(visible_law(machine), tf.float32)
        likelihood = tf.reduce_mean(tf.gather(free, [3, 5, 14])) - tf.reduce_sum(law * free)
    gradients = tape.gradient(likelihood, [weight.value for weight in weights])
    machine.compile(keras.optimizers.SGD(1.0))
    machine.fit(x, batch_size=len(x), epochs=1, verbose=0)
    # After 20 Gibbs steps 2e4 samples are nearly from the model: error 0.5 / sqrt(2e4) each.
    for old, weight, gradient in zip(before, weights, gradients, strict=True):
        np.testing.assert_allclose(weight.numpy(), old - gradient, atol=4 * 0.5 / np.sqrt(2e4))


@pytest.mark.parametrize(("persistent", "jit_compile"), [(False, True), (True, False)])
@pytest.mark.slow
def test_training_brings_the_model_close_to_the_data(bars, persistent, jit_compile):
    machine = RestrictedBoltzmannMachine(8, persistent=persistent, num_chains=500, seed=0)
    machine.compile(keras.optimizers.SGD(0.2), jit_compile=jit_compile)
    history = machine.fit(bars, batch_size=100, epochs=40, verbose=0).history
    law = np.bincount((bars @ 2 ** np.arange(5, -1, -1)).astype(int), minlength=64) / len(bars)
    present = law > 0
    divergence = np.sum(law[present] * np.log(law[present] / visible_law(machine)[present]))
    independent = np.sum(law[present] * np.log(law[present] * 64))
    assert divergence < 0.2 * independent
    assert history["reconstruction_error"][-1] < 0.5 * history["reconstruction_error"][0]


def test_logs_are_what_they_say(bars):
    train, held = bars[:1000], bars[1000:]
    machine = RestrictedBoltzmannMachine(4, seed=0)
    machine.compile(keras.optimizers.SGD(0.0))
    history = machine.fit(train, validation_data=held, batch_size=300, epochs=1, verbose=0).history
    free = [machine.free_energy(part).numpy().mean() for part in (train, held)]
    kernel, bias = machine.kernel.numpy(), machine.visible_bias.numpy()
    reconstruction = 1 / (1 + np.exp(-machine(held).numpy() @ kernel.T - bias))
    assert history["free_energy"][0] == pytest.approx(free[0], rel=1e-4)
    assert history["val_free_energy"][0] == pytest.approx(free[1], rel=1e-4)
    assert history["val_free_energy_gap"][0] == pytest.approx(free[1] - free[0], abs=1e-4)
    assert history["val_reconstruction_error"][0] == pytest.approx(
        np.mean((held - reconstruction) ** 2), rel=1e-4
    )
    assert abs(history["contrast"][0]) < 0.1  # nearly uniform machine: data and samples alike


def test_logged_energy_is_that_of_the_weights_before_the_step(bars):
    machine = machine_with_weights(num_visible=6)
    before = machine.free_energy(bars).numpy().mean()
    machine.compile(keras.optimizers.SGD(1.0))
    history = machine.fit(bars, batch_size=len(bars), epochs=1, verbose=0).history
    assert history["free_energy"][0] == pytest.approx(before, rel=1e-5)


def test_a_saved_machine_continues_as_if_undisturbed(bars, tmp_path):
    def machine():
        machine = RestrictedBoltzmannMachine(5, persistent=True, seed=3)
        machine.compile(keras.optimizers.SGD(0.1, momentum=0.5))
        return machine

    options = {"batch_size": 200, "shuffle": False, "verbose": 0}
    whole = machine()
    whole.fit(bars, epochs=4, **options)
    first = machine()
    first.fit(bars, epochs=2, **options)
    first.save(tmp_path / "machine.keras")
    second = keras.models.load_model(tmp_path / "machine.keras")
    second.fit(bars, epochs=2, **options)
    np.testing.assert_allclose(second.kernel, whole.kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(second.chains, whole.chains)
    np.testing.assert_allclose(second(bars), whole(bars), rtol=1e-5)


def test_no_two_draws_have_the_same_seed(bars, monkeypatch):
    """Neither those of training, nor those between its steps."""
    seeds = []

    def remembering(probability, seed, first_row):
        seeds.append(tuple(seed.numpy()))
        return bernoulli(probability, seed, first_row)

    monkeypatch.setattr(boltzmann, "bernoulli", remembering)
    machine = RestrictedBoltzmannMachine(3, num_steps=2, seed=0)
    machine.compile("sgd", run_eagerly=True)
    tf.config.run_functions_eagerly(True)
    try:
        for _ in range(2):
            machine.fit(bars[:20], batch_size=10, verbose=0)
            states = machine.hidden_states(bars[:10], sample=True)
            machine.generate(states, num_steps=2)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(set(seeds)) == len(seeds) > 20


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_other_precisions_train(bars, dtype):
    machine = RestrictedBoltzmannMachine(3, seed=0, dtype=dtype)
    machine.compile("sgd")
    logs = machine.fit(bars, verbose=0).history
    assert all(np.all(np.isfinite(values)) for values in logs.values())
    assert machine.kernel.dtype == ("float64" if dtype == "float64" else "float32")


def test_data_sets_and_labels_are_accepted(bars):
    machine = RestrictedBoltzmannMachine(3, seed=0)
    machine.compile(keras.optimizers.SGD(0.1))
    data = tf.data.Dataset.from_tensor_slices((bars, np.zeros(len(bars)))).batch(64)
    machine.fit(data, validation_data=data, epochs=1, verbose=0)
    assert set(machine.evaluate(data, verbose=0, return_dict=True)) == {
        "reconstruction_error",
        "free_energy",
        "free_energy_gap",
    }


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"units": 0}, ValueError),
        ({"units": 2.5}, TypeError),
        ({"units": 3, "num_steps": 0}, ValueError),
        ({"units": 3, "num_chains": -1}, ValueError),
        ({"units": 3, "seed": -1}, ValueError),
        ({"units": 3, "seed": "a"}, TypeError),
    ],
)
def test_bad_options_give_one_clear_sentence(options, error):
    with pytest.raises(error, match="Received: "):
        RestrictedBoltzmannMachine(**options)


def test_bad_inputs_give_one_clear_sentence():
    machine = machine_with_weights()
    with pytest.raises(ValueError, match=r"\[batch, visible\].*Received"):
        RestrictedBoltzmannMachine(3).build((None, 4, 4))
    machine.compile("sgd")
    before = machine.kernel.numpy()
    for x in (np.full((10, 4), 255, "uint8"), np.full((10, 4), np.nan)):
        dataset = tf.data.Dataset.from_tensor_slices(x).batch(5)
        labelled = dataset.map(lambda x: (x, x[:, 0]))
        for data in (x, tf.constant(x), dataset, labelled):
            with pytest.raises(ValueError, match=r"\[0, 1\].*Received"):
                machine.fit(data, verbose=0)
    np.testing.assert_array_equal(machine.kernel, before)
    with pytest.raises(ValueError, match=r"\[num_states, 3\].*Received"):
        machine.generate(np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"num_steps.*Received"):
        machine.generate(np.zeros((5, 3)), num_steps=-1)
