"""Wrong labels: held-out predictions against refits, and probabilities that are calibrated."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

import keras_infobottleneck as kib
from keras_infobottleneck.estimators import (
    PosteriorInfluence,
    UniqueInformation,
    WrongLabels,
    find_wrong_labels,
)
from keras_infobottleneck.estimators.influence.label_noise import LabelNoise
from tests.support.reference_influence import one_layer, softmax_regression, without

SHIFT = 0.02
CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.quick
def test_a_newton_step_predicts_what_refits_predict():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    y = np.argmax(x @ rng.normal(size=(3, 3)) + rng.gumbel(size=(60, 3)), axis=1)
    weights = softmax_regression(x, y, 3, SHIFT)
    exact = []
    for i in range(60):
        refit = softmax_regression(x, y, 3, SHIFT, without(i, 60), weights)
        exact.append(-log_softmax(x[i] @ refit)[y[i]])
    found = find_wrong_labels(
        one_layer(weights, CLASSES),
        (x, y),
        beta=SHIFT,
        prior_scale=1.0,
        structure="dense",
        labels="expected",
    )
    whole = -log_softmax(x @ weights, axis=1)[np.arange(60), y]
    assert np.abs(found.losses - exact).max() < 0.15 * np.abs(whole - exact).max()
    assert found.method == "curvature"


def noisy_labels(share, by_class, num=2000):
    """Logits of a right model of true classes, the labels given, and which of them are wrong."""
    rng = np.random.default_rng(3)
    logits = 3 * rng.normal(size=(num, 4))
    true = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    moved = (true + (1 if by_class else rng.integers(1, 4, num))) % 4
    given = np.where(rng.random(num) < share, moved, true)
    return logits, given, given != true


@pytest.mark.parametrize("by_class", [False, True], ids=["random", "class-dependent"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_expected_shares_are_those_that_there_are(share, by_class):
    logits, given, wrong = noisy_labels(share, by_class)
    noise = LabelNoise.fitted(3.0 * logits, given)  # a network that is too sure
    assert noise.wrong.mean() == pytest.approx(wrong.mean(), abs=0.03)
    assert noise.temperature == pytest.approx(3.0, rel=0.35)
    for group in np.array_split(np.argsort(noise.wrong), 8):
        p = noise.wrong[group]
        error = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert abs(wrong[group].mean() - p.mean()) < 4 * error + 0.03


@pytest.fixture(scope="module")
def replaced():
    """Examples of three classes, with a fifth of the labels replaced."""
    rng = np.random.default_rng(0)
    centers = 2.5 * rng.normal(size=(3, 5))
    true = rng.integers(0, 3, 300)
    x = (centers[true] + rng.normal(size=(300, 5))).astype("float32")
    wrong = rng.random(300) < 0.2
    return x, np.where(wrong, (true + rng.integers(1, 3, 300)) % 3, true), true, wrong


def trained(model, x, y):
    model.compile(keras.optimizers.Adam(0.03), CLASSES)
    model.fit(x, y, epochs=25, batch_size=50, verbose=0)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("pays", [False, True], ids=["plain", "variational"])
def test_networks_find_what_was_replaced(replaced, pays):
    x, y, true, wrong = replaced
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    if pays:
        model = kib.make_variational(model, num_examples=300, weight_beta=0.3, verbose=0)
    found = find_wrong_labels(trained(model, x, y), (x, y), seed=0, num_draws=16)
    assert float(found.expected_share) == pytest.approx(wrong.mean(), abs=0.06)
    flagged = found.flagged()
    assert wrong[flagged].mean() > 0.85
    assert wrong[flagged].mean() == pytest.approx(found.expected_precision(), abs=0.12)
    assert np.mean(found.suggested == true) > 0.9
    assert found.method == ("draws" if pays else "curvature")
    one_hot = find_wrong_labels(
        model, (x, np.eye(3, dtype="float32")[y]), seed=0, num_draws=16, likelihood="categorical"
    )
    np.testing.assert_allclose(one_hot.probabilities, found.probabilities, atol=1e-4)


def test_files_and_numbers(tmp_path):
    logits, given, _ = noisy_labels(0.2, False, num=50)
    noise = LabelNoise.fitted(logits, given)
    found = WrongLabels(
        probabilities=noise.wrong,
        suggested=noise.suggested,
        losses=np.ones(50),
        confusion=noise.confusion,
        temperature=noise.temperature,
        method="draws",
    )
    found.to_npz(tmp_path / "labels")
    again = WrongLabels.from_npz(tmp_path / "labels.npz")
    assert again.numbers() == found.numbers()
    np.testing.assert_array_equal(again.confusion, found.confusion)
    assert next(iter(found.numbers())) == "expected_share"
    assert list(found.ranking(3)) == list(np.argsort(-noise.wrong, kind="stable")[:3])
    assert found.expected_share.standard_error > 0


def test_drawn_weights_need_no_fisher_matrix():
    layer = kib.layers.VariationalWeights(keras.layers.Dense(3))
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(loss=CLASSES)
    with pytest.raises(ValueError, match=r"`fisher` and its options are for plain networks"):
        find_wrong_labels(model, (np.eye(3), np.arange(3)), num_draws=3, labels="expected")


def test_what_has_no_classes_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"`likelihood` must be over the classes.* Normal"):
        find_wrong_labels(model, (np.ones((5, 2)), np.ones((5, 1))))


@pytest.mark.parametrize("change", [0.5, 3, -3, np.nan], ids=str)
def test_labels_that_are_no_classes_are_refused(change):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    model = one_layer(rng.normal(size=(3, 3)), CLASSES)
    with pytest.raises(ValueError, match=r"one label of 3 classes.*Received: .*, with -?\w"):
        find_wrong_labels(model, (x, y + change), labels="expected")


@pytest.mark.parametrize("row", [[0.2, 0.5, 0.3], [1, 1, 0], [0, 0, 0]], ids=str)
def test_rows_that_are_not_one_hot_are_no_labels(row):
    rng = np.random.default_rng(0)
    y = np.eye(3)[rng.integers(0, 3, 20)]
    y[7] = row
    model = one_layer(rng.normal(size=(3, 3)), CLASSES)
    with pytest.raises(ValueError, match=r"rows one-hot\. Received: .* \(20, 3\), with \[\d"):
        find_wrong_labels(model, (rng.normal(size=(20, 3)), y), labels="expected")


def test_a_network_that_predicts_no_label_is_said_to_be_the_cause():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = rng.permutation([0] * 120 + [1] * 60 + [2] * 20)
    model = one_layer(rng.normal(size=(3, 3)), CLASSES)
    with pytest.warns(UserWarning, match="of the labels seem wrong, which more often means"):
        assert find_wrong_labels(model, (x, y), labels="expected").expected_share > 0.5


@pytest.mark.parametrize(
    ("count", "error"), [(-1, ValueError), (2.5, TypeError), ("3", TypeError)], ids=str
)
def test_a_number_of_examples_is_a_count_for_every_result(count, error):
    each = {"standard_errors": np.zeros(4), "losses": np.zeros(4), "beta": 0.1, "num_examples": 4}
    settings = {"prior_scale": 1.0, "structure": "dense", "leverage": False, "space": "weights"}
    held = UniqueInformation(nats=np.arange(4.0), **each, **settings)
    influence = PosteriorInfluence(
        influences=np.arange(4.0), is_own=True, method="draws", num_draws=3, **each
    )
    wrong = WrongLabels(np.arange(4.0) / 9, np.zeros(4, int), np.zeros(4), np.eye(2), 1.0, "draws")
    for few in (held.largest, influence.most_harmful, wrong.ranking):
        assert [len(few(number)) for number in (0, 3, 9)] == [0, 3, 4]
        with pytest.raises(error, match=r"`count` must be .*Received: count="):
            few(count)
    with pytest.raises(ValueError, match=r"`threshold` must be .*Received: threshold=1\.5"):
        wrong.flagged(1.5)


def test_activations_with_noise_are_told_which_weights_to_name():
    layer = kib.layers.GaussianBottleneck(3, 0.1, name="code")
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(3)])
    model.compile("adam", CLASSES)
    data = np.eye(3), np.arange(3)
    with pytest.raises(ValueError, match=r"`noise_weights`.*Received: layer='code' with noise"):
        kib.estimators.unique_information(model, data, beta=0.1, labels="expected")
    noise = {id(weight) for weight in layer.noise_weights}
    read = [weight for weight in model.trainable_variables if id(weight) not in noise]
    held = kib.estimators.unique_information(
        model, data, beta=0.1, labels="expected", variables=read
    )
    assert np.all(held.nats > 0.0)
