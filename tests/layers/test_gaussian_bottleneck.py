"""The Gaussian bottleneck: its divergences against TFP, its priors, labels, and what it refuses."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras.src import testing

import keras_infobottleneck as kib
from keras_infobottleneck import distributions
from keras_infobottleneck.layers import GaussianBottleneck
from keras_infobottleneck.layers.labels_given import labels_given
from tests.support.dropout_layers import data, example_total

layers = keras.layers
tfd = tfp.distributions
Y = np.arange(12) % 3


def posterior(layer, x):
    """The code's distribution by TFP, from the weights."""
    loc = x @ layer.loc_layer.kernel.numpy() + layer.loc_layer.bias.numpy()
    logits = x @ layer.scale_layer.kernel.numpy() + layer.scale_layer.bias.numpy()
    return tfd.Normal(loc, 1e-4 + np.log1p(np.exp(logits - 5.0)))


def built(prior, units=3, **options):
    """A layer whose prior has moved, and whose noise is not small."""
    layer = GaussianBottleneck(units, 0.5, prior=prior, seed=3, **options)
    layer.build((None, 4))
    random = np.random.default_rng(1)
    layer.scale_layer.bias.assign(random.normal(4.0, 1.0, units))
    for weight in layer.pricing_weights[1:]:
        weight.assign(random.normal(0.0, 0.5, weight.shape))
    return layer


def mixture(layer, log_shares):
    parts = tfd.MultivariateNormalDiag(layer.prior_loc.value, tf.exp(layer.prior_log_scale.value))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=log_shares), parts)


