"""Result: views, chaining, tables, texts and refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from impact import (
    CallawaySantAnna,
    Design,
    HeterogeneousAdoption,
    Panel,
    PooledOLS,
    SwitchersDiD,
    simulate,
)
from impact.errors import DesignError, EstimationError, InferenceError, PanelError
from impact.result import JointTest


@pytest.fixture(scope="module")
def result():
    truth = simulate.staggered_panel(11, n_units=200, periods=7, cohorts=(3, 5, 6), effect=1.0)
    design = Design(
        Panel(truth.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort"
    )
    return CallawaySantAnna().fit(design)


def test_views_are_results_and_chain(result):
    study = result.event_study()
    assert type(study) is type(result)
    after = study.cells["event_time"] >= 0
    assert result.att("event_time").estimates[0] == pytest.approx(study.estimates[after].mean())
    by_cohort = result.by("cohort")
    assert by_cohort.att().estimates[0] == pytest.approx(
        result.att("cohort").estimates[0], rel=1e-12
    )
    assert by_cohort.att().std_errors[0] == pytest.approx(
        result.att("cohort").std_errors[0], rel=1e-12
    )
    assert study.att().std_errors[0] == pytest.approx(result.att("event_time").std_errors[0])
    assert study.event_study().estimates == pytest.approx(study.estimates, nan_ok=True)


def test_standard_errors_of_averages_include_the_shares(result):
    """Contributions of an average, rebuilt by hand from cells and cohort indicators."""
    view = result.att("cell")
    after = (result.cells["event_time"] >= 0).to_numpy()
    shares, cohorts = result.shares, result.design.cohorts
    p = shares[result.cells["cohort"]].to_numpy() * after
    psi = result.uncertainty.contributions()[:, : len(result)]
    theta = p @ result.estimates / p.sum()
    by_hand = psi @ (p / p.sum())
    for cohort, share in shares.items():
        own = after & (result.cells["cohort"] == cohort).to_numpy()
        slope = (result.estimates[own] - theta).sum() / p.sum()
        by_hand = by_hand + slope * ((cohorts == cohort) - share) / len(cohorts)
    assert view.std_errors[0] == pytest.approx(np.sqrt((by_hand**2).sum()), rel=1e-10)


def test_balanced_event_study_keeps_the_same_cohorts_at_every_point(result):
    study = result.event_study(balanced=2)
    kept = result.cells[result.cells["cohort"].isin([3, 5])]
    assert study.cells["event_time"].max() == 2
    at_two = kept[kept["event_time"] == 2]
    weights = result.shares[at_two["cohort"]].to_numpy()
    expected = np.average(at_two["estimate"], weights=weights)
    assert study.tidy().set_index("event_time").loc[2, "estimate"] == pytest.approx(expected)
    with pytest.raises(EstimationError, match="none with balanced=9"):
        result.event_study(balanced=9)


def test_tidy_columns_and_levels(result):
    tidy = result.event_study().tidy()
    assert list(tidy.columns) == [
        "term", "event_time", "estimate", "std_error", "statistic", "df", "p_value", "conf_low",
        "conf_high", "band_low", "band_high",
    ]  # fmt: skip
    wide, narrow = result.att().tidy(0.99), result.att().tidy(0.5)
    assert (
        wide["conf_low"][0] < narrow["conf_low"][0] < narrow["conf_high"][0] < wide["conf_high"][0]
    )
    with pytest.raises(InferenceError, match="share between 0 and 1"):
        result.tidy(95)


def test_covariance_is_labelled_and_matches_standard_errors(result):
    V = result.by("cohort").covariance()
    assert list(V.index) == ["cohort 3", "cohort 5", "cohort 6"]
    np.testing.assert_allclose(np.sqrt(np.diag(V)), result.by("cohort").std_errors)


def test_minimum_detectable_effect_is_the_textbook_multiple(result):
    att = result.att()
    assert att.minimum_detectable_effect()[0] == pytest.approx(
        2.801585218 * att.std_errors[0], rel=1e-8
    )


def test_texts_name_estimand_sample_and_inference(result):
    text = result.att().summary()
    for words in (
        "CallawaySantAnna",
        "averaged by cohort",
        "outcome outcome",
        "200 clusters by unit",
        "Compared with units not yet or never treated",
    ):
        assert words in text
    assert result.att().to_latex().startswith("\\begin{tabular}{lrrrrrrr}")
    assert result.to_markdown().count("\n") == len(result) + 1
    assert "<caption>CallawaySantAnna" in result._repr_html_()


def test_plots_draw_what_the_result_holds(result):
    import matplotlib.pyplot as plt

    study = result.event_study().plot()
    assert study.get_xlabel() == "Periods since treatment began"
    assert result.plot().size == 3
    assert result.by("cohort").plot().get_xlabel() == "Effect on outcome"
    plt.close("all")


def test_questions_the_cells_do_not_answer_are_refused(result):
    with pytest.raises(DesignError, match=r'weighting may be .* Did you mean "cohort"\?'):
        result.att("cohorts")
    with pytest.raises(EstimationError, match="none of the 1 estimate is of that kind"):
        result.att().pre_trends_test()
    with pytest.raises(EstimationError, match="cannot be averaged by cohort"):
        result.att("event_time").by("cohort")
    with pytest.raises(EstimationError, match='cannot be averaged with weighting="cohort"'):
        result.event_study().att("cohort")


def test_cells_without_the_agreed_columns_are_refused(result):
    from dataclasses import replace

    with pytest.raises(EstimationError, match="cells without weight, note"):
        replace(
            result, cells=pd.DataFrame(columns=["term", "cohort", "time", "event_time", "estimate"])
        )


@pytest.fixture(scope="module")
def few():
    truth = simulate.staggered_panel(
        1,
        n_units=34 * 4,
        periods=6,
        cohorts={4: 2 / 34},
        n_clusters=34,
        assigned_by="cluster",
        cluster_noise=0.5,
    )
    panel = Panel(truth.frame, unit="unit", time="time")
    return CallawaySantAnna().fit(
        Design(panel, outcome="outcome", cohort="cohort", clusters="cluster")
    )


def test_few_treated_clusters_get_no_asymptotic_p_value_unasked(few):
    tidy = few.att().tidy()
    assert tidy["inference"].tolist() == ["permutation"]
    assert tidy[["std_error", "statistic", "df"]].isna().all(axis=None)
    assert few.att().std_errors[0] > 0
    naive = few.att().infer("cr1").tidy()
    assert naive["conf_high"][0] - naive["conf_low"][0] < tidy["conf_high"][0] - tidy["conf_low"][0]
    text = few.att().summary()
    assert "34 clusters, 2 treated: randomisation inference" in text
    assert "Tests by ranks have no standard error; .std_errors has the estimator's." in text
    assert "std_error" not in text.splitlines()[3]
    assert tidy["band_low"].isna().all()


def test_many_clusters_keep_the_estimators_own_standard_errors(result):
    assert "inference" not in result.att().tidy()
    assert result.att().infer("cr1").tidy()["p_value"][0] == pytest.approx(
        result.att().tidy()["p_value"][0]
    )


def test_inference_by_name_same_seed_same_bytes_and_refusals(few):
    one, other = few.att().infer("wild", seed=3), few.att().infer("wild", seed=3)
    pd.testing.assert_frame_equal(one.tidy(), other.tidy(), check_exact=True)
    assert one.tidy(0.5)["conf_low"][0] > one.tidy(0.95)["conf_low"][0]
    with pytest.raises(InferenceError, match=r'Did you mean "permutation"\?'):
        few.att().infer("permutations")


def test_strata_restrict_reassignments(few):
    frame = few.design.panel.frame.assign(region=lambda f: f["cluster"] % 2)
    design = Design(
        Panel(frame, unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
        clusters="cluster",
    )
    att = CallawaySantAnna().fit(design).att()
    free = att.infer("permutation").inferences()[0]
    blocked = att.infer("permutation", strata="region").inferences()[0]
    assert free.lattice == pytest.approx(1 / 561)
    assert blocked.lattice > free.lattice


def test_cr2_gives_each_coefficient_its_own_degrees_of_freedom(few):
    from impact import FixedEffects

    frame = few.design.panel.frame.assign(x2=lambda f: f["x"] * f["time"])
    design = Design(
        Panel(frame, unit="unit", time="time"),
        outcome="outcome",
        treated="treated",
        clusters="cluster",
        covariates="x2",
    )
    tidy = FixedEffects(covariance="CR2").fit(design).tidy()
    assert "inference" not in tidy
    assert tidy["df"].nunique() == 2
    assert tidy["df"].iloc[0] < tidy["df"].iloc[1]


def test_the_detectable_effect_with_few_clusters_is_that_of_the_inference_shown(few):
    att = few.att()
    shown = att.minimum_detectable_effect()[0]
    assert shown == att.inferences()[0].detectable
    assert shown > att.infer("cr1").minimum_detectable_effect()[0]
    assert np.isnan(att.minimum_detectable_effect(power=0.9)[0])


def test_a_set_by_reassignment_belongs_to_the_estimate_it_stands_beside():
    """With a confounder conditioned on, no difference in mean paths gives the estimate.

    What clusters contribute to it is reassigned in their place.
    """
    truth = simulate.staggered_panel(
        1,
        n_units=96,
        periods=5,
        cohorts={3: 0.5},
        n_clusters=12,
        assigned_by="cluster",
        covariate_trend=1.0,
        covariate_shift=1.0,
        effect=0.0,
        noise=0.3,
    )
    design = Design(
        Panel(truth.frame, unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
        clusters="cluster",
        covariates="x",
    )
    att = CallawaySantAnna(method="regression").fit(design).att()
    tidy = att.tidy()
    assert tidy["conf_low"][0] <= att.estimates[0] <= tidy["conf_high"][0]
    assert tidy["inference"].tolist() == ["permutation"]
    assert "Contributions of clusters are reassigned" in att.summary()
    between_rows = PooledOLS().fit(design)
    with pytest.raises(InferenceError, match="no difference of mean paths gives this estimate"):
        between_rows.infer("permutation")


def test_joint_tests_with_few_clusters_keep_their_size():
    rejected, draws = 0, 200
    for seed in range(draws):
        truth = simulate.staggered_panel(
            seed,
            n_units=48,
            periods=6,
            cohorts={5: 0.5},
            n_clusters=12,
            assigned_by="cluster",
            cluster_noise=0.5,
        )
        panel = Panel(truth.frame, unit="unit", time="time")
        result = CallawaySantAnna().fit(
            Design(panel, outcome="outcome", cohort="cohort", clusters="cluster")
        )
        rejected += result.pre_trends_test().p_value < 0.05
    # 0.05 +- 3 Monte Carlo standard errors of 200 draws.
    assert 0.004 <= rejected / draws <= 0.096
    few = result.joint_test(np.ones(len(result), dtype=bool) & ~np.isnan(result.std_errors))
    assert few.restrictions == 5


def test_joint_tests_say_when_clusters_are_too_few(few):
    test = few.pre_trends_test()
    assert np.isnan(test.p_value)
    assert "2 clusters in the smaller arm" in str(test)


def test_strata_that_differ_within_clusters_are_refused(few):
    frame = few.design.panel.frame.assign(odd=lambda f: f["unit"] % 2)
    design = Design(
        Panel(frame, unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
        clusters="cluster",
    )
    with pytest.raises(InferenceError, match=r'strata "odd" are missing or differ within 34'):
        CallawaySantAnna().fit(design).att().infer("permutation", strata="odd")


def test_row_weights_do_not_stop_a_table():
    from impact import TwoWayFixedEffects

    frame = simulate.staggered_panel(2, n_units=30, periods=5, cohorts=(3,)).frame
    design = Design(
        Panel(frame.assign(w=1.0 + frame["time"]), unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
        weights="w",
    )
    assert np.isfinite(TwoWayFixedEffects().fit(design).tidy()["p_value"]).all()


@pytest.fixture(scope="module")
def provinces():
    truth = simulate.staggered_panel(
        1,
        n_units=63 * 4,
        periods=6,
        cohorts={4: 0.5},
        n_clusters=63,
        assigned_by="cluster",
        cluster_noise=0.5,
    )
    return truth.frame


def place_design(frame, **more):
    return Design(
        Panel(frame, unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
        clusters="cluster",
        **more,
    )


def test_the_default_applies_cr2_where_the_table_says_so(provinces):
    from impact import TwoWayFixedEffects

    design = place_design(provinces)
    regression = TwoWayFixedEffects().fit(design)
    tidy, asked = regression.tidy(), TwoWayFixedEffects(covariance="CR2").fit(design).tidy()
    assert tidy["inference"].tolist() == ["cr2"]
    for column in ("std_error", "df", "p_value", "conf_low", "conf_high"):
        assert tidy[column][0] == pytest.approx(asked[column][0], rel=1e-12), column
    assert "63 clusters, 32 treated, none dominant: CR2" in regression.summary()
    assert "inference" not in asked
    plain = regression.infer("cr1").tidy()
    assert plain["std_error"][0] == pytest.approx(regression.std_errors[0], rel=1e-12)
    moments = CallawaySantAnna().fit(design).att()
    assert moments.tidy()["std_error"][0] > moments.std_errors[0]


def test_bands_beside_corrected_errors_hold_for_all_rows(provinces):
    study = CallawaySantAnna().fit(place_design(provinces)).event_study().tidy()
    shown = study[study["inference"] == "cr2"]
    assert len(shown) == 5
    assert (shown["band_low"] < shown["conf_low"]).all()
    factor = (shown["band_high"] - shown["estimate"]) / shown["std_error"]
    assert factor.std() < 1e-12
    # Bonferroni's value is above that of correlated estimates, one estimate's below.
    freedom = shown["df"].min()
    assert stats.t.ppf(0.975, freedom) < factor.iloc[0] < stats.t.ppf(1 - 0.025 / 5, freedom)


def test_units_that_move_between_few_clusters_get_the_wild_bootstrap(provinces):
    from impact import TwoWayFixedEffects

    rng = np.random.default_rng(0)
    moved = provinces.assign(cluster=provinces["cluster"] % 12)
    there = rng.random(len(moved)) < 0.1
    moved.loc[there, "cluster"] = rng.integers(0, 12, there.sum())
    design = place_design(moved)
    assert design.facts.n_treated_clusters == 12
    result = TwoWayFixedEffects().fit(design)
    assert result.tidy()["inference"].tolist() == ["wild"]
    with pytest.raises(InferenceError, match="units move between clusters"):
        result.infer("permutation")
    with pytest.raises(PanelError, match='column "cluster" changes within'):
        CallawaySantAnna().fit(design)


def test_weights_that_change_within_units_do_not_skip_the_check_of_few_clusters(provinces):
    from impact import TwoWayFixedEffects

    frame = provinces.assign(cluster=provinces["cluster"] % 12, w=1.0 + provinces["time"])
    result = TwoWayFixedEffects().fit(place_design(frame, weights="w"))
    assert result.tidy()["inference"].tolist() == ["wild"]
    with pytest.raises(InferenceError, match="weights change within units"):
        result.infer("permutation")


def test_equivalence_says_negligible_only_where_the_set_excludes_what_matters(provinces, few):
    att = CallawaySantAnna().fit(place_design(provinces)).att()
    shown = att.tidy(0.9).iloc[0]
    wide = att.equivalence(-3.0, 3.0).iloc[0]
    assert wide["verdict"] == "negligible"
    assert wide["p_value"] == pytest.approx(
        stats.t.sf((3.0 - shown["estimate"]) / shown["std_error"], shown["df"])
    )
    assert (wide["conf_low"], wide["conf_high"]) == (shown["conf_low"], shown["conf_high"])
    assert att.equivalence(-0.1, 0.1)["verdict"].tolist() == ["increase"]
    ranked = few.att().equivalence(-0.05, 0.05).iloc[0]
    assert np.isnan(ranked["p_value"])
    assert ranked["verdict"] != "negligible"
    with pytest.raises(InferenceError, match="run from low to high"):
        att.equivalence(1.0, -1.0)


def test_power_agrees_with_the_detectable_effect(provinces, few):
    att = CallawaySantAnna().fit(place_design(provinces)).att()
    detectable = att.minimum_detectable_effect()[0]
    curve = att.power_curve([0.0, detectable, 5.0])
    assert curve["power"].to_list() == pytest.approx([0.05, 0.8, 1.0], abs=0.01)
    simulated = few.att().power_curve([0.0, few.att().minimum_detectable_effect()[0]])
    assert simulated["power"][0] <= 0.06
    assert simulated["power"][1] == pytest.approx(0.8, abs=0.02)


def test_sample_size_from_a_pilot(provinces):
    att = CallawaySantAnna().fit(place_design(provinces)).att()
    clustered, ranked = att.infer("cr2"), att.infer("permutation")
    detectable = ranked.minimum_detectable_effect()[0]
    by_ranks = detectable / (stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    for pilot, own in ((ranked, by_ranks), (clustered, clustered.tidy()["std_error"][0])):
        needed = pilot.clusters_needed(0.2)
        error = own * np.sqrt(63 / needed)
        reach = (stats.t.ppf(0.975, needed - 2) + stats.t.ppf(0.8, needed - 2)) * error
        assert reach == pytest.approx(0.2, rel=0.02)
    with pytest.raises(InferenceError, match="effect of exactly zero"):
        att.clusters_needed(0.0)
    with pytest.raises(InferenceError, match=r"no detectable effect, so nothing tells .*asked for"):
        att.infer("none").clusters_needed(0.2)


def test_clusters_below_the_level_of_assignment_are_doubted(provinces, result):
    design = Design(Panel(provinces, unit="unit", time="time"), outcome="outcome", cohort="cohort")
    silent = CallawaySantAnna().fit(design).att()
    assert 'All units of one "cluster" share their treatment date (63 of them, 252' in repr(silent)
    assert 'give Design clusters="cluster".' in silent.summary()
    named = CallawaySantAnna().fit(place_design(provinces)).att()
    assert "share their treatment date" not in named.summary()
    assert "share their treatment date" not in result.att().summary()


def test_clusters_finer_than_the_level_of_assignment_are_refused(provinces):
    panel = Panel(provinces, unit="unit", time="time")
    stated = {"outcome": "outcome", "cohort": "cohort", "assigned_by": "cluster"}
    finer = CallawaySantAnna().fit(Design(panel, clusters="unit", **stated))
    words = r'finer than .* clusters by "unit" split 63 values of "cluster", first 0, 1.*clusters='
    for refused in (
        finer.att().tidy,
        finer.att().infer,
        finer.pre_trends_test,
        finer.att().minimum_detectable_effect,
    ):
        with pytest.raises(InferenceError, match=words):
            refused()
    assert finer.att().infer("cr1").tidy()["std_error"][0] > 0
    coarse = CallawaySantAnna().fit(Design(panel, **stated)).att().tidy()
    pd.testing.assert_frame_equal(
        coarse, CallawaySantAnna().fit(place_design(provinces)).att().tidy()
    )


def few_switch_off(n_treated, n_units=34, dose=False):
    """Return a design in which few units are treated and stop again, or receive an amount."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"unit": np.repeat(np.arange(n_units), 6), "time": np.tile(range(6), n_units)}
    )
    frame["y"] = rng.normal(size=len(frame))
    treated = frame["unit"] < n_treated
    frame["on"] = (treated & frame["time"].between(2, 3)).astype(int)
    frame["dose"] = rng.uniform(1, 3, n_units)[frame["unit"]] * (treated & (frame["time"] > 2))
    question = {"dose": "dose"} if dose else {"treated": "on"}
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", **question)


