import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

VariationalWeights = kib.layers.VariationalWeights
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
NUM_EXAMPLES = 48


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(NUM_EXAMPLES, 4)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype("int32")


def make_model(weight_beta=1.0, dtype=None, **options):
    inputs = keras.Input((4,))
    hidden = VariationalWeights(layers.Dense(5, "relu", dtype=dtype), seed=1, **options)(inputs)
    outputs = VariationalWeights(layers.Dense(2, dtype=dtype), seed=2, **options)(hidden)
    return kib.InformationBottleneckModel(
        inputs, outputs, num_examples=NUM_EXAMPLES, weight_beta=weight_beta
    )


def assert_objective(logs, model, weight_beta=1.0):
    """The logs hold: loss = task loss + weight_beta * information / num_examples."""
    price = weight_beta * logs["weight_information"] / model.num_examples
    np.testing.assert_allclose(logs["loss"] - logs["task_loss"], price, rtol=2e-5)


# ---------------------------------------------------------------- the objective


@pytest.mark.parametrize("weight_beta", [0.0, 0.5, 3.0])
def test_a_step_adds_the_price_of_the_weights_once(data, weight_beta):
    x, y = data
    model = make_model(weight_beta)
    model.compile(keras.optimizers.SGD(0.0), LOSS, run_eagerly=True)
    information = float(model.weight_information())
    for logs in (
        model.train_on_batch(x, y, return_dict=True),
        model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True),
    ):
        assert logs["weight_information"] == pytest.approx(information, rel=1e-6)
        assert_objective(logs, model, weight_beta)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, model(x))), rel=1e-5)


def test_the_gradient_is_that_of_the_objective_in_a_loop_of_ones_own(data):
    x, y = data
    model = make_model(2.0)
    model.compile("sgd", LOSS)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x), training=False)
    with tf.GradientTape() as reference_tape:
        price = 2.0 * model.weight_information() / NUM_EXAMPLES
        reference = LOSS(y, model(x)) + price
    assert float(loss) == pytest.approx(float(reference), rel=1e-6)
    expected = reference_tape.gradient(reference, variables)
    for gradient, value in zip(tape.gradient(loss, variables), expected, strict=True):
        np.testing.assert_allclose(gradient, value, rtol=1e-6)


def test_regularizers_count_in_the_loss_but_not_in_the_task_loss(data):
    x, y = data
    inputs = keras.Input((4,))
    dense = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))
    plain = layers.Dense(2, activity_regularizer=keras.regularizers.L1(0.1))
    outputs = plain(VariationalWeights(dense)(inputs))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=48, weight_beta=0.0)
    model.compile("sgd", LOSS, run_eagerly=True)
    logs = model.evaluate(x, y, batch_size=48, verbose=0, return_dict=True)
    predictions = model(x)
    penalty = 0.1 * np.sum(np.square(dense.kernel)) + 0.1 * np.abs(predictions).sum() / len(x)
    assert logs["task_loss"] == pytest.approx(float(LOSS(y, predictions)), rel=1e-5)
    assert logs["loss"] - logs["task_loss"] == pytest.approx(penalty, rel=1e-4)


def test_the_price_follows_weight_beta_after_tracing(data):
    x, y = data
    model = make_model(1.0)
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    for weight_beta in (1.0, 7.0):
        model.weight_beta = weight_beta
        model.reset_metrics()
        assert_objective(model.train_on_batch(x, y, return_dict=True), model, weight_beta)
    schedule = kib.callbacks.BetaSchedule(model.weight_beta, lambda epoch: [5.0, 0.0][epoch])
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[schedule]).history
    for epoch, weight_beta in enumerate([5.0, 0.0]):
        logs = {key: values[epoch] for key, values in history.items()}
        assert_objective(logs, model, weight_beta)


# ---------------------------------------------------------------- once per layer


@keras.saving.register_keras_serializable(package="tests")
class Holder(layers.Layer):
    """A custom layer that makes its variational layers itself, one of them in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = VariationalWeights(layers.Dense(3))
        self.others = [layers.Dense(3), VariationalWeights(layers.Dense(4))]

    def build(self, input_shape):
        self.first.build(input_shape)
        self.others[0].build((None, 3))
        self.others[1].build((None, 3))

    def call(self, inputs):
        return self.others[1](self.others[0](self.first(inputs)))


@keras.saving.register_keras_serializable(package="tests")
class Network(keras.Model):
    """A subclassed network, unbuilt until it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [VariationalWeights(layers.Dense(4, "relu")) for _ in range(2)]
        self.head = layers.Dense(2)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)