class TestRate:
    def test_standard_is_the_divergence_from_the_unit_gaussian(self):
        layer, x = built("standard"), data(5, 4)
        expected = tfd.kl_divergence(posterior(layer, x), tfd.Normal(0.0, 1.0))
        np.testing.assert_allclose(layer.information(x), expected, rtol=1e-5)

    def test_of_one_component_is_the_divergence_from_it(self):
        layer, x = built("learned", num_components=1), data(5, 4)
        prior = tfd.Normal(layer.prior_loc[0], tf.exp(layer.prior_log_scale[0]))
        expected = tfd.kl_divergence(posterior(layer, x), prior)
        np.testing.assert_allclose(layer.information(x), expected, rtol=1e-5)

    @pytest.mark.parametrize("prior", ["learned", "conditional"])
    def test_of_a_mixture_is_a_bound_on_its_divergence(self, prior):
        count = {"num_components": 4} if prior == "learned" else {"num_classes": 4}
        layer, x = built(prior, **count), data(1, 4)
        log_shares = layer.prior_logits.value if prior == "learned" else tf.zeros([4])
        code = tfd.Independent(posterior(layer, x[0]), 1)
        z = code.sample(40_000, seed=1)
        ratio = (code.log_prob(z) - mixture(layer, log_shares).log_prob(z)).numpy()
        rate = layer.information(x).numpy().sum()
        least = ratio.mean() - 4.0 * ratio.std() / math.sqrt(len(ratio))
        parts = [
            tfd.kl_divergence(code, tfd.Independent(tfd.Normal(loc, tf.exp(log_scale)), 1))
            for loc, log_scale in zip(
                layer.prior_loc.numpy(), layer.prior_log_scale.numpy(), strict=True
            )
        ]
        expected = -tf.reduce_logsumexp(tf.nn.log_softmax(log_shares) - tf.stack(parts))
        np.testing.assert_allclose(rate, expected, rtol=1e-5)
        assert least <= rate < min(parts) + math.log(20.0)

    def test_of_a_mixture_far_apart_is_exact(self):
        layer, x = built("learned", num_components=3), data(1, 4)
        layer.prior_loc.assign_add(np.repeat([[0.0], [30.0], [-30.0]], 3, 1))
        code = tfd.Independent(posterior(layer, x[0]), 1)
        z = code.sample(40_000, seed=1)
        ratio = code.log_prob(z) - mixture(layer, layer.prior_logits.value).log_prob(z)
        error = np.std(ratio) / math.sqrt(len(ratio))
        assert abs(layer.information(x).numpy().sum() - np.mean(ratio)) < 4.0 * error

    def test_conditional_is_the_divergence_from_the_labels_gaussian(self):
        layer, x = built("conditional", num_classes=3), data(12, 4)
        own = tfd.Normal(
            tf.gather(layer.prior_loc.value, Y), tf.exp(tf.gather(layer.prior_log_scale.value, Y))
        )
        expected = tfd.kl_divergence(posterior(layer, x), own)
        for labels in (Y, Y[:, None], np.eye(3)[Y], Y.astype("float32")):
            np.testing.assert_allclose(layer.information(x, labels=labels), expected, rtol=1e-5)

    def test_conditional_in_a_sequence_takes_a_label_for_all_or_for_each_place(self):
        layer, x = built("conditional", num_classes=3), data(12, 3, 4)
        one = layer.information(x, labels=Y).numpy()
        each = np.repeat(Y[:, None], 3, 1)  # as many places as classes
        one_hot = np.eye(3, dtype="float32")
        for labels in (each, each[..., None], one_hot[each], one_hot[Y]):
            np.testing.assert_allclose(layer.information(x, labels=labels), one, rtol=1e-5)
        np.testing.assert_allclose(
            one[:, 1], layer.information(x[:, 1], labels=Y), rtol=1e-4, atol=1e-6
        )

    def test_is_the_information_of_a_linear_gaussian_channel_on_average(self):
        # z = a x + s n of x ~ N(0, 1) and the best prior N(0, a^2 + s^2): 1/2 log(1 + a^2 / s^2).
        layer = GaussianBottleneck(1, 1.0, prior="learned", num_components=1)
        layer.build((None, 1))
        layer.loc_layer.kernel.assign([[2.0]])
        layer.scale_layer.kernel.assign([[0.0]])
        scale = 1e-4 + math.log1p(math.exp(-5.0 + 3.0))
        layer.scale_layer.bias.assign([3.0])
        layer.prior_loc.assign([[0.0]])
        layer.prior_log_scale.assign([[0.5 * math.log(4.0 + scale**2)]])
        nats = layer.information(data(20_000, 1)).numpy()
        truth = 0.5 * math.log(1.0 + 4.0 / scale**2)
        assert abs(nats.mean() - truth) < 4.0 * nats.std() / math.sqrt(nats.size)

    @pytest.mark.parametrize("prior", ["standard", "learned", "conditional"])
    def test_gradients_are_finite_for_zero_and_for_huge_inputs(self, prior):
        count = {"num_classes": 3} if prior == "conditional" else {}
        layer = GaussianBottleneck(4, 1.0, prior=prior, **count)
        for size in (0.0, 300.0):
            with tf.GradientTape() as tape:
                z = layer(size * tf.ones((2, 3)), labels=tf.constant([0, 2]), training=True)
                loss = tf.reduce_sum(z) + layer.losses[0]
            gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]  # of rows, too
            assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_output_in_training_is_the_mean_and_scaled_noise():
    layer, x = built("standard"), data(5, 4)
    code = posterior(layer, x)
    noise = distributions.standard_normal((5, 3), layer.seed_generator.state.numpy())
    np.testing.assert_allclose(layer(x), code.loc, rtol=1e-5, atol=1e-6)
    expected = code.loc + code.scale * noise
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-5, atol=1e-6)


class TestContract(testing.TestCase):
    def test_every_prior_keeps_the_keras_contract(self):
        weights = {"standard": 4, "learned": 7, "conditional": 6}
        for prior, count in weights.items():
            with self.subTest(prior):
                self.run_layer_test(
                    GaussianBottleneck,
                    {
                        "units": 3,
                        "beta": 0.1,
                        "prior": prior,
                        "num_classes": 5 if prior == "conditional" else None,
                        "seed": 4,
                    },
                    input_shape=(2, 6, 4),
                    expected_output_shape=(2, 6, 3),
                    expected_num_losses=0,
                    expected_num_trainable_weights=count,
                    expected_num_non_trainable_weights=1,
                    expected_num_seed_generators=1,
                    supports_masking=True,
                    run_training_check=False,
                )


def conditional_model(**options):
    bottleneck = GaussianBottleneck(4, 0.1, prior="conditional", num_classes=3, seed=1, name="code")
    network = keras.Sequential([keras.Input((6,)), bottleneck, layers.Dense(3)])
    model = kib.InformationBottleneckModel(network, num_examples=12)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    return model, bottleneck


