"""The printed effect laid out by event time."""

import numpy as np
import pytest

from impact.errors import DesignError, EstimationError
from impact.estimators import CallawaySantAnna, Imputation, SunAbraham, TwoWayFixedEffects
from impact.sensitivity import honest, pretrends
from impact.sensitivity.event_path import event_path

CLOSED_FORM = 1e-10


@pytest.mark.parametrize("estimator", [CallawaySantAnna(), SunAbraham()])
@pytest.mark.parametrize("weighting", [None, "cohort", "cell", "event_time", "time"])
def test_points_average_to_the_printed_effect_and_its_error(
    make_frame, design_of, estimator, weighting
):
    frame = make_frame()
    frame = frame[~frame["firm"].isin([0, 1, 2])]
    result = estimator.fit(design_of(frame))
    printed = result.att(weighting)
    path = event_path(result, weighting)
    np.testing.assert_allclose(path.effect, printed.estimates[0], rtol=CLOSED_FORM)
    np.testing.assert_allclose(path.std_error, printed.std_errors[0], rtol=CLOSED_FORM)
    np.testing.assert_allclose(path.target.sum(), 1.0)


def test_cell_weights_reproduce_the_event_study_after_treatment(fitted):
    path = event_path(fitted, "cell")
    study = fitted.event_study()
    after = (study.cells["event_time"] >= 0).to_numpy()
    np.testing.assert_allclose(
        path.estimate[path.n_pre :], study.estimates[after], rtol=CLOSED_FORM
    )


def test_anticipation_moves_the_reference_and_carries_no_weight(make_frame, design_of):
    result = CallawaySantAnna().fit(design_of(make_frame(), anticipation=1))
    path = event_path(result)
    assert path.reference == -2
    assert path.times[path.n_pre] == -1
    assert path.target[0] == 0.0
    np.testing.assert_allclose(path.effect, result.att().estimates[0], rtol=CLOSED_FORM)
    np.testing.assert_allclose(path.std_error, result.att().std_errors[0], rtol=CLOSED_FORM)


def test_few_clusters_widen_normal_intervals_to_t(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=5)
    result = SunAbraham().fit(design_of(frame, clusters="province"))
    path = event_path(result)
    assert path.df == 11
    wider = path.widened(0.95)[0, 0] / path.covariance[0, 0]
    np.testing.assert_allclose(wider, (2.200985 / 1.959964) ** 2, rtol=1e-6)


def test_varying_base_periods_are_refused(make_frame, design_of):
    result = CallawaySantAnna(base_period="varying").fit(design_of(make_frame()))
    with pytest.raises(DesignError, match="universal base period"):
        event_path(result)


def test_static_estimates_are_refused(make_frame, design_of):
    result = TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design_of(make_frame()))
    with pytest.raises(DesignError, match="no effects by event time"):
        event_path(result)


def test_no_period_before_the_reference_is_refused(make_frame, design_of):
    frame = make_frame()
    frame = frame[(frame["cohort"] != 2015) & (frame["year"] >= 2012)]
    with pytest.raises(DesignError, match="0 before and 5 after"):
        event_path(CallawaySantAnna().fit(design_of(frame)))


def test_an_estimator_without_effects_before_treatment_is_told_apart(make_frame, design_of):
    with pytest.raises(DesignError, match="Imputation gives no estimates before treatment here"):
        event_path(Imputation().fit(design_of(make_frame())))


def test_a_weighting_that_the_estimates_do_not_carry_is_refused(make_frame, design_of):
    frame = make_frame()
    frame = frame[frame["cohort"] != 2015]
    result = TwoWayFixedEffects(effect="event_study").fit(design_of(frame))
    with pytest.raises(EstimationError, match="cannot be averaged"):
        event_path(result, "cohort")


def test_a_panel_of_every_other_year_counts_its_own_steps(make_frame, design_of):
    frame = make_frame()
    frame = frame[frame["cohort"] != 2015]
    doubled = frame.assign(
        year=lambda f: 2 * f["year"] - 2010, cohort=lambda f: 2 * f["cohort"] - 2010
    )
    yearly, other = (event_path(CallawaySantAnna().fit(design_of(f))) for f in (frame, doubled))
    np.testing.assert_array_equal(other.times, 2 * yearly.times)
    assert (yearly.reference, other.reference) == (-1, -2)
    np.testing.assert_array_equal(other.covariance, yearly.covariance)
    np.testing.assert_array_equal(other.target, yearly.target)
    slope = [pretrends(CallawaySantAnna().fit(design_of(f))).values for f in (frame, doubled)]
    assert slope[1]["slope"] == pytest.approx(slope[0]["slope"] / 2, rel=1e-6)
    assert slope[1]["bias"] == pytest.approx(slope[0]["bias"], rel=1e-6)


def test_one_coefficient_on_either_side_is_a_panel_of_single_years(make_frame, design_of):
    frame = make_frame()
    frame = frame[(frame["cohort"] != 2015) & frame["year"].between(2011, 2013)]
    result = CallawaySantAnna().fit(design_of(frame))
    path = event_path(result)
    assert (path.times.tolist(), path.reference, path.n_pre) == ([-2, 0], -1, 1)
    finding = honest(result, bounds=[0.0, 1.0])
    assert finding.table["set_low"][1] == pytest.approx(path.estimate[1] - abs(path.estimate[0]))
    assert finding.table["set_high"][1] == pytest.approx(path.estimate[1] + abs(path.estimate[0]))
