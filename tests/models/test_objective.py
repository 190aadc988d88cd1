"""PAC-Bayes objectives: what training minimises is the bound that certificates evaluate."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
OBJECTIVES = ("pac_bayes_quadratic", "pac_bayes_kl")
BoundedCrossentropy = kib.models.BoundedCrossentropy


def make_model(objective, regularizer=None, *, run_eagerly=True, **options):
    """A small network; a step or two of it take less time than tracing them."""
    hidden = layers.Dense(8, "relu", kernel_regularizer=regularizer)
    network = keras.Sequential([keras.Input((5,)), hidden, layers.Dense(2)])
    model = kib.make_variational(
        network, num_examples=40, objective=objective, prior_scale=0.5, verbose=0, **options
    )
    loss = BoundedCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=run_eagerly)
    return model


@pytest.mark.parametrize("delta", [0.025, 0.2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_is_the_bound_at_the_task_loss(objective, delta):
    model = make_model(objective, weight_beta=0.02, delta=delta)
    logs = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    expected = kib.estimators.pac_bayes_bound(
        logs["task_loss"],
        0.02 * logs["weight_information"],
        40,
        delta,
        kind=objective.removeprefix("pac_bayes_"),
    )
    assert logs["task_loss"] < logs["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_regularisers_are_charged_beside_the_bound(objective):
    plain = make_model(objective)
    model = make_model(objective, keras.regularizers.L2(0.1))
    model.set_weights(plain.get_weights())
    kernel = model.variational_layers[0].layer.kernel.numpy()
    plain = plain.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    logs = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    assert logs["task_loss"] == pytest.approx(plain["task_loss"], rel=1e-5)
    assert logs["loss"] - plain["loss"] == pytest.approx(0.1 * np.sum(kernel**2), rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_lowers_the_bound(objective):
    model = make_model(objective)
    eager = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    model.compile(keras.optimizers.Adam(0.05), BoundedCrossentropy(from_logits=True))
    before = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    assert before == pytest.approx(eager, rel=1e-5)  # what other tests see holds in a graph
    model.fit(X, Y, batch_size=40, epochs=30, verbose=0)
    after = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    assert after["loss"] < 0.8 * before["loss"]


def test_a_model_of_the_file_has_the_same_objective(tmp_path):
    model = make_model("pac_bayes_kl")
    model.fit(X, Y, batch_size=40, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.objective, loaded.delta) == ("pac_bayes_kl", 0.025)
    logs = [m.evaluate(X, Y, verbose=0, return_dict=True) for m in (model, loaded)]
    assert logs[0] == logs[1]


class TestBoundedCrossentropy:
    P = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [1e-6, 0.5, 0.5]], "float32")
    LABELS = np.array([0, 1, 0])
    EXPECTED = np.array([np.log(1 / 0.7) / np.log(1e3), 0.0, 1.0])

    @pytest.mark.parametrize("form", ["classes", "column", "one-hot"])
    @pytest.mark.parametrize("from_logits", [False, True])
    def test_it_is_the_clamped_cross_entropy_between_zero_and_one(self, form, from_logits):
        labels = {
            "classes": self.LABELS,
            "column": self.LABELS[:, None],
            "one-hot": np.eye(3)[self.LABELS],
        }[form]
        scores = np.log(np.maximum(self.P, 1e-30)) if from_logits else self.P
        loss = BoundedCrossentropy(from_logits, min_probability=1e-3, reduction="none")
        np.testing.assert_allclose(loss(labels, scores), self.EXPECTED, atol=1e-6)

    @pytest.mark.parametrize("from_logits", [False, True])
    def test_gradients_are_finite_where_the_probability_is_zero(self, from_logits):
        scores = tf.constant([[0.0, 1.0], [-200.0, 200.0]][from_logits : from_logits + 1])
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss = BoundedCrossentropy(from_logits)(np.array([0]), scores)
        assert float(loss) == 1.0
        np.testing.assert_array_equal(tape.gradient(loss, scores), 0.0)

    @pytest.mark.parametrize("shape", [(2, 1), (2,)])
    def test_one_score_for_two_classes_is_refused(self, shape):
        scores = np.zeros(shape, "float32")
        with pytest.raises(ValueError, match=r"a score for each class.*Received: y_pred of shape"):
            BoundedCrossentropy(from_logits=True)(np.array([0, 1]), scores)

    def test_its_configuration_makes_it_again(self):
        loss = BoundedCrossentropy(True, 1e-2, name="bounded")
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert again.get_config() == loss.get_config()

    @pytest.mark.parametrize("value", [0, 0.0, 1.0, -1e-4, True, None, "a"])
    def test_a_floor_out_of_range_is_refused(self, value):
        is_number = isinstance(value, int | float) and value is not True
        with pytest.raises(
            ValueError if is_number else TypeError, match=r"`min_probability` .* Received: "
        ):
            BoundedCrossentropy(min_probability=value)


@pytest.mark.parametrize(
    ("options", "name", "error"),
    [
        ({"objective": "pac_bayes"}, "objective", ValueError),
        ({"objective": None}, "objective", TypeError),
        ({"delta": 0}, "delta", ValueError),
        ({"delta": 1.0}, "delta", ValueError),
        ({"delta": "a"}, "delta", TypeError),
    ],
)
def test_options_out_of_range_are_refused(options, name, error):
    inputs = keras.Input((3,))
    with pytest.raises(error, match=f"`{name}` .* Received: "):
        kib.InformationBottleneckModel(inputs, layers.Dense(2)(inputs), num_examples=3, **options)


@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.SparseCategoricalCrossentropy(from_logits=True)]
)
def test_a_loss_without_a_bound_is_refused(loss):
    model = make_model("pac_bayes_quadratic")
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=r"needs a loss between 0 and 1.* Received: "):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_weighted_examples_are_refused(objective):
    # With weights over 1 the "risk" was over 1: NaN of one bound, and no bound of the other.
    model = make_model(objective)
    for weights in ({"sample_weight": np.full(40, 3.0)}, {"class_weight": {0: 1.0, 1: 3.0}}):
        with pytest.raises(ValueError, match=r"examples of equal weight\. Received: "):
            model.fit(X, Y, verbose=0, **weights)


def test_weights_of_examples_are_no_matter_to_a_lagrangian():
    make_model("lagrangian").fit(X, Y, verbose=0, sample_weight=np.full(40, 3.0))
