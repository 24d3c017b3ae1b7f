"""Standard errors of group-time families are how estimates move with the weight of a cluster.

Estimators whose theory samples units with all they bring (outcomes, covariates, cohorts, gaps)
have influence values equal to derivatives by units' weights, propensities and regressions
included. No formula of a variance is shared with the code under test.
"""

import numpy as np
import pandas as pd
import pytest
from did import design, reweighted_errors, staggered

from impact import CallawaySantAnna, DoublyRobustDiD, TripleDifference

# Derivatives are central differences with steps of 1e-4, in error by their square.
DERIVATIVE = 1e-7
METHODS = ("doubly_robust", "regression", "inverse_probability")


def followed(missing=0.0):
    """Units followed over five periods, half of them eligible, with a covariate that is fixed."""
    frame = staggered(7, n_units=96, periods=5, cohorts=(3, 4), missing=missing, n_clusters=12)
    fixed = frame.groupby("unit")["x"].transform("first")
    return frame.assign(fixed=fixed, eligible=frame["unit"] // 2 % 2)


def sections():
    """Rows of four periods, each of another unit, in 12 places."""
    rng = np.random.default_rng(1)
    n = 240
    frame = pd.DataFrame(
        {
            "unit": np.arange(n),
            "time": rng.integers(1, 5, n),
            "cohort": rng.choice([3.0, 4.0, np.nan], n),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, n),
            "cluster": rng.integers(0, 12, n),
        }
    )
    effect = frame["time"] >= frame["cohort"]
    level = 0.5 * frame["x"] * frame["time"] + 0.05 * frame["cluster"]
    return frame.assign(outcome=level + effect + rng.normal(size=n))


def check(estimator, frame, view, **settings):
    def fit(rows):
        return view(estimator.fit(design(rows, weights="w", clusters="cluster", **settings)))

    found, wanted = fit(frame).std_errors, reweighted_errors(fit, frame, clusters="cluster")
    known = ~np.isnan(found)
    assert known.any()
    np.testing.assert_allclose(found[known], wanted[known], rtol=DERIVATIVE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_group_time_effects_given_covariates(method, comparison):
    estimator = CallawaySantAnna(method=method, comparison=comparison, base_period="varying")
    check(estimator, followed(), lambda r: r.event_study(), covariates="fixed")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("unbalanced", ["pairs", "observations"])
def test_group_time_effects_with_gaps(method, unbalanced):
    estimator = CallawaySantAnna(method=method, unbalanced=unbalanced)
    check(estimator, followed(0.12), lambda r: r.att("time"), covariates="z", always_treated="drop")


@pytest.mark.parametrize("method", METHODS)
def test_group_time_effects_of_repeated_cross_sections(method):
    check(CallawaySantAnna(method=method), sections(), lambda r: r.event_study(), covariates="x")


@pytest.mark.parametrize("settings", [{}, {"anticipation": 1}])
def test_group_time_effects_from_moments(settings):
    check(CallawaySantAnna(), followed(), lambda r: r.event_study(balanced=1), **settings)


@pytest.mark.parametrize("method", METHODS)
def test_triple_differences(method):
    estimator = TripleDifference(eligible="eligible", method=method)
    check(estimator, followed(0.05), lambda r: r.event_study(), covariates="fixed")


@pytest.mark.parametrize("method", [*METHODS, "improved", "horvitz_thompson"])
def test_two_periods(method):
    frame = followed().query("time in (2, 3) and cohort != 4")
    check(DoublyRobustDiD(method=method), frame, lambda r: r, covariates="fixed")


@pytest.mark.parametrize("method", [*METHODS, "horvitz_thompson"])
def test_two_cross_sections(method):
    """The improved form leaves out what is zero in large samples alone, as R DRDID does."""
    frame = sections().query("time in (2, 3) and cohort != 4")
    check(DoublyRobustDiD(method=method), frame, lambda r: r, covariates="x")
