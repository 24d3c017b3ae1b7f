"""Balance, attrition, carry-over and spillover."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from impact.errors import DesignError, EstimationError
from impact.estimators import CallawaySantAnna, ExtendedTWFE, MeanGroup, TwoWayFixedEffects
from impact.sensitivity import attrition, balance, carry_over, spillover
from impact.sensitivity.attrition import lee_bounds
from impact.sensitivity.spillover import distances_km, exposure_dates

CLOSED_FORM = 1e-10


def test_balance_by_hand(make_frame, design_of):
    frame = make_frame()
    finding = balance(CallawaySantAnna().fit(design_of(frame)), columns=["y", "x"])
    start = frame[frame["year"] == 2010]
    treated, rest = start[start["cohort"].notna()], start[start["cohort"].isna()]
    gap = treated["y"].mean() - rest["y"].mean()
    spread = np.sqrt((treated["y"].var() + rest["y"].var()) / 2)
    row = finding.table.iloc[0]
    assert row["normalised_difference"] == pytest.approx(gap / spread)
    assert row["variance_ratio"] == pytest.approx(treated["y"].var() / rest["y"].var())
    assert finding.table["column"].tolist() == ["y", "x"]
    assert finding.figure().get_xlabel().startswith("Normalised")


def test_balance_test_equals_a_clustered_regression(make_frame, design_of):
    """t of the difference: y on treatment with CR1 times G / (G - 1) only."""
    frame = make_frame()
    finding = balance(CallawaySantAnna().fit(design_of(frame)), columns=["y"])
    start = frame[frame["year"] == 2010]
    columns = np.column_stack([np.ones(len(start)), start["cohort"].notna()])
    bread = np.linalg.inv(columns.T @ columns)
    beta = bread @ columns.T @ start["y"]
    scores = pd.DataFrame(columns * (start["y"].to_numpy() - columns @ beta)[:, None])
    sums = scores.groupby(start["firm"].to_numpy()).sum().to_numpy()
    error = np.sqrt((bread @ sums.T @ sums @ bread * 180 / 179)[1, 1])
    p_value = 2 * stats.t.sf(abs(beta[1] / error), len(sums) - 1)
    assert finding.statistic == pytest.approx(p_value, rel=1e-9)
    assert finding.table["p_value"].iloc[0] == pytest.approx(p_value, rel=1e-9)
    assert "Wald test" in finding.notes[0]


def test_balance_of_few_clusters_is_judged_by_reassignment(make_frame, design_of):
    """Eight treated provinces of twelve: all 495 assignments, by hand."""
    frame = make_frame(by_province=True, n_firms=5)
    frame["y"] += 2.0 * (frame["province"] % 3 == 2)
    result = CallawaySantAnna().fit(design_of(frame, clusters="province"))
    finding = balance(result, columns=["y"], draws=9999)
    means = frame[frame["year"] == 2010].groupby("province")["y"].mean().to_numpy()
    gaps = np.array([
        means[list(own)].mean() - np.delete(means, list(own)).mean()
        for own in combinations(range(12), 8)
    ])  # fmt: skip
    true = means[np.arange(12) % 3 != 2].mean() - means[np.arange(12) % 3 == 2].mean()
    exact = (np.abs(gaps) >= abs(true) * (1 - 1e-12)).mean()
    error = 4 * np.sqrt(exact * (1 - exact) / 9999) + 1e-4
    assert finding.statistic == pytest.approx(exact, abs=error)
    assert "random reassignments" in finding.notes[0]


def test_balance_is_told_before_any_treatment_began(make_frame, design_of):
    """Repeated cross-sections: rows of years from 2013 on say nothing of the start."""
    frame = make_frame(effect=50.0, seed=2).assign(firm=lambda f: np.arange(len(f)))
    result = CallawaySantAnna(unbalanced="observations").fit(design_of(frame, clusters="province"))
    finding = balance(result)
    early = frame[frame["year"] < 2013]
    means = [early.loc[early["cohort"].notna() == group, "y"].mean() for group in (True, False)]
    np.testing.assert_allclose(
        finding.table[["mean_treated", "mean_comparison"]].to_numpy()[0], means
    )
    assert (
        finding.notes[1]
        == "900 units left out that are first seen after treatment began somewhere."
    )
    with pytest.raises(DesignError, match="no unit is observed twice"):
        attrition(result)
    late = frame[(frame["year"] >= 2013) | frame["cohort"].isna()]
    with pytest.raises(DesignError, match="0 treated units and 180 of the never treated have"):
        balance(replace(result, design=design_of(late, clusters="province")))


def test_balance_needs_both_groups(make_frame, design_of):
    frame = make_frame()
    result = CallawaySantAnna().fit(design_of(frame[frame["cohort"].notna()]))
    with pytest.raises(DesignError, match="fewer than two never"):
        balance(result)


def test_lee_bounds_by_hand():
    """Four of four treated, two of four comparison units seen: half of the treated are trimmed."""
    outcome = np.array([1.0, 2.0, 3.0, 4.0, 0.0, 1.0, np.nan, np.nan])
    treated = np.arange(8) < 4
    found = lee_bounds(outcome, ~np.isnan(outcome), treated)
    assert (found.low, found.high) == (1.5 - 0.5, 3.5 - 0.5)
    assert found.trimmed == 0.5
    assert found.trims_treated
    mirrored = lee_bounds(outcome, ~np.isnan(outcome), ~treated)
    assert (mirrored.low, mirrored.high) == (0.5 - 3.5, 0.5 - 1.5)


def test_lee_bounds_are_a_point_without_attrition():
    rng = np.random.default_rng(0)
    outcome, treated = rng.normal(size=50), np.arange(50) < 20
    found = lee_bounds(outcome, np.ones(50, dtype=bool), treated)
    gap = outcome[treated].mean() - outcome[~treated].mean()
    np.testing.assert_allclose([found.low, found.high], gap, rtol=CLOSED_FORM)
    variance = outcome[treated].var() / 20 + outcome[~treated].var() / 30
    np.testing.assert_allclose(np.square(found.psi).sum(axis=0), variance, rtol=CLOSED_FORM)


def test_lee_standard_errors_equal_the_spread_over_samples():
    """600 samples with 20 % of the excess trimmed: mean standard error over true spread."""
    rng = np.random.default_rng(2)
    ends, errors = [], []
    for _ in range(600):
        treated = rng.random(400) < 0.5
        outcome = rng.normal(size=400) + treated
        observed = rng.random(400) < np.where(treated, 0.9, 0.7)
        found = lee_bounds(outcome, observed, treated)
        ends.append((found.low, found.high))
        errors.append(np.sqrt(np.square(found.psi).sum(axis=0)))
    ratio = np.mean(errors, axis=0) / np.std(ends, axis=0)
    assert (np.abs(ratio - 1) < 3 / np.sqrt(2 * 600)).all()


def test_attrition_of_a_panel(make_frame, design_of):
    frame = make_frame()
    gone = (frame["year"] == 2017) & frame["cohort"].isna() & (frame["firm"] % 5 == 0)
    finding = attrition(CallawaySantAnna().fit(design_of(frame[~gone])))
    pooled = finding.table.iloc[-1]
    assert pooled["observed_treated"] == 1.0
    assert pooled["observed_comparison"] == pytest.approx(0.8)
    assert pooled["trimmed"] == pytest.approx(0.2)
    assert finding.values["gap"] == pytest.approx(0.2)
    low, high = finding.values["bound_low"], finding.values["bound_high"]
    assert finding.values["conf_low"] < low < 1.0 < high < finding.values["conf_high"]
    change = frame.pivot(index="firm", columns="year", values="y")
    rest = change[(change.index % 3 == 2) & (change.index % 5 != 0)]
    own = change[change.index % 3 == 0]
    kept = np.sort(own[2017] - own[2012])[: int(0.8 * len(own))]
    assert finding.table["bound_low"].iloc[0] == pytest.approx(
        kept.mean() - (rest[2017] - rest[2012]).mean()
    )
    assert finding.figure().get_ylabel() == "First treated"


def test_attrition_of_one_treated_cluster_is_bounded_and_not_judged(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=6)
    frame = frame[frame["cohort"].isna() | (frame["province"] == 0)]
    gone = (frame["year"] == 2017) & frame["cohort"].isna() & (frame["firm"] % 5 == 0)
    result = CallawaySantAnna().fit(design_of(frame[~gone], clusters="province"))
    finding = attrition(result)
    assert finding.values["bound_low"] < finding.values["bound_high"]
    judged = ("p_value", "conf_low", "conf_high", "std_error_low", "std_error_high")
    assert np.isnan([finding.values[name] for name in judged]).all()
    assert "nothing shows how far chance may move these bounds" in finding.sentence
    assert "nan" not in finding.sentence + finding.said.say("vi")
    assert "One cluster in an arm" in finding.notes[0]


def test_no_attrition_and_too_few_units_are_refused(fitted):
    with pytest.raises(DesignError, match="nobody has left"):
        attrition(fitted)
    seen = np.array([True, False, True, True])
    with pytest.raises(EstimationError, match="1 treated unit is observed at the end"):
        lee_bounds(np.zeros(4), seen, np.array([True, True, False, False]))


@pytest.fixture(scope="module")
def reversing(make_frame, design_of):
    """Treatment of cohort 2013 stops in 2015; a quarter of the effect stays for one year."""

    def build(left):
        frame = make_frame(effect=0.0, noise=0.05)
        stops = frame["cohort"] == 2013
        frame["on"] = np.where(stops, frame["year"].between(2013, 2014), frame["treated"])
        frame["y"] += frame["on"] + left * (stops & (frame["year"] == 2015))
        design = design_of(frame, cohort=None, treated="on")
        return TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design)

    return build


def test_carry_over_finds_what_stays(reversing):
    finding = carry_over(reversing(0.25))
    row = finding.table.iloc[0]
    assert row["conf_low"] < 0.25 < row["conf_high"]
    assert finding.statistic < 0.01
    assert finding.sentence.startswith("Something is carried over")
    nothing = carry_over(reversing(0.0))
    assert nothing.statistic > 0.05
    assert nothing.figure().get_ylabel() == "Periods after the end"


def test_carry_over_equals_dummy_regression(reversing):
    result = reversing(0.25)
    finding = carry_over(result, periods=2)
    frame = result.design.sample.frame
    frame = frame[frame["on"] == 0]
    after = ((frame["cohort"] == 2013) & (frame["year"] == 2015)).astype(float)
    later = ((frame["cohort"] == 2013) & (frame["year"] == 2016)).astype(float)
    columns = np.column_stack(
        [after, later, pd.get_dummies(frame["firm"]), pd.get_dummies(frame["year"]).iloc[:, 1:]]
    ).astype(float)
    beta = np.linalg.lstsq(columns, frame["y"].to_numpy(), rcond=None)[0]
    np.testing.assert_allclose(finding.table["estimate"].iloc[0], beta[0], rtol=1e-8)


def test_carry_over_is_asked_of_designs_with_anticipation_too(reversing):
    result = reversing(0.25)
    early = replace(result.design, anticipation=1, always_treated="drop")
    pretended = replace(result, design=early)
    pd.testing.assert_frame_equal(carry_over(pretended).table, carry_over(result).table)


def test_lasting_treatment_has_no_carry_over(fitted):
    with pytest.raises(DesignError, match="treatment never stops"):
        carry_over(fitted)


def test_distance_from_hanoi_to_ho_chi_minh_city():
    """About 1,140 km between the centres."""
    distance = distances_km(np.array([21.0285, 10.7769]), np.array([105.8542, 106.7009]))
    assert distance[0, 1] == pytest.approx(1143, abs=5)
    assert distance[0, 0] == 0


def test_exposure_dates_by_hand():
    """Units on a line at 0, 5, 15, 40; treated at 0 in 2012 and, far away, at 100 in 2011."""
    place = np.array([0.0, 100.0, 5.0, 15.0, 40.0])
    dates = exposure_dates(
        np.abs(place[:, None] - place), np.array([2012.0, 2011.0, np.nan, np.nan, np.nan]), [10, 20]
    )
    np.testing.assert_array_equal(dates[0], [np.nan, np.nan, 2012, np.nan, np.nan])
    np.testing.assert_array_equal(dates[1], [np.nan, np.nan, np.nan, 2012, np.nan])


@pytest.mark.parametrize("seed", range(20))
def test_exposure_dates_equal_a_loop_over_pairs_with_ties(seed):
    """Places on a small lattice, so that many are as far from several treated ones."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 4, (14, 2)).astype(float)
    distance = np.abs(place[:, None] - place).sum(axis=2)
    cohorts = np.append(rng.choice([3.0, 5.0, np.nan], 13, p=[0.2, 0.2, 0.6]), 4.0)
    edges = [1.0, 2.0, 4.0]
    expected = np.full((3, 14), np.nan)
    treated = [j for j in range(14) if not np.isnan(cohorts[j])]
    for i in set(range(14)) - set(treated):
        nearest = min(distance[i, j] for j in treated)
        for r, (start, end) in enumerate(zip([-1.0, *edges], edges, strict=False)):
            if start < nearest <= end:
                expected[r, i] = min(cohorts[j] for j in treated if distance[i, j] <= end)
    np.testing.assert_array_equal(exposure_dates(distance, cohorts, edges), expected)


