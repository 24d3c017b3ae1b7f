"""The synthetic-control family keeps the contract of all estimators; exemptions say why."""

from dataclasses import replace

import numpy as np
import pytest
from contract import CHECKS, Subject, same_estimates

from impact import simulate
from impact.errors import DesignError
from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
from impact.estimators.interactive_fixed_effects import InteractiveFixedEffects
from impact.estimators.matrix_completion import MatrixCompletion
from impact.estimators.panel_matching import PanelMatching
from impact.estimators.synthetic_control import SyntheticControl
from impact.estimators.synthetic_did import SyntheticDiD


def effect(event_time, cohort):
    return 1.0 + 0.3 * event_time + 0.1 * (cohort - 4)


def frame(n_units, periods, cohorts):
    data = simulate.staggered_panel(
        7, n_units=n_units, periods=periods, cohorts=cohorts, effect=effect, n_clusters=20
    ).frame
    return data.assign(unit=(data["unit"] * 37) % 1009)


SHORT = frame(40, 9, {5: 0.1, 7: 0.1})
LONG = frame(40, 14, {9: 0.15, 11: 0.15})
BY_COHORT = {"cohort": "cohort"}
CLUSTERED = {"cohort": "cohort", "clusters": "cluster"}
LEVELS = {"unit_constants": "paths are matched in levels, which units share or do not"}
NOISE = {"time_path": "the ridge is set by the spread of changes, a common path's among them"}
PRICED = {"scaling": "a given penalty is a price in units of the outcome"}
# The low-rank iteration settles to 1e-10 of the outcome's spread, magnified by its slow end.
SETTLED = 1e-6

SUBJECTS = [
    Subject(SyntheticDiD(draws=8), SHORT, BY_COHORT, NOISE),
    Subject(SyntheticDiD(inference="jackknife"), SHORT, CLUSTERED, NOISE),
    Subject(
        SyntheticDiD(inference="bootstrap", draws=8),
        LONG,
        {**CLUSTERED, "covariates": "x"},
        NOISE,
    ),
    Subject(SyntheticControl(draws=8), SHORT, BY_COHORT, LEVELS),
    Subject(SyntheticControl(draws=8, demean=True, pooled=True), SHORT, BY_COHORT),
    Subject(AugmentedSyntheticControl(draws=8, demean=True), SHORT, BY_COHORT),
    Subject(InteractiveFixedEffects(rank=1), LONG, CLUSTERED, {}, SETTLED),
    Subject(
        InteractiveFixedEffects(rank=1, factors_from="never_treated", inference="placebo", draws=8),
        LONG,
        BY_COHORT,
        {},
        SETTLED,
    ),
    Subject(
        MatrixCompletion(penalty=0.01, inference="bootstrap", draws=8),
        LONG,
        CLUSTERED,
        PRICED,
        SETTLED,
    ),
    Subject(PanelMatching(lags=3), SHORT, BY_COHORT, LEVELS),
    Subject(PanelMatching(lags=3, refinement="none"), SHORT, CLUSTERED),
]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: f"{s.name}-{'-'.join(s.settings)}")
@pytest.mark.parametrize("check", CHECKS)
def test_contract(subject, check):
    if check in subject.exempt:
        assert len(subject.exempt[check]) > 20, "an exemption says why"
        return
    CHECKS[check](subject)


PLACEBOS = [
    SyntheticDiD(inference="placebo", draws=8),
    SyntheticControl(draws=8),
    AugmentedSyntheticControl(draws=8),
    InteractiveFixedEffects(rank=1, inference="placebo", draws=8),
    MatrixCompletion(penalty=0.01, inference="placebo", draws=8),
]


@pytest.mark.parametrize("estimator", PLACEBOS, ids=lambda e: e.name)
def test_placebos_refuse_clusters_of_several_units(estimator):
    """Placebos of units rejected a true null in 58 % of panels with shocks by cluster."""
    by_cluster = Subject(estimator, LONG, CLUSTERED)
    with pytest.raises(DesignError, match="clusters by cluster, and placebos re-assign one unit"):
        by_cluster.fit()
    assert len(estimator.unmet(by_cluster.design())) == 1
    with_own = LONG.assign(own=LONG["unit"] + 5000)
    alone = Subject(estimator, with_own, {"cohort": "cohort", "clusters": "own"}).fit()
    same_estimates(Subject(estimator, LONG, BY_COHORT).fit(), alone, 0.0)
    without = replace(estimator, inference="none")
    assert np.isnan(without.fit(by_cluster.design()).std_errors).all()


@pytest.mark.parametrize("estimator", PLACEBOS[1:3], ids=lambda e: e.name)
def test_placebos_refuse_two_cluster_columns(estimator):
    twice = {"cohort": "cohort", "clusters": ["unit", "time"]}
    with pytest.raises(DesignError, match="clusters by unit, time, and placebos"):
        Subject(estimator, LONG, twice).fit()


@pytest.mark.parametrize(
    "estimator",
    [SyntheticDiD(), InteractiveFixedEffects(rank=1), MatrixCompletion(penalty=0.01)],
    ids=lambda e: e.name,
)
def test_automatic_inference_honours_clusters_or_refuses(estimator):
    by_cluster = Subject(estimator, LONG, CLUSTERED)
    assert "jackknife" in by_cluster.fit().uncertainty.method
    assert len(by_cluster.fit().uncertainty.draws) == LONG["cluster"].nunique()
    never = LONG["cohort"].isna()
    lone = LONG.assign(cluster=np.where(never, LONG["unit"] % 7, 99))
    with pytest.raises(DesignError, match="the cohort of 9 is treated in one cluster of cluster"):
        Subject(estimator, lone, CLUSTERED).fit()
