"""Training that is killed, or saved and loaded, goes on as if nothing had happened."""

import warnings

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support.bottleneck_networks import LOSS, WRONG_COUNT, make_model, small_data


@pytest.fixture(scope="module")
def data():
    return small_data()


def fit(model, data, epochs, initial_epoch=0, callbacks=None):
    x, y = data
    return model.fit(
        *(x, y, 16, epochs, 0),
        callbacks=callbacks,
        shuffle=False,
        validation_data=(x, y),
        initial_epoch=initial_epoch,
    ).history


def fresh(estimator="local"):
    keras.utils.set_random_seed(7)
    model = make_model(estimator=estimator)
    model.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def undisturbed(data):
    """History and weights of four epochs without a kill."""
    model = fresh()
    return fit(model, data, 4), model.get_weights()


def test_the_same_seed_gives_a_bit_identical_history(data, undisturbed):
    history, weights = undisturbed
    model = fresh()
    assert fit(model, data, 4) == history
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


class Kill(keras.callbacks.Callback):
    """Ends training in the middle of an epoch, as a kill would."""

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 7:
            raise KeyboardInterrupt


def test_killed_in_mid_epoch_and_resumed_is_the_undisturbed_run(data, undisturbed, tmp_path):
    history, weights = undisturbed
    backup = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        fit(fresh(), data, 4, callbacks=[keras.callbacks.BackupAndRestore(backup), Kill()])
    model = fresh()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=WRONG_COUNT)
        resumed = fit(model, data, 4, callbacks=[keras.callbacks.BackupAndRestore(backup)])
    assert resumed == {key: values[2:] for key, values in history.items()}
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_saved_loaded_and_trained_on_is_the_undisturbed_run(data, undisturbed, tmp_path):
    history, weights = undisturbed
    model = fresh()
    fit(model, data, 2)
    model.save(tmp_path / "model.keras")
    keras.utils.set_random_seed(99)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    resumed = fit(loaded, data, 4, initial_epoch=2)
    assert resumed == {key: values[2:] for key, values in history.items()}
    for one, other in zip(loaded.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_keeps_metrics_that_have_a_value_for_each_class(data, tmp_path):
    x, y = data
    model = make_model()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[keras.metrics.F1Score()])
    checkpoint = kib.callbacks.Checkpoint(tmp_path / "training.npz")
    history = model.fit(x, np.eye(2)[y], verbose=0, callbacks=[checkpoint]).history
    resumed = kib.callbacks.Checkpoint(tmp_path / "training.npz")
    assert resumed.restore(model) == 1
    assert resumed.history["loss"] == history["loss"]
    np.testing.assert_array_equal(resumed.history["f1_score"], history["f1_score"])


def test_a_checkpoint_restores_weights_in_half_precision(data, tmp_path):
    model = make_model(dtype="bfloat16")
    model.compile("adam", LOSS)
    checkpoint = kib.callbacks.Checkpoint(tmp_path / "training.npz")
    fit(model, data, 1, callbacks=[checkpoint])
    weights = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in weights])
    assert checkpoint.restore(model) == 1
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
