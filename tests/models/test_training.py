"""`fit` and `evaluate` in every way that Keras offers."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.bottleneck_networks import (
    LOSS,
    NUM_EXAMPLES,
    WRONG_COUNT,
    make_model,
    small_data,
)

VariationalWeights = kib.layers.VariationalWeights


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def compiled():
    """One traced model for many ways of feeding it."""
    model = make_model()
    model.compile(keras.optimizers.SGD(0.01), LOSS, metrics=["accuracy"])
    return model


class Batches(keras.utils.PyDataset):
    """The same data as a Python data set."""

    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]


def assert_logs(history, model, prefixes=("",)):
    """Every epoch's logs satisfy the objective."""
    for prefix in prefixes:
        columns = ("loss", "task_loss", "weight_information")
        loss, task, nats = (np.array(history[prefix + column]) for column in columns)
        np.testing.assert_allclose(loss - task, nats / model.num_examples, rtol=1e-4)


@pytest.mark.parametrize(
    "feed", ["arrays", "dataset", "pydataset", "infinite", "sample_weight", "class_weight"]
)
def test_fit_takes_whatever_keras_takes(compiled, data, feed):
    x, y = data
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    weights = np.linspace(0.0, 2.0, NUM_EXAMPLES)
    arguments = {
        "arrays": {"x": x, "y": y, "batch_size": 16},
        "dataset": {"x": batches},
        "pydataset": {"x": Batches(x, y, 16)},
        "infinite": {"x": batches.repeat(), "steps_per_epoch": 3},
        "sample_weight": {"x": x, "y": y, "batch_size": 16, "sample_weight": weights},
        "class_weight": {"x": x, "y": y, "batch_size": 16, "class_weight": {0: 0.3, 1: 2.0}},
    }[feed]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=WRONG_COUNT)
        fitted = compiled.fit(**arguments, epochs=2, verbose=0, validation_data=(x, y))
    assert_logs(fitted.history, compiled, ("", "val_"))
    assert "val_accuracy" in fitted.history


def test_sample_weights_weigh_the_task_and_not_the_price(compiled, data):
    x, y = data
    weights = np.linspace(0.0, 2.0, NUM_EXAMPLES).astype("float32")
    logs = compiled.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    losses = keras.losses.sparse_categorical_crossentropy(y, compiled(x), from_logits=True)
    assert logs["task_loss"] == pytest.approx(float(np.mean(weights * losses)), rel=1e-5)
    nats = float(compiled.weight_information())
    assert logs["loss"] - logs["task_loss"] == pytest.approx(nats / NUM_EXAMPLES, rel=1e-4)


def test_unequal_batches_weigh_by_their_examples(compiled, data):
    x, y = data
    logs = compiled.evaluate(x, y, batch_size=20, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, compiled(x))), rel=1e-5)


