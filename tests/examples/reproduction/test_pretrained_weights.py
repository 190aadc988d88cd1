"""Weights are read outputs first from every kind of file, and judged by their planes."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from reproduction.frame.verdicts import FALSE, PARTLY, REPRODUCED, UNTOLD
from reproduction.pretrained_weights.claims import judge
from reproduction.pretrained_weights.measures import measure
from reproduction.pretrained_weights.outputs import error_at_bits, rounded
from reproduction.pretrained_weights.reading import read_weights
from tests.support.example_runs import finish, result

SCRIPT = "reproduction/pretrained_weights/run.py"


@pytest.fixture(scope="module")
def network():
    layers = [
        keras.layers.Conv2D(6, 3, name="conv"),
        keras.layers.DepthwiseConv2D(3, name="depthwise"),
        keras.layers.Flatten(),
        keras.layers.Dense(4, name="dense"),
    ]
    return keras.Sequential([keras.Input((8, 8, 5)), *layers])


@pytest.mark.parametrize("name", ["network.keras", "network.weights.h5"])
def test_weights_of_keras_have_their_outputs_first(network, tmp_path, name):
    network.save(tmp_path / name) if name.endswith("keras") else network.save_weights(
        tmp_path / name
    )
    found = sorted(read_weights(tmp_path / name).values(), key=lambda a: a.size)
    assert [a.shape for a in found] == [(6, 1, 3, 3), (6, 5, 3, 3), (4, 96)]
    conv, dense = (
        keras.ops.convert_to_numpy(network.get_layer(layer).kernel) for layer in ("conv", "dense")
    )
    np.testing.assert_array_equal(found[-1].T, dense)
    np.testing.assert_array_equal(found[1], np.transpose(conv, (3, 2, 0, 1)))


def test_arrays_of_npz_are_taken_as_of_keras(tmp_path):
    kernel = np.arange(24, dtype="float32").reshape(1, 2, 3, 4)
    np.savez(tmp_path / "a.npz", kernel, np.zeros(4), counts=np.ones((4, 4), int))
    (found,) = read_weights(tmp_path / "a.npz").values()
    np.testing.assert_array_equal(found, np.transpose(kernel, (3, 2, 0, 1)))


@pytest.mark.parametrize("name", ["a.txt", "a.h5", "a.keras", "a.npz", "none.h5"])
def test_files_that_are_none_end_in_one_sentence(tmp_path, name):
    if name != "none.h5":
        (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=f"Received: {name}"):
        read_weights(tmp_path / name)


def test_smooth_kernels_are_told_from_their_positions_shuffled():
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.normal(size=(48, 16, 40)), -1)
    found = measure({"kernel": smooth - smooth.mean(-1, keepdims=True)}, 0)["ratio_by_plane"]
    assert found["positions"][-1] < 0.9
    assert abs(found["renumbered"][-1] - 1) < 0.05
    rough = measure({"kernel": random.normal(size=(48, 16, 40))}, 0)["ratio_by_plane"]
    assert abs(rough["positions"][-1] - 1) < 0.05
    assert abs(rough["normal start"][-1] - 1) < 0.05


def test_the_verdict_follows_from_the_planes():
    def found(top, low):
        ratios = [low] * 4 + [1.0] * 3 + [top]
        planes = {"uniform start": ratios, "shuffled": ratios}
        return judge([{"network": "n", "ratio_by_plane": planes}])["5-f"]["verdict"]

    assert found(0.9, 1.0) == REPRODUCED
    assert found(0.9, 0.9) == PARTLY
    assert found(0.99, 1.0) == UNTOLD


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_kernels_are_rounded_as_quantize_to_does(network, bits):
    kernel = keras.ops.convert_to_numpy(network.get_layer("dense").kernel)
    coarse = kib.estimators.quantize_to(network, bits).get_layer("dense").kernel
    np.testing.assert_allclose(rounded(kernel.T, bits).T, coarse, rtol=1e-5, atol=1e-7)


def test_outputs_are_those_of_the_network_in_the_file(network, tmp_path):
    network.save(tmp_path / "network.keras")
    errors = error_at_bits(tmp_path / "network.keras", 0)
    assert list(errors) == list(range(1, 9))
    assert errors[8] < 0.02 < 0.1 < errors[1]
    np.savez(tmp_path / "weights.npz", np.ones((2, 2)))
    assert error_at_bits(tmp_path / "weights.npz", 0) is None


def test_an_onnx_file_gives_the_outputs_of_its_network(tmp_path):
    onnx, helper = pytest.importorskip("onnx"), pytest.importorskip("onnx.helper")
    pytest.importorskip("onnxruntime")
    kernel = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    values = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 5])]
    values += [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 3])]
    weight = onnx.numpy_helper.from_array(kernel, "w")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "a.onnx")
    x = np.random.default_rng(7).normal(size=[4, 5]).astype("float32")
    exact, coarse = x @ kernel, x @ rounded(kernel.T, 3).T
    expected = np.linalg.norm(coarse - exact) / np.linalg.norm(exact)
    assert error_at_bits(tmp_path / "a.onnx", 7)[3] == pytest.approx(expected, rel=1e-4)


def test_bits_are_predicted_from_the_planes_and_judged():
    def record(name, carrying, needed):
        ratios = [1.0] * (8 - carrying) + [0.9] * carrying
        errors = {str(bits): 0.01 if bits >= needed else 0.5 for bits in range(1, 9)}
        planes = {"uniform start": ratios, "shuffled": ratios}
        return {"network": name, "ratio_by_plane": planes, "error_at_bits": errors}

    right = [record(str(bits), bits, bits) for bits in (2, 4, 6)]
    judged = judge(right)["5-g"]
    assert (judged["verdict"], judged["numbers"]["mean_error_bits"]) == (REPRODUCED, 0.0)
    more = judge([*right, record("more", 8, 9)])["5-g"]
    assert "more 8, more than 8" in more["measured"]
    assert more["numbers"]["mean_error_bits"] == 0.0  # of those that eight bits are enough for
    wrong = [record(str(bits), 8, bits) for bits in (1, 2, 3)]
    assert judge(wrong)["5-g"]["verdict"] == FALSE
    assert "5-g" not in judge(right[:1])


@pytest.mark.slow
def test_the_script_judges_and_draws(tmp_path):
    finish(SCRIPT, tmp_path)
    assert list(result(tmp_path)["claims"]) == ["5-f"]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
