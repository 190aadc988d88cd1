"""From a deterministic network to a variational one and back."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib
from tests.support.networks_to_convert import (
    NETWORKS,
    TOKENS,
    VECTORS,
    assert_same_outputs,
    image_network,
    nested_network,
    token_network,
)

VariationalWeights = kib.layers.VariationalWeights


@pytest.mark.parametrize("kind", NETWORKS)
def test_there_and_back_keeps_weights_and_predictions(kind):
    make, x = NETWORKS[kind]
    original = make()
    before = original.get_weights()
    variational = kib.make_variational(original, num_examples=10, verbose=0)
    assert_same_outputs(original, variational, x)
    means = [w.numpy() for w in variational.network.weights if not w.name.endswith("_spread")]
    drawn = sum(len(layer.variational_weights) for layer in variational.variational_layers)
    assert len(variational.network.weights) == len(means) + drawn
    plain = kib.make_deterministic(variational)
    assert type(plain) is type(original)
    assert_same_outputs(original, plain, x)
    assert [w.name for w in plain.weights] == [w.name for w in original.weights]
    for column in (means, plain.get_weights(), original.get_weights()):
        for one, other in zip(before, column, strict=True):
            np.testing.assert_array_equal(one, other)
    for layer in plain._flatten_layers():
        assert type(layer).__module__.startswith("keras.")


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_converted_draws(kind):
    make, x = NETWORKS[kind]
    model = kib.make_variational(make(), num_examples=10, verbose=0)
    for samples in keras.tree.flatten(model.predict_samples(x, 2, seed=1)):
        assert np.abs(samples[0] - samples[1]).max() > 1e-4


def test_a_layer_that_rescales_its_kernel_while_it_trains_stays_as_it_is():
    # With a distribution over it, every step would make a draw of the kernel its mean.
    normalised = layers.SpectralNormalization(layers.Dense(4), name="normalised")
    network = keras.Sequential([keras.Input((3,)), normalised, layers.Dense(2)])
    model = kib.make_variational(network, num_examples=8, seed=0, verbose=0)
    first, second = model.conversion
    assert (first.estimator, first.reason) == (None, "assigns its own weights in training")
    assert second.estimator == "local"
    before = normalised.layer.kernel.numpy()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=3, verbose=0)
    (after,) = (w.numpy() for w in model.weights if w.shape == before.shape)
    cosine = np.sum(before * after) / np.linalg.norm(before) / np.linalg.norm(after)
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_the_estimator_is_local_where_it_can_be_and_the_report_says_so(capsys):
    model = kib.make_variational(image_network(), num_examples=10)
    table = {row.layer.rstrip("_0123456789"): row.estimator for row in model.conversion}
    assert table == {
        "conv2d": "local",
        "batch_normalization": None,
        "depthwise_conv2d": "local",
        "separable_conv2d": "sample",
        "dropout": None,
        "flatten": None,
        "dense": "local",
    }
    printed = capsys.readouterr().out
    for row in model.conversion:
        assert f"{row.layer}: {row.estimator or 'unchanged'} ({row.reason})" in printed
    asked = kib.make_variational(
        nested_network(), num_examples=3, verbose=0, estimator="flipout", prior_scale=0.5
    )
    for layer in asked.variational_layers:
        assert (layer.estimator, layer.prior_scale) == ("flipout", 0.5)


class SubtractingDense(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) - self.bias


@pytest.mark.parametrize(("variational_bias", "estimator"), [(False, "local"), (True, "sample")])
def test_a_bias_that_is_not_added_is_sampled_if_it_is_drawn(variational_bias, estimator):
    network = keras.Sequential([keras.Input((4,)), SubtractingDense(3)])
    model = kib.make_variational(
        network, num_examples=3, verbose=0, variational_bias=variational_bias
    )
    assert [row.estimator for row in model.conversion] == [estimator]


def test_only_what_is_included_is_converted():
    network = nested_network()
    by_name = kib.make_variational(network, num_examples=3, include=["shared"], verbose=0)
    assert [layer.name for layer in by_name.variational_layers] == ["shared"]
    by_rule = kib.make_variational(
        network, num_examples=3, include=lambda layer: layer.name == "d", verbose=0
    )
    assert [layer.name for layer in by_rule.variational_layers] == ["d", "d"]
    assert {row.reason for row in by_name.conversion if row.layer == "d"} == {"not included"}


def test_the_model_may_have_a_name_of_its_own():
    network = nested_network()
    assert kib.make_variational(network, num_examples=3, verbose=0).name == network.name
    named = kib.make_variational(network, num_examples=3, verbose=0, name="mine")
    assert named.name == "mine"


def test_with_one_seed_layers_of_one_shape_draw_differently():
    network = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
    model = kib.make_variational(network, num_examples=3, verbose=0, seed=7)
    first, second = (
        (layer.draw_weights()[0] - layer.variational_weights[0]).numpy()
        for layer in model.variational_layers
    )
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.9
    again = kib.make_variational(network, num_examples=3, verbose=0, seed=7)
    drawn = again.variational_layers[0].draw_weights()[0]
    np.testing.assert_array_equal(drawn - network.layers[0].kernel, first)


def test_what_was_frozen_stays_frozen():
    network = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, trainable=False), layers.Dense(2)]
    )
    model = kib.make_variational(network, num_examples=3, verbose=0)
    assert len(model.trainable_weights) == 3  # kernel, bias and spread of the last layer
    assert len(model.variational_layers) == 2  # both count
    assert len(kib.make_deterministic(model).trainable_weights) == 2


def test_a_converted_model_trains_and_keeps_noisy_layers_it_had():
    inputs = keras.Input((4,))
    z = VariationalWeights(layers.Dense(3, "relu"), name="noisy", prior_scale=0.7)(inputs)
    network = keras.Model(inputs, layers.Dense(1)(z))
    model = kib.make_variational(network, num_examples=10, verbose=0)
    reasons = {row.layer: row.reason for row in model.conversion}
    assert reasons["noisy"] == "draws noise itself"
    assert model.get_layer("noisy").prior_scale == 0.7
    again = kib.make_variational(model, num_examples=5, verbose=0)  # already converted: a copy
    assert_same_outputs(again, network, VECTORS)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    before = network.get_weights()
    model.train_on_batch(VECTORS, VECTORS[:, :1])
    assert np.abs(model(VECTORS) - network(VECTORS)).max() > 0.0
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [image_network, nested_network])
def test_a_loss_of_ones_own_stays_with_the_original(make):
    """Keras would copy it with the model, and cannot: nobody registered it."""

    def distance(y, prediction):
        return keras.ops.abs(y - prediction)

    original = make()
    for model in [layer for layer in original._flatten_layers() if isinstance(layer, keras.Model)]:
        model.compile(loss=distance)
    converted = kib.make_variational(original, num_examples=10, verbose=0)
    assert original.compiled
    assert not converted.network.compiled
    assert not kib.estimators.quantize_to(original, 4).compiled


def test_pruning_zeroes_exactly_the_weights_below_the_threshold():
    model = kib.make_variational(
        nested_network(), num_examples=10, verbose=0, initial_scale=0.2, variational_bias=False
    )
    plain = kib.make_deterministic(model, prune_below=1.0)
    means = [w.numpy() for w in model.network.weights if not w.name.endswith("_spread")]
    zeroed = 0
    for mean, weight in zip(means, plain.get_weights(), strict=True):
        if mean.ndim == 2:
            small = np.abs(mean) < 0.2
            zeroed += small.sum()
            mean = np.where(small, 0.0, mean)
        np.testing.assert_array_equal(weight, mean)
    assert 0 < zeroed < 48
    all_gone = kib.make_deterministic(model, prune_below=1e9)
    np.testing.assert_array_equal(all_gone(VECTORS), np.zeros((10, 4)))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


class Holder(layers.Layer):
    """Makes its layers itself; not registered, which copying within a process does not need."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normal = layers.BatchNormalization()
        self.noisy = VariationalWeights(layers.Dense(2))

    def build(self, input_shape):
        self.normal.build(input_shape)
        self.noisy.build(input_shape)

    def call(self, inputs):
        return self.noisy(self.normal(inputs))


