"""Paths that donors miss before treatment: no interval, no rank, the reason in words."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import EstimationError
from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
from impact.estimators.interactive_fixed_effects import InteractiveFixedEffects
from impact.estimators.matrix_completion import MatrixCompletion
from impact.estimators.parts import refits
from impact.estimators.parts.misfit import held_out
from impact.estimators.synthetic_control import SyntheticControl
from impact.estimators.synthetic_did import SyntheticDiD

FIRST = 14
EFFECT = 3.0


def outcomes(seed=1, n=21, periods=20, levels=1.0):
    rng = np.random.default_rng(seed)
    common = 0.3 * rng.normal(size=(1, periods)).cumsum(axis=1)
    return levels * rng.normal(size=(n, 1)) + common + 0.5 * rng.normal(size=(n, periods))


def design_of(y, starts):
    n, periods = y.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i}" for i in range(n)], periods),
            "time": np.tile(np.arange(periods), n),
            "y": y.ravel(),
            "since": np.repeat([starts.get(i, np.nan) for i in range(n)], periods),
        }
    )
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="since")


def moved(shift, **settings):
    y = outcomes(**settings)
    y[0] += shift
    y[0, FIRST:] += EFFECT
    return design_of(y, {0: float(FIRST)})


@pytest.mark.parametrize("method", [SyntheticControl(), AugmentedSyntheticControl()])
def test_a_unit_far_from_its_donors_gets_an_estimate_without_interval_or_rank(method):
    result = method.fit(moved(100.0))
    row = result.att().tidy().iloc[0]
    assert row["estimate"] > 10.0
    assert row[["std_error", "p_value", "conf_low", "conf_high"]].isna().all()
    assert row["inference"] == "none"
    said = str(result.att())
    assert "No inference: before treatment the synthetic unit misses u0 by" in said
    assert "demean=True or SyntheticDiD" in said
    assert "Rank of the average effect" not in said
    assert result.event_study().tidy()["p_value"].isna().all()
    assert np.isnan(result.att().std_errors).all()
    assert result.att().infer("placebo").tidy()["p_value"].isna().all()


@pytest.mark.parametrize("method", [SyntheticControl(demean=True), SyntheticDiD()])
def test_methods_that_let_levels_differ_keep_their_inference(method):
    near, far = (method.fit(moved(shift)).att().tidy().iloc[0] for shift in (0.0, 100.0))
    assert far["p_value"] == near["p_value"] == pytest.approx(1 / 21)
    assert far["conf_low"] < EFFECT < far["conf_high"]


def test_a_demeaned_path_that_donors_miss_is_not_sent_to_demeaning():
    y = outcomes()
    y[0] += 10.0 * np.arange(y.shape[1])
    said = str(SyntheticControl(demean=True).fit(design_of(y, {0: float(FIRST)})).att())
    assert "No inference" in said
    assert "demean=True" not in said
    assert "SyntheticDiD weighs periods too" in said


@pytest.mark.parametrize("effect", [0.0, EFFECT, 1000.0])
def test_the_outcome_after_treatment_has_no_part_in_the_decision(effect):
    for shift, none in ((0.0, False), (100.0, True)):
        y = outcomes()
        y[0] += shift
        y[0, FIRST:] += effect
        att = SyntheticControl().fit(design_of(y, {0: float(FIRST)})).att()
        assert np.isnan(att.tidy()["p_value"].item()) == none


def test_the_gap_before_is_ranked_by_hand_among_gaps_after():
    fit = SyntheticControl().fit(moved(0.0)).extra["fit"]
    after = fit.placebos[fit.placebos["time"] >= FIRST]
    largest = np.sqrt((after["gap"] ** 2).groupby(after["unit"]).mean()).max()
    told = []
    for shift in np.linspace(0.0, 4.0, 9):
        fitted = SyntheticControl().fit(moved(shift))
        told.append(not np.isnan(fitted.att().tidy()["p_value"].item()))
        assert told[-1] == (fitted.extra["fit"].quality["rmspe_before"].item() < largest)
    assert told[0]
    assert not told[-1]


def test_of_several_cohorts_the_missed_one_is_named():
    y = outcomes(n=30)
    y[0] += 100.0
    result = SyntheticControl(draws=60).fit(design_of(y, {0: 12.0, 1: 15.0, 2: 15.0}))
    said = str(result.att())
    assert "misses u0 by" in said
    assert "cohort of 15" not in said
    y[1:3] += 100.0
    said = str(SyntheticControl(draws=60).fit(design_of(y, {0: 12.0, 1: 15.0, 2: 15.0})).att())
    assert "the cohort of 15 by" in said


def test_many_cohorts_are_not_missed_by_their_number():
    """Ten cohorts of one unit whose levels differ as donors' do: each is judged at 5 % / 10."""
    starts = {k: 8.0 + k for k in range(10)}
    none = [
        "No inference" in str(SyntheticControl(draws=200, seed=seed).fit(design).att())
        for seed in range(6)
        for design in [design_of(outcomes(seed, n=40), starts)]
    ]
    assert sum(none) <= 1


def test_a_perfect_fit_is_no_misfit_however_the_placebos_do():
    rng = np.random.default_rng(4)
    y = np.tile(rng.normal(size=(1, 20)).cumsum(axis=1), (12, 1)) + 1000.0
    y[0, FIRST:] += EFFECT
    att = SyntheticControl().fit(design_of(y, {0: float(FIRST)})).att()
    assert "No inference" not in str(att)


LETTING_LEVELS_DIFFER = [
    SyntheticControl(demean=True),
    SyntheticDiD(),
    InteractiveFixedEffects(rank=0, inference="placebo"),
    MatrixCompletion(penalty=0.05, inference="placebo"),
]


