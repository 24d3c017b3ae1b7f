"""Every estimator either gives on a table what it gives in memory, or says that it needs rows."""

import did
import numpy as np
import pytest
from table_equality import assert_same, gaps, in_memory, scanned

from impact.errors import DesignError, TableError
from impact.estimators import ESTIMATORS, estimator_class

COHORT = {"cohort": "cohort"}
CLUSTERS = {"cohort": "cohort", "clusters": "cluster"}
WEIGHTS = {"cohort": "cohort", "clusters": "cluster", "weights": "w"}
FORBIDDEN = {"accept_forbidden_comparisons": True}

EQUAL = {
    "CallawaySantAnna": [({}, COHORT), ({}, WEIGHTS)],
    "EfficientStaggered": [
        ({}, COHORT),
        ({"target": "event_time"}, COHORT),
        ({"target": "group_time", "variance": "neyman"}, COHORT),
        ({"adjustment": "vector", "weighting": "cohort"}, COHORT),
    ],
    "ExtendedTWFE": [
        ({}, WEIGHTS),
        ({"effects": "cohort"}, CLUSTERS),
        ({"family": "poisson"}, COHORT),
        ({"family": "poisson"}, WEIGHTS),
        ({"family": "poisson", "comparison": "never_treated"}, CLUSTERS),
    ],
    "FixedEffects": [({}, CLUSTERS), ({}, COHORT | {"covariates": ["z"]})],
    "Imputation": [({}, WEIGHTS)],
    "StackedDiD": [
        ({"pre": 2, "post": 1}, COHORT),
        ({"pre": 2, "post": 1}, CLUSTERS),
        ({"pre": 2, "post": 1, "effects": "stack"}, COHORT),
        ({"pre": 2, "post": 1, "effects": "stack", "weighting": "none"}, WEIGHTS),
    ],
    "SunAbraham": [({}, WEIGHTS)],
    "TwoStage": [({}, WEIGHTS)],
    "TwoWayFixedEffects": [(FORBIDDEN, CLUSTERS)],
}
BALANCED = ("CallawaySantAnna", "EfficientStaggered")
MADE_WITH = {"SlopesByGroup": {"by": "cluster"}, "TripleDifference": {"eligible": "cluster"}}
CASES = [
    (name, *case, complete)
    for name, cases in EQUAL.items()
    for case in cases
    for complete in ((True,) if name in BALANCED else (True, False))
]


def counts():
    """A panel whose outcome is not negative, one unit of which has nothing but zeros."""
    frame = did.staggered(n_units=300, periods=8, cohorts=(4, 6), n_clusters=24)
    frame["outcome"] = np.round(np.exp(1 + 0.3 * frame["outcome"]))
    frame.loc[frame["unit"] == frame["unit"].min(), "outcome"] = 0.0
    return frame


@pytest.mark.parametrize(("name", "settings", "question", "complete"), CASES, ids=str)
def test_on_a_table_as_in_memory(name, settings, question, complete, tmp_path):
    frame = counts() if complete else gaps(counts())
    question = question | {"always_treated": "drop"}
    here, there = in_memory(frame, **question), scanned(frame, tmp_path, **question)
    views = () if name == "FixedEffects" else ("att",)
    assert_same(estimator_class(name)(**settings), here, there, views=views)


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - set(EQUAL)))
def test_what_needs_rows_says_so_first(name, tmp_path):
    made = MADE_WITH.get(name, {})
    if name == "EffectsByGroup":
        made = {"by": "cluster", "estimator": estimator_class("CallawaySantAnna")()}
    estimator = estimator_class(name)(**made)
    design = scanned(did.staggered(n_units=60, periods=6), tmp_path, cohort="cohort")
    said = rf"{name} cannot be fitted where the table lies: .*collect\(share=0.01, seed=0\)"
    with pytest.raises(TableError, match=said):
        estimator.fit(design)
    assert len(estimator.unmet(design)) == 1
    assert len(design.queries) == 2


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("CallawaySantAnna", {}, r"its covariates \(z\) enter unit by unit"),
        ("ExtendedTWFE", {}, "its covariates"),
        ("ExtendedTWFE", {"covariance": "classical"}, "residual of every row"),
        ("FixedEffects", {"effects": ("unit",)}, "swept out row by row"),
        ("Imputation", {}, "its covariates"),
        ("StackedDiD", {"pre": 2, "post": 1}, "its covariates"),
        ("SunAbraham", {}, "its covariates"),
        ("TwoStage", {}, "its covariates"),
    ],
)
def test_settings_that_need_rows(name, settings, said, tmp_path):
    frame = did.staggered(n_units=60, periods=6)
    design = scanned(frame, tmp_path, cohort="cohort", covariates=["z"])
    with pytest.raises(TableError, match=f"{name} cannot be fitted where the table lies: .*{said}"):
        estimator_class(name)(**settings).fit(design)


def test_a_sample_of_units_answers_where_rows_are_needed(tmp_path):
    frame = did.staggered(n_units=200, periods=6)
    part = scanned(frame, tmp_path, cohort="cohort").collect(share=0.5, seed=2)
    assert estimator_class("LocalProjectionDiD")().fit(part).att().estimates[0]


def test_negative_counts_and_units_with_gaps(tmp_path):
    poisson = estimator_class("ExtendedTWFE")(family="poisson")
    frame = did.staggered(n_units=60, periods=6)
    with pytest.raises(DesignError, match=r'"outcome" falls to -\d.* in the table'):
        poisson.fit(scanned(frame, tmp_path, cohort="cohort"))
    holes = scanned(frame.drop(index=[1, 2, 8]), tmp_path, cohort="cohort")
    with pytest.raises(DesignError, match="2 units of 60 miss a period"):
        estimator_class("EfficientStaggered")().fit(holes)


def test_a_cohort_of_zeros_has_no_poisson_effect_wherever_it_lies(tmp_path):
    frame = counts()
    early = (frame["cohort"] == 4) & (frame["time"] < 4)
    frame.loc[early, "outcome"] = 0.0
    here, there = in_memory(frame, **COHORT), scanned(frame, tmp_path, **COHORT)
    poisson = estimator_class("ExtendedTWFE")(family="poisson")
    ours, theirs = assert_same(poisson, here, there, views=())
    lost = ours.cells["cohort"] == 4
    assert ours.cells.loc[lost, "estimate"].isna().all()
    assert theirs.cells.loc[lost, "estimate"].isna().all()


def test_stacked_rows_with_covariates_equal_the_moments_without(tmp_path):
    """A covariate that is constant leaves the regression of rows what moments give."""
    frame = counts().assign(constant=1.0)
    stacked = estimator_class("StackedDiD")
    for settings in ({"effects": "pooled"}, {"effects": "stack"}):
        estimator = stacked(pre=2, post=1, **settings)
        rows = estimator.fit(in_memory(frame, cohort="cohort", covariates=["constant"]))
        cells = estimator.fit(in_memory(frame, cohort="cohort"))
        np.testing.assert_allclose(cells.estimates, rows.estimates, rtol=0, atol=1e-10)
        np.testing.assert_allclose(cells.std_errors, rows.std_errors, rtol=1e-9, atol=1e-12)
