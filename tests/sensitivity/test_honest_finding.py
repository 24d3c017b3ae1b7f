"""Honest bounds and pre-trends' power at the effect that is printed."""

import numpy as np
import pytest

from impact.errors import DesignError, InferenceError
from impact.estimators import CallawaySantAnna, SunAbraham
from impact.inference.honest import HonestProblem
from impact.sensitivity import honest, pretrends
from impact.sensitivity.event_path import event_path, judged_path


def test_smoothness_aside_parallel_trends_give_the_printed_interval(fitted):
    """With Mbar = 0 the set is the printed interval but for the share spent on the first stage."""
    finding = honest(fitted, bounds=[0.0])
    printed = fitted.att().tidy().iloc[0]
    row = finding.table.iloc[0]
    slack = 0.05 * printed["std_error"]  # simulated first stage of one tenth of the level
    assert row["conf_low"] == pytest.approx(printed["conf_low"], abs=slack)
    assert row["conf_high"] == pytest.approx(printed["conf_high"], abs=slack)
    assert row["set_low"] == pytest.approx(printed["estimate"])


def test_few_clusters_give_the_interval_of_the_method_that_judges_the_effect(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=5)
    result = SunAbraham().fit(design_of(frame, clusters="province"))
    for judged, words in ((result, "permutation"), (result.infer("cr2"), "cr2: asked for")):
        finding = honest(judged, bounds=[0.0], weighting="event_time")
        printed = judged.att("event_time").tidy().iloc[0]
        half = (printed["conf_high"] - printed["conf_low"]) / 2
        slack = 0.03 * half  # simulated first stage of one tenth of the level
        row = finding.table.iloc[0]
        assert row["conf_low"] == pytest.approx(printed["estimate"] - half, abs=slack)
        assert row["conf_high"] == pytest.approx(printed["estimate"] + half, abs=slack)
        assert words in finding.notes[1]


def test_the_whole_event_study_is_scaled_as_the_effect(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=5)
    result = SunAbraham().fit(design_of(frame, clusters="province"))
    own = event_path(result)
    path, notes = judged_path(result)
    printed = result.att().tidy().iloc[0]
    factor = (printed["conf_high"] - printed["conf_low"]) / (2 * 1.959964 * own.std_error)
    np.testing.assert_allclose(path.covariance, factor**2 * own.covariance, rtol=1e-6)
    assert (path.df, f"times {factor:.2f}" in notes[0]) == (None, True)
    large, none = judged_path(result.infer("cr1"))
    np.testing.assert_allclose(large.widened(0.95), own.widened(0.95), rtol=1e-9)
    assert "cr1: asked for" in none[0]


@pytest.mark.parametrize("analysis", [honest, pretrends])
def test_one_treated_cluster_shows_no_event_study(make_frame, design_of, analysis):
    frame = make_frame(by_province=True, n_provinces=66, n_firms=2)
    frame = frame[frame["cohort"].isna() | (frame["province"] == 0)]
    result = CallawaySantAnna().fit(design_of(frame, clusters="province"))
    with pytest.raises(InferenceError, match="1 cluster in the smaller arm cannot show how far"):
        analysis(result)
    assert "cr1: asked for" in analysis(result.infer("cr1")).notes[1]


def test_an_effect_without_an_interval_has_no_honest_one(make_frame, design_of):
    frame = make_frame(by_province=True, n_provinces=5, n_firms=5)
    frame = frame[(frame["cohort"] != 2015) & (frame["year"] < 2014) & (frame["year"] > 2010)]
    result = CallawaySantAnna().fit(design_of(frame, clusters="province"))
    with pytest.raises(InferenceError, match="the printed effect has no bounded 95% interval"):
        honest(result)


def test_finding_reports_the_problem_it_states(fitted):
    finding = honest(fitted, restriction="smoothness", bounds=[0.0, 0.1], bias="positive")
    path = event_path(fitted)
    problem = HonestProblem(
        path.estimate, path.widened(0.95), path.n_pre, target=path.target,
        restriction="smoothness", bias="positive",
    )  # fmt: skip
    sets = problem.intervals([0.0, 0.1])
    np.testing.assert_array_equal(finding.table["conf_low"], sets.low)
    assert finding.statistic == problem.breakdown()
    assert "inference: c-f" in finding.notes[0]


