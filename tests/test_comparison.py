"""Comparing estimators: alignment, differences with their joint covariance, words, refusals."""

import sys
import zipfile
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from did import design, staggered
from scipy import stats

from impact import (
    Between,
    CallawaySantAnna,
    Design,
    FixedEffects,
    Imputation,
    LocalProjectionDiD,
    Panel,
    PooledOLS,
    RandomEffects,
    StackedDiD,
    SunAbraham,
    TwoStage,
    TwoWayFixedEffects,
    compare,
    simulate,
    tables,
)
from impact.errors import DesignError, EstimationError, ReportError

EXACT = 1e-10


def test_the_usual_estimators_are_fitted_and_others_skipped_with_a_reason():
    comparison = compare(design(staggered(1)))
    assert comparison.labels == (
        "CallawaySantAnna", "Imputation", "TwoStage", "SunAbraham", "ExtendedTWFE",
        "LocalProjectionDiD",
    )  # fmt: skip
    ((name, reason),) = comparison.skipped.items()
    assert name.startswith("StackedDiD(pre=3")
    assert "no cohort can be stacked" in reason
    assert any(s.startswith("Left out: StackedDiD") for s in comparison.words())


def test_estimators_by_name_share_settings_and_objects_keep_their_own():
    sample = design(staggered(2, n_units=200, periods=8, cohorts=(4, 6)))
    found = compare(sample, ["CallawaySantAnna", LocalProjectionDiD, StackedDiD(pre=2, post=1)],
                    comparison="never_treated")  # fmt: skip
    group_time, local, stacked = (result.settings for result in found.results)
    assert group_time["comparison"] == local["comparison"] == "never_treated"
    assert group_time["base_period"] == "universal"
    assert local["weighting"] == "equal"
    assert (stacked["pre"], stacked["post"]) == (2, 1)
    usual = compare(sample, ["CallawaySantAnna", LocalProjectionDiD])
    assert usual.results[0].settings["comparison"] == "not_yet_treated"
    # Aligned in base, comparison and weights they are the same estimator.
    studies = [result.event_study() for result in usual.results[:1]] + [usual.results[1]]
    after = [s.estimates[(s.cells["event_time"] >= 0).to_numpy()] for s in studies]
    np.testing.assert_allclose(after[0], after[1], rtol=1e-9)
    with pytest.raises(DesignError, match="comparison may be 'not_yet_treated', 'never_treated'"):
        compare(sample, comparison="everyone")


def test_what_is_not_aligned_is_said():
    sample = design(staggered(2, n_units=200, periods=8, cohorts=(4, 6)))
    found = compare(sample, [
        "CallawaySantAnna", "Imputation", "SunAbraham", LocalProjectionDiD(), "StackedDiD",
        CallawaySantAnna(base_period="varying"), LocalProjectionDiD(base_periods=2),
        SunAbraham(base_event_times=(-2, -1)),
        TwoWayFixedEffects(accept_forbidden_comparisons=True),
    ])  # fmt: skip
    table = found.alignment().set_index("estimator")
    assert list(table["measured_from"]) == [
        "last period before treatment", "all untreated periods", "last period before treatment",
        "last period before treatment", "last period before treatment",
        "last period before treatment; before it, the period before each",
        "mean of the last 2 periods before treatment", "event times (-2, -1)",
        "all untreated periods",
    ]  # fmt: skip
    assert list(table["compared_with"])[:5] == [
        "not yet or never treated", "not yet or never treated", "never treated",
        "not yet or never treated", "untreated throughout the window",
    ]  # fmt: skip
    assert list(table["cohorts_weighted_by"])[:4] == [
        "size", "size", "size", "size and variance of treatment",
    ]  # fmt: skip
    words = " ".join(found.words())
    for head in (
        "Base periods differ", "Comparison units differ", "Cohorts are weighted differently"
    ):  # fmt: skip
        assert head in words
    same = compare(sample, ["CallawaySantAnna", "LocalProjectionDiD"])
    assert "differ" not in " ".join(same.words())
    late = staggered(2, n_units=200, periods=8, cohorts=(4, 6)).dropna(subset="cohort")
    last = compare(design(late), ["SunAbraham", "CallawaySantAnna"]).alignment()
    assert last["compared_with"][0] == "the cohort treated last"


