"""The scripts on data of the user's own: other classes, other shapes, few examples."""

import json

import numpy as np
import pytest

from tests.support.example_runs import kill_at, run


def write(path, num_examples, shape, num_classes):
    """A file of images whose classes can be told apart, labels as ``[examples, 1]``."""
    rng = np.random.default_rng(0)
    prototypes = rng.integers(200, size=(num_classes, *shape))
    arrays = {}
    for part in ("train", "test"):
        y = np.arange(num_examples)[:, None] % num_classes
        arrays[f"x_{part}"] = (prototypes[y[:, 0]] + rng.integers(50)).astype("uint8")
        arrays[f"y_{part}"] = y
    np.savez(path, **arrays)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "record"),
    [
        ("reproduction/resolution_relevance/run.py", "records/network-0.json"),
        ("reproduction/weight_complexity/run.py", "records/published-80-0.json"),
    ],
)
def test_classes_may_be_more_than_ten(script, record, tmp_path):
    """Until there is a record that took all examples; what is judged of it knows no classes."""
    data = write(tmp_path / "data.npz", 96, (5, 7, 3), 12)
    kill_at(record, script, tmp_path / "out", f"--data={data}")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text("utf-8"))
    assert settings["data"] == "data.npz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "num_examples", "shape", "sentence"),
    [
        (
            "reproduction/occlusions/run.py",
            40,
            (13, 17),
            "square images, which are laid upon a square canvas. Rec",
        ),
        (
            "reproduction/autoencoder/run.py",
            4,
            (5, 5),
            "more images than the code has units, 4. Rec",
        ),
        (
            "reproduction/random_labels/run.py",
            20,
            (5, 5),
            "80 examples at least, for 3 classes. Rec",
        ),
    ],
)
def test_what_a_script_cannot_use_is_one_sentence(script, num_examples, shape, sentence, tmp_path):
    data = write(tmp_path / "data.npz", num_examples, shape, 3)
    refused = run(script, tmp_path / "out", f"--data={data}")
    assert refused.returncode != 0
    assert f"{script}: x_t" in refused.stderr
    assert f" must hold {sentence}eived: " in refused.stderr
    assert not (tmp_path / "out").exists()