CONVERSIONS = {
    "make_variational": lambda model: kib.make_variational(model, num_examples=3),
    "make_deterministic": kib.make_deterministic,
    "recalibrate": lambda model: kib.recalibrate_batch_normalization(model, VECTORS),
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_models_that_cannot_be_rebuilt_are_refused_in_a_sentence(convert):
    subclassed = Subclassed()
    subclassed(VECTORS)
    held = kib.InformationBottleneckModel(subclassed, num_examples=3)
    for model in (subclassed, held):
        with pytest.raises(TypeError, match=r"sequential or functional model.* Received: model="):
            convert(model)
    with pytest.raises(TypeError, match=r"`model` must be a keras.Model\. Received: model='mine'"):
        convert("mine")
    with pytest.raises(ValueError, match=r"`model` must be built\. Received: model="):
        convert(keras.Sequential([layers.Dense(2)]))


def test_layers_out_of_reach_are_refused_in_a_sentence():
    model = keras.Sequential([keras.Input((4,)), Holder()])
    before = model.get_weights()
    with pytest.raises(TypeError, match=r"that a custom layer creates itself.* Received: layer="):
        kib.make_deterministic(model)
    with pytest.raises(TypeError, match=r"cannot be recalibrated.* Received: layer="):
        kib.recalibrate_batch_normalization(model, VECTORS)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"no BatchNormalization layer.* Received: model="):
        kib.recalibrate_batch_normalization(token_network(), TOKENS)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_examples": 0}, ValueError, "`num_examples` must be at least 1"),
        ({"include": ["nowhere"]}, ValueError, "names of layers of the model"),
        ({"include": ["block"]}, ValueError, "names of layers of the model"),
        ({"include": "shared"}, TypeError, "`include` must be a collection"),
        ({"include": 3}, TypeError, "`include` must be a collection"),
        ({"estimator": "magic"}, ValueError, "`estimator` must be one of 'local'"),
        ({"posterior": "cauchy"}, ValueError, "`posterior` must be one of 'gaussian'"),
        ({"prior_scale": -1.0}, ValueError, "`prior_scale` must be above 0"),
        ({"weight_beta": -1.0}, ValueError, "`weight_beta` must be at least 0"),
        ({"delta": 1.0}, ValueError, "`delta` must be in \\(0, 1\\)"),
        (
            {"betta": 1.0},
            TypeError,
            r"^make_variational\(\) got an unexpected keyword argument 'betta'$",
        ),
        ({"include": []}, ValueError, "`include` must be a collection of names"),
        ({"include": lambda layer: False}, ValueError, "`include` must choose a layer"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, error, message):
    network = nested_network()
    with pytest.raises(error, match=message):
        kib.make_variational(network, verbose=0, **{"num_examples": 3, **options})