def trending(slope, effect=EFFECT, **settings):
    y = outcomes(**settings)
    y[0] += slope * np.arange(y.shape[1])
    y[0, FIRST:] += effect
    return design_of(y, {0: float(FIRST)})


@pytest.mark.parametrize("method", LETTING_LEVELS_DIFFER)
def test_a_trend_that_donors_lack_leaves_effects_unread(method):
    near, far = (method.fit(trending(slope)) for slope in (0.0, 0.4))
    assert near.att().tidy()["p_value"].item() == pytest.approx(1 / 21)
    row = far.att().tidy().iloc[0]
    assert row[["std_error", "p_value", "conf_low", "conf_high"]].isna().all()
    said = str(far.att())
    assert "No inference: " in said
    assert "misses u0 by" in said
    assert "Rank of the average effect" not in said


@pytest.mark.parametrize("method", LETTING_LEVELS_DIFFER)
@pytest.mark.parametrize("effect", [0.0, 1000.0])
def test_what_happens_after_treatment_does_not_decide_whether_a_trend_is_seen(method, effect):
    for slope, none in ((0.0, False), (0.2, True)):
        att = method.fit(trending(slope, effect)).att()
        assert np.isnan(att.tidy()["p_value"].item()) == none


def test_an_effect_found_too_early_is_the_difference_in_differences_before_treatment():
    """Without factors: the change from the first eight periods to the six held out, by hand."""
    y = outcomes() + np.outer(np.arange(21) == 0, 0.2 * np.arange(20))
    change = y[:, 8:FIRST].mean(axis=1) - y[:, :8].mean(axis=1)
    gap = change[0] - change[1:].mean()
    fitted = InteractiveFixedEffects(rank=0, inference="placebo").fit(trending(0.2))
    last = "on average in the last 6 periods before treatment, which among 20 placebos"
    assert f"misses u0 by {gap:.4g} {last}" in fitted.uncertainty.doubt


def test_the_periods_held_out_leave_as_many_and_two_before_them():
    pre = np.arange(20) < 14
    assert np.flatnonzero(held_out(pre, 6)).tolist() == [8, 9, 10, 11, 12, 13]
    assert np.flatnonzero(held_out(pre, 9)).tolist() == [7, 8, 9, 10, 11, 12, 13]
    assert np.flatnonzero(held_out(pre, 1)).tolist() == [13]
    assert np.flatnonzero(held_out(np.arange(5) < 3, 2)).tolist() == [2]
    assert not held_out(np.arange(5) < 2, 3).any()


def test_of_several_cohorts_the_one_with_a_trend_is_named():
    y = outcomes(n=40)
    y[1:3] += 0.5 * np.arange(20)
    design = design_of(y, {0: 12.0, 1: 15.0, 2: 15.0})
    for method in LETTING_LEVELS_DIFFER:
        said = method.fit(design).uncertainty.doubt
        assert "the cohort of 15 by" in said
        assert "u0 by" not in said


def test_where_the_earlier_fit_cannot_be_had_nothing_is_found(monkeypatch):
    def refuse(*_):
        raise EstimationError("too little is known")

    monkeypatch.setattr(refits, "average_gaps", refuse)
    method = InteractiveFixedEffects(rank=0, inference="placebo")
    assert method.fit(trending(0.4)).uncertainty.doubt == ""


@pytest.mark.parametrize(("shift", "slope"), [(100.0, 0.0), (0.0, 0.4)])
def test_prediction_intervals_are_withheld_where_the_fit_before_treatment_is_missed(shift, slope):
    told = SyntheticControl().prediction_intervals(trending(0.0), draws=50)
    assert told[["conf_low", "conf_high"]].notna().all(axis=None)
    assert (told["note"] == "").all()
    y = outcomes()
    y[0] += shift + slope * np.arange(y.shape[1])
    frame = SyntheticControl().prediction_intervals(design_of(y, {0: float(FIRST)}), draws=50)
    assert frame["estimate"].notna().all()
    assert frame[["conf_low", "conf_high", "weights_low", "weights_high"]].isna().all(axis=None)
    assert frame["note"].str.contains("misses u0 by").all()


@pytest.mark.slow
@pytest.mark.parametrize("method", [SyntheticDiD(), SyntheticControl(demean=True)])
def test_inference_is_seldom_withheld_without_a_trend_and_mostly_with_one(method):
    """60 samples: of units like their donors at most 3 times the nominal 5 %; of trends most."""
    for slope, least, most in ((0.0, 0.0, 0.15), (0.2, 0.75, 1.0)):
        withheld = [
            bool(method.fit(trending(slope, 0.0, seed=seed)).uncertainty.doubt)
            for seed in range(60)
        ]
        assert least <= np.mean(withheld) <= most


@pytest.mark.slow
def test_size_is_that_of_the_ranks_where_donors_are_near_and_below_it_where_levels_differ():
    """19 donors, no effect: rejections at the smallest p, and how often nothing is told."""
    draws, nominal = 200, 1 / 20
    error = 3.0 * np.sqrt(nominal * (1 - nominal) / draws)
    for levels, least in ((0.0, nominal - error), (1.0, 0.0)):
        p = np.array(
            [
                SyntheticControl()
                .fit(design_of(outcomes(seed, n=20, levels=levels), {0: float(FIRST)}))
                .att()
                .tidy()["p_value"]
                .item()
                for seed in range(draws)
            ]
        )
        assert least <= np.mean(p <= nominal + 1e-9) <= nominal + error
        assert np.isnan(p).mean() <= nominal + error
