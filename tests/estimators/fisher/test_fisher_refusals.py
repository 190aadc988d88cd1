"""Every bad input gives one sentence, before any work, and leaves everything as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_infobottleneck.estimators import (
    FisherInformation,
    MemoryEstimate,
    fisher_information,
    hessian,
)

layers = keras.layers
X = np.ones([6, 4], np.float32)
Y = np.arange(6) % 3


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def check(error, word, call):
    with pytest.raises(error, match=word) as caught:
        call()
    message = str(caught.value)
    assert "Received: " in message
    assert "\n" not in message


BAD_ARGUMENTS = {
    "structure": ({"structure": "full"}, "`structure`"),
    "labels": ({"labels": "true"}, "`labels`"),
    "likelihood": ({"likelihood": "poisson"}, "`likelihood`"),
    "uncompiled": ({"likelihood": None}, "`likelihood`"),
    "zero samples": ({"num_samples": 0}, "`num_samples`"),
    "samples of nothing": ({"num_samples": 2, "labels": "expected"}, "`num_samples`"),
    "batch size": ({"batch_size": 0}, "`batch_size`"),
    "seed": ({"seed": -1}, "`seed`"),
    "memory limit": ({"memory_limit": -1}, "`memory_limit`"),
    "no variables": ({"variables": []}, "at least one weight"),
    "foreign variable": ({"variables": [keras.Variable(np.ones(2))]}, "weights of the model"),
    "expected of another": (
        {"likelihood": lambda out: tfp.distributions.Laplace(out, 1.0), "labels": "expected"},
        "labels='sampled'",
    ),
    "nest with another": (
        {"likelihood": lambda out: [tfp.distributions.Laplace(out, 1.0)] * 2},
        "joint distribution",
    ),
}


# Of the wrong kind, rather than of the wrong value.
BAD_KINDS = {
    "structure": ({"structure": 3}, "`structure`"),
    "seed": ({"seed": 0.5}, "`seed`"),
    "number of samples": ({"num_samples": 2.5}, "`num_samples`"),
    "memory limit": ({"memory_limit": "all"}, "`memory_limit`"),
    "likelihood class": ({"likelihood": tfp.distributions.Categorical}, "`likelihood`"),
    "array for variable": ({"variables": [np.ones(2)]}, "weights of the model"),
}


@pytest.mark.parametrize("name", BAD_KINDS)
def test_arguments_of_another_kind(model, name):
    arguments, word = BAD_KINDS[name]
    options = {"likelihood": "categorical", **arguments}
    check(TypeError, word, lambda: fisher_information(model, (X, Y), **options))


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments(model, name):
    arguments, word = BAD_ARGUMENTS[name]
    options = {"likelihood": "categorical", **arguments}
    check(ValueError, word, lambda: fisher_information(model, (X, Y), **options))


BAD_DATA = {
    "nothing": (None, TypeError, "`data`"),
    "a name": ("mnist", TypeError, "`data`"),
    "a function": (lambda: 0, TypeError, "`data`"),
    "a generator": ((pair for pair in [(X, Y)]), TypeError, "Python generator"),
    "objects": (np.array([{}, {}]), TypeError, "numbers"),
    "lengths": ((X, Y[:5]), ValueError, "same examples"),
    "empty": ((X[:0], Y[:0]), ValueError, "at least one example"),
    "sample weights": ((X, Y, np.ones(6)), ValueError, "sample weights"),
    "no labels": (X, ValueError, r"\(x, y\)"),
    "label shape": ((X, np.ones([6, 2])), ValueError, "labels"),
    "label outside": ((X, Y + 1), ValueError, "finite"),
    "negative label": ((X, Y - 1), ValueError, "finite"),
    "not a number": ((X * np.nan, Y), ValueError, "finite"),
    "infinite dataset": (
        tf.data.Dataset.from_tensors((X, Y)).repeat(),
        ValueError,
        "infinite",
    ),
    "empty dataset": (tf.data.Dataset.from_tensors((X, Y)).take(0), ValueError, "example"),
}


@pytest.mark.parametrize("name", BAD_DATA)
@pytest.mark.parametrize("structure", ["diagonal", "gram"])
def test_bad_data(model, name, structure):
    data, error, word = BAD_DATA[name]
    options = {"likelihood": "categorical", "labels": "empirical", "structure": structure}
    check(error, word, lambda: fisher_information(model, data, **options))


def test_other_refusals(model, tmp_path):
    options = {"likelihood": "categorical"}
    check(ValueError, r"`\(x, y\)`", lambda: fisher_information(model, [X, Y], **options))
    check(TypeError, "`model`", lambda: fisher_information(layers.Dense(2), (X, Y), **options))
    dataset = tf.data.Dataset.from_tensors((X, Y))
    check(
        ValueError,
        "`batch_size`",
        lambda: fisher_information(model, dataset, batch_size=2, **options),
    )
    check(
        ValueError,
        "once",
        lambda: fisher_information(model, X, variables=model.weights[:1] * 2, **options),
    )
    check(
        TypeError,
        "TFP distribution",
        lambda: fisher_information(model, X, likelihood=lambda out: 1.0),
    )
    broken = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    broken.layers[0].kernel.assign(np.full([4, 3], np.nan))
    check(ValueError, "finite", lambda: fisher_information(broken, X, **options))
    np.savez(tmp_path / "other.npz", a=1)
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "text.txt").write_text("words")
    for name in ("other.npz", "array.npy", "text.txt"):
        check(ValueError, "`path`", lambda name=name: FisherInformation.from_npz(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        FisherInformation.from_npz(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"none\.npz'$"):
        FisherInformation.from_npz(tmp_path / "none.npz")


def test_results_refuse(model, tmp_path):
    options = {"likelihood": "categorical", "labels": "expected"}
    results = {
        structure: fisher_information(model, X, structure=structure, **options)
        for structure in ("diagonal", "kronecker", "dense", "gram", "implicit")
    }
    for result in results.values():
        check(ValueError, "`shift`", lambda r=result: r.logdet(-1.0))
        check(ValueError, "`shift`", lambda r=result: r.logdet(np.inf))
        check(ValueError, "`tensors`", lambda r=result: r.matvec([np.ones(3)]))
        check(ValueError, "`count`", lambda r=result: r.eigenvalues(0))
        check(ValueError, "`count`", lambda r=result: r.eigenvalues(1000))
    check(ValueError, "same structure", lambda: results["dense"] + results["gram"])
    implicit = results["implicit"]
    check(ValueError, "holds no numbers", lambda: implicit.to_npz(tmp_path / "x.npz"))
    check(ValueError, "`shift`", lambda: implicit.logdet(0.0))
    check(ValueError, "`num_probes`", lambda: implicit.logdet(1.0, num_probes=1))
    check(ValueError, "`method`", lambda: implicit.trace(method="guess"))


@pytest.mark.parametrize("kind", ["implicit", "hessian"])
def test_data_that_changes_between_passes_is_named(model, kind):
    data = tf.data.Dataset.from_tensor_slices((np.arange(24.0).reshape(6, 4), Y))
    data = data.shuffle(6, seed=1, reshuffle_each_iteration=True).batch(3)
    if kind == "hessian":
        result = hessian(model, data, likelihood="categorical")
    else:
        result = fisher_information(model, data, likelihood="categorical", structure="implicit")
    vector = [np.ones([4, 3]), np.ones(3)]
    check(ValueError, "shuffling", lambda: [result.matvec(vector) for _ in range(5)])


def test_what_does_not_fit_is_refused_with_numbers_and_a_way_out(model, monkeypatch):
    from keras_infobottleneck.estimators.fisher import scores

    def refuse(*_):
        raise AssertionError("work was done")

    monkeypatch.setattr(scores.Scores, "__init__", refuse)
    wide = keras.Sequential([keras.Input((300,)), layers.Dense(200), layers.Dense(3)])
    x = np.ones([40, 300], np.float32)
    options = {"likelihood": "categorical", "labels": "expected", "memory_limit": 2**27}
    check(
        ValueError,
        r"structure='dense' of 60,803 weights needs [\d,.]+ MiB.*structure='gram' needs",
        lambda: fisher_information(wide, x, structure="dense", **options),
    )
    check(
        ValueError,
        r"structure='kronecker' needs",
        lambda: fisher_information(
            wide, np.ones([4000, 300], np.float32), structure="gram", **options
        ),
    )


def test_labels_of_another_shape_than_a_distribution_are_not_paired_with_other_examples():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    y = np.arange(len(X), dtype=np.float32)
    options = {"likelihood": lambda o: tfp.distributions.Poisson(log_rate=o[..., 0])}
    for measure in (
        lambda y: fisher_information(model, (X, y), labels="empirical", **options),
        lambda y: hessian(model, (X, y), **options).trace(),
    ):
        check(ValueError, "Poisson labels must", lambda measure=measure: measure(y[:, None]))
        measure(y)


@pytest.mark.parametrize("likelihood", ["bernoulli", "bernoulli_probabilities"])
def test_bits_other_than_nought_to_one_are_refused(likelihood):
    activation = "sigmoid" if likelihood.endswith("probabilities") else None
    hidden = layers.Dense(3, "tanh")
    model = keras.Sequential([keras.Input((4,)), hidden, layers.Dense(1, activation)])
    y = np.where(np.arange(len(X)) % 2, 1, -1)
    options = {"likelihood": likelihood}
    for measure in (
        lambda y: fisher_information(model, (X, y), labels="empirical", **options).trace(),
        lambda y: hessian(model, (X, y), **options).trace(),
    ):
        check(ValueError, "labels outside", lambda measure=measure: measure(y))
        measure((y + 1) / 2)


@pytest.mark.parametrize("structure", ["dense", "implicit"])
def test_what_fits_in_no_structure_is_refused_with_numbers(model, structure):
    options = {"likelihood": "categorical", "structure": structure, "memory_limit": 100}
    check(
        ValueError,
        f"structure='{structure}' of 15 weights needs .* in addition to the model's own. Received",
        lambda: fisher_information(model, X, **options),
    )


def test_patches_of_a_batch_count_towards_kronecker_factors():
    conv, head = layers.Conv2D(4, 5), layers.Dense(3)
    model = keras.Sequential(
        [keras.Input((32, 32, 4)), conv, layers.GlobalAveragePooling2D(), head]
    )
    x = np.zeros([64, 32, 32, 4], np.float32)
    options = {"likelihood": "categorical", "structure": "kronecker", "dry_run": True}
    patches = 28 * 28 * (5 * 5 * 4) * 4  # bytes of one example
    whole = fisher_information(model, x, **options).working_bytes
    parts = fisher_information(model, x, batch_size=4, **options).working_bytes
    without = fisher_information(model, x, variables=[head.kernel], **options).working_bytes
    assert patches < (whole - parts) / 60 < 1.1 * patches
    assert whole - without > 64 * patches


def test_a_dry_run_prints_and_does_nothing(model, capsys, monkeypatch):
    from keras_infobottleneck.estimators.fisher import scores

    monkeypatch.setattr(scores.Scores, "__init__", None)
    plan = fisher_information(
        model, X, likelihood="categorical", structure="dense", dry_run=True, memory_limit=1
    )
    assert isinstance(plan, MemoryEstimate)
    assert plan.result_bytes == 15 * 15 * 4
    assert "15 weights" in capsys.readouterr().out


def test_progress_is_shown_on_request(model, capsys):
    fisher_information(model, X, likelihood="categorical", batch_size=2, verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_products_that_are_not_finite_are_refused(model):
    vector = [np.ones([4, 3]), np.ones(3)]
    result = hessian(model, (X, Y + 1), likelihood="categorical")
    check(ValueError, "finite", lambda: result.matvec(vector))
    result = fisher_information(
        model, X * np.nan, likelihood="categorical", structure="implicit", labels="expected"
    )
    check(ValueError, "finite", lambda: result.matvec(vector))


def test_layers_that_keras_runs_again_are_refused_in_a_sentence():
    with keras.RematScope(mode="full"):
        again = layers.Dense(3, name="again")
    model = keras.Sequential([keras.Input((4,)), again])
    options = {"likelihood": "categorical", "structure": "gram"}
    check(ValueError, "RematScope.*layers again", lambda: fisher_information(model, X, **options))
    options = {"likelihood": "categorical"}
    check(ValueError, "RematScope.*layers again", lambda: hessian(model, (X, Y), **options))
