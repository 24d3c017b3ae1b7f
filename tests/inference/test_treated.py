"""Estimates that rest on few treated clusters within large designs, and on some clusters alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from impact import (
    CallawaySantAnna,
    Design,
    EffectsByGroup,
    FirstDifference,
    Imputation,
    MatrixCompletion,
    MeanGroup,
    Panel,
    PoissonFixedEffects,
    SlopesByGroup,
    TwoWayFixedEffects,
)
from impact.errors import InferenceError
from impact.inference.treated import cohort_weights, effective_treated

HIGHEST_SIZE = 0.085
"""5 % and 2.5 standard errors of a share among 250 samples; own standard errors reject 20 %."""


def _design(first, n_periods=7, seed=0, keep=None, outcome=None, **columns):
    rng = np.random.default_rng(seed)
    n_units = len(first)
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_units), n_periods),
            "time": np.tile(np.arange(n_periods), n_units),
            "first": np.repeat(np.asarray(first, dtype=float), n_periods),
        }
    )
    for name, values in columns.items():
        frame[name] = np.repeat(values, n_periods)
    frame["y"] = rng.normal(size=len(frame)) + np.repeat(rng.normal(size=n_units), n_periods)
    if outcome is not None:
        frame["y"] = outcome(rng, frame)
    frame = frame if keep is None else frame[keep(frame)]
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="first")


def _staggered(small, **options):
    return _design([3.0] * small + [5.0] * 60 + [np.nan] * (80 - small), **options)


def _single(treated, total, **options):
    return _design([3.0] * treated + [np.nan] * (total - treated), **options)


def _seen_once(frame):
    return (frame["unit"] < frame["unit"].max()) | (frame["time"] == 0)


def test_cohorts_that_labels_average():
    labels = np.array(
        [
            [4, 5, 1],
            [np.nan, np.nan, 2],
            [np.nan, 4, np.nan],
            [np.nan, np.nan, np.nan],
            [np.nan, np.nan, 9],
        ]
    )
    found = cohort_weights(labels, np.array([4.0, 6.0]), np.array([1.0, 3.0]), np.arange(1.0, 8.0))
    expected = [[1, 0], [1, 0], [1, 0], [0.25, 0.75], [0, 0]]
    np.testing.assert_array_equal(found, expected)


def test_effective_treated_clusters():
    clusters = np.array([2.0, 60.0])
    weights = np.array([[2 / 62, 60 / 62], [1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    found = effective_treated(weights, clusters)
    by_hand = (1 / 2 + 1 / 60) ** 2 / (1 / 2**3 + 1 / 60**3)
    np.testing.assert_allclose(found, [62.0, 2.0, by_hand, np.inf], rtol=1e-12)


@pytest.mark.parametrize("small", [1, 2, 3, 5, 14])
def test_small_cohorts_do_not_keep_their_own_standard_errors(small):
    result = CallawaySantAnna().fit(_staggered(small))
    for view in (result, result.by("cohort")):
        frame = view.tidy()
        known = ~np.isnan(view.std_errors)
        thin = (frame["cohort"] == 3).to_numpy() & known
        expected = "permutation_by_size" if small == 1 else "permutation"
        assert set(frame.loc[thin, "inference"]) == {expected}
        assert set(frame.loc[~thin & known, "inference"]) == {"own"}
        assert frame.loc[thin, "band_low"].isna().all()
        assert frame.loc[~thin & known, "band_low"].notna().all()
    study = result.event_study().tidy().set_index("event_time")["inference"]
    assert (study.loc[2], study.loc[0]) == (expected, "own")
    assert "inference" not in result.att().tidy()


def test_fifteen_treated_clusters_keep_their_own():
    assert "inference" not in CallawaySantAnna().fit(_staggered(15)).tidy()


def test_own_standard_errors_print_when_asked_for():
    result = CallawaySantAnna().fit(_staggered(3)).by("cohort")
    asked = result.infer("cr1").tidy()
    np.testing.assert_array_equal(asked["std_error"], result.std_errors)
    assert np.isfinite(asked["p_value"]).all()


def test_equal_weights_rest_on_the_smallest_cohort():
    result = CallawaySantAnna().fit(_staggered(2)).att("event_time")
    assert result.tidy()["inference"].tolist() == ["none"]
    assert "the smaller arm has about 2 clusters" in result.summary()
    assert 'infer("cr1") prints with them' in result.summary()


def test_estimates_without_mean_paths_or_regression_have_no_p_value():
    frame = Imputation().fit(_staggered(3)).by("cohort").tidy().set_index("cohort")
    assert frame["inference"].to_dict() == {3.0: "none", 5.0: "own"}
    assert np.isnan(frame.loc[3.0, "p_value"])
    assert np.isfinite(frame.loc[3.0, "estimate"])


def test_hundreds_of_clusters_of_several_units_do_not_hide_a_small_cohort():
    first = [3.0] * 6 + [5.0] * 440 + [np.nan] * 440
    places = np.repeat(np.arange(443), 2)
    frame = _design(first, n_periods=6, place=places).panel.frame
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="y", cohort="first", clusters="place"
    )
    found = Imputation().fit(design).tidy().set_index(["cohort", "time"])["inference"]
    assert (found.loc[3.0, 5], found.loc[5.0, 5]) == ("none", "own")


def test_views_where_units_move_between_clusters():
    design = _staggered(3)
    frame = design.panel.frame.assign(place=lambda f: (f["unit"] + (f["time"] > 4)) // 2)
    moving = Design(
        Panel(frame, unit="unit", time="time"), outcome="y", cohort="first", clusters="place"
    )
    result = TwoWayFixedEffects(effect="event_study", accept_forbidden_comparisons=True).fit(moving)
    assert np.isfinite(result.att().estimates).all()


def test_large_panels_do_not_wait_for_other_methods(monkeypatch):
    monkeypatch.setattr("impact.result.judgement.CHEAP", 139)
    frame = CallawaySantAnna().fit(_staggered(3)).by("cohort").tidy()
    assert frame["inference"].tolist() == ["none", "own"]


def test_joint_tests_of_small_cohorts_are_for_few_clusters():
    result = CallawaySantAnna().fit(_staggered(3))
    early = (result.cells["cohort"] == 3) & (result.cells["time"] == 0)
    test = result.joint_test(early.to_numpy())
    assert test.note == "Hotelling's F for few clusters"
    many = (result.cells["cohort"] == 5) & (result.cells["time"] == 0)
    assert result.joint_test(many.to_numpy()).note == ""
    assert np.isnan(result.joint_test(~np.isnan(result.std_errors)).p_value)


def test_subgroups_with_few_treated_units():
    treated = np.where(np.arange(120) % 2, np.arange(120) < 110, np.arange(120) < 4)
    design = _design(np.where(treated, 3.0, np.nan), kind=np.arange(120) % 2)
    slopes = SlopesByGroup(by="kind").fit(design).tidy().set_index("term")["inference"]
    assert slopes.tolist() == ["none", "none", "own"]
    groups = EffectsByGroup(by="kind", estimator=TwoWayFixedEffects()).fit(design)
    assert groups.tidy().set_index("term").loc["all units", "inference"] == "own"
    assert groups.tidy()["n_treated"].tolist()[1:] == [2, 55]
    assert groups.tidy()["inference"].tolist()[1] != "own"


@pytest.mark.parametrize("method", [None, "auto"])
def test_clusters_an_estimator_leaves_out_do_not_count(method):
    design = _single(3, 34, n_periods=4, keep=_seen_once)
    estimator = FirstDifference(time_effects=True)
    result = estimator.fit(design)
    assert len(result.clusters_used) == 33
    found = result if method is None else result.infer(method)
    frame = found.tidy().set_index("term")
    assert frame.loc["treated", "inference"] == "permutation"
    whole = estimator.fit(_single(3, 34, n_periods=4, keep=lambda f: f["unit"] < 33))
    expected = whole.tidy().set_index("term")
    for column in ("estimate", "p_value"):
        np.testing.assert_allclose(
            frame.loc["treated", column], expected.loc["treated", column], rtol=1e-10
        )


def test_units_of_zeros_leave_a_poisson_regression():
    def counts(rng, frame):
        return np.where(frame["unit"] == 33, 0, rng.poisson(3, len(frame)))

    result = PoissonFixedEffects().fit(_single(3, 34, outcome=counts))
    assert len(result.clusters_used) == 33
    assert result.tidy()["inference"].tolist() == ["none"]
    assert np.isfinite(result.infer("cr1").tidy()["p_value"]).all()


def test_many_clusters_left_out_of_a_large_design_change_nothing():
    result = FirstDifference().fit(_single(60, 140, keep=_seen_once))
    assert len(result.clusters_used) == 139
    assert "inference" not in result.tidy()


def test_slopes_of_units_keep_their_own_law():
    def half(frame):
        return (frame["unit"] != 0) | (frame["time"] < 3)

    dates = [2.0, 3.0, 4.0, 5.0] * 5 + [np.nan] * 4
    result = MeanGroup(common_factors=True).fit(_design(dates, n_periods=9, keep=half))
    assert result.uncertainty.n_clusters < 24
    assert "inference" not in result.tidy()


def test_unknown_clusters_are_told_and_other_methods_refused():
    result = replace(FirstDifference().fit(_single(3, 34, keep=_seen_once)), clusters_used=None)
    assert set(result.tidy()["inference"]) == {"none"}
    assert "rests on 33 of the design's 34 clusters, not known which" in result.summary()
    assert np.isfinite(result.infer("cr1").tidy()["p_value"]).all()
    with pytest.raises(InferenceError, match="rests on 33 of the design's 34 clusters"):
        result.infer("wild")


def test_few_replicates_are_read_by_t():
    result = MatrixCompletion(penalty=1e-3).fit(_single(3, 20)).att()
    frame = result.tidy().iloc[0]
    assert frame["df"] == 2
    half = (frame["conf_high"] - frame["conf_low"]) / 2
    np.testing.assert_allclose(half / frame["std_error"], 4.302652729911275, rtol=1e-9)
    assert frame["std_error"] == result.std_errors[0]
    assert "t (fewer than 15 treated clusters, less one)" in result.summary()


@pytest.mark.slow
@pytest.mark.parametrize("small", [2, 3])
def test_size_of_small_cohorts(small):
    views = []
    for seed in range(250):
        result = CallawaySantAnna().fit(_staggered(small, seed=seed)).by("cohort")
        views.append(result.tidy()["p_value"].iloc[0])
    share = np.mean(np.array(views) < 0.05)
    assert 0.01 < share < HIGHEST_SIZE


@pytest.mark.slow
def test_size_where_a_unit_is_seen_once():
    found = []
    for seed in range(250):
        result = FirstDifference(time_effects=True).fit(
            _single(3, 34, n_periods=4, seed=seed, keep=_seen_once)
        )
        found.append(result.tidy().set_index("term").loc["treated", "p_value"])
    assert 0.01 < np.mean(np.array(found) < 0.05) < HIGHEST_SIZE


@pytest.mark.slow
def test_size_of_few_replicates():
    found = []
    for seed in range(60):
        result = MatrixCompletion(penalty=1e-3).fit(_single(3, 20, seed=seed)).att()
        found.append(result.tidy()["p_value"].iloc[0])
    assert np.mean(np.array(found) < 0.05) < 0.12
