"""The MDL probe: the length of a known model's labels, and its control."""

import math

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.estimators.coding.softmax_regression import (
    softmax_log_probabilities,
    softmax_regression,
)
from keras_infobottleneck.estimators.coding.switch_code import code_of_block

mdl_probe = kib.estimators.mdl_probe
pytestmark = pytest.mark.quick


def data(num_examples, num_units, seed=0, strength=1.5):
    """Labels of a known logistic model, and the nats that its own code takes."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(num_examples, num_units))
    p = 1 / (1 + np.exp(-strength * z[:, 0]))
    y = (random.random(num_examples) < p).astype(int)
    entropy = -np.sum(np.log(np.where(y, p, 1 - p)))
    return z, y, entropy


def test_the_regression_converges_to_the_minimum():
    random = np.random.default_rng(1)
    z, y = random.normal(size=(80, 4)), random.integers(0, 3, 80)
    w = softmax_regression(z, y, 3, 0.7, 400)
    p = np.exp(softmax_log_probabilities(z, w))
    gradient = z.T @ (p - np.eye(3)[y]) + 0.7 * w
    assert np.abs(gradient).max() < 1e-6
    few = softmax_regression(z, y, 3, 0.7, 5)  # steps never go up from the start

    def loss(w):
        return -np.sum(softmax_log_probabilities(z, w)[np.arange(80), y]) + 0.35 * np.sum(w**2)

    assert loss(w) <= loss(few) <= 80 * math.log(3)


def test_each_weight_of_the_model_costs_half_a_log_n(monkeypatch):
    # One penalty, so that no switch is paid, and blocks so short that the code is nearly that of
    # one label after another.
    monkeypatch.setattr("keras_infobottleneck.estimators.coding.probe.PENALTIES", (1.0,))
    num_examples, num_units = 4000, 6
    ends = np.unique(np.geomspace(16, num_examples, 40).astype(int))
    regrets = []
    for seed in range(4):
        z, y, entropy = data(num_examples, num_units, seed)
        code = mdl_probe(z, y, blocks=ends, num_steps=40, seed=seed).code
        assert np.all(code.choices[1:] == 1)
        regrets.append(code.nats - code.block_nats[0] - entropy * (1 - 16 / num_examples))
    expected = (num_units + 1) / 2 * math.log(num_examples / 16)
    assert abs(np.mean(regrets) - expected) < 4


def test_random_labels_are_told_no_shorter_than_there_are_orders():
    for seed, balance in enumerate((0.5, 0.5, 0.1)):
        random = np.random.default_rng(seed)
        z = random.normal(size=(600, 20))
        y = (random.random(600) < balance).astype(int)
        found = mdl_probe(z, y, seed=seed)
        for code in (found.control, found.code):  # these labels are random too
            assert code.nats >= found.least_control_nats - 3 * code.nats.standard_error
        assert abs(found.saved_nats) < 4 * math.hypot(
            found.code.nats.standard_error, found.control.nats.standard_error
        )
    balanced = math.lgamma(601) - 2 * math.lgamma(301)
    assert 600 * math.log(2) - 5 < balanced < 600 * math.log(2)


def test_activations_that_tell_the_labels_save_what_they_tell():
    z, y, entropy = data(2000, 5, strength=6.0)
    found = mdl_probe(z, y)
    assert entropy < found.code.nats < 0.8 * found.code.uniform_nats
    assert found.control.nats > found.least_control_nats
    assert found.saved_nats > 400
    assert found.numbers()["control_nats"] == float(found.control.nats)
    assert "random labels" in repr(found)
    axes = found.plot()
    assert len(axes.lines) == 3
    again = mdl_probe(100.0 * z.reshape(2000, 5, 1) + 7.0, y)
    assert again.code.nats == pytest.approx(found.code.nats, rel=1e-6)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="`y` must hold classes from 0 on, two at least"):
        mdl_probe(np.ones((4, 2)), np.zeros(4, int))


def sequences():
    """Activations and labels of ten sequences of up to four places, and which places count."""
    random = np.random.default_rng(2)
    z = random.normal(size=(10, 4, 3)).astype(np.float32)
    kept = np.arange(4) < np.array([4, 1, 0, 2, 3, 4, 4, 1, 2, 3])[:, None]
    return z, np.argmax(z, -1), kept


def test_masked_places_are_as_if_they_were_not_there():
    z, y, kept = sequences()
    options = {"blocks": [2, 5, 10], "num_steps": 5}
    found = mdl_probe(z, y, mask=kept, **options)
    assert found.code.ends[-1] == kept.sum()
    anything = np.where(kept[..., None], z, np.nan), np.where(kept, y, -1)
    assert mdl_probe(*anything, mask=anything[1] >= 0, **options).numbers() == found.numbers()
    one_hot = np.where(kept[..., None], np.eye(3)[y], 7.0)
    assert mdl_probe(z, one_hot, mask=1.0 * kept, **options).numbers() == found.numbers()
    by_keras = keras.layers.Masking()(np.where(kept[..., None], z, 0.0))
    assert mdl_probe(by_keras, y, **options).numbers() == found.numbers()
    # A mask of the shape of the labels says that they are no one-hot rows.
    tags = np.eye(4, dtype=int)[[0, 1] * 5]
    assert mdl_probe(z, tags, mask=np.ones((10, 4)), **options).code.ends[-1] == 40
    # In the order of the examples the code is that of the places in a row.
    order = np.random.default_rng(0).permutation(10)
    counts = kept.sum(1)[order].cumsum()
    assert list(found.code.ends) == list(counts[[1, 4, 9]])


def test_one_place_of_each_example_is_the_example():
    z, y, _ = data(40, 3)
    options = {"blocks": 3, "num_steps": 5}
    found = mdl_probe(z, y, **options).numbers()
    for places in ((z[:, None], y[:, None]), (z[:, None, None], y[:, None, None]), (z, y[:, None])):
        assert mdl_probe(*places, **options).numbers() == found
    assert mdl_probe(z, np.eye(2)[y], **options).numbers() == found


def test_places_of_one_example_are_never_told_by_others_of_it():
    # Each example is a direction of its own, with one random label at all of its places: whoever
    # has seen one of them knows the rest.
    random = np.random.default_rng(3)
    z = np.repeat(np.eye(24)[:, None], 5, 1)
    y = np.repeat(random.integers(0, 2, 24)[:, None], 5, 1)
    found = mdl_probe(z, y, blocks=[4, 9, 24], num_steps=20)
    assert found.code.nats > 0.97 * found.code.uniform_nats
    # Shuffled over all places, half of the labels of an example tell nothing of the rest.
    assert found.control.nats > found.least_control_nats


def test_the_standard_error_is_over_examples_and_not_over_their_places():
    one = np.log(np.random.default_rng(4).uniform(0.2, 0.9, (2, 30)))
    repeated, examples = np.repeat(one, 4, 1), np.repeat(np.arange(30), 4)
    assert code_of_block(repeated, examples).variance == pytest.approx(
        16 * code_of_block(one).variance
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": np.zeros((10, 3), int)}, "`y` must hold a class, or a one-hot row, for each"),
        ({"y": np.eye(4, dtype=int)[[0, 1] * 5]}, "`y` must hold class numbers.* need `mask=`"),
        ({"y": -np.ones((10, 4), int)}, "`y` must hold classes from 0 on.* wherever `mask` counts"),
        ({"y": np.full((10, 4, 2), 0.5)}, "`y` must hold a class, or a one-hot row, for each"),
        ({"mask": np.full((10, 4), 0.5)}, "`mask` must hold True and False, or ones and zeros"),
        ({"mask": np.ones((10, 3))}, r"`mask` must have the shape \(10, 4\) of the labels"),
        ({"mask": np.eye(10, 4)[::-1] * 0}, "`mask` must count labels of two examples"),
        (
            {"blocks": [1, 10], "mask": "not the first"},
            "`blocks` must have labels in two of them",
        ),
    ],
    ids=["places", "ambiguous", "negative", "rows", "weights", "mask", "none", "blocks"],
)
def test_places_that_cannot_be_read_are_refused(change, sentence):
    z, y, _ = sequences()
    options = {"z": z, "y": y, "num_steps": 2, **change}
    if isinstance(change.get("mask"), str):
        first = np.random.default_rng(0).permutation(10)[0]
        options["mask"] = np.repeat(np.arange(10)[:, None] != first, 4, 1)
    with pytest.raises(ValueError, match=f"{sentence}.*Received: "):
        mdl_probe(**options)
