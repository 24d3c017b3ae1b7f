"""Result: views, chaining, tables, texts and refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError, InferenceError


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
