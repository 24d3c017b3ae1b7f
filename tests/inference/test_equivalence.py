"""Equivalence tests: closed forms, duality with intervals, verdicts and refusals."""

import numpy as np
import pytest
from scipy import stats

from impact.errors import InferenceError
from impact.inference.equivalence import two_one_sided_tests, verdict
from impact.inference.sets import ConfidenceSet, interval


def test_p_values_are_the_one_sided_ones():
    test = two_one_sided_tests(0.2, 0.5, low=-1, high=1.5, df=12)
    assert test.p_low == pytest.approx(stats.t.sf((0.2 + 1) / 0.5, 12), rel=1e-10)
    assert test.p_high == pytest.approx(stats.t.cdf((0.2 - 1.5) / 0.5, 12), rel=1e-10)
    assert test.p_value == max(test.p_low, test.p_high)
    normal = two_one_sided_tests(0.2, 0.5, low=-1, high=1.5)
    assert normal.p_high == pytest.approx(stats.norm.cdf(-2.6), rel=1e-10)


def test_margin_is_where_the_test_turns():
    margin = two_one_sided_tests(-0.3, 0.2, low=-1, high=1, df=20).smallest_margin
    at = two_one_sided_tests(-0.3, 0.2, low=-margin, high=margin, df=20)
    assert at.p_value == pytest.approx(0.05, rel=1e-8)


def test_equal_to_statsmodels():
    from statsmodels.stats.weightstats import DescrStatsW

    x = np.random.default_rng(0).normal(0.1, 1, 30)
    error = x.std(ddof=1) / np.sqrt(30)
    test = two_one_sided_tests(x.mean(), error, low=-0.5, high=0.5, df=29)
    p_value, below, above = DescrStatsW(x).ttost_mean(-0.5, 0.5)
    assert (test.p_value, test.p_low, test.p_high) == pytest.approx((p_value, below[1], above[1]))


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (0.2, 0.9, "increase"),
        (-0.9, -0.2, "decrease"),
        (-0.05, 0.1, "negligible"),
        (-0.05, 0.4, "increase_or_negligible"),
        (-0.4, 0.05, "decrease_or_negligible"),
        (-0.4, 0.4, "not_settled"),
        (-np.inf, np.inf, "not_settled"),
        (-np.inf, -0.2, "decrease"),
    ],
)
def test_verdicts(low, high, claim):
    assert verdict(interval(low, high, 0.9), low=-0.1, high=0.1) == claim


def test_verdict_of_sets_that_are_not_intervals():
    split = ConfidenceSet(((-3.0, -2.0), (2.0, 3.0)), 0.95)
    assert verdict(split, low=-0.1, high=0.1) == "not_settled"
    assert verdict(ConfidenceSet((), 0.95), low=-0.1, high=0.1) == "not_settled"


def test_refusals():
    with pytest.raises(InferenceError, match=r"run from low to high; they were low=1, high=-1"):
        two_one_sided_tests(0.0, 1.0, low=1, high=-1)
    with pytest.raises(InferenceError, match=r"run from low to high"):
        verdict(interval(0, 1, 0.9), low=0.0, high=np.inf)
    with pytest.raises(InferenceError, match=r"standard error is 0\.0.*verdict"):
        two_one_sided_tests(0.0, 0.0, low=-1, high=1)
