import json

import keras
import numpy as np
import pytest
from pybdm import BDM

from keras_infobottleneck.estimators import quantized_complexity


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reference_planes(weights, num_bits, clip_percentile):
    """The paper's formulas, one plane at a time, with pybdm."""
    weights = weights.astype(np.float64).reshape(len(weights), -1)
    tail = 0 if clip_percentile is None else (1 - clip_percentile / 100) / 2
    low, high = np.quantile(weights, tail), np.quantile(weights, 1 - tail)
    top = 2**num_bits - 1
    levels = np.clip(np.round((weights - low) / ((high - low) / top)), 0, top).astype(int)
    return [BDM(ndim=2).bdm(levels // 2**i % 2) for i in range(num_bits)]


@pytest.mark.parametrize("clip_percentile", [None, 99.9, 90.0])
@pytest.mark.parametrize("num_bits", [1, 4, 8, 11, 16])
def test_equals_the_formulas_with_pybdm(num_bits, clip_percentile):
    weights = {"a": gaussian(21, 14), "b": gaussian(8, 3, 3, 3, seed=1)}
    result = quantized_complexity(weights, num_bits=num_bits, clip_percentile=clip_percentile)
    for path, array in weights.items():
        expected = reference_planes(array, num_bits, clip_percentile)
        np.testing.assert_allclose(result.planes[path], expected, rtol=1e-12)
        assert result.by_layer[path] == pytest.approx(sum(expected))
    np.testing.assert_allclose(result.by_plane, sum(result.planes.values()))
    assert result.total_bits == pytest.approx(result.by_plane.sum())


def test_agrees_with_pybdm_on_a_large_layer():
    weights = gaussian(512, 784)
    result = quantized_complexity(weights, num_bits=2)
    np.testing.assert_allclose(result.by_plane, reference_planes(weights, 2, 99.9), rtol=1e-12)


@pytest.mark.parametrize("clip_percentile", [None, 99.9])
def test_gaussian_weights_have_no_structure_in_any_plane(clip_percentile):
    result = quantized_complexity(gaussian(512, 784), clip_percentile=clip_percentile)
    np.testing.assert_allclose(result.against_shuffled.by_plane, 1, atol=0.01)
    assert result.shuffled_ratio == pytest.approx(1, abs=0.01)


def test_outliers_lower_the_top_plane_without_structure():
    # The trap: a wide range from few values looks like learning against the initial weights.
    start = quantized_complexity(gaussian(256, 256), clip_percentile=None)
    heavy = np.random.default_rng(1).standard_t(3, size=(256, 256)).astype(np.float32)
    result = quantized_complexity(heavy, clip_percentile=None, baseline=start, num_shuffles=10)
    assert result.ratio < 0.95
    assert result.against_baseline.by_plane[-1] < 0.7
    assert result.shuffled_ratio == pytest.approx(1, abs=0.01)
    null = result.against_shuffled
    assert (np.abs(null.by_plane - 1) < 5 * null.by_plane_std).all()


def test_a_repeated_pattern_is_simple_against_its_shuffles():
    weights = np.tile(gaussian(4, 4), (32, 32))
    result = quantized_complexity(weights)
    assert result.ratio < 0.02
    assert result.shuffled_ratio == result.ratio
    # One distinct block a plane, 1,024 times: a block's complexity and ten bits each.
    assert (result.by_plane < 36.03 + 10).all()


def test_structure_in_the_top_plane_leaves_the_bottom_planes_alone():
    weights = gaussian(128, 128) + 6 * np.kron(np.indices((2, 2)).sum(0) % 2, np.ones((64, 64)))
    result = quantized_complexity(weights, clip_percentile=None)
    assert result.against_shuffled.by_plane[-1] < 0.2
    np.testing.assert_allclose(result.against_shuffled.by_plane[:4], 1, atol=0.01)


def test_ratio_is_of_sums_over_the_mean_shuffle_with_its_spread():
    result = quantized_complexity({"a": gaussian(40, 40), "b": gaussian(12, 8)}, num_shuffles=5)
    shuffled = result.total_bits / result.ratio
    assert result.against_shuffled.by_layer["a"] != result.against_shuffled.by_layer["b"]
    parts = [result.by_layer[k] / result.against_shuffled.by_layer[k] for k in "ab"]
    assert sum(parts) == pytest.approx(shuffled)
    assert 0 < result.ratio_std < 0.01
    assert (result.against_shuffled.by_plane_std > 0).all()


def test_ratio_to_itself_is_one_and_to_a_model_or_its_result_the_same():
    first, second = {"w": gaussian(64, 64)}, {"v": np.tile(gaussian(8, 8, seed=1), (8, 8))}
    by_weights = quantized_complexity(second, baseline=first)
    by_result = quantized_complexity(second, baseline=quantized_complexity(first))
    assert by_weights.ratio == by_result.ratio < 1
    assert by_weights.ratio == pytest.approx(
        by_weights.total_bits / quantized_complexity(first).total_bits
    )
    assert by_weights.ratio_std == 0
    assert by_weights.shuffled_ratio < 1
    assert quantized_complexity(first, baseline=first).ratio == 1


def test_constant_tensors_have_the_least_complexity_and_ratio_one():
    result = quantized_complexity(np.full((16, 16), 0.3, np.float32))
    np.testing.assert_allclose(result.by_plane, 22.006706292292176 + 4, rtol=1e-12)
    assert (result.ratio, result.ratio_std) == (1, 0)


def test_scale_and_shift_by_powers_of_two_do_not_matter():
    weights = gaussian(32, 48)
    assert quantized_complexity(weights * 4).total_bits == quantized_complexity(weights).total_bits


def test_small_tensors_are_listed_as_skipped():
    result = quantized_complexity({"w": gaussian(8, 8), "thin": gaussian(3, 9), "b": gaussian(7)})
    assert list(result.by_layer) == ["w"]
    assert result.skipped == {"thin": "smaller than a block as 3 x 9", "b": "fewer than two axes"}
    with pytest.raises(ValueError, match=r"at least 4 x 4.*thin"):
        quantized_complexity({"thin": gaussian(3, 9)})


def test_saturation_tells_how_full_the_blocks_are_and_crops_undo_it():
    large, small = gaussian(2048, 2048), gaussian(512, 512, seed=1)
    whole = quantized_complexity({"w": large}, num_shuffles=2, num_bits=2)
    assert whole.saturation["w"] > 0.95
    # 65,536 blocks' worth of uniform draws from as many blocks: 1 - 1/e of them occur.
    middle = quantized_complexity({"w": gaussian(1024, 1024)}, num_bits=4)
    assert middle.saturation["w"] == pytest.approx(1 - np.exp(-1), abs=0.01)
    per_weight = [
        quantized_complexity(w, num_bits=2, num_shuffles=2).total_bits / w.size
        for w in (large, small)
    ]
    assert per_weight[0] < 0.5 * per_weight[1]
    cropped = [
        quantized_complexity({"w": w}, num_bits=2, num_shuffles=2, crop=(512, 512))
        for w in (large, small)
    ]
    assert cropped[0].total_bits == pytest.approx(cropped[1].total_bits, rel=0.01)
    assert cropped[0].saturation["w"] < 0.25
    assert cropped[0].ratio == pytest.approx(1, abs=0.01)


def test_a_crop_no_smaller_than_the_matrix_changes_nothing():
    weights = gaussian(40, 60)
    assert (
        quantized_complexity(weights, crop=(40, 60)).total_bits
        == quantized_complexity(weights).total_bits
    )


def test_same_seed_same_result_and_layers_do_not_disturb_each_other():
    one, two = gaussian(32, 32), gaussian(24, 24, seed=1)
    alone = quantized_complexity({"a": one})
    both = quantized_complexity({"a": one, "b": two})
    assert alone.against_shuffled.by_layer["a"] == both.against_shuffled.by_layer["a"]
    assert quantized_complexity({"a": one}, seed=1).ratio != alone.ratio


def test_model_and_its_kernels_as_arrays_agree():
    model = keras.Sequential(
        [keras.layers.Input((9,)), keras.layers.Dense(12), keras.layers.Dense(3)]
    )
    of_model = quantized_complexity(model)
    of_array = quantized_complexity(model.layers[0].kernel.numpy().T.copy())
    assert of_model.total_bits == of_array.total_bits
    assert len(of_model.by_layer) == 1
    assert len(of_model.skipped) == 3


def test_result_reads_as_text_table_and_json():
    result = quantized_complexity({"dense": gaussian(8, 8), "tiny": gaussian(2, 2)}, crop=(8, 8))
    assert "total_bits=" in repr(result)
    lines = result.table().splitlines()
    assert [line.split()[0] for line in lines] == ["weight", "dense", "total", "skipped"]
    decoded = json.loads(json.dumps(result.to_dict()))
    assert decoded["total_bits"] == result.total_bits
    assert decoded["planes"]["dense"] == result.planes["dense"].tolist()


GOOD = gaussian(8, 8)


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        ("dense", {}, TypeError, "`weights` must be a Keras model.*'dense'"),
        (None, {}, TypeError, "`weights` must be a Keras model.*None"),
        ([[1.0, 2.0]], {}, TypeError, "NumPy arrays.*weight_0.*1.0, 2.0"),
        (np.ones((8, 8), int), {}, TypeError, "floating point.*int64"),
        (keras.Sequential(), {}, ValueError, "built"),
        (np.where(GOOD > 2, np.nan, GOOD) * np.inf, {}, ValueError, "finite.*weight_0"),
        ([], {}, ValueError, "at least 4 x 4"),
        (GOOD, {"num_bits": 0}, ValueError, "num_bits.*0"),
        (GOOD, {"num_bits": 17}, ValueError, "num_bits.*17"),
        (GOOD, {"num_bits": 7.5}, TypeError, "num_bits.*7.5"),
        (GOOD, {"clip_percentile": 0}, ValueError, "clip_percentile.*0"),
        (GOOD, {"clip_percentile": 101.0}, ValueError, "clip_percentile.*101"),
        (GOOD, {"clip_percentile": "99"}, TypeError, "clip_percentile.*'99'"),
        (GOOD, {"num_shuffles": 1}, ValueError, "num_shuffles.*1"),
        (GOOD, {"crop": (2, 8)}, ValueError, r"crop.*\(2, 8\)"),
        (GOOD, {"crop": 8}, ValueError, "crop.*8"),
        (GOOD, {"crop": (10**6, 10**6)}, ValueError, "no larger than every matrix"),
        (GOOD, {"num_crops": 0}, ValueError, "num_crops.*0"),
        (GOOD, {"baseline": "initial"}, ValueError, "baseline.*'initial'"),
        (GOOD, {"baseline": 3}, TypeError, "`baseline` must be.*3"),
        (GOOD, {"baseline": None}, TypeError, "`baseline` must be.*None"),
        (GOOD, {"baseline": gaussian(8, 12)}, ValueError, "same shapes"),
        (
            GOOD,
            {"baseline": quantized_complexity(GOOD, num_bits=4)},
            ValueError,
            "same options.*'num_bits': 8.*'num_bits': 4",
        ),
    ],
)
def test_refuses_bad_input(weights, options, error, message):
    with pytest.raises(error, match=message):
        quantized_complexity(weights, **options)


