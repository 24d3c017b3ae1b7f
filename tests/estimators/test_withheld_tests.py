"""Coefficients of treatment whose own standard errors follow no known law have no p-value."""

import re

import numpy as np
import pandas as pd
import pytest

from impact import ArellanoBond, BlundellBond, Design, MeanGroup, Panel


def panel(n_units, n_treated, *, starts=(2004,), seed=3):
    rng = np.random.default_rng(seed)
    unit, time = (a.ravel() for a in np.indices((n_units, 10)))
    start = np.where(unit < n_treated, np.take(starts, unit % len(starts)), 0)
    frame = pd.DataFrame({"unit": unit, "year": 2000 + time})
    frame["treated"] = ((start > 0) & (frame["year"] >= start)).astype(int)
    frame["x"] = rng.normal(size=len(frame))
    shocks = rng.normal(size=10)[time]
    frame["y"] = rng.normal(size=len(frame)) + shocks + rng.normal(size=n_units)[unit]
    return Panel(frame, unit="unit", time="year")


def design(n_units, n_treated, **settings):
    starts = settings.pop("starts", (2004,))
    settings = {"treated": "treated", "covariates": ["x"], **settings}
    return Design(panel(n_units, n_treated, starts=starts), outcome="y", **settings)


@pytest.mark.parametrize("estimator", [ArellanoBond(collapse=True), BlundellBond(collapse=True)])
def test_moments_with_few_treated_have_errors_and_no_test_of_treatment(estimator):
    result = estimator.fit(design(40, 3))
    assert list(result.cells["term"])[1:] == ["treated", "x"]
    assert np.isfinite(result.std_errors).all()
    assert list(np.isnan(result.tidy()["p_value"])) == [True, True, False]
    words = result.inferences()[1].reason
    assert "40 clusters, 3 treated" in words
    assert ".std_errors has the estimator's own" in words
    both = result.contrasts(np.array([[0.0, 1.0, 1.0]]), ["treated + x"])
    assert np.isfinite(both.std_errors).all()
    assert np.isnan(both.tidy()["p_value"]).all()
    joint = result.joint_test(np.array([False, True, True]))
    assert np.isnan(joint.p_value)
    assert "no p-value: 40 clusters, 3 treated" in joint.note
    assert result.joint_test(np.array([False, False, True])).p_value >= 0


def test_moments_keep_their_errors_without_treatment_and_with_many_treated():
    for wide in (design(40, 3, treated=None), design(40, 20), design(40, 40, starts=(2004, 2006))):
        result = ArellanoBond(collapse=True).fit(wide)
        assert result.inferences()[1:] == [None] * (len(result) - 1)


def test_moments_named_by_the_user_are_taken_whatever_the_clusters():
    result = ArellanoBond(collapse=True, covariance="conventional").fit(design(40, 3))
    assert result.inferences() == [None] * 3
    asked = ArellanoBond(collapse=True).fit(design(40, 3)).infer("cr1")
    assert np.isfinite(asked.tidy()["p_value"]).all()


@pytest.mark.parametrize("n_treated", [10, 20])
def test_mean_group_without_common_factors_has_no_test_of_a_treatment_that_lasts(n_treated):
    result = MeanGroup().fit(design(20, n_treated))
    assert list(np.isnan(result.tidy()["p_value"])) == [True, False]
    assert np.isfinite(result.std_errors).all()
    assert "shocks common to all units" in result.inferences()[0].reason
    assert "shocks common" in result.joint_test(np.array([True, True])).note


def test_mean_group_with_common_factors_keeps_its_law():
    result = MeanGroup(common_factors=True).fit(
        design(20, 10, starts=(2003, 2004, 2005, 2006), covariates=[])
    )
    assert result.inferences() == [None]
    assert np.isfinite(result.tidy()["p_value"]).all()


@pytest.mark.parametrize(
    ("n_units", "collapse", "withheld", "words"),
    [
        (24, True, [True, True], "24 clusters and .* from about 30 clusters"),
        (40, True, [True, False], "40 clusters and .* from about 200 clusters with collapse=True"),
        (200, True, [False, False], ""),
        (200, False, [True, False], "200 clusters and .* from 100 an instrument without"),
    ],
)
def test_lags_are_tested_where_their_law_is_known(n_units, collapse, withheld, words):
    fitted = ArellanoBond(collapse=collapse).fit(design(n_units, 0, treated=None))
    assert list(fitted.tidy()["p_value"].isna()) == withheld
    assert np.isfinite(fitted.std_errors).all()
    assert np.isfinite(fitted.infer("cr1").tidy()["p_value"]).all()
    reasons = [found.reason for found in fitted.inferences() if found is not None]
    assert bool(reasons) == bool(words)
    assert all(re.search(words, reasons[-1]) for _ in reasons)
    total = fitted.contrasts(np.array([[1.0, 1.0], [0.0, 2.0]]), ["sum", "twice x"])
    assert list(total.tidy()["p_value"].isna()) == withheld
    assert np.isnan(fitted.joint_test(np.array([True, True])).p_value) == any(withheld)


def test_lags_keep_errors_that_the_user_names():
    named = ArellanoBond(collapse=True, covariance="conventional")
    fitted = named.fit(design(40, 0, treated=None))
    assert fitted.inferences() == [None, None]