class TestLabelsInAModel:
    @pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_training_and_evaluation_price_by_the_label(self, jit_compile, tmp_path):
        model, code = conditional_model(jit_compile=jit_compile)
        x = data(12, 6)
        before = code.prior_loc.numpy()
        model.fit(x, Y, epochs=3, batch_size=5, verbose=0)
        assert np.abs(code.prior_loc.numpy() - before).min() > 1e-4  # every class has learned
        logs = model.evaluate(x, Y, batch_size=5, verbose=0, return_dict=True)
        nats = example_total(code.information(x, labels=Y))
        np.testing.assert_allclose(logs["code_information"], nats, rtol=1e-5)
        np.testing.assert_allclose(logs["loss"], logs["task_loss"] + 0.1 * nats, rtol=1e-5)
        assert example_total(code.information(x)) > nats - math.log(3.0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x), model(x))
        again = loaded.evaluate(x, Y, batch_size=5, verbose=0, return_dict=True)
        assert again == pytest.approx(logs, rel=1e-5)
        model.export(tmp_path / "served", verbose=False)  # without labels
        served = tf.saved_model.load(str(tmp_path / "served"))
        np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-5, atol=1e-6)

    def test_numbers_of_classes_train_as_one_hot_rows_do(self):
        """Also by optimizers that square gradients, of classes that many examples share."""
        x, y = data(60, 4), np.arange(60) % 3
        found = []
        for labels in (y, np.eye(3, dtype="float32")[y]):
            keras.utils.set_random_seed(0)
            layer = built("conditional", num_classes=3)
            network = keras.Sequential([keras.Input((4,)), layer, layers.Dense(3)])
            model = kib.InformationBottleneckModel(network, num_examples=60)
            one_hot = keras.losses.CategoricalCrossentropy(from_logits=True)
            sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.1), sparse if labels is y else one_hot)
            model.fit(x, labels, batch_size=60, epochs=3, shuffle=False, verbose=0)
            found.append([layer.prior_loc.numpy(), layer.prior_log_scale.numpy()])
        np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)

    def test_a_plain_model_takes_labels_as_an_input_or_refuses_to_train(self):
        code = GaussianBottleneck(4, 0.1, prior="conditional", num_classes=3, name="code")
        x, labels = keras.Input((6,)), keras.Input((), dtype="int32")
        model = keras.Model([x, labels], layers.Dense(3)(code(x, labels=labels)))
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        values = data(12, 6)
        model.fit([values, Y], Y, verbose=0)
        logs = model.evaluate([values, Y], Y, verbose=0, return_dict=True)
        nats = example_total(code.information(values, labels=Y))
        np.testing.assert_allclose(logs["code_information"], nats, rtol=1e-5)
        with pytest.raises(ValueError, match=r"trained with labels.*Received: layer='code'"):
            code(values, training=True)
        code(values, training=False)
        assert code.losses == []