def test_predict_is_deterministic_and_takes_data_sets(compiled, data):
    x, y = data
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    expected = compiled.predict(x, verbose=0)
    np.testing.assert_allclose(compiled.predict(batches, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(compiled.predict(Batches(x, y, 16), verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(compiled(x), expected, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_several_steps_an_execution_and_accumulated_gradients(data, jit_compile):
    x, y = data
    model = make_model()
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
    model.compile(optimizer, LOSS, steps_per_execution=3, jit_compile=jit_compile)
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert_logs(history, model)
    assert int(optimizer.iterations) == 6  # updates of 12 steps


def test_dictionaries_of_inputs_outputs_losses_and_loss_weights(data):
    x, y = data
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    z = VariationalWeights(layers.Dense(4, "relu"))(layers.Concatenate()([left, right]))
    label = VariationalWeights(layers.Dense(2), name="label")(z)
    value = layers.Dense(1, name="value")(z)
    model = kib.InformationBottleneckModel(
        {"left": left, "right": right}, {"label": label, "value": value}, num_examples=48
    )
    model.compile(
        keras.optimizers.SGD(0.01),
        {"label": LOSS, "value": "mse"},
        metrics={"label": ["accuracy"]},
        loss_weights={"label": 1.0, "value": 0.5},
        run_eagerly=True,
    )
    inputs, targets = {"left": x[:, :2], "right": x[:, 2:]}, {"label": y, "value": x[:, :1]}
    assert_logs(model.fit(inputs, targets, batch_size=48, verbose=0).history, model)
    logs = model.evaluate(inputs, targets, batch_size=48, verbose=0, return_dict=True)
    outputs = model(inputs)
    task = LOSS(y, outputs["label"]) + 0.5 * np.mean(np.square(outputs["value"] - x[:, :1]))
    assert logs["task_loss"] == pytest.approx(float(task), rel=1e-5)
    assert "label_accuracy" in logs
    assert "value_loss" in logs


def test_mixed_precision_keeps_the_price_in_float32(data):
    x, y = data
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input((4,))
        wide = VariationalWeights(layers.Dense(4096, "relu"), prior_scale=1.0)(inputs)
        outputs = layers.Dense(2)(VariationalWeights(layers.Dense(64), prior_scale=1.0)(wide))
        model = kib.InformationBottleneckModel(inputs, outputs, num_examples=48)
        model.compile(keras.optimizers.SGD(0.01), LOSS)
        history = model.fit(x, y, batch_size=48, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert history["weight_information"][0] > 65504.0  # past what float16 can hold
    assert np.isfinite(history["loss"][0])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_double_precision_everywhere_trains_on_the_same_objective(data):
    x, y = data
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        inputs = keras.Input((4,))
        noisy = kib.layers.InformationDropout(layers.Dense(4, "relu"), beta=0.1)(inputs)
        outputs = VariationalWeights(layers.Dense(2))(noisy)
        model = kib.InformationBottleneckModel(inputs, outputs, num_examples=48)
        model.compile(keras.optimizers.SGD(0.01), LOSS)
        model.fit(x, y, batch_size=48, verbose=0)
        logs = model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True)
        assert model(x).dtype == "float64"
        task = float(LOSS(y, model(x)))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    price = logs["weight_information"] / 48 + 0.1 * logs["information_dropout_information"]
    assert logs["task_loss"] == pytest.approx(task, rel=1e-5)
    assert logs["loss"] == pytest.approx(task + price, rel=1e-5)


# ---------------------------------------------------------------- the count of examples


def test_one_warning_says_when_an_epoch_holds_other_than_num_examples(data):
    x, y = data
    x, y = np.tile(x, (5, 1)), np.tile(y, 5)  # 240 examples
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(80)
    for num_examples, expected in ((242, 0), (238, 0), (243, 1), (237, 1)):
        model = make_model(num_examples=num_examples)
        model.compile("sgd", LOSS, run_eagerly=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", message=WRONG_COUNT)
            model.fit(batches, epochs=2, verbose=0, validation_data=(x[:9], y[:9]))
        assert len(caught) == expected
        for warning in caught:
            message = f"divided by num_examples={num_examples}, but an epoch held 240 examples"
            assert message in str(warning.message)
            assert warning.filename == __file__


class OwnStep(kib.InformationBottleneckModel):
    """Takes its steps itself, on the same objective."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def test_a_train_step_of_ones_own_which_does_not_count_is_not_warned_of(data):
    inputs = keras.Input((4,))
    model = OwnStep(inputs, VariationalWeights(layers.Dense(2))(inputs), num_examples=48)
    model.compile("sgd", LOSS)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=WRONG_COUNT)
        model.fit(*data, verbose=0)


def test_a_validation_split_is_not_part_of_num_examples(data):
    model = make_model(num_examples=36)
    model.compile("sgd", LOSS, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=WRONG_COUNT)
        history = model.fit(*data, validation_split=0.25, verbose=0).history
    assert_logs(history, model, ("", "val_"))


# ---------------------------------------------------------------- callbacks of Keras


def test_the_callbacks_of_keras_work_and_restoring_weights_does_not_upset_the_count(
    compiled, data, tmp_path
):
    x, y = data
    best = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.EarlyStopping("val_task_loss", patience=1, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LambdaCallback(
            # The second epoch is made worse than the first: training stops there.
            on_epoch_end=lambda epoch, logs: compiled.set_weights(
                [10.0 * weight for weight in compiled.get_weights()]
            )
        ),
    ]
    saved = compiled.get_weights()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=WRONG_COUNT)
        history = compiled.fit(
            x, y, epochs=9, verbose=0, validation_data=(x, y), callbacks=callbacks
        ).history
    assert len(history["loss"]) < 9
    compiled.set_weights(saved)
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert {"task_loss", "weight_information", "val_weight_information"} <= set(header)
    loaded = keras.models.load_model(best)
    assert loaded.predict(x, verbose=0).shape == (NUM_EXAMPLES, 2)


def test_callbacks_know_without_a_mode_that_a_lower_task_loss_is_better(compiled, data, tmp_path):
    best, losses = tmp_path / "best.weights.h5", iter([3.0, 2.0, 2.5, 2.25])

    def told(epoch, logs):
        logs |= dict.fromkeys(("task_loss", "val_task_loss"), next(losses))

    plateau = keras.callbacks.ReduceLROnPlateau("task_loss", factor=0.5, patience=1)
    stopping = keras.callbacks.EarlyStopping("val_task_loss", patience=2)
    kept = keras.callbacks.ModelCheckpoint(
        best, "val_task_loss", save_best_only=True, save_weights_only=True
    )
    rate = float(compiled.optimizer.learning_rate)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=told), kept, plateau, stopping]
    options = {"verbose": 0, "validation_data": data, "callbacks": callbacks}
    history = compiled.fit(*data, epochs=9, **options).history
    assert history["val_task_loss"] == [3.0, 2.0, 2.5, 2.25]
    assert stopping.best == kept.best == 2.0
    assert float(compiled.optimizer.learning_rate) == pytest.approx(rate / 4)
    assert set(compiled.evaluate(*data, verbose=0, return_dict=True)) == {
        name.removeprefix("val_") for name in history if name.startswith("val_")
    }
    # Whether more information is better is for nobody but the user to say.
    unsaid = keras.callbacks.EarlyStopping("weight_information")
    with pytest.raises(ValueError, match="mode"):
        compiled.fit(*data, verbose=0, callbacks=[unsaid])


@pytest.mark.slow
def test_tensorboard_takes_the_logs(compiled, data, tmp_path):
    pytest.importorskip("tensorboard")
    tensorboard = keras.callbacks.TensorBoard(tmp_path)
    compiled.fit(*data, verbose=0, callbacks=[tensorboard])
    assert list(tmp_path.rglob("events.*"))


# ---------------------------------------------------------------- reproducible, resumable
