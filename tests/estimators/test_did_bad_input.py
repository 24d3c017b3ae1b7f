"""What no estimator of the family may answer: refused in words, or NaN with its reason."""

import numpy as np
import pandas as pd
import pytest
from did import design, staggered

from impact import (
    CallawaySantAnna,
    DoseResponse,
    DoublyRobustDiD,
    EfficientStaggered,
    ExtendedTWFE,
    Imputation,
    LocalProjectionDiD,
    StackedDiD,
    SunAbraham,
    SwitchersDiD,
    TripleDifference,
    TwoStage,
)
from impact.errors import DesignError, EstimationError, PanelError

FOLLOWING_UNITS = [
    CallawaySantAnna(),
    EfficientStaggered(),
    ExtendedTWFE(),
    Imputation(),
    LocalProjectionDiD(),
    StackedDiD(pre=1, post=1),
    SunAbraham(),
    TripleDifference(eligible="kind"),
    TwoStage(),
]
every = pytest.mark.parametrize("estimator", FOLLOWING_UNITS, ids=lambda e: e.name)


def panel(**settings):
    return staggered(1, **settings).assign(kind=lambda f: f["unit"] // 2 % 2)


def stopping(frame):
    """Treatment that lasts two periods."""
    on = (frame["time"] >= frame["cohort"]) & (frame["time"] < frame["cohort"] + 2)
    return frame.assign(on=on.astype(int))


@every
def test_all_treated_at_once_leave_nobody_to_compare_with(estimator):
    together = panel().assign(cohort=4.0)
    with pytest.raises(DesignError, match=r"all 60 units are first treated in 4, so nobody shows"):
        estimator.fit(design(together))
    assert "so nobody shows" in " ".join(estimator.unmet(design(together)))


@every
def test_a_cohort_without_a_period_before_treatment_is_named_or_dropped_and_counted(estimator):
    frame = panel(cohorts=(3, 4, 5))
    early = frame.assign(cohort=frame["cohort"].replace(3.0, 1.0))
    count = early.loc[early["cohort"] == 1, "unit"].nunique()
    with pytest.raises(DesignError, match=f"{count} units are treated whenever observed, first un"):
        estimator.fit(design(early))
    dropped = design(early, always_treated="drop")
    assert dropped.dropped == {"unit treated whenever it is observed": 6 * count}
    cohorts = estimator.fit(dropped).design.cohort_values
    assert cohorts.tolist() == [4.0, 5.0]


@every
def test_anticipation_can_take_the_last_period_before_treatment(estimator):
    frame = panel(cohorts=(2, 5))
    with pytest.raises(DesignError, match="treated whenever observed"):
        estimator.fit(design(frame, anticipation=1))


@every
def test_a_treatment_that_stops_is_refused_where_it_must_last(estimator):
    frame = stopping(panel())
    sample = design(frame, cohort=None, treated="on")
    count = frame.loc[frame["cohort"].notna() & (frame["cohort"] < 5), "unit"].nunique()
    with pytest.raises(DesignError, match=f"treatment stops again in {count} units, first unit"):
        estimator.fit(sample)
    assert f"treatment stops again in {count} units" in " ".join(estimator.unmet(sample))


def test_estimators_for_treatments_that_stop_take_them():
    sample = design(stopping(panel()), cohort=None, treated="on")
    for estimator in (SwitchersDiD(), LocalProjectionDiD(stabilisation=1)):
        assert np.isfinite(estimator.fit(sample).att().estimates[0])


@every
def test_nobody_ever_treated_is_refused(estimator):
    frame = panel().assign(cohort=np.nan)
    with pytest.raises(DesignError, match='no unit is ever treated in "cohort"'):
        estimator.fit(design(frame))


def test_the_last_cohort_without_never_treated_units_has_cells_without_comparison():
    frame = panel()
    frame = frame[frame["cohort"].notna()]
    # Cohorts 3 and 5: from 5 on nobody is left.
    for estimator in (CallawaySantAnna(), EfficientStaggered(), Imputation(), TwoStage()):
        cells = estimator.fit(design(frame)).cells
        lost = cells[np.isnan(cells["estimate"])]
        assert (cells.loc[cells["time"] >= 5, "estimate"].isna()).all()
        assert (lost["note"] != "").all()


def separated():
    """Cohort 3 has x above all others; cohort 5 shares their values."""
    frame = panel(n_units=120)
    own = np.random.default_rng(0).normal(size=120)[frame["unit"]]
    return frame.assign(z=own + 50.0 * (frame["cohort"] == 3))


@pytest.mark.parametrize("method", ["doubly_robust", "inverse_probability"])
def test_cells_without_overlap_are_empty_and_say_how_many_units_do_not_meet(method):
    frame = separated()
    result = CallawaySantAnna(method=method).fit(design(frame, covariates="z"))
    cells = result.cells
    lost = cells["estimate"].isna()
    assert set(cells.loc[lost, "cohort"]) == {3.0}
    treated = (frame.groupby("unit")["cohort"].first() == 3).sum()
    row = cells[(cells["cohort"] == 3) & (cells["time"] == 4)].iloc[0]
    text = f"covariates separate {treated} treated from {120 - treated} comparison units"
    assert row["note"].startswith(text)
    assert cells.loc[(cells["cohort"] == 5) & (cells["time"] == 6), "estimate"].notna().all()
    assert result.std_errors[lost.to_numpy()] == pytest.approx(np.nan, nan_ok=True)
    assert f"{int(lost.sum())} cells could not be estimated" in " ".join(result.notes)


def test_overlap_that_fails_everywhere_is_refused_with_its_reason():
    frame = separated()
    two = frame[(frame["cohort"] != 5) & frame["time"].isin([2, 3])]
    with pytest.raises(EstimationError, match=r"no group-time effect.*separate \d+ treated from"):
        CallawaySantAnna().fit(design(two, covariates="z"))
    with pytest.raises(EstimationError, match=r"separate \d+ treated from \d+ comparison units"):
        DoublyRobustDiD().fit(design(two, covariates="z"))


def test_comparison_units_beyond_the_limit_of_overlap_are_counted_or_all_of_them_named():
    frame = panel(n_units=200)
    own = np.random.default_rng(0).normal(size=200)[frame["unit"]]
    frame = frame.assign(z=own + 1.0 * (frame["cohort"] == 3))
    sample = design(frame, covariates="z")
    strict = CallawaySantAnna(trim=0.4).fit(sample).cells
    notes = strict.loc[(strict["cohort"] == 3) & (strict["time"] == 4), "note"]
    assert notes.str.fullmatch(r"\d+ comparison units trimmed").all()
    none_left = CallawaySantAnna(trim=1e-6)
    with pytest.raises(EstimationError, match=r"none of \d+ comparison units has a propensity bel"):
        none_left.fit(sample)


def test_more_covariates_than_comparison_units_are_counted():
    frame = panel(n_units=30, cohorts={3: 0.8})
    rng = np.random.default_rng(0)
    names = [f"z{j}" for j in range(9)]
    for name in names:
        frame[name] = rng.normal(size=30)[frame["unit"]]
    with pytest.raises(EstimationError, match="6 comparison units cannot carry 10 coefficients"):
        CallawaySantAnna(method="regression").fit(design(frame, covariates=names))


def test_doses_nobody_has_are_empty_with_their_reason():
    frame = staggered(4, n_units=80, cohorts=(4,))
    frame = frame.assign(dose=frame["treated"] * (1.0 + frame["unit"] % 7))
    sample = design(frame, cohort=None, dose="dose")
    result = DoseResponse(doses=[0.5, 3.0, 90.0], degree=1, knots=0).fit(sample)
    asked = result.cells.iloc[-3:]
    assert asked["estimate"].isna().tolist() == [True, False, True]
    assert asked["note"].tolist() == [
        "outside the doses observed", "", "outside the doses observed"
    ]  # fmt: skip
    assert result.std_errors[-3:][[0, 2]] == pytest.approx(np.nan, nan_ok=True)


def test_effects_of_units_never_seen_untreated_are_named_or_taken_from_others():
    """One unit enters the panel when its treatment begins."""
    frame = panel(cohorts=(3, 5))
    lone = frame.loc[frame["cohort"] == 3, "unit"].iloc[0]
    late = frame[(frame["unit"] != lone) | (frame["time"] >= 3)]
    for estimator in (Imputation(), TwoStage(), SunAbraham(), StackedDiD(pre=1, post=1)):
        with pytest.raises(DesignError, match=f"1 unit is treated whenever observed.*{lone}"):
            estimator.fit(design(late))
        result = estimator.fit(design(late, always_treated="drop"))
        assert lone not in result.design.sample.units
        assert np.isfinite(result.att().estimates[0])


def test_a_period_in_which_all_are_treated_empties_its_effects_only():
    frame = panel(cohorts=(3, 5))
    gone = frame[frame["cohort"].notna() | (frame["time"] < 6)]
    for estimator in (Imputation(), TwoStage(), SunAbraham()):
        cells = estimator.fit(design(gone)).cells
        after = cells["event_time"] >= 0
        last = cells["time"] == 6
        assert cells.loc[after & last, "estimate"].isna().all()
        assert set(cells.loc[after & last, "note"]) == {"nobody is untreated in this period"}
        assert cells.loc[after & ~last, "estimate"].notna().all()


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_outcomes_are_refused_by_place(bad):
    frame = panel().astype({"outcome": float})
    frame.loc[7, "outcome"] = bad
    place = frame.loc[7, ["unit", "time"]].astype(int).tolist()
    with pytest.raises(PanelError, match=rf"infinite in 1 row, first \(unit {place[0]}, time"):
        design(frame)


def test_duplicates_are_refused_whatever_the_order():
    frame = pd.concat([panel(), panel().iloc[[11]]]).sample(frac=1, random_state=0)
    with pytest.raises(PanelError, match="do not identify rows: 1 pair appears more than once"):
        design(frame)
