"""Placebos, leave-one-out, anticipation and the specification curve: the estimator run again."""

import numpy as np
import pytest

from impact.errors import DesignError
from impact.estimators import (
    ArellanoBond,
    CallawaySantAnna,
    PanelIV,
    SyntheticDiD,
    TwoWayFixedEffects,
)
from impact.sensitivity import (
    Specification,
    anticipation,
    leave_one_out,
    placebo_cancelled,
    placebo_in_space,
    placebo_in_time,
    specification_curve,
    specifications,
)

CLOSED_FORM = 1e-10


def test_placebo_dates_show_nothing_without_a_trend_and_a_trend_if_there_is(make_frame, design_of):
    clean = placebo_in_time(CallawaySantAnna().fit(design_of(make_frame())))
    assert clean.statistic > 0.05
    assert "does not differ from zero" in clean.sentence
    trending = placebo_in_time(CallawaySantAnna().fit(design_of(make_frame(trend=0.5))))
    assert trending.statistic < 0.01
    assert "and differs from zero" in trending.sentence


def test_placebo_date_by_hand(make_frame, design_of):
    """One period early equals the estimator on true rows before treatment."""
    frame = make_frame()
    finding = placebo_in_time(CallawaySantAnna().fit(design_of(frame)), leads=[1])
    early = frame[~(frame["year"] >= frame["cohort"])].copy()
    early["cohort"] -= 1
    by_hand = CallawaySantAnna().fit(design_of(early)).att()
    np.testing.assert_allclose(finding.table["estimate"], by_hand.estimates, rtol=CLOSED_FORM)
    np.testing.assert_allclose(finding.table["std_error"], by_hand.std_errors, rtol=CLOSED_FORM)


def test_placebo_dates_beyond_the_panel_carry_their_reason(fitted):
    finding = placebo_in_time(fitted, leads=[1, 5])
    assert np.isnan(finding.table["estimate"].iloc[1])
    assert "no unit is ever treated" in finding.table["note"].iloc[1]
    with pytest.raises(DesignError, match="1 or more; it was"):
        placebo_in_time(fitted, leads=[0])


def test_placebo_dates_that_cannot_be_tried_are_refused(fitted):
    with pytest.raises(DesignError, match="no placebo date could be tried; 5 periods early"):
        placebo_in_time(fitted, leads=[5])


def test_one_date_leaves_all_later_rows_out_so_that_the_panel_stays_balanced(make_frame, design_of):
    frame = make_frame()
    frame = frame[frame["cohort"] != 2015]
    finding = placebo_in_time(SyntheticDiD().fit(design_of(frame)), leads=[1])
    early = frame[frame["year"] < 2013].assign(cohort=lambda f: f["cohort"] - 1)
    by_hand = SyntheticDiD().fit(design_of(early)).att().estimates
    np.testing.assert_allclose(finding.table["estimate"], by_hand, rtol=CLOSED_FORM)


@pytest.mark.parametrize("analysis", [placebo_in_time, anticipation, specification_curve])
def test_instruments_are_not_given_to_a_pretended_treatment(make_frame, design_of, analysis):
    frame = make_frame().assign(z=lambda f: f["treated"] + f["x"])
    design = design_of(frame, cohort=None, treated="treated")
    result = PanelIV(endogenous="treated", instruments="z").fit(design)
    with pytest.raises(DesignError, match="the instruments of PanelIV move the treatment as it"):
        analysis(result)


@pytest.mark.parametrize("analysis", [placebo_in_time, anticipation])
def test_methods_that_cannot_allow_for_anticipation_or_have_no_effect(
    make_frame, design_of, analysis
):
    design = design_of(make_frame(), cohort=None, treated="treated", covariates="x")
    two_way = TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design)
    if analysis is anticipation:
        with pytest.raises(DesignError, match="no number of periods of anticipation but 0 can be"):
            analysis(two_way)
    dynamic = ArellanoBond().fit(design)
    if dynamic.att().cells["term"].iloc[0] == "L1.y":
        with pytest.raises(DesignError, match="no effect of treatment"):
            analysis(dynamic)