def test_complete_units_put_all_estimators_on_the_same_rows():
    frame = staggered(1, n_units=200, missing=0.1)
    own = compare(design(frame, always_treated="drop"))
    assert "Treated units behind the first effect differ" in " ".join(own.words())
    found = compare(design(frame, always_treated="drop"), complete_units=True)
    assert found.alignment()["n_treated"].nunique() == 1
    kept = frame.groupby("unit").filter(lambda rows: len(rows) == frame["time"].nunique())
    alone = CallawaySantAnna().fit(design(kept)).event_study()
    np.testing.assert_allclose(found.results[0].event_study().estimates, alone.estimates)
    balanced = design(staggered(1))
    assert compare(balanced, complete_units=True).results[0].design is balanced
    gone = design(frame[(frame["unit"] + frame["time"]) % 6 > 0], always_treated="drop")
    with pytest.raises(EstimationError, match="complete_units=True leaves nobody"):
        compare(gone, complete_units=True)


def test_averages_are_over_the_event_times_all_share():
    sample = design(staggered(2, periods=8, cohorts=(4, 6)))
    results = [CallawaySantAnna().fit(sample), StackedDiD(pre=2, post=1).fit(sample)]
    comparison = compare(results)
    assert comparison.common_event_times == (0.0, 1.0)
    tidy = comparison.tidy()
    averages = tidy[tidy["term"] == "average"]["estimate"].to_numpy()
    for average, result in zip(averages, results, strict=True):
        study = result.event_study().cells.set_index("event_time")["estimate"]
        assert average == pytest.approx((study[0] + study[1]) / 2, abs=EXACT)
    assert "over event times 0, 1, each with the same weight" in " ".join(comparison.words())


def test_differences_by_hand_from_contributions():
    sample = design(staggered(3, n_units=90), clusters="cluster")
    one, other = CallawaySantAnna().fit(sample), Imputation().fit(sample)
    rows = compare([one, other]).differences().set_index("term")
    studies = [r.event_study() for r in (one, other)]
    psi = []
    for study in studies:
        k = study.cells["event_time"].tolist().index(0.0)
        psi.append((study.estimates[k], study.uncertainty.contributions()[:, k]))
    gap = psi[1][1] - psi[0][1]
    assert rows.loc["0", "difference"] == pytest.approx(psi[1][0] - psi[0][0], abs=EXACT)
    assert rows.loc["0", "std_error"] == pytest.approx(np.sqrt(gap @ gap), rel=1e-9)
    assert rows.loc["0", "std_error"] < min(s.std_errors[-1] for s in studies)


def test_estimators_that_are_the_same_here_differ_by_rounding_only():
    sample = design(staggered(4))
    comparison = compare(sample, [Imputation(), TwoStage(), "SunAbraham", SunAbraham])
    rows = comparison.differences()
    same = rows[rows["estimator"] == "TwoStage"]
    assert set(same["note"]) == {"the same number: they differ by rounding only"}
    assert set(same["difference"]) == {0.0}
    assert same["std_error"].isna().all()
    assert "TwoStage" not in comparison.joint_tests()
    assert comparison.labels[2:] == ("SunAbraham (1)", "SunAbraham (2)")


def test_namesakes_are_told_apart_by_their_settings():
    comparison = compare(
        design(staggered(4)), [CallawaySantAnna(), CallawaySantAnna(comparison="never_treated")]
    )
    assert comparison.labels[1] == "CallawaySantAnna (comparison='never_treated')"


@pytest.mark.slow
def test_the_joint_test_has_its_size_and_its_power():
    """Effects that differ between cohorts: variance weights answer another question."""

    def p_value(seed, effect):
        truth = simulate.staggered_panel(
            seed, n_units=300, periods=6, cohorts={3: 0.1, 5: 0.4}, effect=effect
        )
        pair = [LocalProjectionDiD(weighting="equal"), LocalProjectionDiD()]
        return next(iter(compare(design(truth.frame), pair).joint_tests().values())).p_value

    alike = np.array([p_value(seed, 1.0) for seed in range(150)])
    # 0.05 +- 3 Monte Carlo standard errors of 150 draws.
    assert (alike < 0.05).mean() < 0.105
    apart = [p_value(seed, lambda e, g: np.where(g == 3, 6.0, 1.0)) for seed in range(15)]
    assert np.median(apart) < 0.01


