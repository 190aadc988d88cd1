"""A sweep over prices: what it trains, what it finds, and that it can be killed and resumed."""

import dataclasses

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf

matplotlib.use("Agg")

import keras_infobottleneck as kib
import keras_infobottleneck.sweeping.sweep as sweeping
from keras_infobottleneck.sweeping.validation import Validation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype("float32")
Y = (X @ RNG.normal(size=(6, 3))).argmax(1)
BETAS = [1e-3, 0.3, 100.0]
OPTIONS = {"epochs": 8, "batch_size": 25, "seed": 3}


def build():
    network = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)]
    )
    model = kib.make_variational(network, num_examples=60, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def sweep():
    return kib.sweep_beta(build, (X, Y), BETAS, validation_data=(X, Y), **OPTIONS)


def same(one, two):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(two, name), err_msg=name)


@pytest.mark.quick
def test_a_higher_price_buys_fewer_nats_fewer_weights_and_a_higher_loss(sweep):
    assert np.all(np.diff(sweep.nats) < 0)
    assert np.all(np.diff(sweep.task_loss) > 0)
    assert np.all(np.diff(sweep.kept_weights) < 0)
    assert sweep.accuracy[0] > 0.9 > 0.7 > sweep.accuracy[-1]
    assert np.all(np.abs(sweep.validation_accuracy - sweep.accuracy) < 0.3)
    assert sweep.num_weights == 6 * 16 + 16 * 3
    share = np.bincount(Y) / 60
    assert sweep.label_nats == pytest.approx(-60 * np.sum(share * np.log(share)))
    assert sweep.best_beta == BETAS[int(np.argmin(sweep.validation_task_loss))]


def test_a_loss_in_a_list_sweeps_as_the_loss_itself_does(sweep):
    def listed():
        model = build()
        model.compile(keras.optimizers.Adam(0.05), [model.loss], metrics=["accuracy"])
        return model

    same(kib.sweep_beta(listed, (X, Y), BETAS, validation_data=(X, Y), **OPTIONS), sweep)


def test_the_curve_turns_between_prices_that_stand_clear_of_the_middle(sweep):
    turn = sweep.turn
    assert turn.level == pytest.approx((sweep.task_loss[0] + sweep.label_nats / 60) / 2)
    assert BETAS[0] <= turn.lower <= turn.beta <= turn.upper <= BETAS[-1]
    assert f"turns at {turn.beta:.3g}" in repr(sweep)
    assert sweep.numbers()["turning_beta"] == turn.beta


def test_table_and_figure_show_every_price_and_what_the_labels_hold(sweep):
    lines = sweep.table().splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["0.001", "0.3", "100"]
    assert f"60 labels hold {sweep.label_nats:,.0f} nats at most" in lines
    for line, error in zip(lines[1:4], sweep.validation_task_loss_standard_error, strict=True):
        assert f" ± {error:.2g}" in line
    assert lines[4] == "nats: in all 144 weights with a distribution"
    assert "whose |mean| is at least 0.5 standard deviations of the noise" in lines[5]
    assert len(repr(sweep).splitlines()) <= 12
    upper, lower = sweep.plot()
    values = [list(line.get_ydata()) for line in (*upper.lines, *lower.lines)]
    assert list(sweep.task_loss) in values
    assert list(sweep.nats) in values
    assert [sweep.label_nats] * 2 in values
    with pytest.raises(TypeError, match=r"two matplotlib axes or None\. Received: ax="):
        sweep.plot(ax=upper)


def test_a_validation_loss_has_the_error_of_a_mean_over_its_examples():
    model = build()
    model.compile("sgd", model.loss)
    x, y = X[:50], Y[:50]  # two batches, the second not full
    losses = keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True)
    mean = float(np.mean(losses))
    expected = np.std(losses, ddof=1) / 50**0.5
    assert Validation(model, (x, y)).standard_error(mean) == pytest.approx(expected, rel=1e-5)
    # Not where the logged mean is another one, or there is none.
    assert np.isnan(Validation(model, (x, y)).standard_error(2 * mean))
    assert np.isnan(Validation(model, (x, y)).standard_error(None))
    assert np.isnan(Validation(model, None).standard_error(mean))
    weighted = Validation(model, (x, y, np.ones(50)))
    assert np.isnan(weighted.standard_error(mean))