def test_changes_are_told_in_errors_as_printed(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=4)
    result = CallawaySantAnna().fit(design_of(frame, clusters="province"))
    printed = result.att().tidy().iloc[0]
    assert np.isnan(printed["std_error"])
    error = (printed["conf_high"] - printed["conf_low"]) / (2 * 1.959963985)
    for finding in (leave_one_out(result), anticipation(result)):
        moves = (finding.table["estimate"] - printed["estimate"]).abs()
        assert finding.statistic == pytest.approx(moves.max() / error, rel=1e-6)
    assert "printed with permutation" in placebo_in_space(result, draws=3).notes[1]


def test_placebo_places_reject_at_about_the_level(make_frame, design_of):
    """120 firms never treated: within three Monte Carlo deviations of 5 %."""
    result = CallawaySantAnna().fit(design_of(make_frame(n_firms=30)))
    finding = placebo_in_space(result, draws=200, seed=1)
    assert 0.05 - 3 * 0.0154 < finding.statistic < 0.05 + 3 * 0.0154
    assert finding.values["beyond_estimate"] == 0.0
    assert finding.figure().get_ylabel() == "Draws"
    again = placebo_in_space(result, draws=200, seed=1)
    assert again.table.equals(finding.table)


def test_placebo_places_draw_whole_clusters(make_frame, design_of, monkeypatch):
    seen = []
    fit = CallawaySantAnna.fit
    monkeypatch.setattr(
        CallawaySantAnna, "fit", lambda self, design: seen.append(design) or fit(self, design)
    )
    frame = make_frame(by_province=True, n_firms=5)
    placebo_in_space(CallawaySantAnna().fit(design_of(frame, clusters="province")), draws=5)
    for design in seen[1:6]:
        cohorts = design.cohorts
        for province in np.unique(design.cluster_codes):
            assert len(np.unique(cohorts[design.cluster_codes == province])) == 1
        assert design.n_treated_clusters == 3


def test_too_few_places_are_refused(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=5)
    frame = frame[frame["cohort"].notna() | (frame["province"] == 2)]
    with pytest.raises(DesignError, match="1 cluster was never treated; at least 4"):
        placebo_in_space(CallawaySantAnna().fit(design_of(frame, clusters="province")))


def test_cancelled_projects_by_hand(make_frame, design_of):
    frame = make_frame()
    frame["cancelled"] = np.where(frame["firm"] < 60, 2014.0, np.nan)
    finding = placebo_cancelled(CallawaySantAnna().fit(design_of(frame)), cohort="cancelled")
    untreated = frame[frame["cohort"].isna()].assign(cohort=lambda f: f["cancelled"])
    by_hand = CallawaySantAnna().fit(design_of(untreated)).att()
    placebo = finding.table.iloc[1]
    assert placebo["estimate"] == pytest.approx(by_hand.estimates[0], rel=CLOSED_FORM)
    shown = by_hand.tidy().iloc[0]
    assert placebo["std_error"] == pytest.approx(shown["std_error"], rel=CLOSED_FORM)
    assert shown["inference"] == "cr2"
    assert "20 units with a cancelled project" in finding.sentence


def test_cancelled_projects_of_parts_of_a_level_of_assignment_keep_its_clusters(
    make_frame, design_of
):
    frame = make_frame(by_province=True, n_firms=5)
    frame["cancelled"] = np.where(frame["firm"] % 5 == 0, 2014.0, np.nan)
    design = design_of(frame, assigned_by="province")
    finding = placebo_cancelled(CallawaySantAnna().fit(design), cohort="cancelled")
    untreated = frame[frame["cohort"].isna()].assign(cohort=lambda f: f["cancelled"])
    by_hand = CallawaySantAnna().fit(design_of(untreated, clusters="province")).att()
    assert finding.table["estimate"][1] == pytest.approx(by_hand.estimates[0], rel=CLOSED_FORM)
    assert by_hand.design.n_clusters == 4


def test_cancelled_projects_of_treated_units_only_are_refused(make_frame, design_of):
    frame = make_frame().assign(cancelled=lambda f: f["cohort"])
    result = CallawaySantAnna().fit(design_of(frame))
    with pytest.raises(DesignError, match="no unit that was never treated has a cancelled"):
        placebo_cancelled(result, cohort="cancelled")