BAD = [
    ({"units": 0}, ValueError, "`units` must be"),
    ({"units": 2.5}, TypeError, "`units` must be"),
    ({"beta": -1.0}, ValueError, "`beta` must be at least 0 and finite"),
    ({"beta": None}, TypeError, "`beta` must be a number"),
    ({"prior": "normal"}, ValueError, "`prior` must be"),
    ({"prior": "conditional"}, TypeError, "`num_classes` must be an integer"),
    ({"num_classes": 3}, ValueError, "`num_classes` must be None unless the prior is conditional"),
    ({"prior": "conditional", "num_classes": 1}, ValueError, "`num_classes` must be"),
    ({"prior": "learned", "num_components": 0}, ValueError, "`num_components` must be"),
    ({"seed": -1}, ValueError, "`seed` must be"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_each_refusal_is_one_sentence(change, error, sentence):
    with pytest.raises(error) as caught:
        GaussianBottleneck(**{"units": 3, "beta": 0.1, **change})
    message = str(caught.value)
    assert sentence in message
    assert message.count("Received: ") == 1
    assert "\n" not in message


@pytest.mark.parametrize(
    ("labels", "error"),
    [({"a": Y}, TypeError), (np.zeros([12, 2]), ValueError), (np.zeros([12, 3, 3]), ValueError)],
    ids=["structure", "columns", "axes"],
)
def test_labels_of_no_use_are_refused(labels, error):
    layer = built("conditional", num_classes=3)
    with pytest.raises(error, match=r"`labels` must.*Received: labels="):
        layer.information(data(12, 4), labels=labels)


NO_CLASSES = {
    "halves": Y + 0.5,
    "above": Y + 1,
    "below": Y - 1,
    "nan": np.where(Y == 1, np.nan, Y),
    "a class for each of three outputs": np.stack([Y, Y, Y], 1),
    "several classes": np.repeat([[1, 0, 1]], 12, 0),
    "a regression": data(12, 3),
    "fewer": Y[:5],
    "places": np.stack([Y, Y], 1),
}


@pytest.mark.parametrize("name", NO_CLASSES)
def test_labels_that_are_no_classes_are_refused(name):
    layer, x, labels = built("conditional", num_classes=3), data(12, 4), NO_CLASSES[name]
    for ask in (layer.information, layer):
        with pytest.raises(ValueError, match=r"`labels` must be class numbers from 0 to 2.*Receiv"):
            ask(x, labels=labels, **({} if ask == layer.information else {"training": True}))
    if name in ("fewer", "places"):
        return  # seen when a graph is made
    nats = tf.function(lambda y: layer.information(x, labels=y))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`labels` must be class numbers"):
        nats(tf.constant(labels))


def test_labels_that_are_no_classes_give_nan_where_xla_leaves_out_the_check():
    layer, x = built("conditional", num_classes=3), data(12, 4)
    nats = tf.function(lambda y: layer.information(x, labels=y), jit_compile=True)
    found = nats(tf.constant(np.where(Y == 1, 3, Y)))
    np.testing.assert_array_equal(np.isnan(found), np.repeat(Y[:, None] == 1, 3, 1))


def test_labels_of_another_number_of_axes_than_before_are_refused():
    layer = built("conditional", num_classes=3)
    signature = [tf.TensorSpec(None, tf.int64)]
    nats = tf.function(lambda y: layer.information(data(12, 4), labels=y), signature)
    with pytest.raises(ValueError, match="as many axes in every call of `fit`"):
        nats(tf.constant(Y))


def test_places_that_are_masked_may_have_any_label():
    layer, x = built("conditional", num_classes=3), data(12, 3, 4)
    mask = np.arange(3) < np.array([3, 2, 1] * 4)[:, None]
    labels = np.where(mask, Y[:, None], -1)
    expected = layer.information(x, mask=mask, labels=np.maximum(labels, 0))
    np.testing.assert_array_equal(layer.information(x, mask=mask, labels=labels), expected)
    with tf.GradientTape() as tape:
        layer(x, labels=labels, mask=tf.constant(mask), training=True)
        (cost,) = layer.losses
    gradient = tape.gradient(cost, layer.prior_loc.value)
    assert np.all(np.isfinite(gradient))
    assert np.all(np.any(gradient != 0.0, 1))


def test_a_refusal_of_labels_stays_one_sentence_in_a_model():
    layer = GaussianBottleneck(2, 0.1, prior="conditional", num_classes=3)
    network = keras.Sequential([keras.Input((4, 5)), layers.TimeDistributed(layer)])
    with (
        labels_given(tf.constant(np.stack([Y, Y, Y, Y], 1))),
        pytest.raises(ValueError, match="as it is, without TimeDistributed") as caught,
    ):
        network(data(12, 4, 5), training=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="trained with labels") as caught:
        network(data(12, 4, 5), training=True)
    assert "\n" not in str(caught.value)


def test_one_hot_rows_of_whole_numbers_serve_a_sequence():
    layer, x = built("conditional", num_classes=3), data(12, 2, 4)
    expected = layer.information(x, labels=Y)
    for kind in (int, bool, np.float32):
        found = layer.information(x, labels=np.eye(3, dtype=kind)[Y])
        np.testing.assert_array_equal(found, expected)


def test_a_wrong_row_of_many_classes_is_told_in_one_line():
    layer = built("conditional", num_classes=50)
    with pytest.raises(ValueError, match=r"`labels` must be class numbers") as caught:
        layer.information(data(12, 4), labels=np.full([12, 50], 0.5))
    assert "\n" not in str(caught.value)
