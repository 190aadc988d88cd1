"""The benchmarks start, with few examples and with the data that need no file."""

import json

import pytest

from tests.support import forked_scripts
from tests.support.forked_scripts import ROOT

pytestmark = pytest.mark.slow


def run(script, *flags):
    return forked_scripts.run(ROOT / "benchmarks" / script, *flags)


def test_curvature_is_measured_on_whole_batches_of_any_data():
    flags = ["--network=mlp", "--rounds=1", "--quantity=diagonal, empirical"]
    done = run("fisher.py", "--num_examples=111", "--batch_size=50", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["mlp"]
    assert list(found["ours"]) == ["diagonal, empirical"]
    assert all(seconds > 0 for seconds in found["seconds"].values())


def test_a_batch_larger_than_the_data_is_one_sentence():
    done = run("fisher.py", "--num_examples=10", "--batch_size=50")
    assert done.returncode != 0
    assert "fisher.py: --batch_size must be at most the number of examples, 10. Re" in done.stderr


def test_a_compressed_file_is_as_long_as_its_information(tmp_path):
    done = run("compression.py", "--smoke", f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "compression.json").read_text("utf-8"))
    for row in report["settings"].values():
        assert row["bits_of_choices_per_bit"] < 1.15
        assert row["log_ratio"] > 0.7


def test_learning_coefficients_are_measured_beside_the_known_ones(tmp_path):
    sizes = ("--num_chains=2", "--num_draws=8", "--num_steps=1")
    done = run("learning_coefficient.py", *sizes, f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "learning_coefficient.json").read_text("utf-8"))["rows"]
    # Reduced-rank regression in each of its regimes, as published.
    truths = {"4-2-3 of 1": 4.0, "5-1-3 of 1": 3.5, "3-1-5 of 1": 3.5, "2-4-2 of 1": 2.0}
    for name, truth in truths.items():
        assert rows[f"reduced rank {name}"]["truth"] == truth
    assert len(rows) == 11


def test_streams_are_compared_with_arrays(tmp_path):
    flags = ["--num_examples=500", "--batch_size=100", "--rounds=1", "--memory_sizes=200"]
    done = run("streams.py", *flags, f"--output={tmp_path / 'streams.json'}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "streams.json").read_text("utf-8"))
    kinds = {"arrays", "tf.data", "generator", "PyDataset"}
    assert set(found["seconds"].pop("iterating alone")) == kinds - {"arrays"}
    assert all(set(row) == kinds for row in found["seconds"].values())
    assert found["peak_mebibytes"]["200"] > 0


def test_scores_of_wrong_labels_rank_better_than_chance(tmp_path):
    done = run("wrong_labels.py", "--smoke", "--kind=random", f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "wrong_labels.json").read_text("utf-8"))
    (found,) = report["runs"]["random, 20%"]
    assert all(area > 0.7 for area in found["areas"].values())
    assert all(seconds > 0 for seconds in found["seconds"].values())


def test_importing_the_package_is_compared_with_importing_keras(tmp_path):
    flags = ["--rounds=1", "--warm_up=0"]
    done = run("import_time.py", *flags, f"--output={tmp_path / 'import_time.json'}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "import_time.json").read_text("utf-8"))
    row = found["processor_seconds"]
    assert min(row["keras_infobottleneck"], row["keras"]) > 0
    assert 1 < found["files_imported"] <= found["files_of_the_package"]


def test_a_head_of_many_classes_is_measured_in_passes():
    flags = ["--classes=300", "--width=8", "--length=4", "--num_examples=8", "--batch_size=4"]
    done = run("large_vocabulary.py", *flags, "--rounds=1", "--max_side=100")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    names = ["diagonal, empirical", "diagonal, sampled", "kronecker, sampled"]
    assert list(found) == ["weights", "gradient, seconds", *names]
    assert all(value > 0 for value in found.values())


def test_recurrent_layers_have_the_same_numbers_by_their_rule_as_without():
    sizes = ("--units=3", "--steps=4", "--width=2", "--num_examples=20", "--batch_size=10")
    done = run("recurrent.py", *sizes, "--few=2", "--rounds=1", "--cell=gru")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["gru"]
    assert found["largest difference of the diagonals"] < 1e-5
    assert found["difference of the nats"] < 1e-4
    assert found["by the rule"].keys() == found["example by example"].keys()


def test_influence_by_the_whole_curvature_tells_more_than_products_of_gradients(tmp_path):
    sizes = ("--num_examples=100", "--num_test=10", "--num_units=4", "--num_subsets=20")
    path = tmp_path / "influence.json"
    done = run("influence.py", *sizes, "--repeats=1", "--steps=200", f"--output={path}")
    assert done.returncode == 0, done.stderr
    scores = json.loads(path.read_text("utf-8"))["scores"]
    assert scores["ours, dense"]["score"] > scores["gradient products"]["score"]
    # Both hold the whole matrix.
    assert abs(scores["ours, dense"]["score"] - scores["ours, gram"]["score"]) < 0.01


def test_questions_about_examples_are_measured_in_passes():
    flags = ["--num_examples=40", "--batch_size=20", "--rounds=1", "--num_test=5"]
    done = run("whose_nats.py", *flags, "--network=mlp", "--num_draws=3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["mlp"]
    assert len(found) == 14
    assert all(value > 0 for value in found.values())