@pytest.mark.parametrize(
    ("estimator", "dose"),
    [(SwitchersDiD(), False), (HeterogeneousAdoption(untreated="stayers"), True)],
)
def test_few_treated_are_counted_where_treatment_stops_or_is_an_amount(estimator, dose):
    """Without a regression and paths, who was ever treated tells how few an estimate rests on."""
    result = estimator.fit(few_switch_off(32 if dose else 2, dose=dose))
    facts = result.evidence(len(result) - 1).facts
    assert facts.n_treated == (32 if dose else 2)
    assert facts.effective_arm < 3
    assert result.tidy()["inference"].iloc[-1] == "none"


def test_bands_hold_for_any_family_of_contrasts(result):
    study = result.event_study()
    known = ~np.isnan(study.std_errors)
    rows = np.eye(len(study))[known]
    rows = np.vstack([np.diff(rows, axis=0), rows[-3:].mean(axis=0)])
    names = [f"contrast {i}" for i in range(len(rows))]
    combined = study.contrasts(rows, names)
    shown = combined.tidy()
    values = np.nan_to_num(study.estimates)
    matrix = rows @ np.nan_to_num(study.covariance().to_numpy()) @ rows.T
    assert shown["term"].tolist() == names
    np.testing.assert_allclose(shown["estimate"], rows @ values, rtol=1e-12)
    np.testing.assert_allclose(shown["std_error"], np.sqrt(np.diag(matrix)), rtol=1e-10)
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(len(rows)), matrix, 200_000)
    largest = np.abs(drawn / np.sqrt(np.diag(matrix))).max(axis=1)
    factor = (shown["band_high"] - shown["estimate"]) / shown["std_error"]
    # Two simulated quantiles, each with a standard error of about 0.006.
    assert factor.iloc[0] == pytest.approx(np.quantile(largest, 0.95), abs=0.03)
    cells = np.zeros((1, len(result)))
    cells[0, :2] = 1.0, -1.0
    by_hand = cells[0] @ result.covariance().to_numpy() @ cells[0]
    assert result.contrasts(cells, ["a - b"]).std_errors[0] == pytest.approx(np.sqrt(by_hand))


