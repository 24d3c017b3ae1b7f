"""Every estimator keeps the contract; one that is not listed here fails.

To add an estimator, add a line to ``SUBJECTS``; exemptions carry their reason.
"""

import numpy as np
import pytest
from contract import CHECKS, Subject
from estimators.test_synthetic_contract import SUBJECTS as SYNTHETIC

from impact import (
    ArellanoBond,
    Between,
    BlundellBond,
    CallawaySantAnna,
    DistributedLag,
    DoseResponse,
    DoublyRobustDiD,
    EffectsByGroup,
    EfficientStaggered,
    ExtendedTWFE,
    FirstDifference,
    FixedEffects,
    HausmanTaylor,
    HeterogeneousAdoption,
    Imputation,
    LocalProjectionDiD,
    MeanGroup,
    Mundlak,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
    RandomEffects,
    SlopesByGroup,
    StackedDiD,
    SunAbraham,
    SwitchersDiD,
    TripleDifference,
    TwoStage,
    TwoWayFixedEffects,
    simulate,
)
from impact.estimators import ESTIMATORS


def shifted(frame):
    """Name units by labels that are neither sorted nor dense."""
    return frame.assign(unit=(frame["unit"] * 37) % 1009)


def effect(event_time, cohort):
    return 1.0 + 0.3 * event_time + 0.1 * (cohort - 4)


STAGGERED = shifted(
    simulate.staggered_panel(
        7, n_units=90, periods=7, cohorts=(4, 6), effect=effect, n_clusters=30, cluster_noise=0.3
    ).frame
)
GAPS = STAGGERED[np.random.default_rng(3).random(len(STAGGERED)) > 0.08].reset_index(drop=True)
TWO_PERIODS = STAGGERED[(STAGGERED["cohort"] != 6) & STAGGERED["time"].isin([3, 5])].assign(
    cohort=lambda f: f["cohort"] + 1
)
DOSED = STAGGERED.assign(dose=lambda f: f["treated"] * (1.0 + (f["unit"] * 7 % 31) / 15))
FOR_ALL = STAGGERED.assign(
    dose=lambda f: (f["time"] >= 4) * (0.01 + (f["unit"] * 53 % 1009) / 300),
    treated=lambda f: f["dose"],
)
PLACES = shifted(
    simulate.staggered_panel(8, n_units=200, periods=5, cohorts=(3, 4), n_clusters=50).frame
).assign(small=lambda f: f["unit"] % 2, treated=lambda f: f["treated"] * f["small"])
ONE_DATE = STAGGERED[STAGGERED["cohort"] != 6].reset_index(drop=True)
GAPS_POSITIVE = GAPS.assign(outcome=np.exp(GAPS["outcome"] / 4))
IN_PERCENT = {
    "scaling": "outcomes of a Poisson regression cannot be negative",
    "unit_constants": "trends are parallel in percent, not in levels",
    "time_path": "trends are parallel in percent, not in levels",
    "constant_effect": "a constant in levels moves the average effect, but only in balanced panels",
}
POOLED = {
    "unit_constants": "pooled regression compares levels between units",
    "time_path": "pooled regression has one intercept for all periods",
}
MEAN_GROUP = {"time_path": "each unit is regressed by itself and has one intercept"}
LAGS = {"constant_effect": "the constant effect is averaged over responses, one a horizon"}
DIFFERENCES = {"constant_effect": "a gap hides when treatment began, and the row is not used"}
BETWEEN = {
    "unit_constants": "differences between units are what it uses",
    "time_path": "with gaps, units average over different periods",
}
COMMON_PATH = {
    "unit_constants": "the coefficients of unit averages use differences between units",
    "time_path": "it has one intercept for all periods",
}
DYNAMIC = {
    "scaling": "the first coefficient multiplies the outcome itself and has no unit",
    "unit_constants": "lagged levels are instruments and carry the constant",
    "time_path": "lagged levels are instruments and carry the path",
    "constant_effect": "the first coefficient is that of the lagged outcome",
}
POOLED_STACK = {"time_path": "pooled event times leave common shocks in the residuals"}
RANDOM_TIMING = {"unit_constants": "under random timing levels are compared, not changes alone"}
SLOPE = {"constant_effect": "an effect of the same size at every dose leaves the slope as it was"}
UNFOLLOWED = {"unit_constants": "in a panel with gaps, levels of different units are compared"}
PER_DOSE = {"constant_effect": "divided by the cumulated dose, a lasting effect falls by horizon"}
BY_COHORT = {"cohort": "cohort"}
CLUSTERED = {"cohort": "cohort", "clusters": "cluster"}