def test_the_weights_of_a_model_as_a_list_have_the_complexity_of_the_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((12, 12, 6)), keras.layers.Conv2D(20, 5), keras.layers.Conv2D(8, 5)]
    )
    of_model = quantized_complexity(model)
    for given in (
        quantized_complexity(model.get_weights()),
        quantized_complexity(model.get_weights(), layout="keras", baseline=model),
    ):
        assert given.total_bits == of_model.total_bits
        assert given.shuffled_ratio == of_model.shuffled_ratio
    transposed = quantized_complexity(model.get_weights(), layout="out_first")
    assert transposed.total_bits != of_model.total_bits


def test_scales_of_units_are_told_from_arrangement():
    """Scales are kept by a shuffle within rows or columns, and an arrangement by neither.

    Within 1.5 % of 1 is noise of the measure: what is arranged lies below by twice that.
    """
    rng = np.random.default_rng(0)
    kinds = ("within_rows", "within_columns", "renumbered")
    weights = rng.normal(size=(64, 64)).astype("float32")
    scale = np.repeat([1.0, 0.02], 32)[rng.permutation(64)].astype("float32")[:, np.newaxis]
    pattern = np.tile(weights[:8, :8], (8, 8))
    found = {
        name: quantized_complexity([matrix], rearrangements=kinds)
        for name, matrix in {
            "rows": weights * scale,
            "columns": weights * scale.T,
            "both": pattern,
        }.items()
    }
    ratios = {
        name: {kind: each.value for kind, each in result.rearranged.items()}
        for name, result in found.items()
    }
    assert all(result.shuffled_ratio < 0.97 for result in found.values())
    assert abs(ratios["rows"]["within_rows"] - 1) < 0.015
    assert ratios["rows"]["within_columns"] < 0.97
    assert abs(ratios["columns"]["within_columns"] - 1) < 0.015
    assert ratios["columns"]["within_rows"] < 0.97
    assert max(ratios["both"]["within_rows"], ratios["both"]["within_columns"]) < 0.97


def test_numbering_units_otherwise_moves_the_complexity_by_its_noise():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(64, 64)).astype("float32")
    found = quantized_complexity([weights], rearrangements=["renumbered"], num_shuffles=8)
    renumbered = found.rearranged["renumbered"]
    totals = [quantized_complexity([weights[rng.permutation(64)]]).total_bits for _ in range(30)]
    assert 0 < renumbered.std == pytest.approx(np.std(totals) / np.mean(totals), rel=0.6)
    assert abs(renumbered.value - 1) < 0.015
    plain = quantized_complexity([weights], num_shuffles=8)
    assert (plain.shuffled_ratio, plain.rearranged) == (found.shuffled_ratio, {})


@pytest.mark.parametrize(
    ("kinds", "error"), [("renumbered", TypeError), (3, TypeError), (["x"], ValueError)]
)
def test_unknown_rearrangements_are_refused(kinds, error):
    with pytest.raises(error, match="Received: rearrangements="):
        quantized_complexity([np.ones((8, 8), "float32")], rearrangements=kinds)
