"""Prequential codes: closed forms of their lengths, resumption, and labels that are random."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.estimators.coding.switch_code import block_ends, code_of_block

prequential_code = kib.estimators.prequential_code
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] + 0.3 * RANDOM.normal(size=64) > 0).astype("int32")


class KrichevskyTrofimov(keras.Model):
    """Predicts a coin by ``(heads + 1/2) / (tosses + 1)``, whatever the input."""

    def __init__(self):
        super().__init__()
        self.log_odds = self.add_weight(shape=(), initializer="zeros")
        self.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))

    def fit(self, x, y, **options):
        self.log_odds.assign(math.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))

    def call(self, x):
        return self.log_odds + 0.0 * x[:, :1]


def network():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile(
        keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def test_a_coin_is_told_at_half_a_log_n_above_its_entropy():
    model = KrichevskyTrofimov()
    y = (RANDOM.random(40) < 0.3).astype("int32")
    options = {"epochs": 1, "shuffle": False}
    found = prequential_code(lambda: model, (np.zeros((40, 1)), y), blocks=range(1, 41), **options)
    heads = int(y.sum())
    # The product of all predictions in closed form, and its well-known expansion.
    exact = sum(math.lgamma(n + 0.5) - math.lgamma(0.5) for n in (heads, 40 - heads)) - math.lgamma(
        41
    )
    assert found.nats == pytest.approx(-exact, rel=1e-5)
    p = heads / 40
    entropy = -40 * (p * math.log(p) + (1 - p) * math.log(1 - p))
    regret = found.nats - entropy
    assert regret == pytest.approx(0.5 * math.log(40) + 0.5 * math.log(math.pi / 2), abs=0.05)


def test_a_block_is_told_by_the_best_predictor_and_the_price_of_saying_which():
    log_p = np.log(RANDOM.dirichlet(np.ones(3), size=(4, 10))[..., 0])
    code = code_of_block(log_p)
    assert code.nats == pytest.approx(-log_p.sum(1).max() + math.log(4))
    assert code.choice == 1 + log_p.sum(1).argmax()
    log_p[0] = np.nan  # went astray
    assert np.isfinite(code_of_block(log_p).nats)


def test_the_switch_is_a_code_lengths_of_all_labellings_obey_kraft():
    # All 2^6 labellings of six labels, told by the best of three fixed predictors.
    p = RANDOM.random((3, 6))
    labellings = (np.arange(64)[:, None] >> np.arange(6)) & 1
    nats = [code_of_block(np.log(np.where(labels, p, 1 - p))).nats for labels in labellings]
    assert np.exp(-np.array(nats)).sum() <= 1.0


def test_blocks_double_by_default():
    assert list(block_ends(4, 100)) == [13, 25, 50, 100]
    assert list(block_ends(10, 5)) == [1, 2, 3, 5]
    assert list(block_ends([2, 7], 7)) == [2, 7]


def test_it_learns_and_is_the_sum_of_its_blocks():
    found = prequential_code(network, (X, Y), blocks=[8, 32, 64], epochs=3, batch_size=8)
    assert found.block_nats[0] == pytest.approx(8 * math.log(2))
    assert found.nats == pytest.approx(found.block_nats.sum())
    assert found.nats < found.uniform_nats == pytest.approx(64 * math.log(2))
    assert found.nats_per_label[-1] < 0.5
    assert set(found.choices[1:]) <= {1, 2, 3}
    assert 0 < found.nats.standard_error < found.uniform_nats
    assert len(found.to_dict()["block_nats"]) == 3
    axes = found.plot()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), found.nats_per_label)


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_code_that_was_broken_off_is_taken_up_again(warm_start, tmp_path):
    calls = []

    def build():
        if len(calls) == broken_after:
            raise KeyboardInterrupt
        calls.append(None)
        return network()

    options = {"blocks": [8, 16, 32, 64], "epochs": 2, "warm_start": warm_start, "seed": 3}
    broken_after = 99
    whole = prequential_code(build, (X, Y), **options)
    calls.clear()
    broken_after, path = 2, tmp_path / "code.npz"
    with pytest.raises(KeyboardInterrupt):
        prequential_code(build, (X, Y), path=path, **options)
    broken_after = 99
    again = prequential_code(build, (X, Y), path=path, **options)
    assert len(calls) == 3
    assert again.to_dict() == whole.to_dict()
    with pytest.raises(ValueError, match=r"of other data or settings"):
        prequential_code(build, (X, Y), path=path, **{**options, "seed": 4})


def test_a_warm_start_goes_on_from_the_last_network():
    seen = []

    class Watched(keras.Sequential):
        def fit(self, *args, **kwargs):
            seen.append(np.copy(self.layers[0].kernel))
            return super().fit(*args, **kwargs)

    def build():
        model = Watched([keras.Input((4,)), layers.Dense(2)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        models.append(model)
        return model

    models = []
    prequential_code(build, (X, Y), blocks=[16, 32, 64], epochs=1, warm_start=True)
    np.testing.assert_array_equal(seen[1], np.where(True, seen[1], 0))
    first_trained = models[0].get_weights()[0]
    np.testing.assert_array_equal(seen[1], first_trained)


def test_random_labels_are_told_no_shorter_than_without_a_network():
    y = np.random.default_rng(9).integers(0, 2, 64)
    found = prequential_code(network, (X, y), blocks=[8, 32, 64], epochs=3, batch_size=8)
    assert found.nats >= found.uniform_nats - 3 * found.nats.standard_error


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"build": lambda: 3}, TypeError, "`build` must make a keras.Model"),
        ({"build": lambda a, b: 3}, TypeError, "`build` must take no argument, or the number of"),
        ({"build": lambda *, a: 3}, TypeError, "`build` must take no argument, or the number of"),
        ({"build": lambda: keras.Sequential()}, ValueError, "`build` must make a model that is"),
        ({"blocks": [2, 9]}, ValueError, "`blocks` must be increasing ends"),
        ({"blocks": [64]}, ValueError, "`blocks` must be increasing ends"),
        ({"data": (X, Y + 1)}, ValueError, "The labels must be classes from 0 to 1"),
    ],
)
def test_what_cannot_be_a_code_is_refused(change, kind, sentence):
    options = {"build": network, "data": (X, Y), "blocks": 2, "epochs": 1, **change}
    with pytest.raises(kind, match=sentence):
        prequential_code(options.pop("build"), options.pop("data"), **options)


def test_an_epoch_has_the_updates_asked_for_and_build_hears_how_many_there_are():
    heard, seen = [], []

    class Watched(keras.Sequential):
        def fit(self, *args, **kwargs):
            history = super().fit(*args, **kwargs)
            seen.append(int(self.optimizer.iterations))
            return history

    def build(num_updates):
        heard.append(num_updates)
        model = Watched([keras.Input((4,)), layers.Dense(2)])
        rate = keras.optimizers.schedules.CosineDecay(0.1, num_updates)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(rate), loss)
        return model

    # Of 16 labels an epoch is three passes of two updates, of 32 two of four.
    options = {"blocks": [16, 32, 64], "epochs": 2, "batch_size": 8, "min_updates": np.int64(5)}
    found = prequential_code(build, (X, Y), **options)
    assert heard == [12, 16]
    assert seen == [6, 12, 8, 16]
    assert found.num_choices == 2


def test_a_network_that_passes_more_often_over_few_labels_tells_more_of_them():
    options = {"blocks": [8, 16, 32, 64], "epochs": 2, "batch_size": 8}
    lengths = [prequential_code(network, (X, Y), min_updates=n, **options).nats for n in (0, 20)]
    assert lengths[1] < lengths[0]
