"""The certificate script: what it certifies, killed and resumed, and with other flags."""

import pytest

from reproduction.certificate.claims import judge
from reproduction.frame.verdicts import UNTOLD
from tests.support.example_runs import finish, killed_and_resumed, result, run

SCRIPT = "reproduction/certificate/run.py"
ONE = "--network=fcn"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder, ONE)
    return folder


@pytest.mark.slow
def test_it_certifies_on_what_the_prior_has_not_seen(undisturbed):
    report = result(undisturbed)
    network = report["networks"]["fcn"]
    assert network["num_prior_examples"] == network["certificate"]["num_examples"] == 100
    assert network["certificate"]["num_anchoring_examples"] == 100
    assert network["certificate_of_the_prior"]["kl"] == 0.0 < network["certificate"]["kl"]
    for kind in ("certificate", "certificate_of_the_prior"):
        assert network[kind]["randomized_error"] < network[kind]["error_bound"] <= 1.0
    assert list(report["claims"]) == ["3-thm-2.2"]
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_killed_in_the_posterior_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/fcn.npz"], SCRIPT, undisturbed, tmp_path, ONE)
    assert resumed == result(undisturbed)


@pytest.mark.slow
def test_other_flags_and_bad_files_end_with_one_sentence(undisturbed, tmp_path):
    refused = run(SCRIPT, undisturbed, ONE, "--shift=2")
    assert refused.returncode != 0
    assert "the same settings" in refused.stderr.splitlines()[-1]
    refused = run(SCRIPT, tmp_path / "out", f"--data={tmp_path / 'none.npz'}")
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{SCRIPT}: The data file must exist. Received: ")
    assert not (tmp_path / "out").exists()


def test_verdict_follows_from_the_records():
    def found(test, posterior):
        certificate = {"error_bound": posterior, "kl": 1.0, "num_examples": 9, "confidence": 0.9}
        row = {"certificate": certificate, "certificate_of_the_prior": certificate}
        row |= {"plan": {"goal": 0.02}, "num_prior_examples": 9}
        row |= {"randomized_error_on_the_test_set": test}
        return judge({"fcn": row}, {"data": "d"})["3-thm-2.2"]["verdict"]

    assert found(0.01, 0.02) == "reproduced"
    assert found(0.01, 0.03) == "partly"
    assert found(0.02, 0.01) == UNTOLD