@pytest.fixture(scope="module")
def exposed_frame(make_frame):
    """Twenty untreated firms lie near treated ones and gain 0.5 from 2013 on."""
    frame = make_frame(effect=1.0, noise=0.05)
    near = frame["cohort"].isna() & (frame["firm"] < 60)
    frame["exposed_in"] = np.where(near, 2013.0, np.nan)
    frame["y"] += 0.5 * (near & (frame["year"] >= 2013))
    frame["lat"] = np.select([frame["cohort"].notna(), near], [10.0, 10.05], 20.0)
    frame["lon"] = 106.0
    return frame


def test_spillover_recovers_direct_spill_and_total(exposed_frame, design_of):
    result = CallawaySantAnna().fit(design_of(exposed_frame))
    finding = spillover(result, rings=[10], latitude="lat", longitude="lon")
    table = finding.table.set_index("term")
    assert table.loc["direct", "estimate"] == pytest.approx(1.0, abs=0.05)
    assert table.loc["0-10 km", "estimate"] == pytest.approx(0.5, abs=0.05)
    assert table.loc["total", "estimate"] == pytest.approx(
        120 * table.loc["direct", "estimate"] + 20 * table.loc["0-10 km", "estimate"]
    )
    assert finding.sentence.count("neighbours show an effect") == 1
    by_column = spillover(result, exposure="exposed_in")
    np.testing.assert_allclose(
        by_column.table["estimate"], finding.table["estimate"], rtol=CLOSED_FORM
    )
    assert result.att().estimates[0] < 0.95