@pytest.mark.parametrize(
    "convert", [CONVERSIONS["make_variational"], CONVERSIONS["make_deterministic"]]
)
def test_weights_that_are_not_finite_are_refused_in_a_sentence(convert):
    network = nested_network()
    network.set_weights([w * np.nan for w in network.get_weights()])
    with pytest.raises(ValueError, match=r"`model` must have weights that are finite.* Received: "):
        convert(network)


@pytest.mark.parametrize(
    ("threshold", "error"), [(0.0, ValueError), (float("nan"), ValueError), ("2", TypeError)]
)
def test_bad_thresholds_are_refused_in_a_sentence(threshold, error):
    model = kib.make_variational(nested_network(), num_examples=3, verbose=0)
    with pytest.raises(error, match=r"`prune_below` must be .* Received: prune_below="):
        kib.make_deterministic(model, prune_below=threshold)


def test_pruning_needs_noise():
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"needs weights with noise.* without Variational"):
        kib.make_deterministic(plain, prune_below=0.5)


def test_a_layer_that_fails_the_probe_is_sampled_instead():
    summed = layers.EinsumDense("abc,cd->ad", (3,), name="summed")  # sums an axis of its own
    model = keras.Sequential([keras.Input((4, 5)), summed])
    variational = kib.make_variational(model, num_examples=8, verbose=0)
    assert [row.estimator for row in variational.conversion] == ["sample"]