def test_information_is_collected_once_from_wherever_it_sits(data):
    x, y = data
    shared = VariationalWeights(layers.Dense(4), name="shared")
    nested_input = keras.Input((4,))
    nested = keras.Model(nested_input, VariationalWeights(layers.Dense(4))(nested_input))
    stack = keras.Sequential([VariationalWeights(layers.Dense(4)), nested])
    timed = layers.TimeDistributed(VariationalWeights(layers.Dense(4)))
    inputs = keras.Input((4,))
    z = shared(shared(inputs))
    z = stack(z) + stack(nested(z))
    z = timed(keras.ops.stack([z, z, z], axis=1))[:, 0]
    outputs = Holder()(z)
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=NUM_EXAMPLES)

    found = model.variational_layers
    assert len(found) == len({id(layer) for layer in found}) == 6
    total = sum(float(layer.kl_divergence()) for layer in found)
    assert float(model.weight_information()) == pytest.approx(total, rel=1e-6)
    table = model.weight_information(by_layer=True)
    assert len(table) == 6
    assert sum(table.values()) == pytest.approx(total, rel=1e-6)
    model.compile("sgd", LOSS, run_eagerly=True)
    assert_objective(model.evaluate(x, y, verbose=0, return_dict=True), model)


def test_layers_of_equal_path_each_have_their_row():
    def part(name):
        inputs = keras.Input((4,))
        return keras.Model(inputs, VariationalWeights(layers.Dense(4), name="d")(inputs), name=name)

    inputs = keras.Input((4,))
    outputs = part("b")(part("a")(inputs))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=3)
    table = model.weight_information(by_layer=True)
    assert len(table) == 2
    assert sum(table.values()) == pytest.approx(float(model.weight_information()), rel=1e-6)


def test_functional_and_subclassed_networks_live_in_one_process_in_any_order(data):
    x, y = data

    class Named(kib.InformationBottleneckModel):
        """A user's own subclass."""

    def functional(kind):
        inputs = keras.Input((4,))
        outputs = VariationalWeights(layers.Dense(2))(VariationalWeights(layers.Dense(4))(inputs))
        return kind(inputs, outputs, num_examples=NUM_EXAMPLES)

    def subclassed(kind):
        return kind(Network(), num_examples=NUM_EXAMPLES)

    for make in (functional, subclassed, functional):
        for kind in (kib.InformationBottleneckModel, Named):
            model = make(kind)
            model.compile("sgd", LOSS, run_eagerly=True)
            assert_objective(model.evaluate(x, y, verbose=0, return_dict=True), model)
            assert len(model.variational_layers) == 2


# ---------------------------------------------------------------- a Keras model like any other


def test_layers_inputs_outputs_and_summary_are_those_of_the_network(data, capsys):
    x, _ = data
    inputs = keras.Input((4,))
    hidden = VariationalWeights(layers.Dense(5, "relu"), name="hidden")(inputs)
    outputs = VariationalWeights(layers.Dense(2), name="head")(hidden)
    model = kib.InformationBottleneckModel(inputs, outputs, name="mine", num_examples=48)
    probe = keras.Model(model.inputs, model.get_layer("hidden").output)
    assert probe([x]).shape == (48, 5)
    np.testing.assert_array_equal(keras.Model(model.input, model.output)(x), model(x))
    assert [layer.name for layer in model.layers][1:] == ["hidden", "head"]
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    total = float(model.weight_information())
    assert f"Information in the weights: {total:,.1f} nats" in lines
    assert any(line.strip().startswith("hidden: ") for line in lines)
    kib.InformationBottleneckModel(Network(), num_examples=3).summary()  # unbuilt: no table
    assert "nats" not in capsys.readouterr().out


def test_a_clone_has_the_structure_and_its_own_weights(data):
    x, _ = data
    model = make_model(3.0)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, kib.InformationBottleneckModel)
    assert (clone.num_examples, float(clone.weight_beta)) == (NUM_EXAMPLES, 3.0)
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), model(x))


def test_inputs_reach_the_network_as_they_are_given():
    """Token ids above 2048 have no float16: the network, not this model, casts its inputs."""
    inputs = keras.Input((1,), dtype="float32")
    outputs = layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="float32")(inputs)
    network = keras.Model(inputs, outputs)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = kib.InformationBottleneckModel(network, num_examples=3)
        mixed = make_model()
        mixed.compile("sgd", LOSS)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert float(model(np.array([[4099.0]], "float32"))[0, 0]) == 4099.0
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
    revived = kib.InformationBottleneckModel.from_config(mixed.get_config())
    assert revived.dtype_policy.name == "mixed_float16"


def test_masks_pass_through_given_or_made_inside():
    inputs = keras.Input((None,), dtype="int32")
    vectors = layers.Embedding(5, 3, mask_zero=True)(inputs)
    states = VariationalWeights(layers.LSTM(2), estimator="sample")(vectors)
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    network = keras.Model(inputs, states)
    model = kib.InformationBottleneckModel(network, num_examples=3)
    np.testing.assert_array_equal(model(tokens), network(tokens))
    np.testing.assert_allclose(model(tokens[:, :2])[0], model(tokens)[0], atol=1e-7)

    sequences = keras.Input((4, 3))
    recurrent = keras.Model(sequences, layers.LSTM(2)(sequences))
    outer = kib.InformationBottleneckModel(recurrent, num_examples=3)
    x, mask = np.ones((2, 4, 3), "float32"), np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(outer(x, mask=mask), recurrent(x, mask=mask))
    assert np.abs(outer(x, mask=mask) - outer(x)).max() > 0.0