def test_kinds_of_exposure_are_told_apart_strongest_first(exposed_frame, design_of):
    frame = exposed_frame.assign(
        near=lambda f: f["exposed_in"].where(f["firm"] % 2 == 0),
        supplier=lambda f: f["exposed_in"],
    )
    result = CallawaySantAnna().fit(design_of(frame))
    table = spillover(result, exposure=["near", "supplier"]).table.set_index("term")
    exposed = frame[frame["exposed_in"].notna()].groupby("firm").first()
    assert table.loc["near", "n_units"] == (exposed.index % 2 == 0).sum()
    assert table.loc["supplier", "n_units"] == (exposed.index % 2 == 1).sum()
    odd = frame[frame["cohort"].isna() & ~frame["near"].notna()]
    by_hand = CallawaySantAnna().fit(design_of(odd.assign(cohort=odd["exposed_in"]))).att()
    assert table.loc["supplier", "estimate"] == pytest.approx(by_hand.estimates[0], rel=1e-10)
    rows = table.drop(index="total")
    assert table.loc["total", "estimate"] == pytest.approx(rows["n_units"] @ rows["estimate"])


@pytest.mark.parametrize("estimator", [CallawaySantAnna(), ExtendedTWFE()], ids=lambda e: e.name)
def test_total_error_counts_the_shared_comparison(estimator, exposed_frame, design_of):
    """Against the sum of contributions, cluster by cluster, in two separate fits.

    Each is as large as its fit's standard error, which holds the small-sample factor.
    """
    finding = spillover(estimator.fit(design_of(exposed_frame)), exposure="exposed_in")
    clean = exposed_frame[exposed_frame["exposed_in"].isna()]
    ring = exposed_frame[exposed_frame["cohort"].isna()].assign(cohort=lambda f: f["exposed_in"])
    total = np.zeros(180)
    for part, count in ((clean, 120), (ring, 20)):
        overall = estimator.fit(design_of(part)).att()
        own = overall.uncertainty.contributions()[:, 0]
        own = own * (overall.std_errors[0] / np.linalg.norm(own))
        total[np.unique(part["firm"])] += count * own
    expected = np.sqrt(np.square(total).sum())
    assert finding.table["std_error"].iloc[-1] == pytest.approx(expected, rel=1e-9)