@pytest.mark.parametrize(("by", "groups"), [(None, 180), ("province", 12), ("cohort", 2)])
def test_leave_one_out_refits_without_each(make_frame, design_of, by, groups):
    frame = make_frame()
    finding = leave_one_out(CallawaySantAnna().fit(design_of(frame)), by=by)
    assert len(finding.table) == groups
    column = by or "firm"
    label = finding.table["left_out"].iloc[1]
    rest = frame[frame[column] != float(label)]
    by_hand = CallawaySantAnna().fit(design_of(rest)).att()
    assert finding.table["estimate"].iloc[1] == pytest.approx(by_hand.estimates[0], rel=1e-10)
    largest = finding.table["change"].abs().max()
    full = CallawaySantAnna().fit(design_of(frame)).att()
    assert finding.statistic == pytest.approx(largest / full.std_errors[0])


def test_leaving_out_too_many_groups_is_refused(make_frame, design_of):
    frame = make_frame(n_provinces=60)
    with pytest.raises(DesignError, match=r"3 to 200 of them; there are 900"):
        leave_one_out(CallawaySantAnna().fit(design_of(frame)))


def test_anticipation_refits_with_each_number_of_periods(make_frame, design_of):
    frame = make_frame()
    finding = anticipation(CallawaySantAnna().fit(design_of(frame)))
    by_hand = [
        CallawaySantAnna().fit(design_of(frame, anticipation=count)).att().estimates[0]
        for count in (0, 1, 2)
    ]
    np.testing.assert_allclose(finding.table["estimate"], by_hand, rtol=CLOSED_FORM)
    with pytest.raises(DesignError, match="0 or more"):
        anticipation(CallawaySantAnna().fit(design_of(frame)), periods=[-1])


def test_anticipation_that_leaves_no_base_is_a_note(make_frame, design_of):
    finding = anticipation(CallawaySantAnna().fit(design_of(make_frame())), periods=[1, 6])
    assert np.isnan(finding.table["estimate"].iloc[1])
    assert finding.table["note"].iloc[1] != ""


def test_specifications_are_distinct_and_need_nothing_the_design_lacks(make_frame, design_of):
    result = CallawaySantAnna().fit(design_of(make_frame(), covariates="x"))
    found = specifications(result)
    labels = [s.label for s in found]
    assert len(set(labels)) == len(labels)
    assert {"CallawaySantAnna", "CallawaySantAnna, no covariates", "SunAbraham"} <= set(labels)
    assert not any(s.estimator.unmet(s.design) for s in found)
    assert not any(label.startswith(("MatrixCompletion", "Interactive")) for label in labels)
    assert all(s.label.startswith("TwoWay") is False for s in found)


@pytest.mark.slow
def test_joint_p_value_finds_an_effect_and_no_more(make_frame, design_of):
    def curve(effect, seed):
        design = design_of(make_frame(effect=effect, seed=seed, n_firms=5))
        result = CallawaySantAnna().fit(design)
        variants = [
            Specification("not yet", CallawaySantAnna(), design),
            Specification("never", CallawaySantAnna(comparison="never_treated"), design),
        ]
        return specification_curve(result, variants=variants, draws=19)

    strong = curve(3.0, 0)
    assert strong.statistic == pytest.approx(1 / 20)
    assert strong.values["share"] == 1.0
    nothing = [curve(0.0, seed).statistic for seed in range(20)]
    assert 0.3 < np.mean(nothing) < 0.75  # uniform p-values: 0.525, standard deviation 0.065
    assert strong.figure().get_xlabel().startswith("Effect")


def test_without_draws_there_is_no_joint_p_value(fitted):
    variants = [
        Specification("never", CallawaySantAnna(comparison="never_treated"), fitted.design),
        Specification("not yet", CallawaySantAnna(), fitted.design),
    ]
    finding = specification_curve(fitted, variants=variants, draws=0)
    assert np.isnan(finding.statistic)
    assert "joint" not in finding.sentence
    assert finding.notes[0].startswith("No joint test")


def test_one_specification_is_no_curve(fitted):
    only = [Specification("one", CallawaySantAnna(), fitted.design)]
    with pytest.raises(DesignError, match="a curve needs two"):
        specification_curve(fitted, variants=only)


def test_doses_are_refused(make_frame, design_of):
    from impact.estimators import TwoWayFixedEffects

    frame = make_frame()
    frame["dose"] = frame["treated"] * 2.0
    frame = frame[frame["cohort"] != 2015]
    result = TwoWayFixedEffects().fit(design_of(frame, cohort=None, dose="dose"))
    with pytest.raises(DesignError, match="this design has a dose"):
        placebo_in_time(result)
