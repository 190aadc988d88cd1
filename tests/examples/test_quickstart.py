"""The scripts as a user runs them: whole, killed and resumed, and with bad input."""

import os
import shutil

import numpy as np
import pytest

from reproduction.frame import datasets
from tests.support.example_runs import finish, kill_at, killed_and_resumed, result, run

QUICKSTART = "quickstart.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, finish(QUICKSTART, folder)


class TestQuickstart:
    def test_it_prints_a_table_and_writes_results_figure_and_model(self, undisturbed):
        folder, output = undisturbed
        networks = result(folder)["networks"]
        assert list(networks) == [
            "plain",
            "dropout",
            "information_dropout",
            "weight_beta=0.0001",
            "weight_beta=0.1",
            "weight_beta=1",
        ]
        for name, row in networks.items():
            assert name in output
            assert 0.0 <= row["memorised"] <= 1.0
            assert len(row["history"]["test_accuracy"]) == 3
        assert networks["weight_beta=0.1"]["weight_nats_per_example"] > 1.0
        assert networks["information_dropout"]["activation_nats_per_example"] > 1.0
        assert {"figure.png", "best.keras", "best_savedmodel"} <= set(os.listdir(folder))
        assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.slow
    def test_killed_twice_and_resumed_it_ends_the_same(self, undisturbed, tmp_path):
        twice = ("records/dropout.npz", "records/weight_beta=0.1.npz")
        resumed = killed_and_resumed(twice, QUICKSTART, undisturbed[0], tmp_path)
        assert resumed == result(undisturbed[0])

    @pytest.mark.slow
    def test_started_over_it_forgets_what_was_done(self, undisturbed, tmp_path):
        folder = tmp_path / "again"
        shutil.copytree(undisturbed[0], folder, ignore=shutil.ignore_patterns("result.json"))
        kill_at("records/dropout.npz", QUICKSTART, folder, "--noresume")
        records = sorted(path.name for path in (folder / "records").glob("*.json"))
        assert records == ["plain.json"]

    @pytest.mark.slow
    def test_other_flags_do_not_go_on_with_an_earlier_run(self, undisturbed):
        folder, _ = undisturbed
        before = sorted(os.listdir(folder))
        refused = run(QUICKSTART, folder, "--weight_beta=0.2")
        assert refused.returncode != 0
        assert "the same settings" in refused.stderr.splitlines()[-1]
        assert sorted(os.listdir(folder)) == before

    @pytest.mark.slow  # a sentence of an example is seen in test_examples too
    def test_bad_input_ends_with_one_sentence_and_writes_nothing(self, tmp_path):
        folder = tmp_path / "out"
        refused = run(QUICKSTART, folder, f"--data={tmp_path / 'none.npz'}")
        assert refused.returncode != 0
        last = refused.stderr.strip().splitlines()[-1]
        assert last.startswith("quickstart.py: The data file must exist. Received: ")
        assert "Traceback" not in refused.stderr
        assert not folder.exists()


def arrays(**changes):
    x, y = np.ones((4, 5, 5), "uint8"), np.array([0, 1, 2, 1])
    good = {"x_train": x, "y_train": y, "x_test": x[:2], "y_test": y[:2]}
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def of_type(array, dtype):
    """Zeros of the array's shape, the first element one."""
    changed = np.zeros(array.shape, dtype)
    changed.flat[0] = 1
    return changed


BAD_ARRAYS = {
    "labels that do not fit into 32 bits": {
        "y_train": np.array([0, 1, 2, 1]) + 2**40,
        "y_test": np.array([0, 1]) + 2**40,
    },
    "labels of more classes than outputs can be": {"y_train": np.array([0, 1, 2, 2**31 - 1])},
    "labels that are times": {"y_train": of_type(np.ones(4), "m8[s]")},
    "labels that are dates": {"y_train": of_type(np.ones(4), "M8[s]")},
    "pixels that are times": {"x_train": of_type(np.ones((4, 5, 5)), "m8[s]")},
    "pixels too large for float32": {"x_train": np.full((4, 5, 5), 1e300)},
    "pixels too small for float32": {
        "x_train": np.full((4, 5, 5), 1e-300),
        "x_test": np.full((2, 5, 5), 1e-300),
    },
    "test pixels too large for float32": {"x_test": np.full((2, 5, 5), 1e300)},
    "pixels in records": {"x_train": np.zeros((4, 5, 5), [("red", "f4")])},
    "another key": {"y_test": None},
    "pickled objects": {"y_train": np.array([0, "a", None, 2], object)},
    "labels of another length": {"y_train": np.array([0, 1, 2])},
    "labels that are fractions": {"y_train": np.array([0.5, 1.0, 2.0, 1.0])},
    "negative pixels": {"x_train": np.full((4, 5, 5), -1.0)},
    "complex pixels": {"x_train": np.full((4, 5, 5), 1j)},
    "negative labels": {"y_train": np.array([0, -1, 2, 1])},
    "test labels of an unknown class": {"y_test": np.array([0, 9])},
    "pixels that are not finite": {"x_train": np.full((4, 5, 5), np.nan)},
    "a single class": {"y_train": np.zeros(4, int), "y_test": np.zeros(2, int)},
    "text for pixels": {"x_train": np.full((4, 5, 5), "a")},
    "no images": {"x_train": np.ones((0, 5, 5)), "y_train": np.zeros(0, int)},
    "flat images": {"x_train": np.ones((4, 25))},
    "test images of another size": {"x_test": np.ones((2, 6, 5))},
}


class TestDatasets:
    def test_digits_are_split_and_scaled(self):
        images = datasets.load()
        assert images.x_train.shape == (1200, 8, 8, 1)
        assert images.x_train.max() == 1.0
        assert images.num_classes == 10

    def test_a_file_is_read_as_it_is(self, tmp_path):
        np.savez(tmp_path / "good.npz", **arrays())
        images = datasets.load(path=str(tmp_path / "good.npz"))
        assert images.x_test.shape == (2, 5, 5, 1)
        assert images.y_test.tolist() == [0, 1]

    @pytest.mark.parametrize("case", BAD_ARRAYS)
    def test_bad_arrays_are_one_sentence(self, tmp_path, case):
        path = str(tmp_path / "bad.npz")
        np.savez(path, **arrays(**BAD_ARRAYS[case]))
        with pytest.raises(ValueError, match=r"^[^\n]*Received: [^\n]*$"):
            datasets.load(path=path)

    def test_a_broken_file_is_one_sentence(self, tmp_path):
        np.savez(tmp_path / "whole.npz", **arrays())
        whole = (tmp_path / "whole.npz").read_bytes()
        broken = {"cut.npz": whole[: len(whole) // 2], "text.npz": b"no archive", "empty.npz": b""}
        for name, content in broken.items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=r"Received: [^\n]*" + name):
                datasets.load(path=str(tmp_path / name))
        with pytest.raises(ValueError, match="Received"):
            datasets.load(path=str(tmp_path))
