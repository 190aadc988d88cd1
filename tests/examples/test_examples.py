"""Every example as a user runs it, at its smallest size: what must hold at any size holds."""

import json
import math

import pytest

from tests.support.example_runs import EXAMPLES, finish, run

SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "quickstart.py")


def result_of(script, folder):
    """The result of a script's smoke run; its last line says so."""
    last = finish(script, folder).splitlines()[-1]
    assert last.startswith("RESULT ")
    assert last.endswith(f"-> {folder}")
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["command"] == f"python examples/{script} --smoke"
    assert result["smoke"] is True
    return result


def audit(result, folder):
    assert result["nats"].keys() == {"true labels", "random labels"}
    assert result["nats_of_the_labels"] == pytest.approx(60 * 2.302585)
    assert "<html" in (folder / "report.html").read_text("utf-8")


def certificate(result, folder):
    assert result["observed_error"] < result["error_bound"] <= 1.0
    assert result["certificate"]["num_examples"] == 100
    assert result["nats"] > 0.0


def code_length(result, folder):
    parts = result["code_length"]
    assert result["kbit_without_a_network"] == pytest.approx(0.12 * math.log2(10))
    assert parts["scale_nats"] > 0.0
    assert parts["nats"] == pytest.approx(
        parts["data_nats"] + parts["weight_nats"] + parts["scale_nats"]
    )
    nats = parts["weight_nats"] + parts["scale_nats"]
    assert result["certificate"]["kl"] == pytest.approx(nats, rel=1e-6)
    assert result["certificate"]["num_anchoring_examples"] == 0
    assert result["prequential_code"]["ends"] == [60, 85, 120]
    assert (folder / "blocks.png").exists()


def complexity_while_training(result, folder):
    for rows in result["rows"].values():
        assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
        assert rows[0]["bits_ratio"] == 1.0  # the initial weights over themselves
    assert (folder / "no_decay.csv").exists()


def compress(result, folder):
    rows = result["rows"]
    for name in ("compressed", "compressed, tuned"):
        file = folder / f"{name.replace(', ', '_')}.kib"
        assert file.stat().st_size == rows[name]["bytes"]
        assert rows[name]["bytes"] < 1.15 * rows[name]["nats_in_bytes"] + 80
    assert rows["pruned, int8, zlib"]["bytes"] > 0


def nats_bytes_guarantees(result, folder):
    (network,) = result["networks"].values()
    assert network["prices"].keys() == {"0.1", "1"}
    for price, row in network["prices"].items():
        file = folder / f"perceptron_{price}.kib"
        assert file.stat().st_size == row["bytes"]
        assert row["code_nats"] == pytest.approx(1000 * math.log(2) * row["kbit"])
    assert all(0 < row["bytes"] < 3000 for row in network["usual"].values())
    bounds = {row["bound"]: row for row in result["table"]}
    assert len(bounds) >= 5
    assert all(row["error"] <= row["at_most"] <= 1.0 for row in bounds.values())


def convert_and_prune(result, folder):
    assert 0.0 < result["share_kept"] < 1.0
    assert set(result["test_accuracy"]) >= {"trained", "pruned by signal to noise"}
    assert (folder / "pruned.keras").exists()


def deep_vib(result, folder):
    assert [row["network"] for row in result["means"]] == ["plain", "dropout", *2 * ["standard"]]
    dear, cheap = (row["rate"] for row in result["means"][:1:-1])
    assert 0.0 < dear < cheap  # what a nat costs decides how many there are
    assert all(0.0 <= row["error"] <= 1.0 for row in result["rows"])


def fisher_of_a_transformer(result, folder):
    assert result["ratio_by_step"]["0.001"] == pytest.approx(1.0, abs=0.02)
    parts = result["by_part"].values()
    assert sum(part["trace"] for part in parts) == pytest.approx(result["trace"], rel=1e-4)


def information_dropout_heat_map(result, folder):
    for areas in (result["area"], result["area_before_training"]):
        assert all(0.0 < area < 1.0 for area in areas.values())
    assert all(nats > 0.0 for nats in result["nats_per_image"].values())


def relevance_of_layers(result, folder):
    for rows in result["layers"].values():
        for row in rows:
            assert row["relevance"] <= row["possible"] + 9e-3  # vertices are joined below the hull
            assert row["relevance"] <= row["resolution"] <= 1.0 + 1e-9


def resume(result, folder):
    assert result["largest_difference"] == 0.0
    assert result["died_in_epoch"] == 2
    assert result["nats"] > 0.0


def shards(result, folder):
    assert result["engine"] == "futures"
    check_shards(result)


def check_shards(result):
    assert result["same_counts"]
    assert result["largest_difference"] < 1e-6
    assert result["bits"] == result["bits_of_the_whole"] > 0.0


def training_through_wrong_labels(result, folder):
    assert len(result["methods"]) == 8
    for method in result["methods"].values():
        assert method["last"]["epoch"] == [2]
        assert method["early"]["epoch"][0] in (1, 2)
        for when in ("last", "early"):
            assert 0.0 <= method[when]["test"][0] <= 1.0
    assert len(list((folder / "records").glob("*.json"))) == 8


def two_workers(result, folder):
    assert result["largest_difference"] == 0.0
    assert result["trace_of_two"] == pytest.approx(result["trace_of_one"], rel=1e-6)
    assert len(result["losses"]) == 5
    (codes,) = result["exit_codes"]
    assert -9 in codes
    assert 0 not in codes


def uncertainty(result, folder):
    for nats in (result["nats"][name] for name in ("epistemic", "aleatoric", "total")):
        assert all(value > 0.0 for value in nats.values())
    parts = [result["nats"][name]["known classes"] for name in ("epistemic", "aleatoric")]
    assert sum(parts) == pytest.approx(result["nats"]["total"]["known classes"], rel=1e-4)
    assert all(0.0 <= area <= 1.0 for area in result["areas"].values())


@pytest.mark.slow  # of all examples the quickstart runs every time, see test_quickstart
@pytest.mark.parametrize("script", SCRIPTS)
def test_it_runs_and_writes_what_it_says(script, tmp_path):
    folder = tmp_path / "out"
    holds = globals()[script.removesuffix(".py")]
    holds(result_of(script, folder), folder)
    figures = "figure.png" in (EXAMPLES / script).read_text("utf-8")
    assert (folder / "figure.png").exists() == figures


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_shards_are_measured_by_whoever_starts_processes(engine, tmp_path):
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[engine])
    finish("shards.py", tmp_path, f"--engine={engine}")
    result = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert result["engine"] == engine
    check_shards(result)


def test_what_a_file_lacks_is_one_sentence_and_nothing_is_written(tmp_path):
    refused = run("resume.py", tmp_path / "out", f"--data={tmp_path / 'none.npz'}")
    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("resume.py: The data file must exist. Received: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    refused = run("resume.py", tmp_path / "file" / "out")
    assert refused.returncode != 0
    assert "resume.py: --output_dir must be a folder that can be written to. " in refused.stderr
    assert "Traceback" not in refused.stderr
