"""Networks of every kind of layer go into a file and come out predicting as they should."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support.networks_of_every_layer import CASES, inputs_for

# Layers of one's own that are not registered, and a subclassed model.
OWN = {
    *("as many positions as examples", "as many steps in front", "tied embedding"),
    "time in the batch",
}


@keras.saving.register_keras_serializable(package="compressed")
class Shifted(keras.layers.Layer):
    """A registered layer, with a weight of its own."""

    def build(self, input_shape):
        self.shift = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="shift")

    def call(self, inputs):
        return inputs + self.shift


def assert_comes_back(model, x, path):
    # A step this fine rounds kernels to some 1e-5 of their size; other weights have 8 bits.
    kib.compress(model, path, step=1e-4, seed=0, verbose=0)
    network = kib.decompress(path)
    found, expected = (np.asarray(m.predict(x, verbose=0)) for m in (network, model))
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max() + 1e-6)
    assert [w.shape for w in network.weights] == [w.shape for w in model.weights]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES.keys() - OWN))
def test_a_network_of_every_layer_comes_out_as_it_went_in(name, tmp_path):
    keras.utils.set_random_seed(0)
    assert_comes_back(CASES[name](), inputs_for(name), tmp_path / "network.kib")


@pytest.mark.quick
def test_layers_of_ones_own_are_taken_where_they_are_registered(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([3]), Shifted(), keras.layers.Dense(2)])
    assert_comes_back(model, np.ones((4, 3)), tmp_path / "network.kib")

    class Unknown(Shifted):
        """Nobody knows this class."""

    model = keras.Sequential([keras.Input([3]), Unknown(), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must consist of layers that can be stored in a file"):
        kib.compress(model, tmp_path / "other.kib", verbose=0)
    assert not (tmp_path / "other.kib").exists()
