"""CR2 and CR3 of estimates that are differences of mean changes, whoever computes them."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    CallawaySantAnna,
    Design,
    ExtendedTWFE,
    Imputation,
    LocalProjectionDiD,
    Panel,
    StackedDiD,
    SunAbraham,
    TwoStage,
    TwoWayFixedEffects,
)

RTOL = 1e-10
ESTIMATORS = [
    TwoWayFixedEffects(),
    CallawaySantAnna(),
    ExtendedTWFE(),
    Imputation(),
    LocalProjectionDiD(pre=1, post=0),
    StackedDiD(pre=1, post=0),
    SunAbraham(),
    TwoStage(),
]
TREATED, UNTREATED = 13, 17


def two_periods():
    """Thirty units in two periods, thirteen of them treated in the second."""
    rng = np.random.default_rng(3)
    unit, time = np.repeat(np.arange(TREATED + UNTREATED), 2), np.tile([0, 1], TREATED + UNTREATED)
    cohort = np.where(unit < TREATED, 1.0, np.nan)
    outcome = rng.normal(size=len(unit)) + unit
    return pd.DataFrame(
        {"unit": unit, "time": time, "cohort": cohort, "outcome": outcome, "own": unit}
    )


def overall(estimator, frame, **settings):
    panel = Panel(frame, unit="unit", time="time")
    return estimator.fit(Design(panel, outcome="outcome", cohort="cohort", **settings)).att()


@pytest.mark.parametrize("clusters", [{}, {"clusters": "own"}], ids=["units", "named"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_they_are_those_of_two_means(estimator, clusters):
    frame = two_periods()
    wide = frame.pivot(index="unit", columns="time", values="outcome")
    change = (wide[1] - wide[0]).to_numpy()
    arms = change[:TREATED], change[TREATED:]
    cr2 = sum(arm.var(ddof=1) / len(arm) for arm in arms)
    cr3 = sum(arm.var(ddof=1) / (len(arm) - 1) for arm in arms)
    result = overall(estimator, frame, **clusters)
    for method, variance in (("cr2", cr2), ("cr3", cr3)):
        found = result.infer(method).tidy()["std_error"].iloc[0]
        assert found == pytest.approx(np.sqrt(variance), rel=RTOL), method


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_naming_units_as_clusters_changes_no_contribution(estimator):
    frame = two_periods()
    unnamed, named = overall(estimator, frame), overall(estimator, frame, clusters="own")
    here, there = unnamed.uncertainty.contributions(), named.uncertainty.contributions()
    scale = np.abs(there).max()
    np.testing.assert_allclose(here[:, 0], there[:, 0], rtol=RTOL, atol=RTOL * scale)
