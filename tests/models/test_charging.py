"""What a price does not reach, or crushes, is said once; steps that would not run are refused."""

import warnings

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.models.charging import warn_of_collapse

X = np.random.default_rng(0).normal(size=(256, 5)).astype("float32")
Y = (X @ np.eye(5, 3)).argmax(1)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def messages(model, *texts, epochs=2):
    """How often each of some texts is said while a model trains twice."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            model.fit(X, Y, epochs=epochs, batch_size=32, verbose=0)
    return [sum(text in str(each.message) for each in said) for text in texts]


def network(weight_beta, variational=True):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(3)
    layer = kib.layers.VariationalWeights(dense, seed=0) if variational else dense
    model = kib.InformationBottleneckModel(
        keras.Sequential([keras.Input([5]), layer]), num_examples=256, weight_beta=weight_beta
    )
    model.compile(keras.optimizers.Adam(0.05), LOSS)
    return model


def test_a_collapse_is_said_once():
    model = network(1e4)
    assert messages(model, "The price collapsed the model", epochs=12) == [1]
    assert float(model.weight_information()) / 256 < 1e-3  # what was said is so
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["task_loss"] > 0.98 * np.log(3)


@pytest.mark.parametrize("weight_beta", [0.0, 1.0])
def test_a_model_that_learns_is_told_nothing(weight_beta):
    assert messages(network(weight_beta), "price", "Nothing is charged", epochs=12) == [0, 0]


def test_a_model_without_a_distribution_is_told_once_that_nothing_is_charged():
    assert messages(network(1.0, variational=False), "Nothing is charged") == [1]
    assert messages(network(0.0, variational=False), "Nothing is charged") == [0]


def test_a_layer_in_a_plain_model_says_once_that_nothing_is_charged():
    def plain(kind=keras.Model):
        inputs = keras.Input([5])
        model = kind(inputs, kib.layers.VariationalWeights(keras.layers.Dense(3))(inputs))
        model.compile("adam", LOSS)
        return model

    class Charging(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            return loss + self.layers[-1].kl_divergence() / 256

    assert messages(plain(), "Nothing is charged") == [1]
    assert messages(plain(Charging), "Nothing is charged") == [0]


@pytest.mark.parametrize("name", ["train_step", "test_step", "compute_loss"])
@pytest.mark.parametrize(
    "hold",
    [
        lambda net: kib.InformationBottleneckModel(net, num_examples=10),
        lambda net: kib.make_variational(net, num_examples=10, verbose=0),
    ],
    ids=["hold", "make_variational"],
)
def test_steps_of_the_network_are_refused_rather_than_dropped(name, hold):
    def own(self, *args, **kwargs):
        raise AssertionError

    kind = type("Own", (keras.Model,), {name: own})
    inputs = keras.Input([5])
    model = kind(inputs, keras.layers.Dense(3)(inputs))
    with pytest.raises(ValueError, match=rf"own {name} would not run.*Received: Own"):
        hold(model)


def test_a_step_of_a_subclass_runs_and_the_price_is_added():
    class Doubled(kib.InformationBottleneckModel):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2.0 * super().compute_loss(x, y, y_pred, sample_weight, training)

    plain = network(1.0)
    doubled = Doubled(plain.network, num_examples=256)
    doubled.compile("adam", LOSS)
    options = {"verbose": 0, "return_dict": True}
    loss = plain.evaluate(X, Y, **options)["loss"]
    assert doubled.evaluate(X, Y, **options)["loss"] == pytest.approx(2.0 * loss, rel=1e-5)


def coded(beta):
    """A network with noise on its activations alone."""
    keras.utils.set_random_seed(0)
    code = kib.layers.GaussianBottleneck(3, beta, name="code")
    network = keras.Sequential([keras.Input([5]), code, keras.layers.Dense(3)])
    model = kib.InformationBottleneckModel(network, num_examples=256)
    model.compile(keras.optimizers.Adam(0.05), LOSS)
    return model


@pytest.mark.parametrize(
    ("make", "logs", "is_said"),
    [
        (coded, {"code_information": 0.01, "task_loss": 1.1}, True),
        (coded, {"code_information": 9.0, "task_loss": 1.4}, False),  # at the start of training
        (coded, {"code_information": 0.01, "task_loss": 0.9}, False),
        (lambda beta: network(beta, variational=False), {"task_loss": 1.4}, False),  # no price
        (network, {"weight_information": 0.1, "task_loss": 1.1}, True),
        (network, {"weight_information": 99.0, "task_loss": 1.1}, False),
    ],
    ids=["crushed", "started", "learned", "plain", "weights", "weights started"],
)
def test_a_collapse_is_one_only_where_what_is_priced_holds_nothing(make, logs, is_said):
    history = keras.callbacks.History()
    history.history = {name: [value] for name, value in {"weight_information": 0, **logs}.items()}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert warn_of_collapse(make(1.0), history) == is_said
    assert len(said) == is_said


@pytest.mark.slow
def test_activations_that_tell_nothing_are_a_collapse():
    model = coded(100.0)
    assert messages(model, "its activations tell", epochs=12) == [1]
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["code_information"] < 0.1


def decaying(optimizer):
    """What is said of weight decay by two trainings of a network with noise on its weights."""
    keras.utils.set_random_seed(0)
    model = network(0.1)
    model.compile(optimizer, LOSS)
    return messages(model, "weight decay also acts", epochs=1)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("make", "excluded", "is_said"),
    [
        (lambda: keras.optimizers.AdamW(weight_decay=0.1), (), True),
        (lambda: keras.optimizers.SGD(weight_decay=0.1), ("bias",), True),
        (lambda: keras.optimizers.AdamW(weight_decay=0.1), ("bias", "_spread"), False),
        (lambda: keras.optimizers.AdamW(weight_decay=0.0), (), False),
        (keras.optimizers.Adam, (), False),
    ],
)
def test_weight_decay_of_scales_is_said_once(make, excluded, is_said, wrapped):
    optimizer = make()
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=list(excluded))
    wrapped_optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer
    assert decaying(wrapped_optimizer) == [int(is_said)]