# ---------------------------------------------------------------- drawing without training


def test_samples_have_the_moments_of_one_drawn_layer(data):
    x, _ = data
    x = x[:6]
    inputs = keras.Input((4,))
    layer = VariationalWeights(layers.Dense(2), initial_scale=0.3, seed=3)
    model = kib.InformationBottleneckModel(inputs, layer(inputs), num_examples=6)
    count = 4000
    samples = model.predict_samples(x, count, seed=5)
    assert samples.shape == (count, 6, 2)
    variance = 0.3**2 * np.square(x).sum(1, keepdims=True)
    standard_error = np.sqrt(variance / count)
    assert (np.abs(samples.mean(0) - model(x)) < 5 * standard_error).all()
    relative = samples.var(0) / variance - 1.0
    assert np.abs(relative).max() < 5 * np.sqrt(2.0 / count)
    again = model.predict_samples(x, count, seed=5)
    np.testing.assert_array_equal(samples, again)
    assert np.abs(samples - model.predict_samples(x, count, seed=6)).max() > 0.1


def test_while_samples_are_drawn_batch_norm_and_dropout_rest(data):
    x, _ = data
    inputs = keras.Input((4,))
    z = layers.Dropout(0.5)(layers.BatchNormalization()(inputs))
    left = VariationalWeights(layers.Dense(2), name="left")(z)
    right = layers.Dense(3, name="right")(z)
    model = kib.InformationBottleneckModel(inputs, [left, right], num_examples=48)
    before = model.get_weights()
    batches = tf.data.Dataset.from_tensor_slices(x).batch(13)
    drawn, fixed = model.predict_samples(batches, 3)
    assert (drawn.shape, fixed.shape) == ((3, 48, 2), (3, 48, 3))
    np.testing.assert_allclose(fixed, np.stack([model(x)[1]] * 3), atol=1e-6)
    assert np.ptp(drawn, axis=0).min() > 0.0
    same = np.tile(x[:1], (26, 1))
    first, second = np.split(model.predict_samples(same, 3, batch_size=13)[0], 2, axis=1)
    assert np.abs(first - second).min() > 0.0  # batches draw afresh
    without = model.predict_samples(x, 2, weights=False)[0]
    np.testing.assert_allclose(without, np.stack([model(x)[0]] * 2), atol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ---------------------------------------------------------------- what is refused


def functional_ends():
    inputs = keras.Input((4,))
    return inputs, layers.Dense(2)(inputs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "num_examples"),
        ({"num_examples": 0}, ValueError, "`num_examples` must be at least 1"),
        ({"num_examples": -3}, ValueError, "`num_examples` must be at least 1"),
        ({"num_examples": 2.5}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": True}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": "many"}, TypeError, "`num_examples` must be an integer"),
        ({"num_examples": 3, "weight_beta": -1.0}, ValueError, "zero or positive"),
        ({"num_examples": 3, "weight_beta": float("nan")}, ValueError, "zero or positive"),
        ({"num_examples": 3, "weight_beta": float("inf")}, ValueError, "zero or positive"),
        ({"num_examples": 3, "weight_beta": "1"}, TypeError, "`weight_beta` must be a number"),
        ({"num_examples": 3, "beta": 1.0}, ValueError, "beta"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, error, message):
    with pytest.raises(error, match=message):
        kib.InformationBottleneckModel(*functional_ends(), **options)


def test_bad_networks_and_betas_are_refused_in_a_sentence():
    inputs, outputs = functional_ends()
    network = keras.Model(inputs, outputs)
    for bad in ((inputs,), (None,), ("network",), (network, outputs)):
        with pytest.raises(TypeError, match=r"`inputs` must be a Keras model where .* Received: "):
            kib.InformationBottleneckModel(*bad, num_examples=3)
    model = kib.InformationBottleneckModel(network, num_examples=3)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"`weight_beta` must be zero or positive"):
            model.weight_beta = bad
    assert float(model.weight_beta) == 1.0
    with pytest.raises(ValueError, match=r"before it is built.* Received: "):
        kib.InformationBottleneckModel(
            keras.Sequential([VariationalWeights(layers.Dense(2))]), num_examples=3
        ).weight_information()


@pytest.mark.parametrize(
    ("num_samples", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_bad_numbers_of_samples_are_refused_in_a_sentence(data, num_samples, error):
    with pytest.raises(error, match=r"`num_samples` must be .* Received: num_samples="):
        make_model().predict_samples(data[0], num_samples)
