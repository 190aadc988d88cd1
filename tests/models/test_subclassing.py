"""Models subclassed as Keras' guides do it: layers in `__init__`, a `call` of their own."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib

X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
Y = np.arange(64) % 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Subclassed(kib.InformationBottleneckModel):
    """Two layers and a way through them."""

    def __init__(self, units, num_examples, **kwargs):
        super().__init__(num_examples=num_examples, **kwargs)
        self.hidden = kib.layers.InformationDropout(
            kib.layers.VariationalWeights(
                keras.layers.Dense(units, "relu"), seed=1, variational_bias=True
            ),
            0.1,
            seed=2,
        )
        self.scores = kib.layers.VariationalWeights(
            keras.layers.Dense(3), seed=3, variational_bias=True
        )

    def call(self, inputs, training=None):
        return self.scores(self.hidden(inputs, training=training), training=training)


@keras.saving.register_keras_serializable(package="tests")
class Plain(Subclassed):
    """Without arguments, and so without `get_config`."""

    def __init__(self):
        super().__init__(units=4, num_examples=64)


@keras.saving.register_keras_serializable(package="tests")
class Configured(Subclassed):
    """With arguments, and a `get_config` that builds on that of its base."""

    def __init__(self, units=4, num_examples=64, **kwargs):
        super().__init__(units, num_examples, **kwargs)
        self.units = units

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def held(subclassed):
    """The same network as a graph."""
    hidden, scores = subclassed.hidden, subclassed.scores
    inputs = keras.Input([5])
    return kib.InformationBottleneckModel(inputs, scores(hidden(inputs)), num_examples=64)


@pytest.fixture(scope="module", params=[pytest.param(Plain, marks=pytest.mark.slow), Configured])
def kind(request):
    return request.param


def compiled(kind):
    keras.utils.set_random_seed(0)
    model = kind()
    model.compile("adam", LOSS)
    return model


@pytest.fixture(scope="module")
def model(kind):
    """As it was made, in all tests."""
    return compiled(kind)


@pytest.fixture(scope="module")
def trained(kind):
    """A trained model, its scales before, and what training logged."""
    model = compiled(kind)
    model(X)
    before = model.scores.signal_to_noise()
    return model, before, model.fit(X, Y, epochs=2, verbose=0).history


@pytest.fixture(scope="module")
def anchored(kind):
    """A trained model that was anchored on half of the data."""
    model = compiled(kind)
    model.fit(X, Y, verbose=0)
    model.anchor_prior((X[:32], Y[:32]), scale=False)
    model.weight_beta = 0.5
    return model


def test_the_objective_is_that_of_the_same_graph(model):
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    graph = held(model)
    graph.compile("adam", LOSS)
    expected = graph.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-5)
    assert logs["weight_information"] > 0
    np.testing.assert_allclose(model.predict(X, verbose=0), graph.predict(X, verbose=0), rtol=1e-5)
    assert [layer.name for layer in model.layers][:2] == [model.hidden.name, model.scores.name]


def test_training_moves_the_scales(trained):
    model, before, history = trained
    assert {"loss", "task_loss", "weight_information"} <= set(history)
    after = model.scores.signal_to_noise()
    assert any(not np.array_equal(before[path], after[path]) for path in before)


@pytest.mark.parametrize("which", ["trained", "anchored"])
def test_saved_and_loaded_it_is_the_same(which, trained, anchored, tmp_path):
    model = trained[0] if which == "trained" else anchored
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    np.testing.assert_array_equal(loaded.anchoring_fingerprints, model.anchoring_fingerprints)
    assert loaded.num_examples == 64
    loaded.fit(X, Y, verbose=0)


def test_samples_and_certificates_work(anchored):
    samples = anchored.predict_samples(X, 3, seed=0)
    assert samples.shape == (3, 64, 3)
    assert np.abs(samples[0] - samples[1]).max() > 1e-3
    certificate = kib.estimators.certify(anchored, (X[32:], Y[32:]), seed=0)
    assert 0 < certificate.error_bound <= 1


def test_export_serves_the_predictions(model, tmp_path):
    import tensorflow as tf

    expected = model.predict(X, verbose=0)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(X), expected, rtol=1e-5, atol=1e-6)
    model.summary(print_fn=lambda *args, **kwargs: None)


def test_arguments_of_which_only_the_model_could_tell_need_a_configuration(tmp_path):
    model = Subclassed(4, 64)
    model(X)
    with pytest.raises(NotImplementedError, match=r"needs a `get_config`.*Received: model="):
        model.save(tmp_path / "model.keras")


def test_without_a_call_of_its_own_a_network_is_asked_for():
    with pytest.raises(TypeError, match="`inputs` must be a Keras model"):
        kib.InformationBottleneckModel(num_examples=3)
