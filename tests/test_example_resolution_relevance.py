"""The script as a user runs it."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(*flags):
    command = [sys.executable, ROOT / "examples" / "resolution_relevance.py", "--smoke", *flags]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_it_writes_a_table_a_figure_and_one_result_line(tmp_path):
    done = run(f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("RESULT layer nearest mu = 1")
    report = json.loads((tmp_path / "resolution_relevance.json").read_text())
    assert [layer["units"] for layer in report["layers"]] == [12, 6]
    for layer in report["layers"]:
        assert 0 <= layer["relevance"] <= layer["resolution"] <= 1
        assert 0 <= layer["class_kept"] <= 1
    assert (tmp_path / "resolution_relevance.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("flag", ["--data=absent.npz", "--units=3,x", "--epochs=0"])
def test_bad_flags_end_in_one_sentence_and_write_nothing(flag, tmp_path):
    done = run(flag, f"--output_dir={tmp_path / 'out'}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert flag.split("=")[0].strip("-") in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_data_without_labels_end_in_one_sentence(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.zeros((5, 2, 2)))
    done = run(f"--data={tmp_path / 'data.npz'}", f"--output_dir={tmp_path / 'out'}")
    assert done.returncode != 0
    assert "x_train, y_train, x_test, y_test" in done.stdout + done.stderr
