"""Layers that price their activations: when they draw, when and what they cost, in all of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.layers import drawing
from tests.support.dropout_layers import PRICED, data, example_total, regressor

layers = keras.layers


@pytest.fixture(params=PRICED)
def make(request):
    return PRICED[request.param]


# Where Keras and TensorFlow do most of the work, which is the same for both.
SECOND_IS_SLOW = pytest.mark.parametrize(
    "make",
    ["information_dropout", pytest.param("gaussian_bottleneck", marks=pytest.mark.slow)],
    indirect=True,
)


def masked(x, lengths):
    mask = np.arange(x.shape[1]) < np.array(lengths)[:, None]
    return x * mask[..., None], mask


class TestNoise:
    def test_only_training_draws(self, make):
        model = regressor(make(4, 0.1), shape=(6,))
        x = data(8, 6)
        expected = model(x)
        np.testing.assert_array_equal(model(x), expected)
        np.testing.assert_array_equal(model(x, training=False), expected)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
        first, second = (model.evaluate(x, x[:, 0], verbose=0) for _ in range(2))
        assert first == second
        assert not np.allclose(model(x, training=True), expected)

    def test_drawing_context_draws_at_no_cost(self, make):
        layer = make(4, 0.1)
        x = data(8, 6)
        plain, state = layer(x), layer.seed_generator.state.numpy()
        with drawing([1, 2]):
            first = layer(x, training=False)
            assert layer.losses == []
        with drawing([1, 2]):
            again = layer(x)
        with drawing([1, 2], activations=False):
            np.testing.assert_array_equal(layer(x, training=True), plain)
            assert layer.losses == []
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, plain)
        np.testing.assert_array_equal(layer.seed_generator.state, state)

    def test_time_distributed_draws_anew_at_every_step(self, make):
        layer = make(4, 0.5)
        outputs = layers.TimeDistributed(layer)(np.zeros((2, 5, 3), "float32"), training=True)
        assert len(np.unique(outputs)) == 2 * 5 * 4

    def test_frozen_layer_still_draws_and_counts(self, make):
        layer = make(4, 0.5)
        x = data(8, 6)
        plain = layer(x)
        layer.trainable = False
        assert layer.trainable_weights == []
        assert not np.allclose(layer(x, training=True), plain)
        assert len(layer.losses) == 1


class TestCost:
    @pytest.mark.parametrize("training", [True, False])
    def test_loss_is_beta_times_mean_of_summed_information(self, make, training):
        layer = make(4, 0.25)
        x = data(5, 7, 3)
        layer(x, training=training)
        (loss,) = layer.losses
        np.testing.assert_allclose(loss, 0.25 * example_total(layer.information(x)), rtol=1e-6)

    def test_plain_call_costs_nothing(self, make):
        layer = make(4, 0.25)
        layer(data(5, 3))
        assert layer.losses == []
        assert layer.metrics[0].result() == 0

    def test_beta_is_a_variable_that_callbacks_may_change(self, make):
        layer = make(4, 0)
        model = regressor(layer)
        model.layers[-1].kernel.assign(0.0 * model.layers[-1].kernel)  # the same error in each
        schedule = kib.callbacks.BetaSchedule(layer.beta, lambda epoch: 2.0 * epoch)
        x = data(8, 6)
        history = model.fit(x, x[:, 0], epochs=2, verbose=0, callbacks=[schedule]).history
        nats = example_total(layer.information(x))
        np.testing.assert_allclose(history["loss"][1] - history["loss"][0], 2 * nats, rtol=1e-5)
        assert layer.get_config()["beta"] == 0.0

    @pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_metric_is_nats_per_example_in_training_and_validation(self, make, jit_compile):
        noisy = [make(4, 0.1, name="first"), make(3, 0.1, name="last")]
        model = regressor(*noisy, jit_compile=jit_compile)
        x, x_val = data(20, 6), data(7, 6, seed=1)
        history = model.fit(
            x, x[:, 0], batch_size=8, validation_data=(x_val, x_val[:, 0]), verbose=0
        ).history
        for prefix, inputs in (("", x), ("val_", x_val)):
            expected = example_total(noisy[0].information(inputs))
            np.testing.assert_allclose(history[f"{prefix}first_information"], [expected], rtol=1e-5)
        hidden = noisy[0](x_val)
        expected = example_total(noisy[1].information(hidden))
        np.testing.assert_allclose(history["val_last_information"], [expected], rtol=1e-5)

    def test_sample_weight_weighs_the_error_only(self, make):
        layer = make(4, 0.5)
        model = regressor(layer)
        x = data(8, 6)
        loss, nats = model.evaluate(x, x[:, 0], sample_weight=np.zeros(8), verbose=0)
        np.testing.assert_allclose(nats, example_total(layer.information(x)), rtol=1e-5)
        np.testing.assert_allclose(loss, 0.5 * nats, rtol=1e-5)

    def test_a_price_assigned_as_a_number_counts_after_tracing(self, make):
        layer = make(4, 0.5, name="noisy")
        model = regressor(layer, shape=(3,))
        x = data(6, 3)
        for beta in (0.5, 0.0):
            layer.beta = beta
            logs = model.evaluate(x, x[:, 0], verbose=0, return_dict=True)
            mean_squared_error = np.mean(np.square(model(x)[:, 0] - x[:, 0]))
            price = beta * logs["noisy_information"]
            np.testing.assert_allclose(logs["loss"], mean_squared_error + price, rtol=1e-5)
        assert isinstance(layer.beta, keras.Variable)
        with pytest.raises(ValueError, match=r"`beta`.*Received"):
            layer.beta = -1.0

    @SECOND_IS_SLOW
    def test_two_uses_in_one_pass_add_up_per_example(self, make):
        layer = make(4, 0.5, name="noisy")
        left, right = keras.Input((3,)), keras.Input((3,))
        outputs = layers.Dense(1)(layers.concatenate([layer(left), layer(right)]))
        model = keras.Model([left, right], outputs)
        model.compile(keras.optimizers.SGD(0.0), "mse")
        x = [data(6, 3), data(6, 3, seed=1)]
        expected = sum(example_total(layer.information(part)) for part in x)
        for _ in range(2):  # nothing is left over from an earlier pass
            logs = model.evaluate(x, np.zeros(6), batch_size=4, verbose=0, return_dict=True)
            np.testing.assert_allclose(logs["noisy_information"], expected, rtol=1e-5)
        loss = model.evaluate(x, np.zeros(6), sample_weight=np.zeros(6), verbose=0)[0]
        np.testing.assert_allclose(loss, 0.5 * expected, rtol=1e-5)


class TestSequences:
    def test_masked_steps_cost_nothing(self, make):
        x, mask = masked(data(3, 5, 2) + 3.0, [5, 2, 0])
        layer = make(4, 1.0)
        nats = layer.information(x, mask=mask).numpy()
        np.testing.assert_array_equal(nats[~mask], np.zeros((8, 4)))
        np.testing.assert_array_equal(nats[mask], layer.information(x).numpy()[mask])
        layer(layers.Masking()(x), training=True)
        np.testing.assert_allclose(layer.losses[0], example_total(nats), rtol=1e-6)

    @SECOND_IS_SLOW
    def test_time_distributed_adds_steps_up_and_leaves_masked_ones_out(self, make):
        x, mask = masked(data(6, 5, 2) + 3.0, [5, 2, 0, 1, 4, 5])
        layer = make(4, 0.5, name="noisy")
        model = regressor(layers.Masking(), layers.TimeDistributed(layer), shape=(5, 2))
        logs = model.fit(x, x[:, 0, 0], verbose=0, batch_size=4).history
        expected = example_total(layer.information(x, mask=mask))
        np.testing.assert_allclose(logs["noisy_information"], [expected], rtol=1e-5)
        loss = model.evaluate(x, x[:, 0, 0], verbose=0, sample_weight=np.zeros(6))[0]
        np.testing.assert_allclose(loss, 0.5 * expected, rtol=1e-5)

    def test_mask_passes_through(self, make):
        layer = make(4, 0.5)
        x, mask = masked(data(2, 5, 2) + 3.0, [3, 1])
        np.testing.assert_array_equal(layer.compute_mask(x, mask), mask)
        model = keras.Sequential([layers.Masking(), layer, layers.GRU(2)])
        longer = np.concatenate([x, np.zeros_like(x)], 1)
        np.testing.assert_allclose(model(x), model(longer), rtol=1e-5, atol=1e-7)

    @SECOND_IS_SLOW
    def test_batch_and_time_may_be_unknown(self, make):
        layer = make(4, 0.5, name="noisy")
        inputs = keras.Input((None, 3))
        model = keras.Model(inputs, layers.GlobalAveragePooling1D()(layer(inputs)))
        model.compile(keras.optimizers.SGD(0.0), "mse")
        assert layer.output.shape == (None, None, 4)
        for count, time in ((4, 6), (3, 9)):
            x = data(count, time, 3)
            logs = model.evaluate(x, np.zeros((count, 4)), verbose=0, return_dict=True)
            expected = example_total(layer.information(x))
            np.testing.assert_allclose(logs["noisy_information"], expected, rtol=1e-5)
            model.train_on_batch(x, np.zeros((count, 4)))


@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_a_model_in_mixed_precision_trains_on_float32_costs(make, policy):
    layer = make(4, 0.1, dtype=policy)
    outputs = layer(data(5, 6), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert layer.losses[0].dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in layer.weights)
    single = make(4, 0.1)
    single.build((None, 6))
    single.set_weights(layer.get_weights())
    tolerance = 0.01 if "bf" in policy else 0.002
    x = data(5, 6)
    nats = layer.information(x)
    assert nats.dtype == tf.float32
    np.testing.assert_allclose(nats, single.information(x), rtol=tolerance, atol=4 * tolerance)
    model = regressor(layer, optimizer="adam")
    history = model.fit(data(16, 6), data(16, 1), epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))


class TestInAModel:
    def bottleneck(self, make):
        network = keras.Sequential([keras.Input((6,)), make(4, 0.1, seed=1), layers.Dense(2)])
        return kib.InformationBottleneckModel(network, num_examples=8)

    def test_samples_draw_and_predictions_are_those_of_plain_layers(self, make):
        model = self.bottleneck(make)
        x = data(8, 6)
        predictions = model.predict(x, verbose=0)
        samples = model.predict_samples(x, 3, seed=0)
        assert samples.shape == (3, 8, 2)
        assert np.ptp(samples, axis=0).min() > 0.0
        plain = kib.make_deterministic(model)
        assert type(plain.layers[0]) is layers.Dense
        np.testing.assert_allclose(plain.predict(x, verbose=0), predictions, rtol=1e-5, atol=1e-6)

    def test_the_audit_reports_what_it_pays(self, make):
        model = self.bottleneck(make)
        model.compile(loss="mse")
        x = data(8, 6)
        paid = kib.audit(model, (x, x[:, :2]), include=["activations"], verbose=0)
        layer = model.network.layers[0]
        (result,) = (each.activations for each in paid.layers.values())
        np.testing.assert_allclose(result.nats, example_total(layer.information(x)), rtol=1e-5)
        assert result.beta == np.float32(0.1)


class TestSaving:
    def model(self, make):
        first, last = make(8, 0.01, seed=1, name="first"), make(4, 0.01, seed=2, name="last")
        return regressor(first, last, optimizer="adam")

    def train(self, model, epochs):
        x = data(32, 6)
        options = {"batch_size": 8, "shuffle": False, "verbose": 0}
        return model.fit(x, x[:, :1], epochs=epochs, **options).history

    @pytest.mark.slow
    def test_saved_and_resumed_reaches_the_undisturbed_result(self, make, tmp_path):
        keras.utils.set_random_seed(7)
        undisturbed = self.model(make)
        self.train(undisturbed, epochs=3)
        keras.utils.set_random_seed(7)
        model = self.model(make)
        self.train(model, epochs=1)
        model.layers[0].beta = 0.5  # what a schedule would have done: saved, not configured
        model.save(tmp_path / "model.keras")
        resumed = keras.models.load_model(tmp_path / "model.keras")
        assert resumed.layers[0].beta == 0.5
        resumed.layers[0].beta = 0.01
        x = data(4, 6)
        np.testing.assert_array_equal(resumed(x), model(x))
        self.train(resumed, epochs=2)
        for weight, expected in zip(resumed.weights, undisturbed.weights, strict=True):
            np.testing.assert_array_equal(weight, expected)

    @SECOND_IS_SLOW
    def test_exported_model_predicts_the_same_and_never_draws(self, make, tmp_path):
        model = self.model(make)
        model.export(tmp_path / "saved", verbose=False)
        loaded = tf.saved_model.load(tmp_path / "saved")
        x = data(4, 6)
        for _ in range(2):
            np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-6, atol=1e-6)


class TestInformationAsked:
    """Outside of a model, of arrays as they come."""

    def test_lists_of_numbers_are_arrays(self, make):
        layer, x = make(3, 0.1), data(5, 4)
        np.testing.assert_array_equal(layer.information(x.tolist()), layer.information(x))

    @pytest.mark.parametrize(
        ("inputs", "mask", "error", "sentence"),
        [
            ([np.ones([5, 4]), np.ones([5], bool)], None, TypeError, "`inputs` must be one array"),
            ([np.ones([5, 4])] * 2, None, TypeError, "`inputs` must be one array"),
            (None, None, TypeError, "`inputs` must hold numbers"),
            ([["a"]], None, TypeError, "`inputs` must hold numbers"),
            (np.ones([5, 1, 4]), np.ones([5, 3], bool), ValueError, "`mask` must be of"),
            (np.ones([5, 4]), np.ones([5, 4], bool), ValueError, "`mask` must be of"),
        ],
        ids=["with a mask", "two", "none", "text", "places", "units"],
    )
    def test_what_is_no_array_of_inputs_is_refused(self, make, inputs, mask, error, sentence):
        with pytest.raises(error, match=f"{sentence}.*Received: ") as caught:
            make(3, 0.1).information(inputs, mask=mask)
        assert "\n" not in str(caught.value)


def test_information_counts_the_mask_that_keras_keeps_with_its_inputs(make):
    layer, (x, mask) = make(3, 0.1), masked(data(4, 3, 5), [3, 2, 1, 1])
    kept = layers.Masking()(x)
    nats = layer.information(kept)
    np.testing.assert_array_equal(nats, layer.information(x, mask=mask))
    assert not np.allclose(nats, layer.information(x))


class Summed(layers.Layer):
    """Sum over the time steps, whose mask it passes on."""

    supports_masking = True

    def call(self, inputs, mask=None):
        return keras.ops.sum(inputs, 1)


def test_a_mask_of_steps_that_are_summed_before_counts_for_nothing(make):
    """There are as many units as steps: the mask would leave out units."""
    layer, (x, mask) = make(3, 0.1), masked(data(4, 3, 5), [3, 2, 1, 1])
    summed = Summed()(layers.Masking()(x))
    assert summed._keras_mask.shape == mask.shape
    nats = layer.information(summed)
    np.testing.assert_array_equal(nats, layer.information(summed.numpy()))
    layer(summed, training=True)
    (cost,) = layer.losses
    assert float(cost) == pytest.approx(0.1 * float(tf.reduce_sum(nats)) / 4, rel=1e-5)
