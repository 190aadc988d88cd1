"""Information Dropout saved, loaded, resumed and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.layers import InformationDropout, VariationalWeights
from tests.support.dropout_layers import data, regressor

layers = keras.layers


class TestSaving:
    def noisy_model(self):
        return regressor(
            InformationDropout(layers.Dense(8, "relu"), 0.01, seed=1, name="first"),
            InformationDropout(
                VariationalWeights(layers.Dense(4, "softplus"), seed=2),
                0.01,
                prior="log_normal",
                alpha_layer=layers.Dense(4),
                name="last",
            ),
            optimizer="adam",
        )

    def train(self, model, epochs):
        x = data(32, 6)
        options = {"batch_size": 8, "shuffle": False, "verbose": 0}
        return model.fit(x, x[:, :1], epochs=epochs, **options).history

    def test_same_seed_gives_bit_identical_histories(self):
        histories = []
        for _ in range(2):
            keras.utils.set_random_seed(7)
            histories.append(self.train(self.noisy_model(), epochs=2))
        assert histories[0] == histories[1]

    @pytest.mark.slow
    def test_saved_and_resumed_reaches_the_undisturbed_result(self, tmp_path):
        keras.utils.set_random_seed(7)
        undisturbed = self.noisy_model()
        self.train(undisturbed, epochs=3)
        keras.utils.set_random_seed(7)
        model = self.noisy_model()
        self.train(model, epochs=1)
        model.save(tmp_path / "model.keras")
        resumed = keras.models.load_model(tmp_path / "model.keras")
        x = data(4, 6)
        np.testing.assert_array_equal(resumed(x), model(x))
        self.train(resumed, epochs=2)
        for weight, expected in zip(resumed.weights, undisturbed.weights, strict=True):
            np.testing.assert_array_equal(weight, expected)

    def test_a_changed_beta_and_the_prior_are_saved(self, tmp_path):
        model = self.noisy_model()
        first, last = model.layers[:2]
        first.beta.assign(0.5)
        last.prior_loc.assign(-1.0)
        model.save(tmp_path / "model.keras")
        model.save_weights(tmp_path / "model.weights.h5")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        fresh = self.noisy_model()
        fresh.load_weights(tmp_path / "model.weights.h5")
        x = data(4, 6)
        for other in (loaded, fresh):
            assert other.layers[0].beta == 0.5
            assert other.layers[1].prior_loc == -1.0
            np.testing.assert_array_equal(other(x), model(x))
            np.testing.assert_array_equal(other.layers[0].information(x), first.information(x))

    def test_exported_model_predicts_the_same_and_never_draws(self, tmp_path):
        model = self.noisy_model()
        model.export(tmp_path / "saved", verbose=False)
        loaded = tf.saved_model.load(tmp_path / "saved")
        x = data(4, 6)
        for _ in range(2):
            np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-6, atol=1e-6)
