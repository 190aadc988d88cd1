"""A network, its file, and the network that comes out of it again."""

import math
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.compression.planning import normal_code_length
from keras_infobottleneck.compression.posteriors_of_networks import kept_weights
from tests.support.compressed_networks import (
    V,
    perceptron,
    residual,
    spread_out,
    trained_perceptron,
)
from tests.support.example_runs import ROOT

pytestmark = pytest.mark.quick

OPTIONS = {"seed": 3, "verbose": 0}


@pytest.fixture(scope="module")
def held():
    """A network with posteriors, its file and what was said of it."""
    return spread_out(perceptron())


@pytest.fixture(scope="module")
def file(held, tmp_path_factory):
    return kib.compress(held, tmp_path_factory.mktemp("files") / "held.kib", **OPTIONS)


def test_the_file_is_as_long_as_its_information(file):
    assert os.path.getsize(file.path) == file.bytes == round(sum(file.parts.values()))
    fixed = file.bytes - file.parts["blocks"]
    # Seed, number of blocks and the spare two bytes count for much in a file as small as this.
    bound = 1.15 * file.nats / math.log(2) + 2 * file.num_blocks + 8 * fixed
    assert 8 * file.bytes <= bound
    assert fixed < 140  # architecture, scales, biases


def test_files_err_as_often_as_draws_of_the_posterior(tmp_path):
    model, x, y = trained_perceptron()
    plain, kept = kept_weights(model)

    def loss_of(network):
        logits = np.asarray(network(x), np.float64)
        logits -= logits.max(-1, keepdims=True)
        right = logits[np.arange(len(y)), y]
        return np.mean(np.log(np.exp(logits).sum(-1)) - right), np.mean(logits.argmax(-1) != y)

    rng, draws, files = np.random.default_rng(0), [], []
    for _ in range(150):
        plain.set_weights(
            [
                w.mean + (0 if w.scale is None else w.scale * rng.normal(size=w.mean.shape))
                for w in kept
            ]
        )
        draws.append(loss_of(plain))
    for seed in range(12):
        file = kib.compress(model, tmp_path / "file.kib", seed=seed, verbose=0)
        assert 8 * file.parts["blocks"] <= 1.15 * file.nats / math.log(2) + 30
        files.append(loss_of(kib.decompress(file.path)))
    draws, files = np.array(draws), np.array(files)
    standard_error = np.sqrt(draws.var(0) / len(draws) + files.var(0) / len(files))
    assert np.all(files.mean(0) <= draws.mean(0) + 2.0 * standard_error)
    # And they know something: candidates of the prior err far more often.
    assert draws.mean(0)[1] < 0.2


def test_nothing_but_rounding_of_the_scales_is_added_to_the_divergence(held, file):
    best = float(held.weight_information())
    assert best <= file.nats <= best + 1e-3 * file.num_weights
    assert file.num_drawn == 10 * 24 + 24 * 4
    assert file.overhead == pytest.approx(8 * file.bytes * math.log(2) / file.nats - 1)


def test_another_process_reads_the_same_bits(file, tmp_path):
    here = kib.decompress(file.path)
    script = (
        "import sys, numpy as np, keras_infobottleneck as kib\n"
        "network = kib.decompress(sys.argv[1])\n"
        "np.savez(sys.argv[2], *network.get_weights())\n"
    )
    target = tmp_path / "weights.npz"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, file.path, target]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    with np.load(target) as there:
        for index, weight in enumerate(here.get_weights()):
            np.testing.assert_array_equal(there[f"arr_{index}"], weight)


def test_the_network_that_comes_back_is_plain_and_of_the_same_layers(held, file):
    network, plain = kib.decompress(file.path), kib.make_deterministic(held)
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in plain.layers]
    names = [[w.path.split("/")[-2:] for w in model.weights] for model in (network, plain)]
    assert names[0] == names[1]
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    np.testing.assert_allclose(network.get_weights()[1], plain.get_weights()[1], rtol=2**-8)


def test_one_seed_makes_one_file_and_another_seed_another(held, file, tmp_path):
    paths = [tmp_path / name for name in ("again", "other")]
    kib.compress(held, paths[0], **OPTIONS)
    kib.compress(held, paths[1], **{**OPTIONS, "seed": 4})
    contents = [path.read_bytes() for path in paths]
    with open(file.path, "rb") as stream:
        assert stream.read() == contents[0] != contents[1]
    assert kib.compress(held, paths[0], verbose=0, beam=1).seed < 256


