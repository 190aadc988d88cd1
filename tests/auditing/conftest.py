"""What the tests of audits share."""

import pytest

from keras_infobottleneck.auditing import auditor


@pytest.fixture(autouse=True)
def _dry_runs_without_trials(monkeypatch):
    """Trials take seconds, and few tests are about what they foretell."""
    monkeypatch.setattr(auditor, "with_costs", lambda plan, *_: plan)
