"""Inference that the clusters at hand cannot give, asked for by name of a result."""

import numpy as np
import pytest

from impact import (
    CallawaySantAnna,
    Design,
    Imputation,
    Panel,
    StackedDiD,
    SyntheticDiD,
    TwoWayFixedEffects,
    simulate,
)
from impact.errors import InferenceError


def frame_of(n_treated, n_clusters=20, seed=3):
    return simulate.staggered_panel(
        seed,
        n_units=n_clusters * 3,
        periods=6,
        cohorts={4: n_treated / n_clusters},
        n_clusters=n_clusters,
        assigned_by="cluster",
        cluster_noise=0.5,
    ).frame


def effect_of(estimator, frame, **stated):
    given = {"outcome": "outcome", "cohort": "cohort", "clusters": "cluster"} | stated
    return estimator.fit(Design(Panel(frame, unit="unit", time="time"), **given)).att()


@pytest.mark.parametrize("method", ["cr2", "cr3", "wild", "wild_unrestricted", "pairs"])
@pytest.mark.parametrize("estimator", [CallawaySantAnna(), Imputation()])
def test_one_treated_cluster_with_a_method_that_needs_two(estimator, method):
    one = effect_of(estimator, frame_of(1))
    with pytest.raises(
        InferenceError,
        match=r"of 20 clusters, 1 treated, one alone .*ferman_pinto|"
        r"Cluster number \d+ of \d+ is alone in its arm",
    ):
        one.infer(method, draws=99)
    assert one.infer("ferman_pinto", draws=99).tidy()["p_value"][0] > 0
    assert effect_of(estimator, frame_of(2)).infer(method, draws=99).tidy()["p_value"][0] > 0


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("cr2", "1 treated, one alone identifies"),
        ("cr3", r"1 cluster \(number \d+, counting from 0\) alone"),
        ("wild", r"cannot be estimated without cluster \d+ .*identifies it alone"),
        ("wild_unrestricted", r"cannot be estimated without cluster \d+"),
        ("wild_subcluster", r"cannot be estimated without cluster \d+"),
        ("pairs", "resamples leave coefficients unidentified"),
    ],
)
def test_a_contrast_of_a_regression_that_one_cluster_identifies_alone(method, words):
    one = effect_of(TwoWayFixedEffects(), frame_of(1))
    with pytest.raises(InferenceError, match=words):
        one.infer(method, draws=99)


def test_permutation_without_exchangeable_clusters():
    frame = frame_of(4)
    frame["same"] = frame["cohort"].notna().astype(int)
    result = effect_of(CallawaySantAnna(), frame)
    with pytest.raises(InferenceError, match="no reassignment differs from the actual one"):
        result.infer("permutation", strata="same")
    shown = result.infer("auto", strata="same")
    assert shown.tidy()["inference"].tolist() == ["none"]
    assert shown.tidy()["p_value"].isna().all()
    assert "only 1 reassignments" in shown.summary()
    within = frame.assign(cohort=np.where(frame["unit"] % 3 == 0, 4.0, np.nan))
    mixed = effect_of(TwoWayFixedEffects(), within)
    late = frame.assign(on=((frame["cohort"] == 4) & (frame["time"] == 4)).astype(int))
    reversing = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    stopped = effect_of(reversing, late, cohort=None, treated="on")
    for result, why in (
        (mixed, "no difference of mean paths|different times for units of one cluster"),
        (stopped, "switches off again"),
    ):
        for method in ("permutation", "permutation_by_size", "ferman_pinto", "conley_taber"):
            with pytest.raises(InferenceError, match=rf'"{method}" compares whole .*({why})'):
                result.infer(method)


def test_cohorts_pooled_by_contributions_are_not_compared_with_comparison_clusters():
    """A stack of two cohorts: Conley and Taber's test rejected a true null in 20 % of samples."""
    frame = frame_of(8)
    treated = np.unique(frame.loc[frame["cohort"].notna(), "cluster"])
    frame = frame.assign(cohort=frame["cohort"].where(~frame["cluster"].isin(treated[::2]), 6.0))
    stack = effect_of(StackedDiD(), frame)
    for method in ("conley_taber", "ferman_pinto"):
        with pytest.raises(InferenceError, match=r'averages cohorts .*Use method="permutation"'):
            stack.infer(method)
    one = effect_of(StackedDiD(), frame[frame["cohort"] != 6.0])
    assert one.infer("conley_taber", draws=99).tidy()["p_value"][0] > 0


def test_advice_names_a_method_that_the_estimate_has():
    frame = frame_of(2)
    synthetic = effect_of(SyntheticDiD(draws=40), frame, clusters="unit")
    for method in ("wild", "permutation", "cr2"):
        with pytest.raises(InferenceError, match=r'Use method="placebo"'):
            synthetic.infer(method)


def test_sets_that_no_grid_brackets_are_unbounded_and_say_so():
    """With 11 reassignments no effect is rejected at 5 %: every value belongs to the set."""
    shown = effect_of(CallawaySantAnna(), frame_of(1, n_clusters=11)).infer("permutation")
    row = shown.tidy().iloc[0]
    assert (row["conf_low"], row["conf_high"]) == (-np.inf, np.inf)
    assert row["p_value"] >= 1 / 11
    narrow = shown.tidy(0.8).iloc[0]
    assert np.isfinite([narrow["conf_low"], narrow["conf_high"]]).all()


def test_too_few_draws_for_the_level_leave_the_set_unbounded():
    regression = effect_of(TwoWayFixedEffects(), frame_of(8))
    row = regression.infer("wild_unrestricted", draws=9).tidy().iloc[0]
    assert (row["conf_low"], row["conf_high"]) == (-np.inf, np.inf)
    assert row["p_value"] >= 0.1