def test_one_effect_estimators_take_part_in_the_average_alone():
    frame = staggered(5)
    comparison = compare(
        design(frame), [CallawaySantAnna(), LocalProjectionDiD(effect="pooled", pre=2, post=1)]
    )
    rows = comparison.differences()
    assert rows["term"].tolist() == ["average"]
    assert rows["std_error"].notna().all()
    assert comparison.table().index.tolist()[0] == "average"


def test_of_a_regression_only_the_effect_of_treatment_is_compared():
    sample = design(staggered(5, cohorts=(4,)), covariates="z")
    comparison = compare(sample, [CallawaySantAnna(method="regression"), PooledOLS(), Between()])
    tidy = comparison.tidy().set_index("estimator")
    pooled = comparison.results[1].cells.set_index("term").loc["treated", "estimate"]
    assert tidy.loc["PooledOLS", "estimate"] == pytest.approx(pooled, abs=EXACT)
    levels = design(staggered(5), cohort=None, covariates="z")
    with pytest.raises(EstimationError, match="PooledOLS holds no effect of treatment to compare"):
        compare([PooledOLS().fit(levels)]).tidy()
    with pytest.raises(EstimationError, match="PooledOLS holds no effect of treatment to compare"):
        compare([comparison.results[0], PooledOLS().fit(levels)])


def test_no_joint_covariance_no_test():
    frame = staggered(6)
    one = CallawaySantAnna().fit(design(frame))
    other = Imputation().fit(design(frame, clusters="cluster"))
    comparison = compare([one, other])
    rows = comparison.differences()
    assert set(rows["note"]) == {
        "no joint covariance: one has no contributions by the same clusters"
    }
    assert rows["p_value"].isna().all()
    assert comparison.joint_tests() == {}
    fewer = Imputation().fit(design(frame[frame["unit"] != 3]))
    assert any(s.startswith("The samples differ: 354, 360") for s in compare([one, fewer]).words())


def test_an_average_is_judged_by_the_cohorts_it_averages():
    """Four of 64 treated units make up the late event times, so nothing holds for the mean."""
    first = np.repeat([2.0, 5.0, np.nan], [4, 60, 80])
    frame = design(staggered(n_units=144, periods=8, n_clusters=144)).panel.frame
    frame = frame.assign(cohort=first[frame["unit"].rank(method="dense").astype(int) - 1])
    comparison = compare(design(frame), ["CallawaySantAnna", "Imputation"])
    assert max(comparison.common_event_times) > 2
    for study, average in zip(comparison.studies, comparison.averages, strict=True):
        same = study.att("event_time")
        assert average.tidy()["inference"].tolist() == same.tidy()["inference"].tolist() == ["none"]
        np.testing.assert_allclose(average.estimates, same.estimates, rtol=EXACT)
        np.testing.assert_allclose(average.std_errors, same.std_errors, rtol=EXACT)