def test_the_largest_price_within_an_error_of_the_best_is_named(sweep):
    losses = {"validation_task_loss": np.array([0.30, 0.32, 0.9])}
    errors = {"validation_task_loss_standard_error": np.array([0.03, 0.03, 0.03])}
    table = dataclasses.replace(sweep, **losses, **errors).table()
    assert "least validation task loss at 0.001, within one standard error of it up to 0.3" in table
    errors = {"validation_task_loss_standard_error": np.array([0.01, 0.03, 0.03])}
    assert "within one" not in dataclasses.replace(sweep, **losses, **errors).table()


def test_a_file_holds_the_whole_sweep(sweep, tmp_path):
    sweep.to_npz(tmp_path / "sweep.npz")
    same(kib.BetaSweep.from_npz(tmp_path / "sweep.npz"), sweep)
    # As of weighted validation examples; a number that is known must be one.
    errors = np.array([np.nan, 0.1, np.nan])
    partly = dataclasses.replace(sweep, validation_task_loss_standard_error=errors)
    partly.to_npz(tmp_path / "sweep.npz")
    same(kib.BetaSweep.from_npz(tmp_path / "sweep.npz"), partly)
    wrong = dataclasses.replace(sweep, validation_task_loss_standard_error=-errors)
    wrong.to_npz(tmp_path / "sweep.npz")
    with pytest.raises(ValueError, match="standard_error below 0"):
        kib.BetaSweep.from_npz(tmp_path / "sweep.npz")
    plain = kib.estimators.fisher_information(build().network, (X, Y), likelihood="categorical")
    plain.to_npz(tmp_path / "fisher.npz")
    with pytest.raises(ValueError, match=r"file written by BetaSweep.*Received: path="):
        kib.BetaSweep.from_npz(tmp_path / "fisher.npz")


def test_killed_and_called_again_it_ends_the_same(sweep, tmp_path, monkeypatch):
    options = {**OPTIONS, "path": tmp_path / "sweep.npz", "validation_data": (X, Y)}
    written = kib.callbacks.Checkpoint.on_epoch_end

    class Death(Exception):
        pass

    def dies(self, epoch, logs=None):
        written(self, epoch, logs)
        if epoch == 11:  # of 24, in the middle of the second price
            raise Death

    with monkeypatch.context() as patched:
        patched.setattr(kib.callbacks.Checkpoint, "on_epoch_end", dies)
        with pytest.raises(Death):
            kib.sweep_beta(build, (X, Y), BETAS, **options)
    same(kib.sweep_beta(build, (X, Y), BETAS, **options), sweep)
    # Once it is done, nothing is trained.
    monkeypatch.setattr(keras.Model, "fit", None)
    same(kib.sweep_beta(build, (X, Y), BETAS, **options), sweep)
    for other in ({"seed": 4}, {"batch_size": 20}, {"warm_up": 0}):
        with pytest.raises(ValueError, match=r"the same sweep.*Received: path="):
            kib.sweep_beta(build, (X, Y), BETAS, **{**options, **other})


def test_without_a_warm_start_every_price_begins_with_the_weights_that_build_gave(monkeypatch):
    starts, prices = [], []

    class Watched(kib.callbacks.BetaSchedule):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            prices.append(float(self.beta.numpy()))
            starts.append(self.model.trainable_variables[0].numpy())

    monkeypatch.setattr(sweeping, "BetaSchedule", Watched)
    options = {**OPTIONS, "epochs": 4, "first_epochs": 5}
    kib.sweep_beta(build, (X, Y), BETAS[:2], warm_start=False, **options)
    np.testing.assert_array_equal(starts[0], starts[5])
    assert not np.array_equal(starts[0], starts[4])
    step = (0.3 - 1e-3) / 3
    rising = [1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3, 1e-3, 1e-3 + step, 1e-3 + 2 * step, 0.3, 0.3]
    np.testing.assert_allclose(prices, rising, rtol=1e-5)


