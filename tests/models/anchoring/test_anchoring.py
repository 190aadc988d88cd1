"""A prior made from data: exact at once, frozen for good, and never without its fingerprints."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras import layers

import keras_infobottleneck as kib

pytestmark = pytest.mark.quick

VariationalWeights = kib.layers.VariationalWeights
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4)).astype("float32")
Y = RANDOM.integers(0, 2, 12)


def make_model(**options):
    inputs = keras.Input((4,))
    first = {"initial_scale": 0.1, **options}
    hidden = VariationalWeights(layers.Dense(3, "relu"), **first)(inputs)
    block = keras.Sequential([keras.Input((3,)), VariationalWeights(layers.Dense(2), **options)])
    return kib.InformationBottleneckModel(inputs, block(hidden), num_examples=12)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[index::3], Y[index::3]


def test_the_divergence_is_zero_at_once_and_grows_from_there_in_a_compiled_model():
    model = make_model()
    model.compile(
        keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    assert model.train_on_batch(X, Y, return_dict=True)["weight_information"] > 1.0
    model.anchor_prior((X, Y))
    assert float(model.weight_information()) == 0.0
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["weight_information"] == 0.0
    first = model.train_on_batch(X, Y, return_dict=True)
    assert first["weight_information"] == 0.0
    prior = {path: law.loc.numpy() for path, law in model.variational_layers[0].prior().items()}
    model.train_on_batch(X, Y)
    logs = model.evaluate(X, Y, batch_size=12, verbose=0, return_dict=True)
    assert logs["weight_information"] == pytest.approx(float(model.weight_information()), rel=1e-6)
    assert logs["weight_information"] > 1e-3
    for path, law in model.variational_layers[0].prior().items():
        np.testing.assert_array_equal(law.loc, prior[path])  # frozen


@pytest.mark.parametrize("scale", [True, False])
def test_the_divergence_is_that_of_the_moved_prior(scale):
    model = make_model(prior_scale=0.7)
    spreads = [layer.posterior() for layer in model.variational_layers]
    model.anchor_prior((X, Y), scale=scale)
    for layer, posterior in zip(model.variational_layers, spreads, strict=True):
        for path, prior in layer.prior().items():
            np.testing.assert_allclose(prior.loc, posterior[path].loc)
            expected = posterior[path].scale if scale else 0.7 * np.ones(prior.loc.shape)
            np.testing.assert_allclose(prior.scale, expected, rtol=1e-6)
            total = tf.reduce_sum(tfp.distributions.kl_divergence(posterior[path], prior))
            assert float(layer.kl_divergence()) == pytest.approx(float(total), rel=1e-5)


def test_an_anchored_model_survives_its_file(tmp_path):
    model = make_model()
    model.anchor_prior((X, Y))
    model.get_layer(index=1)._spread[0].assign_add(np.full((4, 3), 0.3, "float32"))
    model.save(tmp_path / "anchored.keras")
    loaded = keras.models.load_model(tmp_path / "anchored.keras")
    nats = float(model.weight_information())
    assert float(loaded.weight_information()) == nats > 0.1
    np.testing.assert_array_equal(loaded.anchoring_fingerprints, model.anchoring_fingerprints)
    with pytest.raises(ValueError, match="anchored already"):
        loaded.anchor_prior((X, Y))


def anchored_on(num_examples, **options):
    model = make_model(**options)
    if num_examples:
        model.anchor_prior((X[:num_examples], Y[:num_examples]))
    return model


@pytest.mark.parametrize(
    ("saved", "loading", "sentence"),
    [
        (12, 0, "anchored on 12 examples.*Received: a model anchored on 0"),
        (12, 6, "anchored on 12 examples.*Received: a model anchored on 6"),
        (0, 12, "must be anchored both.*Received: a file with 0 variables"),
    ],
)
def test_weights_anchored_otherwise_are_refused_in_a_sentence(saved, loading, sentence, tmp_path):
    anchored_on(saved).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=sentence):
        anchored_on(loading).load_weights(tmp_path / "model.weights.h5")


def test_weights_load_into_a_model_anchored_on_the_same_data(tmp_path):
    model = anchored_on(12)
    model.weight_beta = 0.5
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = anchored_on(12, initial_scale=0.3)
    loaded.load_weights(tmp_path / "model.weights.h5")
    assert float(loaded.weight_information()) == 0.0
    assert float(loaded.weight_beta) == 0.5


def test_a_layer_in_a_plain_model_says_that_the_prior_misses(tmp_path):
    models = [
        keras.Sequential([keras.Input((4,)), VariationalWeights(layers.Dense(3))]) for _ in "ab"
    ]
    models[0].layers[0].anchor_prior()
    models[0].save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=r"must be anchored both.*Received: a file with 2 var"):
        models[1].load_weights(tmp_path / "model.weights.h5")


def test_fingerprints_depend_on_the_examples_and_on_nothing_else():
    def marks(data):
        model = make_model()
        model.anchor_prior(data)
        return model.anchoring_fingerprints

    expected = marks((X, Y))
    assert len(set(expected.tolist())) == 12
    np.testing.assert_array_equal(marks((X.astype("float64"), Y.astype("int8"))), expected)
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    np.testing.assert_array_equal(marks(batches), expected)
    assert set(marks(Batches())) == set(expected)
    np.testing.assert_array_equal(marks((X.tolist(), Y.tolist())), expected)
    other = X.copy()
    other[3] += 1
    assert np.flatnonzero(marks((other, Y)) != expected).tolist() == [3]
    # Labels may come in another form: an example is known by its inputs.
    np.testing.assert_array_equal(marks((X, np.eye(3)[Y % 3])), expected)
    assert len(marks(([X], [Y, Y]))) == 12
    assert make_model().anchoring_fingerprints.shape == (0,)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (X, ValueError, r"`data` must be `\(x, y\)`"),
        ((X,), ValueError, r"`data` must be `\(x, y\)`"),
        ([X, Y], ValueError, r"`data` must be `\(x, y\)`"),
        ((X, None), ValueError, r"`data` must be `\(x, y\)`"),
        (None, TypeError, r"`data` must be `\(x, y\)`"),
        ((X, Y, Y), ValueError, "without sample weights"),
        ((X[:, :3], Y), ValueError, r"inputs that the model takes: \[batch, 4\]"),
        ((X, Y[:5]), ValueError, "arrays of the same examples"),
        ((X, Y.astype(str).astype(object) + "a"), TypeError, "labels that are numbers"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), ValueError, "an axis of examples"),
        (
            tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(12, seed=1).take(6).batch(3),
            ValueError,
            "the same examples in every pass",
        ),
        ((X[:0], Y[:0]), ValueError, "at least one example"),
        (
            tf.data.Dataset.from_tensor_slices(X).batch(4),
            ValueError,
            r"`data` must be `\(x, y\)`",
        ),
        (
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat(),
            ValueError,
            "`data` must end",
        ),
    ],
)
def test_bad_data_is_refused_in_a_sentence_and_anchors_nothing(data, error, message):
    model = make_model()
    nats = float(model.weight_information())
    with pytest.raises(error, match=f"{message}.* Received: "):
        model.anchor_prior(data)
    assert float(model.weight_information()) == nats
    assert not len(model.anchoring_fingerprints)


def test_models_without_a_prior_to_move_are_refused_in_a_sentence():
    inputs = keras.Input((4,))
    none = kib.InformationBottleneckModel(inputs, layers.Dense(2)(inputs), num_examples=3)
    unbuilt = kib.InformationBottleneckModel(
        keras.Sequential([VariationalWeights(layers.Dense(2))]), num_examples=3
    )
    hidden = VariationalWeights(layers.Dense(3))(inputs)
    improper = VariationalWeights(layers.Dense(2), posterior="log_normal")(hidden)
    mixed = kib.InformationBottleneckModel(inputs, improper, num_examples=3)
    for model, message in (
        (none, "no VariationalWeights"),
        (unbuilt, "before it is built"),
        (mixed, "Only Gaussian priors"),
    ):
        with pytest.raises(ValueError, match=f"{message}.* Received: "):
            model.anchor_prior((X, Y))
        assert not len(model.anchoring_fingerprints)
    assert not any(layer.anchored for layer in mixed.variational_layers)


def test_anchoring_on_less_than_was_learned_from_warns():
    model = make_model()
    model.compile("sgd", "mse")
    x, y = np.concatenate([X, X + 1.0]), np.zeros((24, *model.output.shape[1:]), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the number of examples
        model.fit(x, y, epochs=2, verbose=0)
    with pytest.warns(UserWarning, match="held 24 examples, the anchoring data hold 12"):
        model.anchor_prior((X, Y))