def test_contrasts_of_another_shape_or_of_nothing_are_refused(result):
    with pytest.raises(EstimationError, match=r"table of 1 by \d+ numbers; these are 1 by 2"):
        result.contrasts(np.ones((1, 2)), ["sum"])
    broken = result.cells.copy()
    broken.loc[1, ["estimate", "note"]] = [np.nan, "not observed"]
    lost = replace(result, cells=broken)
    with pytest.raises(EstimationError, match=r"1 estimate with a weight .* not observed"):
        lost.contrasts(np.ones((1, len(result))), ["sum"])


@pytest.mark.parametrize("marks", [["att(3, 3)"], "att(3, 3)", [0, 1], [True, False], [0.5] * 12])
def test_joint_tests_refuse_what_marks_no_estimates(marks):
    frame = simulate.staggered_panel(1, n_units=60, periods=6, cohorts=(3, 5)).frame
    panel = Panel(frame, unit="unit", time="time")
    result = CallawaySantAnna().fit(Design(panel, outcome="outcome", cohort="cohort"))
    with pytest.raises(EstimationError, match="true or false for each of the 12 estimates; it was"):
        result.joint_test(marks)
    base = result.cells["note"].str.startswith("base period")
    with pytest.raises(EstimationError, match="none of the 12 estimates .* standard error"):
        result.joint_test(base)
    later = result.cells["event_time"] >= 0
    assert result.joint_test(later) == result.joint_test(later.tolist())


