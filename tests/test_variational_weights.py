"""VariationalWeights as a Keras layer: contract, every layer type, cost, dtypes, saving, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src import testing

from keras_infobottleneck.layers import VariationalWeights, drawing

# Layer class, its arguments, shape of the input, estimators that apply.
LINEAR, ANY = ("local", "flipout", "sample"), ("sample",)
LAYERS = {
    "dense": (layers.Dense, {"units": 3, "activation": "relu"}, (2, 4), LINEAR),
    "einsum": (
        layers.EinsumDense,
        {"equation": "...b,bc->...c", "output_shape": 3},
        (2, 3, 4),
        LINEAR,
    ),
    "conv1d": (
        layers.Conv1D,
        {"filters": 2, "kernel_size": 2, "padding": "causal"},
        (2, 4, 3),
        LINEAR,
    ),
    "conv2d": (layers.Conv2D, {"filters": 2, "kernel_size": 2, "groups": 2}, (2, 3, 3, 2), LINEAR),
    "conv3d": (layers.Conv3D, {"filters": 2, "kernel_size": 2}, (2, 2, 2, 3, 1), LINEAR),
    "depthwise1d": (layers.DepthwiseConv1D, {"kernel_size": 2}, (2, 4, 3), LINEAR),
    "depthwise2d": (layers.DepthwiseConv2D, {"kernel_size": 2}, (2, 3, 3, 2), LINEAR),
    "conv1d_transpose": (
        layers.Conv1DTranspose,
        {"filters": 2, "kernel_size": 2},
        (2, 3, 2),
        LINEAR,
    ),
    "conv2d_transpose": (
        layers.Conv2DTranspose,
        {"filters": 2, "kernel_size": 2, "strides": 2},
        (2, 2, 2, 2),
        LINEAR,
    ),
    "conv3d_transpose": (
        layers.Conv3DTranspose,
        {"filters": 1, "kernel_size": 2},
        (2, 2, 2, 2, 1),
        LINEAR,
    ),
    "separable1d": (layers.SeparableConv1D, {"filters": 2, "kernel_size": 2}, (2, 3, 2), ANY),
    "separable2d": (layers.SeparableConv2D, {"filters": 2, "kernel_size": 2}, (2, 3, 3, 2), ANY),
    "lstm": (layers.LSTM, {"units": 2, "return_sequences": True}, (2, 3, 2), ANY),
    "gru": (layers.GRU, {"units": 2}, (2, 3, 2), ANY),
    "simple_rnn": (layers.SimpleRNN, {"units": 2}, (2, 3, 2), ANY),
    "conv_lstm": (layers.ConvLSTM2D, {"filters": 1, "kernel_size": 2}, (2, 2, 3, 3, 1), ANY),
    "embedding": (layers.Embedding, {"input_dim": 3, "output_dim": 2}, (2, 3), ANY),
}
PAIRS = [(name, estimator) for name, (*_, estimators) in LAYERS.items() for estimator in estimators]


def make(name, dtype=None, **options):
    layer_class, arguments, *_ = LAYERS[name]
    return VariationalWeights(layer_class(**arguments, dtype=dtype), **options)


def inputs_for(name):
    shape = LAYERS[name][2]
    if name == "embedding":
        return np.array([[0, 1, 2], [2, 2, 1]])
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def sequences():
    return np.random.default_rng(2).standard_normal((2, 3, 4)).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_keras_layer_contract(name):
    estimator = LAYERS[name][3][len(name) % len(LAYERS[name][3])]
    testing.TestCase("run_layer_test").run_layer_test(
        lambda **options: make(name, **options),
        {"estimator": estimator, "seed": 1},
        input_data=inputs_for(name),
        expected_num_losses=0,
        custom_objects={"VariationalWeights": VariationalWeights},
    )


@pytest.mark.parametrize(("name", "estimator"), PAIRS)
def test_inference_is_the_wrapped_layer_and_training_draws(name, estimator):
    layer = make(name, estimator=estimator, initial_scale=0.3)
    x = inputs_for(name)
    mean = layer(x)
    np.testing.assert_array_equal(mean, layer.layer(x))
    first, second = layer(x, training=True), layer(x, training=True)
    assert first.shape == mean.shape
    assert not np.allclose(first, mean)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_do_not_depend_on_the_estimator(name):
    shapes = []
    for estimator in LAYERS[name][3]:
        layer = make(name, estimator=estimator)
        layer.build(LAYERS[name][2])
        shapes.append([(w.name, tuple(w.shape), w.dtype) for w in layer.weights])
    assert all(listed == shapes[0] for listed in shapes)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("variational_bias", [False, True])
def test_cost_is_the_sum_of_tfp_divergences(name, variational_bias):
    for options in ({}, {"prior_scale": 0.3}, {"posterior": "truncated_log_normal"}):
        layer = make(name, estimator="sample", variational_bias=variational_bias, **options)
        layer.build(LAYERS[name][2])
        posterior, prior = layer.posterior(), layer.prior()
        total = sum(tf.reduce_sum(posterior[p].kl_divergence(prior[p])) for p in posterior)
        np.testing.assert_allclose(layer.kl_divergence(), total, rtol=1e-5)
        noisy = {weight.path for weight in layer.layer.trainable_weights}
        if not variational_bias:
            noisy = {path for path in noisy if not path.endswith("bias")}
        assert set(posterior) == noisy


@pytest.mark.parametrize("estimator", LINEAR)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_moves_means_and_scales(estimator, jit_compile):
    model = keras.Sequential([keras.Input((4,)), make("dense", estimator=estimator)])
    model.compile("adam", "mse", jit_compile=jit_compile)
    before = [w.numpy() for w in model.layers[0].trainable_weights]
    model.fit(inputs_for("dense"), np.ones((2, 3)), verbose=0)
    after = [w.numpy() for w in model.layers[0].trainable_weights]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("estimator", LINEAR)
def test_every_dimension_but_the_channels_may_be_unknown(estimator):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, make("conv2d", estimator=estimator)(inputs))
    call = tf.function(
        lambda x: model(x, training=True), input_signature=[tf.TensorSpec([None, None, None, 2])]
    )
    assert call(tf.ones([3, 4, 5, 2])).shape == (3, 3, 4, 2)
    assert call(tf.ones([1, 6, 2, 2])).shape == (1, 5, 1, 2)


@pytest.mark.parametrize("estimator", LINEAR)
def test_time_distributed(estimator):
    model = keras.Sequential(
        [keras.Input((3, 4)), layers.TimeDistributed(make("dense", estimator=estimator))]
    )
    assert model(sequences(), training=True).shape == (2, 3, 3)
    assert not np.allclose(model(sequences(), training=True), model(sequences()))


@pytest.mark.parametrize("estimator", LINEAR)
def test_dense_takes_inputs_of_another_rank_than_it_was_built_for(estimator):
    layer = make("dense", estimator=estimator)
    layer.build((None, 4))
    assert layer(sequences(), training=True).shape == (2, 3, 3)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("estimator", LINEAR)
def test_both_data_formats_where_the_device_has_a_kernel(estimator, data_format):
    inner = layers.Conv1DTranspose(2, 2, data_format=data_format)
    layer = VariationalWeights(inner, estimator=estimator)
    x = inputs_for("conv1d")
    try:
        expected = inner(x)
    except tf.errors.OpError:
        pytest.skip("TensorFlow has no such kernel on this device")
    assert layer(x, training=True).shape == expected.shape


def test_shared_use_has_one_set_of_weights_and_one_cost():
    layer = make("dense")
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.add([layer(a), layer(b)]))
    assert len(model.trainable_weights) == 3
    assert model.losses == []


def test_pretrained_weights_are_the_means():
    inner = layers.Dense(3)
    inner.build((None, 4))
    kernel = inner.kernel.numpy()
    layer = VariationalWeights(inner)
    layer.build((None, 4))
    (posterior,) = layer.posterior().values()
    np.testing.assert_array_equal(posterior.loc, kernel)
    assert layer.layer is inner


def test_frozen_layers_still_draw_and_still_cost(tmp_path):
    model = keras.Sequential([keras.Input((4,)), make("dense"), make("dense", estimator="sample")])
    costs = [float(layer.kl_divergence()) for layer in model.layers]
    model.trainable = False
    model.save(tmp_path / "frozen.keras")
    loaded = keras.models.load_model(tmp_path / "frozen.keras")
    x = inputs_for("dense")
    for frozen in (model, loaded):
        assert frozen.trainable_weights == []
        np.testing.assert_allclose([float(v.kl_divergence()) for v in frozen.layers], costs)
        assert not np.allclose(frozen(x, training=True), frozen(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", ["dense", "conv2d"])
@pytest.mark.parametrize("estimator", LINEAR)
def test_the_policy_of_the_wrapped_layer_governs_and_scales_are_float32(estimator, name, policy):
    layer = make(name, estimator=estimator, dtype=policy)
    x = inputs_for(name)
    assert layer(x, training=True).dtype == layer(x).dtype == layer.layer.compute_dtype
    assert all(weight.dtype == "float32" for weight in layer._spread)
    assert layer.kl_divergence().dtype == tf.float32
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros(layer(x).shape), verbose=0)
    assert all(np.isfinite(w.numpy().astype("float32")).all() for w in layer.weights)


def test_drawing_needs_no_training_and_leaves_dropout_and_batch_statistics_alone():
    inner = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)])
    layer = VariationalWeights(inner, estimator="sample")
    x = inputs_for("dense")
    mean = layer(x)
    state = [v.numpy() for v in layer.non_trainable_variables]  # statistics and seeds
    with drawing([1, 2]):
        first = layer(x)
    with drawing([1, 2]):
        again = layer(x)
    with drawing([1, 2], weights=False):
        np.testing.assert_array_equal(layer(x), mean)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, mean)
    assert (first.numpy() != 0).all()  # dropout at work would zero half
    for variable, value in zip(layer.non_trainable_variables, state, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_statistics_and_seeds_inside_move_on_while_weights_are_drawn():
    inner = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)])
    layer = VariationalWeights(inner, estimator="sample")
    layer.build((None, 4))
    before = [v.numpy() for v in inner.non_trainable_variables]
    layer(inputs_for("dense"), training=True)
    after = [v.numpy() for v in inner.non_trainable_variables]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


def test_masks_pass_through_noisy_layers():
    tokens = np.array([[1, 2, 0], [2, 0, 0]])
    embedding = VariationalWeights(layers.Embedding(3, 4, mask_zero=True), estimator="sample")
    lstm = VariationalWeights(layers.LSTM(2, return_sequences=True), estimator="sample")
    dense = VariationalWeights(layers.Dense(2))
    for training in (False, True):
        embedded = embedding(tokens, training=training)
        states = lstm(embedded, training=training)
        for tensor in (embedded, states, dense(states, training=training)):
            np.testing.assert_array_equal(tensor._keras_mask, tokens != 0)
        np.testing.assert_array_equal(states[0, 1], states[0, 2])  # masked: the state is kept
    np.testing.assert_allclose(lstm(embedding(tokens)), lstm.layer(embedding.layer(tokens)))


def test_attention_takes_several_inputs_eager_and_functional():
    tokens = np.array([[1, 2, 0], [2, 0, 0]])
    embedding = layers.Embedding(3, 4, mask_zero=True)
    attention = layers.MultiHeadAttention(2, 3)
    layer = VariationalWeights(attention, estimator="sample")
    masked = layer(embedding(tokens), embedding(tokens))
    np.testing.assert_allclose(masked, attention(embedding(tokens), embedding(tokens)), atol=1e-6)
    unmasked = attention(*[tf.identity(embedding(tokens))] * 2)
    assert not np.allclose(masked, unmasked)
    assert len(layer.posterior()) == 4

    query, value, key = keras.Input((None, 4)), keras.Input((None, 5)), keras.Input((None, 6))
    layer = VariationalWeights(layers.MultiHeadAttention(2, 3), estimator="sample")
    outputs, scores = layer(query, value, key, return_attention_scores=True)
    model = keras.Model([query, value, key], [outputs, scores])
    arrays = [np.ones((2, 3, 4)), np.ones((2, 5, 5)), np.ones((2, 5, 6))]
    outputs, scores = model(arrays, training=True)
    assert outputs.shape == (2, 3, 4)
    assert scores.shape == (2, 2, 3, 5)
    assert not np.allclose(outputs, model(arrays)[0])


def test_recurrent_states_go_in_and_out():
    states = [np.full((2, 2), 0.5, "float32"), np.full((2, 2), -0.5, "float32")]
    inner = layers.LSTM(2, return_state=True)
    layer = VariationalWeights(inner, estimator="sample")
    expected = inner(sequences(), initial_state=states)
    for output, wanted in zip(layer(sequences(), initial_state=states), expected, strict=True):
        np.testing.assert_array_equal(output, wanted)
    assert len(layer(sequences(), initial_state=states, training=True)) == 3

    inputs = [keras.Input((3, 4)), keras.Input((2,)), keras.Input((2,))]
    layer = VariationalWeights(layers.Bidirectional(layers.GRU(2)), estimator="sample")
    model = keras.Model(inputs, layer(inputs[0], initial_state=inputs[1:]))
    assert model([sequences(), *states], training=True).shape == (2, 4)
    assert len(layer.posterior()) == 4


def test_stateful_layers_remember_while_weights_are_drawn():
    inner = layers.GRU(2, stateful=True)
    layer = VariationalWeights(inner, estimator="sample")
    outputs = layer(sequences(), training=True)
    np.testing.assert_array_equal(inner.states[0], outputs)
    inner.reset_state()
    np.testing.assert_array_equal(inner.states[0], np.zeros((2, 2)))


def test_a_weight_held_by_two_layers_counts_once():
    layer = VariationalWeights(layers.SpectralNormalization(layers.Dense(3)), estimator="sample")
    layer.build((None, 4))
    assert len(layer.variational_weights) == 1


def test_signal_to_noise_is_the_ratio_also_for_tiny_and_zero_means():
    layer = make("dense", posterior="log_normal", initial_scale=0.2)
    layer.build((None, 4))
    layer.layer.kernel.assign(np.full((4, 3), 1e-9) * [[1.0, -1.0, 0.0]])
    (ratio,) = layer.signal_to_noise().values()
    expected = 1 / np.sqrt(np.expm1(0.04))
    np.testing.assert_allclose(ratio, [[expected, expected, 0.0]] * 4, rtol=1e-4)


@pytest.mark.parametrize("estimator", LINEAR)
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened(estimator, tmp_path):
    x, y = inputs_for("dense"), np.ones((2, 3))
    model = keras.Sequential([keras.Input((4,)), make("dense", estimator=estimator, seed=4)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    undisturbed = model.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"]
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"] == undisturbed


def test_weights_alone_carry_over_between_estimators(tmp_path):
    model = keras.Sequential([keras.Input((4,)), make("dense", estimator="local")])
    model.layers[0]._spread[0].assign_add(np.ones((4, 3)))
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.Sequential([keras.Input((4,)), make("dense", estimator="sample")])
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.layers[0].kl_divergence(), model.layers[0].kl_divergence())
    np.testing.assert_array_equal(other(inputs_for("dense")), model(inputs_for("dense")))


def test_an_anchored_prior_is_free_at_first_and_survives_a_round_trip(tmp_path):
    model = keras.Sequential([keras.Input((4,)), make("dense", variational_bias=True)])
    layer = model.layers[0]
    prior_scales = {path: prior.scale for path, prior in layer.prior().items()}
    layer.anchor_prior(scale=False)
    for path, prior in layer.prior().items():
        np.testing.assert_allclose(prior.scale, prior_scales[path], rtol=1e-6)
        np.testing.assert_array_equal(prior.loc, layer.posterior()[path].loc)
    layer.anchor_prior(scale=True)
    assert float(layer.kl_divergence()) == 0.0
    layer._spread[0].assign_add(np.ones((4, 3)))
    layer.layer.kernel.assign_add(np.ones((4, 3)))
    cost = float(layer.kl_divergence())
    assert cost > 1.0
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.load_weights(tmp_path / "model.weights.h5")
    for copy in (loaded, clone):
        assert copy.layers[0].get_config()["anchored"] is True
        assert float(copy.layers[0].kl_divergence()) == cost
        assert len(copy.layers[0].non_trainable_weights) == 4


class AddsALoss(layers.Dense):
    def call(self, inputs):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs)


class Unconfigured(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


def test_a_layer_without_a_configuration_can_be_sampled():
    layer = VariationalWeights(Unconfigured(3), estimator="sample")
    model = keras.Sequential([keras.Input((4,)), layer])
    assert model(inputs_for("dense"), training=True).shape == (2, 3)


def quantized():
    layer = layers.Dense(3)
    layer.build((None, 4))
    layer.quantize("int8")
    return layer


BAD = {
    "no_layer": lambda: VariationalWeights(None),
    "a_class": lambda: VariationalWeights(layers.Dense),
    "posterior": lambda: VariationalWeights(layers.Dense(3), posterior="laplace"),
    "estimator": lambda: VariationalWeights(layers.Dense(3), estimator=["local"]),
    "negative_prior_scale": lambda: VariationalWeights(layers.Dense(3), prior_scale=-1.0),
    "nan_prior_scale": lambda: VariationalWeights(layers.Dense(3), prior_scale=float("nan")),
    "zero_initial_scale": lambda: VariationalWeights(layers.Dense(3), initial_scale=0),
    "infinite_max_variance": lambda: make("dense", max_variance=float("inf")),
    "text_max_variance": lambda: make("dense", max_variance="1"),
    "boolean_prior_scale": lambda: make("dense", prior_scale=True),
    "text_variational_bias": lambda: make("dense", variational_bias="no"),
    "seed": lambda: make("dense", seed=1.5),
    "dtype": lambda: VariationalWeights(layers.Dense(3), dtype="mixed_float16"),
    "flipout_log_normal": lambda: make("dense", posterior="log_normal", estimator="flipout"),
    "prior_scale_log_normal": lambda: make("dense", posterior="log_normal", prior_scale=1.0),
    "initial_scale_over_cap": lambda: make("dense", posterior="log_normal", initial_scale=2.0),
    "local_lstm": lambda: make("lstm", estimator="local"),
    "flipout_separable": lambda: make("separable2d", estimator="flipout"),
    "local_unconfigured": lambda: VariationalWeights(Unconfigured(3)),
    "local_einsum": lambda: VariationalWeights(layers.EinsumDense("abc,cd->ad", 3))(sequences()),
    "no_weights": lambda: VariationalWeights(layers.ReLU(), estimator="sample")(sequences()),
    "offsets_only": lambda: VariationalWeights(layers.LayerNormalization(), estimator="sample")(
        sequences()
    ),
    "quantized": lambda: VariationalWeights(quantized())(sequences()),
    "nested": lambda: VariationalWeights(make("dense"), estimator="sample"),
    "nested_deep": lambda: VariationalWeights(
        keras.Sequential([make("dense")]), estimator="sample"
    ),
    "activity_regularizer": lambda: VariationalWeights(layers.Dense(3, activity_regularizer="l2")),
    "adds_a_loss": lambda: VariationalWeights(AddsALoss(3))(sequences()),
    "adds_a_loss_sampled": lambda: VariationalWeights(AddsALoss(3), estimator="sample")(
        sequences(), training=True
    ),
    "cost_before_build": lambda: make("dense").kl_divergence(),
    "posterior_before_build": lambda: make("dense").posterior(),
    "anchor_before_build": lambda: make("dense").anchor_prior(),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_bad_input_gives_one_clear_sentence(call):
    with pytest.raises((ValueError, TypeError), match="Received: "):
        call()


def test_only_a_gaussian_prior_can_be_anchored():
    layer = make("dense", posterior="log_normal")
    layer.build((None, 4))
    with pytest.raises(ValueError, match=r"Gaussian prior.*Received: "):
        layer.anchor_prior()
