"""VariationalWeights among other Keras layers: masks, states, wrappers, precision, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.layers import VariationalWeights, drawing
from tests.support.layers_with_weights import LINEAR, inputs_for, make, sequences


@pytest.mark.parametrize("estimator", LINEAR)
def test_time_distributed(estimator):
    model = keras.Sequential(
        [keras.Input((3, 4)), layers.TimeDistributed(make("dense", estimator=estimator))]
    )
    assert model(sequences(), training=True).shape == (2, 3, 3)
    assert not np.allclose(model(sequences(), training=True), model(sequences()))


def test_shared_use_has_one_set_of_weights_and_one_cost():
    layer = make("dense")
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.add([layer(a), layer(b)]))
    assert len(model.trainable_weights) == 3
    assert model.losses == []


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


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *(
            ("dense", policy)
            for policy in ("mixed_float16", "mixed_bfloat16", "float16", "float64")
        ),
        ("conv2d", "mixed_float16"),
    ],
)
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


class Modulation(layers.Layer):
    """Weighs one input by a linear map of the other."""

    def build(self, input_shape, context_shape):
        self.kernel = self.add_weight(shape=(context_shape[-1], input_shape[-1]))

    def call(self, inputs, context):
        return inputs * keras.ops.matmul(context, self.kernel)


def test_a_layer_of_ones_own_is_built_for_both_of_its_inputs():
    inputs, context = np.ones((2, 3), "float32"), np.ones((2, 5), "float32")
    layer = VariationalWeights(Modulation(), estimator="sample")
    outputs = layer(inputs, context)
    np.testing.assert_allclose(outputs, layer.layer(inputs, context))
    assert not np.allclose(outputs, layer(inputs, context, training=True))


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