def test_a_data_set_and_numbers_for_labels():
    def regression():
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
        model = kib.make_variational(network, num_examples=60, verbose=0)
        model.compile("adam", "mse")
        return model

    data = tf.data.Dataset.from_tensor_slices((X, X[:, :1])).batch(30)
    sweep = kib.sweep_beta(regression, data, BETAS[:2], epochs=1, seed=0)
    assert sweep.accuracy is sweep.label_nats is sweep.guessing_loss is None
    assert "accuracy" not in sweep.table()
    assert sweep.plot().shape == (2,)
    assert sweep.num_weights == 6


def test_a_model_that_cannot_be_swept_is_refused_in_a_sentence():
    def uncompiled():
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
        return kib.make_variational(network, num_examples=60, verbose=0)

    def without_noise():
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
        model = kib.InformationBottleneckModel(network, num_examples=60)
        model.compile("sgd", "mse")
        return model

    for bad, error, words in (
        (lambda: uncompiled().network, TypeError, "returns a compiled InformationBottleneckModel"),
        (uncompiled, ValueError, "be compiled with an optimizer and a loss"),
        (without_noise, ValueError, "whose weights have a posterior"),
    ):
        with pytest.raises(error, match=rf"{words}.*\. Received: build\(\)="):
            kib.sweep_beta(bad, (X, Y), BETAS)


@pytest.mark.slow
def test_a_file_of_other_data_is_refused(tmp_path):
    def regression():
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
        model = kib.make_variational(network, num_examples=60, verbose=0)
        model.compile("adam", "mse")
        return model

    path, held = tmp_path / "sweep.npz", (X[:9], X[:9, :1])
    options = {"epochs": 1, "batch_size": 30, "seed": 0, "path": path}

    def sweep(x, y, validation_data):
        return kib.sweep_beta(regression, (x, y), BETAS[:2], **options, **validation_data)

    found = sweep(X, X[:, :1], {"validation_data": held})
    same(sweep(X, X[:, :1], {"validation_data": held}), found)
    others = ((2 * X, X[:, :1], held), (X, X[:, 1:2], held), (X, X[:, :1], (X[:8], X[:8, :1])))
    for x, y, validation_data in (*others, (X, X[:, :1], None)):
        with pytest.raises(ValueError, match=r"the same sweep.*Received: path="):
            sweep(x, y, {"validation_data": validation_data})


@pytest.mark.slow
def test_several_inputs_and_outputs_may_be_lists():
    def two_by_two():
        inputs = [keras.Input((6,)), keras.Input((6,))]
        outputs = [keras.layers.Dense(n)(keras.layers.Add()(inputs)) for n in (1, 2)]
        model = kib.make_variational(keras.Model(inputs, outputs), num_examples=60, verbose=0)
        model.compile("adam", ["mse", "mse"])
        return model

    data = ([X, 2 * X], [X[:, :1], X[:, :2]])
    options = {"epochs": 1, "batch_size": 60, "seed": 0}
    sweep = kib.sweep_beta(two_by_two, data, BETAS[:2], **options)
    nested = tf.data.Dataset.from_tensors((tuple(data[0]), tuple(data[1])))
    other = kib.sweep_beta(two_by_two, nested, BETAS[:2], **{**options, "batch_size": None})
    # One batch holds all examples, so their order changes nothing but the rounding of a mean.
    np.testing.assert_allclose(sweep.task_loss, other.task_loss, rtol=0.05)
    assert sweep.num_weights == 18