def test_joint_tests_in_words():
    assert str(JointTest("Zero", 9.876543, 3, 0.02)) == (
        "Zero: statistic 9.877 with 3 restrictions, p = 0.0200"
    )
    assert "with 1 restriction, p" in str(JointTest("Zero", 2.0, 1, 0.16))
    assert str(JointTest("Zero", 98.0, 3, 1e-9)).endswith("restrictions, p < 0.0001")
    assert str(JointTest("Zero", 98.0, 3, np.nan, note="no p-value: few")).endswith(
        "restrictions (no p-value: few)"
    )


def test_four_treated_clusters_and_covariates_have_no_p_value():
    """Reassigned contributions would reject a true null in 8 to 10 % of samples."""
    truth = simulate.staggered_panel(
        1,
        n_units=240,
        periods=5,
        cohorts={3: 4 / 30},
        n_clusters=30,
        assigned_by="cluster",
        covariate_trend=1.0,
        covariate_shift=1.0,
        effect=0.0,
    )
    given = {"outcome": "outcome", "cohort": "cohort", "clusters": "cluster"}
    panel = Panel(truth.frame, unit="unit", time="time")
    att = CallawaySantAnna().fit(Design(panel, **given, covariates="x")).att()
    assert att.design.facts.n_treated_clusters == 4
    assert att.tidy()["inference"].tolist() == ["none"]
    assert "No inference: " in repr(att)
    plain = CallawaySantAnna().fit(Design(panel, **given)).att()
    assert plain.tidy()["inference"].tolist() == ["permutation"]


def test_what_places_could_have_told_stands_beside_their_effects():
    frame = simulate.staggered_panel(
        3, n_units=60, periods=6, cohorts={4: 0.2}, n_clusters=20, assigned_by="cluster"
    ).frame
    panel = Panel(frame, unit="unit", time="time")
    by_place = Design(panel, outcome="outcome", cohort="cohort", clusters="cluster")
    effect = CallawaySantAnna().fit(by_place).att()
    told = f"A true effect of {effect.minimum_detectable_effect()[0]:.3g} or more would be found"
    assert told in effect.summary()
    assert told in effect._repr_html_()
    by_unit = Design(panel, outcome="outcome", cohort="cohort")
    assert "would be found" not in CallawaySantAnna().fit(by_unit).att().summary()