def provinces(seed, treated):
    """34 units of 10 periods with errors that persist; ``treated`` maps cohorts to their units."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal((34, 10))
    for t in range(1, 10):
        errors[:, t] = 0.5 * errors[:, t - 1] + np.sqrt(0.75) * errors[:, t]
    cohort = np.full(34, np.nan)
    first = np.repeat(list(treated), list(treated.values()))
    cohort[: len(first)] = first
    after = np.arange(10) >= np.nan_to_num(cohort, nan=99)[:, None]
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(34), 10), "time": np.tile(np.arange(10), 34),
        "outcome": (errors + after).ravel(), "cohort": np.repeat(cohort, 10),
    })  # fmt: skip
    return Design(Panel(frame, unit="unit", time="time"), outcome="outcome", cohort="cohort")


PAIR = ["CallawaySantAnna", "Imputation"]


def test_three_treated_places_give_no_p_value_of_differences():
    comparison = compare(provinces(1, {5: 2, 7: 1}), PAIR)
    rows = comparison.differences().set_index("term")
    assert rows.loc["average", "inference"] == "none"
    assert "3 treated in 2 cohorts: a cluster that is alone in its arm" in rows.loc["0", "note"]
    assert rows.loc[["average", "0", "1", "2"], ["std_error", "p_value"]].isna().all(axis=None)
    (test,) = comparison.joint_tests().values()
    assert np.isnan(test.p_value)
    assert "no p-value: 34 clusters, 3 treated in 2 cohorts" in str(test)
    fewer = next(iter(compare(provinces(1, {5: 3, 7: 2}), PAIR).joint_tests().values()))
    assert "no p-value: 4 restrictions and 5 clusters treated in 2 cohorts" in str(fewer)


def test_averages_have_the_p_values_of_att():
    comparison = compare(provinces(1, {5: 2, 7: 1}), PAIR)
    for study, average in zip(comparison.studies, comparison.averages, strict=True):
        same, own = study.att("event_time").tidy(), average.tidy()
        assert own["inference"].tolist() == ["permutation"]
        np.testing.assert_allclose(own["p_value"], same["p_value"], rtol=EXACT)
        np.testing.assert_allclose(own["conf_low"], same["conf_low"], rtol=EXACT)


def test_a_difference_of_one_cohort_by_hand():
    """One cohort: the difference is one of means, and CR2 is Welch's t but for its df."""
    comparison = compare(provinces(2, {5: 4}), PAIR)
    row = comparison.differences().set_index("term").loc["0"]
    y = comparison.results[0].design.outcomes
    changes = y[:, 4] - y[:, :5].mean(axis=1)
    welch = stats.ttest_ind(changes[:4], changes[4:], equal_var=False)
    assert row["inference"] == "cr2"
    assert row["difference"] == pytest.approx(changes[:4].mean() - changes[4:].mean(), rel=1e-9)
    assert row["statistic"] == pytest.approx(welch.statistic, rel=1e-6)
    (test,) = comparison.joint_tests().values()
    assert test.restrictions == 1
    assert test.p_value == pytest.approx(row["p_value"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("treated", [{5: 3}, {5: 3, 7: 2}, {5: 7, 7: 5}])
def test_few_treated_places_find_no_differences_where_there_are_none(treated):
    average, joint = [], []
    for seed in range(120):
        comparison = compare(provinces(seed, treated), PAIR)
        average.append(comparison.differences()["p_value"].iloc[0])
        joint.append(next(iter(comparison.joint_tests().values())).p_value)
    # 0.05 + 3 Monte Carlo standard errors of 120 draws; the joint test may be withheld.
    assert 0 < (np.array(average) < 0.05).mean() < 0.11
    assert (np.array(joint) < 0.05).mean() < 0.11


def test_differences_on_two_dimensions_are_not_tested():
    frame = staggered(6, n_units=120)
    sample = design(frame, clusters=["cluster", "time"])
    rows = compare(sample, [
        TwoWayFixedEffects(accept_forbidden_comparisons=True, effect=effect)
        for effect in ("static", "event_study")
    ]).differences()  # fmt: skip
    assert rows["p_value"].isna().all()
    assert rows["note"].str.contains("two dimensions are clustered on|rounding only").all()


def test_an_effect_that_does_not_exist_is_no_effect_of_zero():
    result = TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design(staggered()))
    lost = replace(result, cells=result.cells.assign(estimate=np.nan, note="lost"))
    with pytest.raises(EstimationError, match="does not exist, first .*: lost"):
        compare([lost])


def test_texts_and_figure():
    comparison = compare(design(staggered(7)), ["CallawaySantAnna", "Imputation"])
    text = comparison.summary()
    for phrase in (
        "Average effect after treatment", "Less CallawaySantAnna",
        "Test that Imputation and CallawaySantAnna agree after treatment: ",
        "units not yet or never treated",
    ):  # fmt: skip
        assert phrase in text
    assert repr(comparison) == text
    assert "<table" in comparison._repr_html_()
    ax = comparison.plot()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == list(comparison.labels)
    drawn = ax.lines[0].get_ydata()
    study = comparison.results[0].event_study()
    np.testing.assert_allclose(drawn, study.estimates)
    plt.close(ax.figure)


def test_refusals():
    sample = design(staggered(1))
    with pytest.raises(DesignError, match="takes a Design or a list of Results; this is int"):
        compare(3)
    with pytest.raises(DesignError, match="list of Results; this is an empty list"):
        compare([])
    result = Imputation().fit(sample)
    with pytest.raises(DesignError, match="this is a list that holds int, str"):
        compare([result, 3, "TwoStage"])
    with pytest.raises(DesignError, match="estimators are named only where a design is given"):
        compare([result], [Imputation()])
    other = Imputation().fit(design(staggered(1), outcome="z"))
    with pytest.raises(DesignError, match=r"different outcomes \(outcome, z\)"):
        compare([result, other])
    with pytest.raises(EstimationError, match="no estimator can be fitted to this design"):
        compare(sample, [StackedDiD(pre=5)])
    with pytest.raises(DesignError, match='no estimator "Imputaton"'):
        compare(sample, ["Imputaton"])
    pooled = compare(sample, [TwoWayFixedEffects(accept_forbidden_comparisons=True)])
    with pytest.raises(EstimationError, match="none of these results has effects by event time"):
        pooled.plot()


@pytest.fixture(scope="module")
def regressions():
    frame = simulate.staggered_panel(5, n_units=80, periods=6, cohorts=(4,)).frame
    frame = frame.assign(z=np.sin(frame["unit"] * frame["time"]))
    panel = Panel(frame, unit="unit", time="time")
    one = FixedEffects().fit(Design(panel, outcome="outcome", covariates="z"))
    both = PooledOLS(covariance="HC1").fit(Design(panel, outcome="outcome", covariates=["z", "x"]))
    return one, both


def test_effects_taken_for_random_are_not_called_fixed(regressions):
    one, _ = regressions
    random = RandomEffects().fit(one.design)
    table = compare([one, random]).coefficients(labels=["within", "random"]).frame().set_index("")
    assert table.loc["Fixed effects"].to_list() == ["unit, time", ""]
    assert table.loc["Random effects"].to_list() == ["", "unit"]


def test_regressions_stand_side_by_side(regressions):
    one, both = regressions
    comparison = compare([one, both])
    table = comparison.coefficients(labels=["within", "pooled"]).frame().set_index("")
    assert list(table.columns) == ["within", "pooled"]
    assert table.loc["z", "within"] == tables.format_number(one.estimates[0])
    assert table.iloc[1]["pooled"] == f"({tables.format_number(both.std_errors[0])})"
    assert table.loc["x", "within"] == ""
    assert table.loc["Rows", "within"] == "480"
    assert table.loc["Fixed effects", "within"] == "unit, time"
    text = repr(comparison)
    assert "FixedEffects: Standard errors: cluster-robust CR1" in text
    assert "PooledOLS: Standard errors: HC1 (robust)" in text
    chosen = comparison.coefficients(terms=["x", "z"], names={"x": "Size | %"})
    assert list(chosen.frame()[""][[0, 2]]) == ["Size | %", "z"]
    assert "Size \\| %" in chosen.to_markdown()
    assert "Size | \\%" in chosen.to_latex()
    assert "<td" in comparison._repr_html_()
    with pytest.raises(DesignError, match='no result has a term "zz".*They have: z'):
        comparison.coefficients(terms=["zz"])
    with pytest.raises(DesignError, match="labels names 1 columns for 2 results"):
        comparison.coefficients(labels=["a"])


def test_comparison_as_a_word_file(regressions, tmp_path):
    pytest.importorskip("pypandoc", reason="the extra docx is not installed")
    target = tmp_path / "table.docx"
    compare(regressions).to_word(target)
    with zipfile.ZipFile(target) as archive:
        page = archive.read("word/document.xml").decode()
    assert page.count("<w:tbl>") == 1
    assert tables.format_number(regressions[0].estimates[0]) in page
    assert "cluster-robust CR1" in page
    with pytest.raises(ReportError, match='named ".docx"; this is "table.doc"'):
        compare(regressions).to_word(tmp_path / "table.doc")


def test_word_without_its_extra_is_refused(regressions, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypandoc", None)
    with pytest.raises(ReportError, match='which the extra "docx" installs'):
        compare(regressions).to_word(tmp_path / "table.docx")


def test_results_speak_to_maketables(regressions):
    one, _ = regressions
    table = one.__maketables_coef_table__
    assert list(table.columns) == ["b", "se", "t", "p", "ci95l", "ci95u"]
    np.testing.assert_array_equal(table.loc["z", "b"], one.estimates[0])
    assert one.__maketables_depvar__ == "outcome"
    assert one.__maketables_fixef_string__ == "unit+time"
    assert one.__maketables_stat__("N") == 480
    assert one.__maketables_stat__("nothing") is None
    assert one.__maketables_vcov_info__["clustervar"] == "unit"
    peer = pytest.importorskip("maketables", reason="maketables is not installed")
    html = peer.ETable(list(regressions)).make(type="html")
    assert "z" in str(html)