def test_compressing_leaves_the_model_as_it_was(held, tmp_path):
    before = held.get_weights()
    kib.compress(held, tmp_path / "file.kib", **OPTIONS)
    for old, new in zip(before, held.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not held.variational_layers[0].prior_is_fixed


def test_a_plain_network_keeps_its_predictions_within_the_step(tmp_path):
    model = residual()
    x = np.random.default_rng(0).random((20, 8, 8, 2)).astype("float32")
    errors = []
    for step in (0.25, 0.01):
        file = kib.compress(model, tmp_path / "plain.kib", step=step, **OPTIONS)
        network = kib.decompress(tmp_path / "plain.kib")
        errors.append(np.abs(network.predict(x, verbose=0) - model.predict(x, verbose=0)).max())
        for name, old, new in zip(
            [w.path for w in model.weights], model.get_weights(), network.get_weights(), strict=True
        ):
            size = np.sqrt(np.mean(old.astype(float) ** 2))
            bound = 0.51 * 2 ** (1 / 64) * step * size if old.ndim > 1 else 2**-8 * np.abs(old)
            assert np.all(np.abs(new - old) <= bound), name
        assert file.num_drawn == file.num_blocks == 0
        # Coded adaptively, a few per cent above the normal distribution that it is not told of.
        kernels = sum(b for name, b in file.parts.items() if name.endswith("kernel"))
        assert 8 * kernels * math.log(2) < 1.1 * file.nats + 100
    assert errors[1] < errors[0]
    assert errors[1] < 0.02


def test_posteriors_in_log_space_are_quantised_within_their_noise(tmp_path):
    model = perceptron("log_normal")
    file = kib.compress(model, tmp_path / "file.kib", **OPTIONS)
    network = kib.decompress(file.path)
    assert file.num_drawn == 0
    means, found = model.variational_layers[0].layer.kernel.numpy(), network.get_weights()[0]
    assert np.corrcoef(means.ravel(), found.ravel())[0, 1] > 0.9


def test_nested_half_precision_and_frozen_layers_come_back(tmp_path):
    inner = keras.Sequential(
        [keras.Input([6]), V(keras.layers.Dense(5, dtype="mixed_bfloat16"))], name="inner"
    )
    inputs = keras.Input([6])
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="bfloat16")(inner(inputs)))
    model.layers[-1].trainable = False
    kib.compress(model, tmp_path / "file.kib", **OPTIONS)
    network = kib.decompress(tmp_path / "file.kib")
    assert [w.dtype for w in network.weights] == ["float32", "float32", "bfloat16", "bfloat16"]
    assert not network.layers[-1].trainable
    assert network.predict(np.ones((3, 6)), verbose=0).shape == (3, 2)


def test_normalisation_that_was_adapted_is_exact(tmp_path):
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3.0, 2.0, (50, 4)))
    model = keras.Sequential([keras.Input([4]), layer])
    kib.compress(model, tmp_path / "file.kib", **OPTIONS)
    x = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")
    network = kib.decompress(tmp_path / "file.kib")
    np.testing.assert_array_equal(network(x), model(x))


def test_a_unit_that_knows_more_gets_a_scale_of_its_own(tmp_path):
    model = perceptron(units=64)
    layer = model.variational_layers[0]
    factor = np.exp(np.linspace(-4.0, 1.0, 64))
    layer.layer.kernel.assign(np.random.default_rng(0).normal(size=(10, 64)) * factor)
    layer.noise_weights[0].assign(np.log(0.5 * factor) + np.zeros((10, 64)))
    file = kib.compress(model, tmp_path / "file.kib", **OPTIONS)
    assert file.nats < 0.8 * float(model.weight_information())
    kib.decompress(file.path)


def test_the_result_is_one_of_the_house(file):
    numbers = file.numbers()
    assert list(numbers)[:3] == ["bytes", "nats", "overhead"]
    assert file.to_dict()["parts"] == file.parts
    assert repr(file).startswith("CompressedFile(bytes=")
    assert "architecture" in file._repr_html_()


def test_the_code_length_of_integers_is_that_of_their_bins():
    integers = np.rint(np.random.default_rng(0).normal(0.0, 8.0, 20_000)).astype(int)
    entropy = 0.5 * math.log(2 * math.pi * math.e * 64.0)
    assert normal_code_length(integers) / 20_000 == pytest.approx(entropy, rel=0.01)
    assert normal_code_length(np.zeros(5, int)) == 0.0
    assert math.isfinite(normal_code_length(np.array([0] * 99_999 + [3000])))


def test_networks_of_float64_are_coded_as_others(tmp_path):
    def network(dtype):
        x = keras.Input((6,), dtype=dtype)
        y = keras.layers.Dense(4, dtype=dtype, name="one")(x)
        return keras.Model(x, keras.layers.Dense(3, dtype=dtype, name="two")(y))

    narrow, wide = network("float32"), network("float64")
    wide.set_weights(narrow.get_weights())
    # The stored types are a part of the architecture.
    for step in (0.0625, 0.5):
        files = [
            kib.compress(model, tmp_path / "file.kib", **OPTIONS, step=step)
            for model in (narrow, wide)
        ]
        assert files[0].nats == files[1].nats > 0
        for part, size in files[0].parts.items():
            if "/" in part:  # a weight
                assert files[1].parts[part] == pytest.approx(size, abs=1e-6)
    noisy = [
        kib.make_variational(model, num_examples=9, initial_scale=0.1, verbose=0)
        for model in (narrow, wide)
    ]
    files = [kib.compress(model, tmp_path / "file.kib", **OPTIONS) for model in noisy]
    assert files[1].nats == pytest.approx(files[0].nats, rel=1e-6)
    assert files[1].num_drawn + files[1].num_weights == files[0].num_drawn + files[0].num_weights
    again = kib.decompress(tmp_path / "file.kib")
    assert {weight.dtype for weight in again.weights} == {"float64"}


def test_weights_beyond_float32_stay_as_they_are(tmp_path):
    x = keras.Input((6,), dtype="float64")
    model = keras.Model(x, keras.layers.Dense(4, dtype="float64")(x))
    model.layers[1].kernel.assign(np.full((6, 4), 1e200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kib.compress(model, tmp_path / "file.kib", **OPTIONS)
        again = kib.decompress(tmp_path / "file.kib")
    np.testing.assert_array_equal(again.layers[1].kernel, model.layers[1].kernel)
