"""The README of the benchmarks is what its command writes, with every benchmark and its command."""

import json
import pathlib

import pytest

from tools.write_benchmark_tables import TARGET, costs, document, scale

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def text():
    return document()


def test_the_readme_is_what_the_command_writes(text):
    assert TARGET.read_text("utf-8") == text


def test_results_that_are_named_are_there(text):
    named = {word.strip("`,") for word in text.split() if word.startswith("`docs/results/")}
    assert len(named) > 10
    assert all((ROOT / name).is_file() for name in named)


def test_commands_are_of_benchmarks_that_are_there(text):
    commands = [line for line in text.splitlines() if line.startswith("python ")]
    assert len(commands) > 10
    for command in commands:
        assert (ROOT / command.split()[1]).is_file(), command


def test_links_lead_to_files(text):
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    assert targets
    assert all((TARGET.parent / target).is_file() for target in targets)


def test_results_of_scale_are_written_once_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setitem(scale.read.__globals__, "RESULTS", tmp_path)
    sections = (scale.growth_by_size, scale.growth_by_calls, scale.endurance, scale.device)
    assert not any(section() for section in sections)
    fit = {"exponent": 0.987, "standard_error": 0.02}
    point = {"processor_seconds": 1.5, "peak_mebibytes": 700.0}
    row = {"points": {"1000": point}, "summary": {"all sizes": fit, "larger half": fit}}
    leak = {"mebibytes_per_call": 0.21, "standard_error": 0.01, "models_alive": 0}
    reached = {"seconds": 0.5, "share_of_arithmetic": 0.4, "share_of_the_limit": 0.6}
    trained = {"steps": 2000, "losses_not_finite": 0, "weights_not_finite": 1}
    trained |= {"mebibytes_after_a_tenth": 700.0, "largest_change": 0.0012}
    results = {
        "endurance": {"rows": {"float32": trained}},
        "scaling": {"measures": {"by examples": row}},
        "leaks": {"calls": 30, "rows": {"audit": {"kept": leak, "cleared": leak}}},
        "gpu": {"device": {}, "peak": {"operations": 1e12, "bytes": 1e9}, "rows": {"a": reached}},
    }
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"command": "python x", **result}))
    assert "| by examples | 0.99 ± 0.02 | 0.99 ± 0.02 |" in scale.growth_by_size()
    assert "| audit | 0.21 ± 0.01 | 0.21 ± 0.01 | 0 |" in scale.growth_by_calls()
    assert "| float32 | 2,000 | 0 | 1 | 700 | 0.12% |" in scale.endurance()
    assert "| a | 0.5 | 40% | 60% |" in scale.device()


def test_sequence_networks_stand_beside_the_peers_once_they_are_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(costs.read.__globals__, "RESULTS", tmp_path)
    assert costs.curvature_of_sequences() == ""
    found = {
        "seconds": {"gradient": 0.5, "gradient, compiled loop": 0.25},
        "ours": {"diagonal, sampled": 1.0, "kronecker, sampled": 1.5},
        "ours, of the compiled loop": {"diagonal, sampled": 2.0, "kronecker, sampled": 3.0},
        "seconds of the peers": 0.125,
        "peers": {"two diagonal, sampled": 4.25, "one diagonal, sampled": 5.0},
        "difference": {"one diagonal, empirical": 2e-7},
    }
    results = {"transformer": found, "lstm": {**found, "peers": {}}}
    (tmp_path / "fisher_sequences.json").write_text(json.dumps(results))
    text = costs.curvature_of_sequences()
    assert "--network transformer --network lstm --data mnist.npz" in text
    assert "Transformer block, whose passes take 0.500 and 0.250 seconds, torch's 0.125:" in text
    assert "| diagonal, sampled | 1.00 | 2.00 | one 5.00, two 4.25 |" in text
    assert "| diagonal, sampled | 1.00 | 2.00 |  |" in text
    assert text.count("| kronecker, sampled | 1.50 | 3.00 |  |") == 2
    assert "of its largest entry: one diagonal, empirical 2e-07." in text
