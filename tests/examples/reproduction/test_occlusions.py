"""The script as a user runs it, and what it judges with."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from reproduction.frame import nuisances
from reproduction.frame.verdicts import UNTOLD
from reproduction.occlusions.claims import judge
from reproduction.occlusions.measures import activation_bound, heat_maps, roc_areas
from tests.support.example_runs import finish, killed_and_resumed, result

SCRIPT = "reproduction/occlusions/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_judges_its_claims_and_draws_the_figure(undisturbed):
    report = result(undisturbed)
    assert list(report["claims"]) == ["1-h", "2-b", "2-c"]
    tasks = [record["task"] for record in report["records"]]
    assert tasks == ["clutter", "clutter", "superimposed", "occlusion"]
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/superimposed-*.npz"], SCRIPT, undisturbed, tmp_path)
    assert resumed == result(undisturbed)


@pytest.fixture
def digits():
    """A bright bar and a bright square."""
    x = np.zeros((2, 6, 6, 1), np.float32)
    x[0, :, 2:4] = x[1, 1:5, 1:5] = 1.0
    return x


def test_clutter_leaves_the_whole_image_to_be_seen_and_says_where_it_is(digits):
    scenes, own, around = nuisances.cluttered(digits, 16, 3, np.random.default_rng(0))
    assert scenes.shape == (2, 16, 16, 1)
    for where, image in zip(own, digits[..., 0] > 0, strict=True):
        drawn = [mask[mask.any(1)][:, mask.any(0)] for mask in (where, image)]
        np.testing.assert_array_equal(*drawn)
    assert around.any((1, 2)).all()
    assert not (own & around).any()
    np.testing.assert_array_equal(scenes[..., 0] > 0, own | around)


def test_images_are_resized_by_whole_blocks():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    half = nuisances.resized(x, 2)[0, :, :, 0]
    np.testing.assert_array_equal(half, [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(nuisances.resized(nuisances.resized(x, 8), 4), x)
    assert nuisances.resized(np.zeros((1, 28, 28, 1)), 14).shape == (1, 14, 14, 1)


def test_a_superimposed_digit_is_white_in_the_last_corner(digits):
    below = np.full((2, 9, 9, 3), 0.5, np.float32)
    x = nuisances.superimposed(below, digits)
    np.testing.assert_array_equal(x[:, 3:, 3:], np.maximum(0.5, np.repeat(digits, 3, -1)))
    assert np.all(x[:, :3] == 0.5)
    assert np.all(below == 0.5)


def test_occlusion_patterns_are_ten_squares():
    patterns = nuisances.occlusion_patterns(14, 5, np.random.default_rng(0))
    assert patterns.shape == (5, 14, 14)
    sizes = patterns.sum((1, 2))
    assert np.all((sizes > 20) & (sizes <= 40))  # 2 x 2 each, some over others
    assert len(np.unique(patterns.reshape(5, -1), axis=0)) == 5


def test_areas_are_one_for_a_map_of_the_digit_and_half_for_a_map_without_information():
    own = np.zeros((3, 8, 8), bool)
    own[:, 2:4, 2:6] = True
    around = np.zeros_like(own)
    around[:, 6:, 6:] = True
    perfect = own[:, ::2, ::2].astype(float)
    ink = (own | around)[:, ::2, ::2].astype(float)
    areas = roc_areas({"perfect": perfect, "ink": ink, "flat": np.ones((3, 4, 4))}, own, around)
    assert areas["perfect"]["digit"] == areas["perfect"]["digit_against_clutter"] == 1.0
    assert areas["flat"]["digit"] == areas["flat"]["digit_against_clutter"] == 0.5
    assert areas["ink"]["digit_against_clutter"] == 0.5  # an ink detector knows no clutter
    assert areas["ink"]["digit"] == pytest.approx(13.5 / 14)  # one of 14 places outside ties
    assert areas["perfect"]["dilated"] < 1.0


def test_heat_maps_are_the_information_of_each_place():
    layer = kib.layers.InformationDropout(
        keras.layers.Conv2D(3, 3, activation="relu"), 1.0, name="noisy"
    )
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Rescaling(2.0), layer])
    x = np.random.default_rng(0).random((4, 6, 6, 1), np.float32)
    nats = layer.information(2.0 * x).numpy().sum(-1)
    expected = nats - nats.min((1, 2), keepdims=True)
    np.testing.assert_allclose(heat_maps(model, x)["noisy"], expected, atol=1e-5)


def test_the_bound_is_that_of_equal_noise():
    layers = [
        kib.layers.VariationalWeights(
            keras.layers.Dense(units), posterior="log_normal", max_variance=2.0, initial_scale=0.5
        )
        for units in (7, 4)
    ]
    for layer in layers:
        layer.build((None, 5))
    # The variance of every log weight is 0.25 at the start.
    expected = 4 * (1 - 0.5 * np.log(1 - np.exp(-0.25)))
    assert activation_bound(layers, 2.0) == pytest.approx(expected, rel=1e-5)


def test_verdicts_follow_from_the_records():
    def clutter(error, first, last):
        against = {"digit": 0.95, "digit_against_clutter": first}
        deep = {"digit": 0.8, "digit_against_clutter": last}
        untrained = {"digit": 0.5, "digit_against_clutter": 0.5}
        return {
            "task": "clutter",
            "error": error,
            "layers": {"noisy_0": against, "noisy_1": deep},
            "untrained": {"noisy_0": untrained, "noisy_1": untrained},
        }

    def superimposed(error, nuisance):
        return {"task": "superimposed", "error": error, "nuisance_error": nuisance}

    def occlusion(weights, pattern, label):
        about = {"pattern": {"nats": pattern, "null": 0.0}, "class": {"nats": label, "null": 0.0}}
        bound = {"bound": 10 + weights, "weight_information": weights, "error": 0.1}
        return {"task": "occlusion", "about": about, **bound}

    task = {"num_examples": 1, "epochs": 1}
    settings = {"data": "d", "seeds": 1, "clutter": task, "superimposed": task, "occlusion": task}
    runs = [
        [clutter(0.2, 0.9, 0.4), clutter(0.1, 0.6, 0.8), clutter(0.3, 0.9, 0.4)],
        [superimposed(0.2, 0.2), superimposed(0.1, 0.6), superimposed(0.3, 0.9)],
        [occlusion(9, 1.0, 2.0), occlusion(5, 0.4, 1.9), occlusion(1, 0.2, 0.1)],
    ]
    records = [
        {"seed": 0, "beta": float(beta), **record}
        for task in runs
        for beta, record in enumerate(task)
    ]

    def verdicts():
        return [claim["verdict"] for claim in judge(records, settings).values()]

    assert verdicts() == ["reproduced"] * 3
    records[1]["layers"]["noisy_0"]["digit_against_clutter"] = 0.9  # the first layer selects more
    records[4]["error"] = 0.25  # the task's error only rises
    records[7]["about"]["class"]["nats"] = 1.0  # the class goes with the pattern
    assert verdicts() == ["partly"] * 3
    records[1]["layers"]["noisy_0"]["digit"] = 0.5
    records[5]["nuisance_error"] = 0.3
    records[8]["bound"] = 0.1
    assert verdicts() == [UNTOLD] * 3