def test_total_of_few_clusters_has_no_normal_interval(make_frame, design_of):
    frame = make_frame(by_province=True, n_firms=5)
    frame["exposed_in"] = np.where(frame["province"].isin([2, 5]), 2013.0, np.nan)
    design = design_of(frame, clusters="province")
    total = spillover(CallawaySantAnna().fit(design), exposure="exposed_in").table.iloc[-1]
    assert total["std_error"] > 0
    assert np.isnan(total[["p_value", "conf_low", "conf_high"]].to_numpy(dtype=float)).all()
    assert "too few for an interval of the sum" in total["note"]


def test_units_exposed_before_they_are_seen_are_not_counted(exposed_frame, design_of):
    early = exposed_frame.assign(exposed_in=lambda f: f["exposed_in"].where(f["firm"] != 2, 2010.0))
    result = CallawaySantAnna().fit(design_of(early))
    table = spillover(result, exposure="exposed_in").table.set_index("term")
    assert table.loc["exposed", "n_units"] == 19
    assert table.loc["total", "estimate"] == pytest.approx(
        120 * table.loc["direct", "estimate"] + 19 * table.loc["exposed", "estimate"]
    )


def test_total_without_contributions_of_all_clusters_says_so(exposed_frame, design_of):
    result = MeanGroup().fit(design_of(exposed_frame, clusters="province"))
    total = spillover(result, exposure="exposed_in").table.iloc[-1]
    assert np.isfinite(total["estimate"])
    assert np.isnan(total["std_error"])
    assert "no contributions of all clusters" in total["note"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs rings= with latitude="),
        ({"rings": [10], "exposure": "exposed_in"}, "and not both"),
        ({"rings": [10]}, "columns of latitude="),
        ({"rings": [10, 5], "latitude": "lat", "longitude": "lon"}, "must increase from above"),
        ({"rings": [1], "latitude": "lat", "longitude": "lon"}, "no untreated unit is exposed"),
        (
            {"rings": [9999], "latitude": "lat", "longitude": "lon"},
            "every untreated unit is exposed",
        ),
        ({"rings": [10], "latitude": "gap", "longitude": "lon"}, "is missing for 15 units"),
    ],
)
def test_bad_rings_are_refused(exposed_frame, design_of, settings, words):
    frame = exposed_frame.assign(gap=lambda f: f["lat"].where(f["province"] != 3))
    with pytest.raises(DesignError, match=words):
        spillover(CallawaySantAnna().fit(design_of(frame)), **settings)