SUBJECTS = [
    Subject(CallawaySantAnna(), STAGGERED, BY_COHORT),
    Subject(
        CallawaySantAnna(comparison="never_treated", base_period="varying"), STAGGERED, CLUSTERED
    ),
    Subject(CallawaySantAnna(), GAPS, CLUSTERED),
    Subject(CallawaySantAnna(), STAGGERED, {**CLUSTERED, "covariates": "x"}),
    Subject(CallawaySantAnna(method="regression"), GAPS, {**BY_COHORT, "covariates": "x"}),
    Subject(
        CallawaySantAnna(method="inverse_probability"), STAGGERED, {**BY_COHORT, "covariates": "x"}
    ),
    Subject(CallawaySantAnna(unbalanced="observations"), GAPS, CLUSTERED, UNFOLLOWED),
    Subject(CallawaySantAnna(unbalanced="complete_units"), GAPS, CLUSTERED),
    Subject(DoublyRobustDiD(), TWO_PERIODS, {**CLUSTERED, "covariates": "x"}),
    Subject(DoublyRobustDiD(method="horvitz_thompson"), TWO_PERIODS, BY_COHORT),
    Subject(DoseResponse(doses=(1.0, 2.0)), DOSED, {"dose": "dose", "clusters": "cluster"}),
    Subject(DoseResponse(target="slope", degree=2), DOSED, {"dose": "dose"}, SLOPE),
    Subject(TripleDifference(eligible="small"), PLACES, CLUSTERED),
    Subject(
        TripleDifference(eligible="small", comparison="not_yet_treated"),
        PLACES,
        {**BY_COHORT, "covariates": "x"},
    ),
    Subject(
        EffectsByGroup(estimator=CallawaySantAnna(), by="size"),
        STAGGERED.assign(size=lambda f: f["unit"] % 2),
        CLUSTERED,
    ),
    Subject(HeterogeneousAdoption(), FOR_ALL, {"dose": "dose", "clusters": "cluster"}),
    Subject(
        HeterogeneousAdoption(untreated="stayers"),
        FOR_ALL.assign(dose=lambda f: f["dose"] * (f["unit"] % 3 > 0), treated=lambda f: f["dose"]),
        {"dose": "dose"},
    ),
    Subject(SwitchersDiD(), STAGGERED, {"treated": "treated", "clusters": "cluster"}),
    Subject(
        SwitchersDiD(target="normalised", lone_switchers="own"), GAPS, {"dose": "treated"}, PER_DOSE
    ),
    Subject(SwitchersDiD(target="total", same_switchers=True), STAGGERED, BY_COHORT),
    Subject(TwoWayFixedEffects(), ONE_DATE, {**BY_COHORT, "covariates": "x"}),
    Subject(TwoWayFixedEffects(effect="event_study", covariance="CR2"), ONE_DATE, CLUSTERED),
    Subject(TwoWayFixedEffects(accept_forbidden_comparisons=True), GAPS, CLUSTERED),
    Subject(
        TwoWayFixedEffects(accept_forbidden_comparisons=True, trends=True),
        STAGGERED,
        {"treated": "treated"},
    ),
    Subject(FixedEffects(), GAPS, {"treated": "treated", "covariates": "x"}),
    Subject(FixedEffects(covariance="HC3"), STAGGERED, {"treated": "treated"}),
    Subject(FixedEffects(effects=("unit[x]", "time")), STAGGERED, {"treated": "treated"}),
    Subject(
        SlopesByGroup(by="size"),
        GAPS.assign(size=lambda f: f["unit"] % 3),
        {**CLUSTERED, "covariates": "x"},
    ),
    Subject(
        SlopesByGroup(by="size", covariance="CR2"),
        STAGGERED.assign(size=lambda f: f["unit"] % 3),
        {"treated": "treated"},
    ),
    Subject(MeanGroup(), GAPS, {"treated": "treated", "clusters": "cluster"}, MEAN_GROUP),
    Subject(PooledOLS(covariance="CR3"), GAPS, {**CLUSTERED, "covariates": "x"}, POOLED),
    Subject(DistributedLag(lags=1, leads=1), STAGGERED, {"treated": "treated"}, LAGS),
    Subject(
        FirstDifference(time_effects=True), GAPS, {**CLUSTERED, "covariates": "x"}, DIFFERENCES
    ),
    Subject(Between(), GAPS, {"treated": "treated", "covariates": "x"}, BETWEEN),
    Subject(RandomEffects(), GAPS, {**CLUSTERED, "covariates": "x"}, POOLED),
    Subject(RandomEffects(effects="two_way"), STAGGERED, {"treated": "treated"}, POOLED),
    Subject(
        HausmanTaylor(),
        GAPS.assign(v=np.sin(GAPS["unit"] * GAPS["time"])),
        {"treated": "treated", "covariates": ["v", "x"]},
        POOLED,
    ),
    Subject(Mundlak(), GAPS, {**CLUSTERED, "covariates": "x"}, COMMON_PATH),
    Subject(
        PanelIV(endogenous="treated", instruments="z"),
        GAPS.assign(z=GAPS["treated"] + np.sin(GAPS["unit"] * GAPS["time"])),
        {"treated": "treated"},
    ),
    Subject(PoissonFixedEffects(), GAPS_POSITIVE, {**CLUSTERED, "covariates": "x"}, IN_PERCENT),
    Subject(
        ArellanoBond(),
        STAGGERED.assign(v=np.sin(STAGGERED["unit"] * STAGGERED["time"])),
        {"covariates": "v"},
        DYNAMIC,
    ),
    Subject(
        BlundellBond(steps=2, collapse=True, endogenous="x"), GAPS, {"covariates": "x"}, DYNAMIC
    ),
    Subject(SunAbraham(), STAGGERED, BY_COHORT),
    Subject(SunAbraham(base_event_times=(-2, -1)), GAPS, {**CLUSTERED, "covariates": "x"}),
    Subject(ExtendedTWFE(), STAGGERED, CLUSTERED),
    Subject(ExtendedTWFE(), GAPS, {**BY_COHORT, "covariates": "x"}),
    Subject(ExtendedTWFE(comparison="never_treated"), GAPS, CLUSTERED),
    Subject(ExtendedTWFE(cohort_trends=True), STAGGERED, BY_COHORT),
    Subject(ExtendedTWFE(effects="cohort"), STAGGERED, {**CLUSTERED, "covariates": "x"}),
    Subject(ExtendedTWFE(family="poisson"), GAPS_POSITIVE, CLUSTERED, IN_PERCENT),
    Subject(Imputation(), STAGGERED, BY_COHORT),
    Subject(Imputation(leave_one_out=True), GAPS, {**CLUSTERED, "covariates": "x"}),
    Subject(TwoStage(), STAGGERED, CLUSTERED),
    Subject(TwoStage(), GAPS, {**BY_COHORT, "covariates": "x"}),
    Subject(EfficientStaggered(), STAGGERED, BY_COHORT, RANDOM_TIMING),
    Subject(
        EfficientStaggered(target="group_time", adjustment="vector"),
        STAGGERED,
        BY_COHORT,
        RANDOM_TIMING,
    ),
    Subject(StackedDiD(pre=2, post=1), GAPS, {**CLUSTERED, "covariates": "x"}, POOLED_STACK),
    Subject(StackedDiD(pre=2, post=1, effects="stack"), GAPS, CLUSTERED),
    Subject(LocalProjectionDiD(), GAPS, CLUSTERED),
    Subject(LocalProjectionDiD(weighting="equal"), GAPS, {**BY_COHORT, "covariates": "x"}),
    Subject(LocalProjectionDiD(effect="pooled", post=1), STAGGERED, CLUSTERED),
    Subject(LocalProjectionDiD(stabilisation=1, post=2), STAGGERED, {"treated": "treated"}),
]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: f"{s.name}-{'-'.join(s.settings)}")
@pytest.mark.parametrize("check", CHECKS)
def test_contract(subject, check):
    if check in subject.exempt:
        assert len(subject.exempt[check]) > 20, "an exemption says why"
        return
    CHECKS[check](subject)


def test_every_estimator_is_under_contract():
    under = {subject.estimator.name for subject in (*SUBJECTS, *SYNTHETIC)}
    assert sorted(set(ESTIMATORS) - under) == []


def test_every_estimator_declares_its_estimand_and_requirements():
    for subject in (*SUBJECTS, *SYNTHETIC):
        assert subject.estimator.estimand
        assert subject.estimator.requires
