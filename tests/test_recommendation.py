"""The chooser of estimators: one row of its table a design."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel, simulate
from impact.errors import DesignError
from impact.estimators import ESTIMATORS
from impact.recommendation import Situation, recommend


def design(frame: pd.DataFrame, **settings: object) -> Design:
    return Design(Panel(frame, unit="unit", time="time"), outcome="outcome", **settings)


def staggered(**settings: object) -> pd.DataFrame:
    return simulate.staggered_panel(1, n_units=60, periods=12, cohorts=(10, 11), **settings).frame


def first(advice: object) -> str:
    return next(iter(advice)).estimator


def test_each_kind_of_design_meets_its_rule():
    frame = staggered()
    assert first(recommend(design(frame, cohort="cohort"))) == "CallawaySantAnna"
    one_date = frame.assign(cohort=frame["cohort"].where(frame["cohort"].isna(), 10.0))
    assert first(recommend(design(one_date, cohort="cohort"))) == "TwoWayFixedEffects"
    counts = frame.assign(outcome=np.maximum(np.round(frame["outcome"]), 0))
    assert first(recommend(design(counts, cohort="cohort"))) == "ExtendedTWFE"


def test_few_treated_clusters_with_a_long_past_call_for_synthetic_methods():
    frame = staggered()
    lone = frame[frame["cohort"].isna() | (frame["unit"] == frame["unit"].min())]
    assert first(recommend(design(lone, cohort="cohort"))) == "SyntheticDiD"


def test_doses_and_reversals():
    frame = staggered().assign(amount=lambda f: f["treated"] * (1.0 + f["unit"]))
    assert first(recommend(design(frame, dose="amount"))) == "DoseResponse"
    growing = frame.assign(amount=frame["amount"] * frame["time"])
    assert first(recommend(design(growing, dose="amount"))) == "SwitchersDiD"
    stopping = frame.assign(treated=frame["treated"].where(frame["time"] < 12, 0))
    assert first(recommend(design(stopping, treated="treated"))) == "SwitchersDiD"
    everyone = frame[frame["cohort"].notna()]
    assert first(recommend(design(everyone, dose="amount"))) == "HeterogeneousAdoption"


def test_every_estimator_named_exists_and_every_situation_has_a_rule():
    from itertools import product

    from impact.recommendation import _RULES

    for _, recommendations in _RULES:
        assert [r.estimator for r in recommendations if r.estimator not in ESTIMATORS] == []
    base = Situation(False, False, True, False, 2, 20, 9, False, False)
    for flags in product((False, True), repeat=5):
        names = ("has_dose", "dose_changes", "anyone_untreated", "reverses", "is_count_with_zeros")
        situation = replace(base, **dict(zip(names, flags, strict=True)))
        assert any(applies(situation) for applies, _ in _RULES)


def test_advice_renders_and_a_design_without_treatment_is_refused():
    advice = recommend(design(staggered(), cohort="cohort"))
    assert "wrong if" in repr(advice)
    assert "<th scope=" in advice._repr_html_()
    assert len(advice.table()) == 3
    with pytest.raises(DesignError, match="without a treatment"):
        recommend(design(staggered()))
