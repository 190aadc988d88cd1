import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.models import DeepBeliefNetwork


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    groups = rng.integers(2, size=(600, 3))
    return np.repeat(groups, 4, axis=1).astype("float32")


@pytest.fixture(scope="module")
def network(x):
    network = DeepBeliefNetwork([8, 4], persistent=True, num_chains=20, seed=0)
    network.compile(keras.optimizers.SGD(0.2))
    # Ten epochs of every example four times: an epoch takes longer than its steps.
    network.fit(np.tile(x, (4, 1)), batch_size=50, epochs=10, verbose=0)
    return network


def test_layers_are_trained_in_turn_and_each_improves(x):
    network = DeepBeliefNetwork([8, 4], seed=0)
    network.compile(keras.optimizers.SGD(0.2), jit_compile=False)
    options = {"batch_size": 50, "epochs": 20, "verbose": 0, "validation_freq": 10}
    histories = network.fit(x, validation_data=x[:100], **options)
    assert list(histories) == ["layer_1", "layer_2"]
    error = histories["layer_1"].history["reconstruction_error"]
    assert error[-1] < 0.5 * error[0]
    assert len(histories["layer_2"].history["reconstruction_error"]) == 20
    assert len(histories["layer_2"].history["val_free_energy_gap"]) == 2


def test_states_of_a_layer_are_the_upward_pass(network, x):
    first, second = network.machines
    np.testing.assert_array_equal(network.hidden_states(x, 1), first(x).numpy() > 0.5)
    np.testing.assert_array_equal(network.hidden_states(x, 2), second(first(x)).numpy() > 0.5)
    np.testing.assert_allclose(network(x), second(first(x)), rtol=1e-6)
    sampled = network.hidden_states(x, 2, sample=True)
    assert sampled.shape == (600, 4)
    assert sampled.dtype == bool


def test_generation_goes_back_to_the_data(network, x):
    states = network.hidden_states(x, 1)
    np.testing.assert_array_equal(network.generate(1, states) > 0.5, x > 0.5)
    assert network.generate(2, network.hidden_states(x, 2), num_steps=2).shape == x.shape


def test_file_and_data_set_give_the_same_network(network, x, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(x), network(x), rtol=1e-6)
    assert loaded.get_config() == network.get_config()
    other = DeepBeliefNetwork([8, 4], persistent=True, num_chains=20, seed=0)
    other.compile(keras.optimizers.SGD(0.2))
    # In one batch: visible biases start from the first, of an array from all of it.
    data = tf.data.Dataset.from_tensor_slices(x).batch(len(x))
    other.fit(data, epochs=2, verbose=0)
    same = DeepBeliefNetwork([8, 4], persistent=True, num_chains=20, seed=0)
    same.compile(keras.optimizers.SGD(0.2))
    same.fit(x, batch_size=len(x), shuffle=False, epochs=2, verbose=0)
    np.testing.assert_allclose(other.machines[0].kernel, same.machines[0].kernel, atol=1e-5)


def test_bad_input_gives_one_clear_sentence(network, x):
    for units, error in (([], ValueError), (5, TypeError), ("784", TypeError)):
        with pytest.raises(error, match=r"`units`.*Received"):
            DeepBeliefNetwork(units)
    with pytest.raises(ValueError, match=r"`units\[1\]` must.*Received"):
        DeepBeliefNetwork([3, 0])
    for layer, error in ((0, ValueError), (3, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match=r"`layer`.*Received"):
            network.hidden_states(x, layer)
    labelled = tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(50)
    for arguments in ({"x": labelled}, {"x": (x, x)}, {"x": x, "validation_data": (x, x)}):
        with pytest.raises(TypeError, match=r"without labels. Received"):
            network.fit(**arguments, verbose=0)
    with pytest.raises(ValueError, match=r"`compile`.*Received"):
        DeepBeliefNetwork([3]).fit(x)
