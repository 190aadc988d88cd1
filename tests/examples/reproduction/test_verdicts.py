"""Verdicts in words, and paired comparisons against their textbook."""

import numpy as np
import pytest
from scipy import stats

from reproduction.frame.verdicts import (
    FALSE,
    PARTLY,
    REPRODUCED,
    UNTOLD,
    paired,
    verdict,
    would_show,
)

pytestmark = pytest.mark.quick


def test_what_did_not_hold_is_false_only_with_power():
    assert verdict(True, False, false=True) == REPRODUCED
    assert verdict(False, True, false=True) == PARTLY
    assert verdict(False, False, false=True) == FALSE
    assert verdict(False, False) == UNTOLD


def test_a_paired_comparison_is_the_t_test_of_its_differences():
    differences = np.array([0.3, -0.1, 0.4, 0.2, 0.6])
    found, expected = paired(differences), stats.ttest_1samp(differences, 0.0)
    assert found["p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_a_difference_that_is_detectable_shows_four_times_in_five():
    random = np.random.default_rng(0)
    samples = random.normal(size=(4000, 9))
    detectable = np.mean([paired(sample)["detectable"] for sample in samples])
    shown = np.mean([paired(sample + detectable)["p"] < 0.05 for sample in samples])
    assert shown == pytest.approx(0.8, abs=0.05)


def test_equal_differences_leave_no_doubt_and_one_seed_no_power():
    assert paired([0.2, 0.2])["p"] == 0.0
    assert paired([0.0, 0.0])["p"] == 1.0
    assert "one seed" in would_show({"detectable": None})
