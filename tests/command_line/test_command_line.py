"""The command line: what it prints, which codes it ends with, and what it says of bad input."""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import flags

import keras_infobottleneck as kib
from keras_infobottleneck.__main__ import main
from keras_infobottleneck.command_line import registration
from keras_infobottleneck.command_line.audit_command import AUDIT, LIKELIHOODS
from keras_infobottleneck.command_line.certify_command import CERTIFY
from keras_infobottleneck.command_line.command import Command
from keras_infobottleneck.estimators.fisher.likelihoods import NAMES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
Y = np.arange(40) % 3
DATA = "--data=data.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models and their data, in files."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("files")
    network = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(4, "relu", name="hidden"), keras.layers.Dense(3)],
        name="net",
    )
    network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.save(folder / "model.keras")
    noisy = kib.make_variational(
        network, num_examples=40, verbose=0, variational_bias=True, prior_scale=0.3
    )
    noisy.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    noisy.save(folder / "noisy.keras")
    untold = keras.Sequential([keras.Input((5,)), *network.layers], name="untold")
    untold.save(folder / "untold.keras")
    np.savez(folder / "data.npz", x=X, y=Y, writer=Y % 2)
    np.savez_compressed(folder / "other.npz", pictures=X, classes=Y)
    (folder / "damaged.keras").write_text("no model")
    (folder / "damaged.npz").write_text("no arrays")
    return folder


def call(folder, monkeypatch, capsys, *words):
    """The exit code, standard output and standard error of a call in the folder."""
    monkeypatch.chdir(folder)
    code = main(words)
    return code, *capsys.readouterr()


