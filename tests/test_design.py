"""Design: sample, treatment coding, and every refusal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel
from impact.errors import DesignError, PanelError


def staggered() -> pd.DataFrame:
    """Six units over 2000-2004: cohorts 2002 and 2003, two units each, and two never treated."""
    first = {1: 2002, 2: 2002, 3: 2003, 4: 2003, 5: np.nan, 6: np.nan}
    long = pd.DataFrame({"id": np.repeat(list(first), 5), "year": np.tile(range(2000, 2005), 6)})
    long["first"] = long["id"].map(first)
    long["on"] = (long["year"] >= long["first"]).astype(int)
    long["amount"] = long["on"] * 10.0 * long["id"]
    long["y"] = long["id"] + 0.1 * long["year"] + long["on"]
    long["district"] = long["id"] // 3
    long["w"] = 1.0 + long["id"]
    return long


def panel(data: pd.DataFrame | None = None) -> Panel:
    return Panel(staggered() if data is None else data, unit="id", time="year")


def test_cohort_indicator_and_dose_state_the_same_treatment():
    by_cohort = Design(panel(), outcome="y", cohort="first")
    for other in (
        Design(panel(), outcome="y", treated="on"),
        Design(panel(), outcome="y", dose="amount"),
    ):
        np.testing.assert_array_equal(by_cohort.cohorts, other.cohorts)
        np.testing.assert_array_equal(by_cohort.treatment, other.treatment)
    assert by_cohort.facts.adoption == "staggered"
    assert by_cohort.facts.n_never_treated == 2
    assert list(by_cohort.cohort_sizes) == [2, 2, 2]
    assert list(by_cohort.cohort_codes) == [0, 0, 1, 1, 2, 2]


def test_rows_missing_anything_used_are_left_out_and_counted():
    data = staggered()
    data.loc[0, "y"] = np.nan
    data.loc[7, "district"] = np.nan
    design = Design(panel(data), outcome="y", cohort="first", clusters="district")
    assert design.n_rows == 28
    assert design.dropped == {'outcome "y" missing': 1, '"district" missing': 1}
    assert not design.is_balanced


def test_facts_count_clusters_and_treated_clusters():
    design = Design(panel(), outcome="y", cohort="first", clusters="district")
    facts = design.diagnose()
    assert (facts.n_clusters, facts.n_treated_clusters) == (3, 2)
    assert "staggered adoption by 4 units in 2 cohorts, 2 never treated" in repr(design)
    assert "<td>staggered</td>" in design._repr_html_()


def test_row_arrays_put_the_treatment_before_the_covariates():
    rows = Design(panel(), outcome="y", cohort="first", covariates="w", clusters="district").rows()
    assert rows.names == ("treated", "w")
    np.testing.assert_array_equal(rows.regressors[:, 0], staggered()["on"])
    assert rows.cluster_codes.shape == (30, 1)
    assert rows.weights is None


def test_row_arrays_follow_the_sample_when_the_panel_has_gaps():
    data = staggered().drop(index=[3, 11, 28]).sample(frac=1, random_state=2)
    rows = Design(panel(data), outcome="y", cohort="first").rows()
    ordered = data.sort_values(["id", "year"])
    np.testing.assert_array_equal(rows.outcome, ordered["y"])
    np.testing.assert_array_equal(rows.regressors[:, 0], ordered["on"])


@pytest.mark.parametrize("last", [12, 10**9])
def test_cohorts_are_coded_in_order_however_far_apart(last):
    periods = np.array([1, 2, 3, 5, 9, last])
    firsts = np.array([np.nan, 5, last, 3, np.nan, 5, 9])
    frame = pd.DataFrame({"id": np.repeat(np.arange(7), 6), "t": np.tile(periods, 7)})
    frame["y"] = np.random.default_rng(0).normal(size=42)
    frame["g"] = np.repeat(firsts, 6)
    design = Design(Panel(frame, unit="id", time="t"), outcome="y", cohort="g")
    np.testing.assert_array_equal(design.cohort_values, [3, 5, 9, last])
    np.testing.assert_array_equal(design.cohort_codes, [4, 1, 3, 0, 4, 1, 2])
    np.testing.assert_array_equal(design.cohort_units, [1, 2, 1, 1, 2])
    everyone = replace(design, panel=Panel(frame.dropna(), unit="id", time="t"))
    np.testing.assert_array_equal(everyone.cohort_units, [1, 2, 1, 1, 0])
    assert not everyone.has_never_treated


def test_a_cohort_outside_the_panel_never_becomes_never_treated():
    data = staggered()
    data["first"] = data["first"].fillna(0)
    with pytest.raises(DesignError, match=r"holds 0, outside the panel's periods 2000-2004, for 2"):
        Design(panel(data), outcome="y", cohort="first")
    stated = Design(panel(data), outcome="y", cohort="first", never_treated=0)
    assert np.isnan(stated.cohorts).sum() == 2
    late = staggered()
    late.loc[late["id"] == 3, "first"] = 2010
    with pytest.raises(DesignError, match=r"holds 2010, outside.*first id 3"):
        Design(panel(late), outcome="y", cohort="first")


def test_infinity_means_never_treated_only_when_said():
    data = staggered().fillna({"first": np.inf})
    with pytest.raises(DesignError, match=r"holds inf, outside the panel"):
        Design(panel(data), outcome="y", cohort="first")
    stated = Design(panel(data), outcome="y", cohort="first", never_treated=np.inf)
    assert np.isnan(stated.cohorts).sum() == 2


def test_a_cohort_missing_in_some_rows_of_a_unit_is_refused():
    data = staggered()
    data.loc[1, "first"] = np.nan
    with pytest.raises(DesignError, match=r"missing in some rows of 1 unit .* first id 1"):
        Design(panel(data), outcome="y", cohort="first")


def test_units_treated_from_the_first_period_are_refused_by_name_or_dropped_and_counted():
    data = staggered()
    data.loc[data["id"] == 1, "first"] = 2000
    design = Design(panel(data), outcome="y", cohort="first")
    with pytest.raises(DesignError, match=r"1 unit is treated whenever observed, first id 1"):
        CallawaySantAnna().fit(design)
    dropped = Design(panel(data), outcome="y", cohort="first", always_treated="drop")
    assert dropped.dropped == {"unit treated whenever it is observed": 5}
    assert dropped.n_units == 5


@pytest.mark.parametrize(("name", "role"), [("unit", "unit"), ("time", "time")])
def test_a_key_of_the_panel_is_no_outcome(name, role):
    frame = pd.DataFrame({"unit": [1, 1, 2, 2], "time": [1, 2, 1, 2], "y": [0.0, 1.0, 0.0, 2.0]})
    with pytest.raises(DesignError, match=f"is the panel's {role}, which no treatment can change"):
        Design(Panel(frame, unit="unit", time="time"), outcome=name)


def test_anticipation_is_a_count_of_periods():
    frame = pd.DataFrame({"unit": [1, 1], "time": [1, 2], "y": [0.0, 1.0]})
    with pytest.raises(DesignError, match="anticipation counts whole periods .* it was True"):
        Design(Panel(frame, unit="unit", time="time"), outcome="y", anticipation=True)


def test_anticipation_makes_the_first_clean_period_earlier():
    design = Design(panel(), outcome="y", cohort="first", anticipation=2)
    assert list(design.always_treated_units) == [1, 2]


def test_reversals_are_found():
    data = staggered()
    data.loc[(data["id"] == 3) & (data["year"] == 2004), "on"] = 0
    design = Design(panel(data), outcome="y", treated="on")
    assert design.facts.adoption == "reversing"
    with pytest.raises(DesignError, match=r"lasts once begun: treatment stops again in 1 unit"):
        CallawaySantAnna().fit(design)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cohort": "first", "treated": "on"}, r"stated 2 times \(cohort, treated\)"),
        ({"treated": "amount"}, r"neither 0 nor 1 in 10 rows, first .*dose="),
        ({"dose": "negative"}, r"is negative in 1 row, first \(id 1, year 2002\)"),
        ({"cohort": "first", "weights": "zero"}, r"zero or negative in 1 row"),
        ({"cohort": "first", "anticipation": -1}, "whole periods before treatment"),
        ({"cohort": "first", "anticipation": 0.5}, "whole periods before treatment"),
        ({"cohort": "half"}, r"holds 2001.5; a cohort is the first treated period"),
        ({"cohort": "text"}, r"holds 'soon'"),
        ({"cohort": "first", "covariates": ["y"]}, r'"y" has two roles'),
        ({"treated": "on", "never_treated": 0}, "no cohort column was given"),
        ({"cohort": "first", "always_treated": "ignore"}, "may be 'refuse', 'drop'"),
    ],
)
def test_contradictions_are_refused(settings, message):
    data = staggered()
    data["negative"] = data["amount"].where(data.index != 2, -1.0)
    data["zero"] = data["w"].where(data.index != 4, 0.0)
    data["half"] = data["first"].where(data["id"] != 1, 2001.5)
    data["text"] = data["first"].astype(object).where(data["id"] != 1, "soon")
    with pytest.raises(DesignError, match=message):
        Design(panel(data), outcome="y", **settings)


def test_outcome_absent_missing_throughout_or_text():
    data = staggered().assign(empty=np.nan, name="x")
    with pytest.raises(PanelError, match='no column "jobs"'):
        Design(panel(data), outcome="jobs", cohort="first")
    with pytest.raises(DesignError, match=r'"empty" is missing in all 30 rows'):
        Design(panel(data), outcome="empty", cohort="first")
    with pytest.raises(PanelError, match="values where numbers belong"):
        Design(panel(data), outcome="name", cohort="first")
    with pytest.raises(DesignError, match="starts from a Panel; this is a DataFrame"):
        Design(data, outcome="y")


def test_a_cohort_that_changes_within_a_unit_is_refused():
    data = staggered()
    data.loc[2, "first"] = 2004
    with pytest.raises(PanelError, match=r'"first" changes within 1 unit, first id 1'):
        Design(panel(data), outcome="y", cohort="first")


def test_no_row_left_names_the_causes():
    data = staggered().assign(x=np.nan)
    with pytest.raises(DesignError, match=r'no row is left of 30: covariate "x" missing in 30'):
        Design(panel(data), outcome="y", cohort="first", covariates="x")


def test_clusters_that_units_cross_are_refused_where_units_must_nest():
    data = staggered()
    data["moving"] = data["year"] % 2
    design = Design(panel(data), outcome="y", cohort="first", clusters="moving")
    with pytest.raises(PanelError, match='"moving" changes within 6 units'):
        CallawaySantAnna().fit(design)


def test_one_cluster_for_all_is_refused():
    design = Design(panel(staggered().assign(one=1)), outcome="y", cohort="first", clusters="one")
    with pytest.raises(DesignError, match='all units share one value of "one"'):
        CallawaySantAnna().fit(design)


def test_the_timing_of_treatment_is_drawn():
    axes = Design(panel(), outcome="y", cohort="first").plot()
    assert axes.get_ylabel() == "6 units by id"
    assert axes.get_xlabel() == "year"


@pytest.mark.parametrize("treatment", ["treated", "dose"])
def test_an_outcome_missing_when_treatment_begins_does_not_move_its_beginning(treatment):
    data = staggered()
    data.loc[(data["id"] == 1) & (data["year"] == 2002), "y"] = np.nan
    column = {"treated": "on", "dose": "amount"}[treatment]
    design = Design(panel(data), outcome="y", **{treatment: column})
    assert design.cohorts[0] == 2002
    np.testing.assert_array_equal(
        design.cohorts, Design(panel(data), outcome="y", cohort="first").cohorts
    )


def test_a_treatment_seen_only_where_the_outcome_is_missing_is_still_a_treatment():
    data = staggered()
    data["once"] = ((data["id"] == 5) & (data["year"] == 2003)).astype(int)
    data.loc[(data["id"] == 5) & (data["year"] == 2003), "y"] = np.nan
    design = Design(panel(data), outcome="y", treated="once")
    assert design.facts.n_treated_units == 1
    assert list(design.reversing_units) == [5]


def test_always_treated_units_are_dropped_however_treatment_is_stated():
    data = staggered()
    data.loc[data["id"] == 1, "on"] = 1
    design = Design(panel(data), outcome="y", treated="on", always_treated="drop")
    assert design.dropped == {"unit treated whenever it is observed": 5}
    assert design.n_units == 5


def by_province() -> pd.DataFrame:
    """The staggered panel with provinces of two units that share their cohort."""
    return staggered().assign(province=lambda f: "P" + ((f["id"] + 1) // 2).astype(str))


@pytest.mark.parametrize("treatment", ["cohort", "treated", "dose"])
def test_the_level_of_assignment_becomes_the_cluster(treatment):
    data = by_province().assign(amount=lambda f: f["on"] * 5.0)
    column = {"cohort": "first", "treated": "on", "dose": "amount"}[treatment]
    design = Design(panel(data), outcome="y", assigned_by="province", **{treatment: column})
    assert design.cluster_columns == ("province",)
    assert design.n_clusters == 3
    assert not len(design.split_assignments)


def test_clusters_that_split_what_was_assigned_together_are_listed():
    data = by_province().assign(wide=lambda f: f["province"].eq("P3").astype(int))
    given = {"outcome": "y", "cohort": "first", "assigned_by": "province"}
    assert list(Design(panel(data), clusters="id", **given).split_assignments) == ["P1", "P2", "P3"]
    assert list(Design(panel(data), clusters="district", **given).split_assignments) == ["P3"]
    for whole in ("wide", ["year", "wide"], "province"):
        assert not len(Design(panel(data), clusters=whole, **given).split_assignments)
    crossed = Design(panel(data), clusters=["year", "district"], **given)
    assert list(crossed.split_assignments) == ["P3"]


def test_treatment_that_differs_within_the_level_of_assignment_is_refused():
    with pytest.raises(
        DesignError,
        match=r'"first" differs between units of one "district" and period in 1 of 3 values of '
        r'"district", first 1 \(year 2000\); it was not assigned',
    ):
        Design(panel(), outcome="y", cohort="first", assigned_by="district")
    data = by_province()
    data.loc[(data["id"] == 4) & (data["year"] == 2004), "on"] = 0
    with pytest.raises(
        DesignError, match=r'"on" differs .* in 1 of 3 values of "province", first P2 \(year 2004\)'
    ):
        Design(panel(data), outcome="y", treated="on", assigned_by="province")


def test_units_that_cross_the_level_of_assignment_are_refused():
    data = by_province()
    data.loc[(data["id"] == 2) & (data["year"] == 2004), "province"] = "P2"
    with pytest.raises(DesignError, match=r'1 unit moved between values of "province", first id 2'):
        Design(panel(data), outcome="y", treated="on", assigned_by="province")


def test_a_level_of_assignment_without_a_treatment_is_refused():
    with pytest.raises(DesignError, match=r'assigned_by="province" .* states no treatment'):
        Design(panel(by_province()), outcome="y", assigned_by="province")


def test_rows_without_their_level_of_assignment_are_left_out_and_counted():
    data = by_province()
    data.loc[3, "province"] = None
    design = Design(panel(data), outcome="y", cohort="first", clusters="id", assigned_by="province")
    assert design.dropped == {'"province" missing': 1}