def test_sentences_say_what_was_found(make_frame, design_of):
    strong = honest(CallawaySantAnna().fit(design_of(make_frame(effect=3.0))))
    assert strong.statistic > 0.5
    assert "times the largest deviation seen before treatment" in strong.sentence
    none = honest(CallawaySantAnna().fit(design_of(make_frame(effect=0.0, seed=3))))
    assert np.isnan(none.statistic)
    assert "cannot be told from zero even under parallel trends" in none.sentence
    bent = honest(CallawaySantAnna().fit(design_of(make_frame())), restriction="smoothness")
    assert "a slope that changes by" in bent.sentence


def test_default_bounds_of_smoothness_are_in_outcome_units(make_frame, design_of):
    frame = make_frame()
    small = honest(CallawaySantAnna().fit(design_of(frame)), restriction="smoothness")
    frame["y"] *= 1000
    large = honest(CallawaySantAnna().fit(design_of(frame)), restriction="smoothness")
    np.testing.assert_allclose(large.table, 1000 * small.table, rtol=1e-6)
    np.testing.assert_allclose(large.statistic, 1000 * small.statistic, rtol=1e-3)


def test_figures_draw(fitted):
    assert honest(fitted).figure().get_xlabel() == "Mbar"
    assert pretrends(fitted).figure().get_ylabel() == "Effect"


def test_more_coefficients_than_clusters_are_refused(make_frame, design_of):
    frame = make_frame(n_provinces=6, n_firms=5, by_province=True)
    with pytest.raises(InferenceError, match="fewer clusters than coefficients"):
        honest(CallawaySantAnna().fit(design_of(frame, clusters="province")).infer("cr1"))


def test_pretrends_reports_slope_power_and_bias(make_frame, design_of):
    result = CallawaySantAnna().fit(design_of(make_frame()))
    finding = pretrends(result, power=(0.5, 0.8), slopes=(0.0,))
    table, path = finding.table, event_path(result)
    np.testing.assert_allclose(table["power"][:2], [0.5, 0.8], atol=1e-6)
    distance = path.times[path.n_pre :] - path.reference
    np.testing.assert_allclose(table["bias"], table["slope"] * (path.target @ distance), atol=1e-12)
    zero = table.iloc[2]
    assert zero["power"] < 0.3
    assert zero[["pass_ratio", "likelihood_ratio"]].tolist() == pytest.approx([1.0, 1.0])
    assert zero["bias_if_passed"] == pytest.approx(0.0, abs=1e-3)


def test_pretrends_equal_simulation(make_frame, design_of):
    """Power and the bias among samples that pass, by drawing event studies."""
    result = CallawaySantAnna().fit(design_of(make_frame()))
    path = event_path(result)
    row = pretrends(result).table.iloc[1]
    trend = row["slope"] * (path.times - path.reference)
    draws = np.random.default_rng(0).multivariate_normal(trend, path.covariance, 200_000)
    limits = 1.959964 * np.sqrt(np.diag(path.covariance))[: path.n_pre]
    passed = (np.abs(draws[:, : path.n_pre]) <= limits).all(axis=1)
    error = 4 * np.sqrt(0.2 * 0.8 / 200_000)
    assert passed.mean() == pytest.approx(1 - row["power"], abs=error)
    effects = draws[passed][:, path.n_pre :] @ path.target
    error = 4 * effects.std() / np.sqrt(len(effects))
    assert effects.mean() == pytest.approx(row["bias_if_passed"], abs=error)


def test_estimates_without_event_times_are_refused(make_frame, design_of):
    result = CallawaySantAnna(base_period="varying").fit(design_of(make_frame()))
    with pytest.raises(DesignError, match="honest applies to estimates with an event study"):
        honest(result)
    with pytest.raises(DesignError, match="pretrends applies to"):
        pretrends(result)