@pytest.mark.quick
def test_help_lists_every_command_and_every_flag_with_a_full_sentence(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for command in registration.COMMANDS:
        assert f"  {command.name}" in overview
        assert command.summary in overview
        assert main([command.name, "--help"]) == main(["help", command.name]) == 0
        page = capsys.readouterr().out
        values = flags.FlagValues()
        command.define_flags(values)
        for name in values:
            assert f"{name}\n" in page
            text = " ".join(values[name].help.split())  # to which absl adds how a list is written
            assert text.removesuffix(" (a comma separated list)").endswith("."), name
        assert all(len(line) <= 88 for line in page.splitlines())
        assert f"usage: kib {command.name} {' '.join(command.arguments)}" in page
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: kib COMMAND")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == kib.__version__


def test_an_audit_writes_its_report_and_compares_it(folder, monkeypatch, capsys):
    audit = ("audit", "model.keras", "--data=data.npz", "--include=task,weights")
    code, out, err = call(folder, monkeypatch, capsys, *audit, "--json=one.json", "--html=one.html")
    assert code == 0
    assert out.splitlines()[-1] == "wrote one.html and one.json"
    assert "What 'net' knows" in out
    assert (folder / "one.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    direct = kib.audit(
        keras.models.load_model(folder / "model.keras"), (X, Y), include=["task", "weights"]
    )
    assert json.loads((folder / "one.json").read_text("utf-8")) == direct.to_dict()

    quiet = "--noprogress"
    less = (quiet, "--examples=task=20", "--json=two.json", "--baseline=one.json")
    assert call(folder, monkeypatch, capsys, *audit, *less)[0] == 0
    code, out, err = call(folder, monkeypatch, capsys, "compare", "one.json", "two.json")
    assert (code, err) == (0, "")
    reports = [kib.InformationReport.from_json(folder / f"{n}.json") for n in ("one", "two")]
    assert out.strip() == reports[1].table(baseline=reports[0])
    assert "task: 20 here, 40 in the baseline" in out

    code, out, err = call(folder, monkeypatch, capsys, *audit, "--baseline=model.keras", quiet)
    assert (code, err) == (0, "")
    assert out.strip() == AUDIT.in_flags(direct.table(baseline=direct))
    assert "no `--nuisance` was given" in AUDIT.in_flags("no `nuisance` was given")


def test_a_dry_run_measures_nothing(folder, monkeypatch, capsys):
    files = ("--data=other.npz", "--x=pictures", "--y=classes")
    words = (*files, "--include=weights,nuisance", "--dry_run")
    code, out, _ = call(folder, monkeypatch, capsys, "audit", "model.keras", *words)
    assert code == 0
    assert "no `--nuisance` was given" in out
    assert "weights: " in out
    assert "nats" not in out.splitlines()[0]


@pytest.mark.slow
def test_a_nuisance_is_an_array_of_the_same_file(folder, monkeypatch, capsys):
    words = (DATA, "--nuisance=writer", "--include=nuisance", "--dry_run")
    code, out, _ = call(folder, monkeypatch, capsys, "audit", "model.keras", *words)
    assert code == 0
    assert "nuisance: " in out


def test_a_certificate_is_that_of_certify(folder, monkeypatch, capsys):
    words = (DATA, "--seed=1", "--num_samples=2", "--json=certificate.json", "--allow_repeats")
    code, out, _ = call(folder, monkeypatch, capsys, "certify", "noisy.keras", *words)
    assert code == 0
    found = json.loads((folder / "certificate.json").read_text("utf-8"))
    model = keras.models.load_model(folder / "noisy.keras")
    options = {"num_samples": 2, "seed": 1, "allow_repeats": True}
    assert found == kib.estimators.certify(model, (X, Y), **options).to_dict()
    assert out.startswith("Certificate: error on new data at most")


def test_a_model_becomes_a_file_of_some_bytes_and_a_model_again(folder, monkeypatch, capsys):
    words = ("compress", "noisy.keras", "noisy.kib", "--seed=1", "--beam=16", "--noprogress")
    code, out, err = call(folder, monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    size = (folder / "noisy.kib").stat().st_size
    assert out.startswith(f"{size} bytes for ")
    words = ("decompress", "noisy.kib", "again.keras")
    assert call(folder, monkeypatch, capsys, *words)[0] == 0
    again = keras.models.load_model(folder / "again.keras")
    for weight, same in zip(
        again.get_weights(), kib.decompress(folder / "noisy.kib").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, same)
    tuned = ("compress", "noisy.keras", "tuned.kib", DATA, "--seed=1", "--beam=16", "--epochs=1")
    code, out, err = call(folder, monkeypatch, capsys, *tuned)
    assert code == 0
    assert "stage 12 of 12" in err
    assert re.search(rf"err on \d+ of {len(X)} examples: with probability 0.95 on at most", out)


def test_a_model_that_does_not_say_what_its_outputs_are_needs_the_flag(folder, monkeypatch, capsys):
    audit = ("audit", "untold.keras", DATA, "--noprogress")
    code, out, err = call(folder, monkeypatch, capsys, *audit)
    assert (code, out) == (2, "")
    assert "parts task, fisher, weights, examples, effective need to know" in err
    assert "--likelihood=..., one of categorical (logits of classes)" in err
    assert "--include=relevance,total_correlation,complexity" in err
    assert len(err.splitlines()) == 1
    assert tuple(LIKELIHOODS) == NAMES
    code, out, _ = call(
        folder, monkeypatch, capsys, *audit, "--include=task", "--likelihood=categorical"
    )
    assert code == 0
    assert "accuracy" in out
    assert call(folder, monkeypatch, capsys, *audit, "--include=complexity")[0] == 0
    # The model to compare with is asked before either is measured.
    known = ("audit", "model.keras", DATA, "--include=task", "--baseline=untold.keras")
    code, out, err = call(folder, monkeypatch, capsys, *known)
    assert (code, out) == (2, "")
    assert "--likelihood" in err


def test_an_audit_that_measures_nothing_ends_with_code_1(folder, monkeypatch, capsys):
    audit = ("audit", "model.keras", DATA, "--include=nuisance,activations", "--noprogress")
    code, out, err = call(folder, monkeypatch, capsys, *audit)
    assert code == 1
    assert "no `--nuisance` was given" in out
    assert err == "kib audit: nothing that was asked for could be measured\n"


def test_a_plain_model_is_bounded_on_examples_that_it_never_saw(folder, monkeypatch, capsys):
    words = ("certify", "model.keras", DATA, "--unseen", "--delta=0.05", "--json=bound.json")
    code, out, _ = call(folder, monkeypatch, capsys, *words)
    assert code == 0
    model = keras.models.load_model(folder / "model.keras")
    errors = int(np.sum(model.predict(X, verbose=0).argmax(1) != Y))
    bound = kib.estimators.test_set_bound(errors, len(X), 0.05)
    found = json.loads((folder / "bound.json").read_text("utf-8"))
    assert (found["errors"], found["num_examples"]) == (errors, len(X))
    assert found["test_set_bound"] == bound
    assert f"at most {bound:.3%}, with probability 95.0%" in out
    assert "never saw these examples" in out


def test_sentences_name_flags_and_not_arguments():
    assert CERTIFY.in_flags(
        "`delta` must be small; say allow_repeats=True. Received: delta=2, from_logits=None"
    ) == ("`--delta` must be small; say --allow_repeats. Received: --delta=2, no --from_logits")
    assert CERTIFY.in_flags("`model` is `net`. Received: model='net'") == (
        "`MODEL` is `net`. Received: MODEL='net'"
    )
    assert AUDIT.in_flags("`include=x` or `--include`, x=3.") == (
        "`--include=x` or `--include`, --x=3."
    )
    assert AUDIT.in_flags("weight_beta = 1, `weight_beta`, Received: include=['a']") == (
        "weight_beta = 1, `weight_beta`, Received: --include=['a']"
    )


BAD_CALLS = {
    "no such command": (("measure",), "must be one of audit, compare, certify"),
    "no model": (("audit", DATA), "expected MODEL.keras. Received: nothing"),
    "no data": (("audit", "model.keras"), "--data is needed"),
    "unknown flag": (("audit", "model.keras", DATA, "--colour=red"), "colour"),
    "a word for a number": (("audit", "model.keras", DATA, "--seed=x"), "seed"),
    "missing model": (("audit", "absent.keras", DATA), "'absent.keras', which is not there"),
    "damaged model": (("audit", "damaged.keras", DATA), "that keras.models.load_model reads"),
    "missing data": (
        ("audit", "model.keras", "--data=absent.npz"),
        "--data='absent.npz', which is",
    ),
    "damaged data": (("audit", "model.keras", "--data=damaged.npz"), "no complete archive"),
    "other names": (("audit", "model.keras", "--data=other.npz"), "--x names another"),
    "absent array": (("audit", "model.keras", DATA, "--y=z"), "without z"),
    "absent part": (("audit", "absent.keras", DATA, "--include=colour"), "'complexity'], each"),
    "absent part with a count": (("audit", "absent.keras", DATA, "--examples=a=5"), "'nuisance'"),
    "absent likelihood": (("audit", "absent.keras", DATA, "--likelihood=gamma"), "'bernoulli'"),
    "absent layer": (("audit", "model.keras", DATA, "--layers=hiden"), "`--layers`"),
    "no training set": (("audit", "model.keras", DATA, "--num_examples=0"), "`--num_examples`"),
    "no count": (("audit", "model.keras", DATA, "--examples=fisher"), "part=number"),
    "absent module": (("audit", "model.keras", DATA, "--import=absent_module"), "`--import`"),
    "folder that is absent": (("audit", "model.keras", DATA, "--html=a/b.html"), "`--html`"),
    "report that is none": (("compare", "damaged.npz", "damaged.npz"), "no JSON"),
    "absent report": (("compare", "a.json", "b.json"), "a.json"),
    "one report": (("compare", "a.json"), "expected BEFORE.json AFTER.json. Received: a.json"),
    "no posterior": (("certify", "model.keras", DATA), "--unseen"),
    "no compressed file": (("decompress", "data.npz", "a.keras"), "another kind of file"),
    "no name of a model": (("decompress", "data.npz", "a.h5"), "name of a .keras file"),
    "a rate of nothing": (("compress", "model.keras", "a.kib", "--rate=0"), "`--rate`"),
    "no probability": (("certify", "noisy.keras", DATA, "--delta=2"), "`--delta`"),
    "no probability for examples": (
        ("certify", "model.keras", DATA, "--unseen", "--delta=2"),
        "`--delta`",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_use_ends_with_code_2_and_one_sentence(name, folder, monkeypatch, capsys):
    words, expected = BAD_CALLS[name]
    code, out, err = call(folder, monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith("kib")
    assert len(err.splitlines()) == 1


def test_a_command_of_ones_own_is_one_registration(monkeypatch, capsys):
    own = Command("greet", ("NAME",), "Greets.", "", lambda values: None, lambda a, v: print(a))
    monkeypatch.setattr("keras_infobottleneck.__main__.COMMANDS", (*registration.COMMANDS, own))
    assert main(["greet", "you"]) == 0
    assert capsys.readouterr().out == "['you']\n"


@pytest.mark.slow
def test_it_runs_as_a_module_of_python(folder):
    command = [sys.executable, "-m", "keras_infobottleneck", "audit", "model.keras", DATA]
    root = str(pathlib.Path(kib.__file__).parents[1])
    options = {"capture_output": True, "text": True, "cwd": folder}
    options["env"] = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([*command, "--include=task"], **options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("What 'net' knows")
    refused = subprocess.run([*command, "--include=x"], **options)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("kib audit: `--include`")
