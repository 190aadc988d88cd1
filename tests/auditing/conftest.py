"""What the tests of audits share."""

import dataclasses

import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.auditing import auditor
from tests.support import audited_networks
from tests.support.audited_network import DATA, NASTY, network


@pytest.fixture(autouse=True)
def _dry_runs_without_trials(monkeypatch):
    """Trials take seconds, and few tests are about what they foretell."""
    monkeypatch.setattr(auditor, "with_costs", lambda plan, *_: plan)


@pytest.fixture(scope="module")
def data():
    """Examples of three classes."""
    return audited_networks.examples()


@pytest.fixture(scope="module")
def model(data):
    """A network that has seen them a few times."""
    model = audited_networks.network()
    model.fit(*data, epochs=5, verbose=0)
    return model


@pytest.fixture(scope="session")
def report():
    """Of a network with noise, all parts; with names that a page must escape."""
    counts = {"effective": 5, "nuisance": 50}
    report = kib.audit(network(), DATA, nuisance=DATA[1], examples=counts)
    # TensorFlow takes no such names for what it traces; a report may have to show them.
    layers = {NASTY if name == "hidden" else name: of for name, of in report.layers.items()}
    return dataclasses.replace(report, model_name="<script>net", layers=layers)


@pytest.fixture(scope="session")
def other():
    """Of the same network, two parts on fewer examples."""
    return kib.audit(network(), DATA, include=["task", "fisher"], examples={"fisher": 20})


@pytest.fixture(scope="session")
def page(report, tmp_path_factory):
    """The text of the report's page."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.to_html(path)
    return path.read_text("utf-8")
