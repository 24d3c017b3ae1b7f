"""Local projections: by hand, against R and dense regressions, and refused."""

import numpy as np
import pandas as pd
import pytest
from did import dense_regression, design, dummies, staggered, two_by_two, waves

from impact import CallawaySantAnna, LocalProjectionDiD, simulate
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R fixest 0.14.2 and lpdid 0.6.1 on the same closed form.
REFERENCE = 1e-9


def test_two_periods_by_hand():
    result = LocalProjectionDiD().fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    # Five differences, K = 1 effect + 1 period.
    factor = 5 / 4 * 4 / 3
    assert result.std_errors[0] == pytest.approx(np.sqrt(factor * (2 / 4 + 2 / 9)), rel=EXACT)


def mpdta(reference_case):
    case, frame = reference_case("lpdid_mpdta")
    return case["reference"], frame, {
        "outcome": "lemp", "unit": "countyreal", "time": "year", "cohort": "first.treat",
        "never_treated": 0,
    }  # fmt: skip


def test_fixest_and_lpdid(reference_case):
    reference, frame, columns = mpdta(reference_case)
    for estimator, rows in (
        (LocalProjectionDiD(), reference["manual_feols"]),
        (LocalProjectionDiD(weighting="equal"), reference["lpdid_R_reweight"]["coef"]),
    ):
        result = estimator.fit(design(frame, **columns))
        at = {int(e): k for k, e in enumerate(result.cells["event_time"])}
        for row in rows:
            if row["h"] == -1:
                continue
            k = at[row["h"]]
            assert result.estimates[k] == pytest.approx(row["estimate"], rel=REFERENCE)
            assert result.std_errors[k] == pytest.approx(row["se"], rel=REFERENCE)
            if "n" in row:
                held = result.cells.loc[k, ["n_treated", "n_comparison"]].sum()
                assert held == row["n"]


def test_lpdid_pools_with_comparison_units_that_are_treated_within_the_window(reference_case):
    """lpdid 0.6.1 pools with units untreated in t alone; ours stay untreated until t + 3."""
    reference, frame, columns = mpdta(reference_case)
    Y = frame.pivot(index="countyreal", columns="year", values="lemp")
    first = frame.groupby("countyreal")["first.treat"].first()
    change = Y[[2004, 2005, 2006, 2007]].mean(axis=1) - Y[2003]
    treated = change[first == 2004].mean()
    theirs = reference["lpdid_R_pooled"]["coef"][0]["estimate"]
    assert treated - change[first != 2004].mean() == pytest.approx(theirs, rel=1e-9)
    ours = LocalProjectionDiD(effect="pooled").fit(design(frame, **columns)).att()
    assert ours.estimates[0] == pytest.approx(treated - change[first == 0].mean(), rel=1e-9)


def long_differences(frame, h, clean_until):
    """Stack one row an entrant or clean unit and period, with its long difference."""
    values = frame.set_index(["unit", "time"])["outcome"].to_dict()
    z = frame.set_index(["unit", "time"])["z"].to_dict()
    first = frame.groupby("unit")["cohort"].first().fillna(np.inf)
    rows = []
    for unit, cohort in first.items():
        for t in range(1, 7):
            entry = cohort == t
            if (entry or cohort > clean_until(t)) and {
                (unit, t + h),
                (unit, t - 1),
            } <= values.keys():
                change = values[unit, t + h] - values[unit, t - 1]
                rows.append((unit, t, float(entry), change, z[unit, t - 1]))
    rows = pd.DataFrame(rows, columns=["unit", "time", "entry", "change", "z"])
    any_clean = rows.groupby("time")["entry"].transform("min") == 0
    return rows[any_clean].reset_index(drop=True)


@pytest.mark.parametrize("h", [-2, 0, 1])
@pytest.mark.parametrize("covariates", [(), ("z",)])
def test_dense_regression(h, covariates):
    frame = staggered(3, missing=0.1, cohorts=(3, 5))
    result = LocalProjectionDiD().fit(design(frame, covariates=covariates, always_treated="drop"))
    used = frame[frame["unit"].isin(result.design.sample.units)]
    rows = long_differences(used, h, lambda t: max(t + h, t))
    X = np.column_stack((rows["entry"], *(rows[c] for c in covariates), dummies(rows, "time")))
    w = None
    estimates, covariance = dense_regression(
        rows["change"].to_numpy(), X, w, rows["unit"].to_numpy(), [0], np.linalg.matrix_rank(X)
    )
    k = result.cells["event_time"].tolist().index(h)
    assert result.estimates[k] == pytest.approx(estimates[0], rel=1e-9)
    assert result.std_errors[k] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-8)


# diff-diff 3.13.0, LPDiD(pre_window=3, post_window=2), and reweight=True, on waves(gaps=True):
# horizons -3, -2, 0, 1, 2 with estimate, standard error and rows.
ROWS_OF_PERIOD_T = {
    "variance": [
        (-3, -0.5562853729413682, 0.18030625756098315, 219),
        (-2, -0.2651004891601433, 0.06707230944571994, 392),
        (0, 1.3474943462713451, 0.06510893510274295, 639),
        (1, 2.1863345361620867, 0.13444275483968846, 391),
        (2, 2.815368257401924, 0.20828922443907694, 218),
    ],
    "equal": [
        (-3, -0.5562853729413684, 0.18027502966327813, 131),
        (-2, -0.26421580597412825, 0.0673597208851054, 304),
        (0, 1.3535187983834314, 0.06510576969160078, 342),
        (1, 2.1848768234273708, 0.13453955241462734, 261),
        (2, 2.815368257401922, 0.20824425890834936, 131),
    ],
}


@pytest.mark.parametrize("weighting", ROWS_OF_PERIOD_T)
def test_rows_observed_at_entry_equal_diff_diff_in_a_panel_with_gaps(weighting):
    sample = design(waves(gaps=True), never_treated=0)
    result = LocalProjectionDiD(weighting=weighting, unbalanced="observed_at_entry").fit(sample)
    more = LocalProjectionDiD(weighting=weighting).fit(sample)
    at = {int(e): k for k, e in enumerate(result.cells["event_time"])}
    for h, estimate, error, n_rows in ROWS_OF_PERIOD_T[weighting]:
        k = at[h]
        assert result.estimates[k] == pytest.approx(estimate, rel=EXACT)
        assert result.std_errors[k] == pytest.approx(error, rel=EXACT)
        held = ["n_treated", "n_comparison"]
        assert result.cells.loc[k, held].sum() == n_rows
        # A gap in the period of entry costs rows at every horizon but that of entry.
        assert (more.cells.loc[k, held].sum() > n_rows) == (h != 0)
    assert "before treatment and at the horizon, and when treatment begins" in result.summary()
    assert "before treatment and at the horizon." in more.summary()


@pytest.mark.parametrize("effect", ["event_study", "pooled"])
def test_units_observed_at_entry_are_all_units_without_gaps(effect):
    sample = design(staggered(2))
    both = [
        LocalProjectionDiD(effect=effect, post=1, unbalanced=rows).fit(sample)
        for rows in ("pairs", "observed_at_entry")
    ]
    np.testing.assert_array_equal(both[0].estimates, both[1].estimates)
    np.testing.assert_array_equal(both[0].std_errors, both[1].std_errors)


def test_equal_weights_give_every_entrant_the_same_say():
    frame = staggered(4, n_units=90, cohorts={3: 0.2, 5: 0.5})
    result = LocalProjectionDiD(weighting="equal").fit(design(frame))
    effects = CallawaySantAnna().fit(design(frame)).event_study().cells.set_index("event_time")
    for e, estimate in zip(result.cells["event_time"], result.estimates, strict=True):
        if e >= 0:
            assert estimate == pytest.approx(effects.loc[e, "estimate"], abs=EXACT)


def test_regression_adjustment_takes_off_what_comparison_rows_predict():
    frame = staggered(5, n_units=80, cohorts=(4,))
    result = LocalProjectionDiD(weighting="equal", post=0, pre=1).fit(design(frame, covariates="z"))
    rows = long_differences(frame, 0, lambda t: t)
    clean = rows["entry"] == 0
    X = np.column_stack((rows["z"], dummies(rows, "time")))
    beta = np.linalg.lstsq(X[clean], rows.loc[clean, "change"])[0]
    left = rows["change"] - X @ beta
    estimate = left[~clean].mean()
    k = result.cells["event_time"].tolist().index(0)
    assert result.estimates[k] == pytest.approx(estimate, rel=1e-9)
    reach = X[~clean].mean(axis=0) @ np.linalg.inv(X[clean].T @ X[clean])
    psi = np.where(clean, -(X @ reach) * left, (left - estimate) / (~clean).sum())
    scores = np.bincount(rows["unit"], psi)
    n, n_clusters = len(rows), rows["unit"].nunique()
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - X.shape[1] - 1)
    assert result.std_errors[k] == pytest.approx(np.sqrt(factor * scores @ scores), rel=1e-8)


def test_the_same_rows_at_every_horizon():
    frame = staggered(6, n_units=80, periods=8, cohorts=(4, 7))
    result = LocalProjectionDiD(composition="fixed", pre=2, post=2).fit(design(frame))
    # Cohort 7 is not seen at horizon 2, so only cohort 4 enters.
    held = result.cells.loc[result.cells["note"] == "", "n_treated"]
    assert set(held) == {(frame.groupby("unit")["cohort"].first() == 4).sum()}
    assert result.cells.loc[result.cells["note"] == "", "n_comparison"].nunique() == 1


def held_by_hand() -> pd.DataFrame:
    """Two enter in period 3, one of them unseen in 4; one in 5; two never, one unseen in 1."""
    paths = {
        1: (3, [1, 2, 6, 7]),
        2: (3, [1, 3, 9, None]),
        3: (5, [0, 1, 3, 6, 9]),
        4: (None, [2, 2, 3, 5]),
        5: (None, [None, 4, 9, 9]),
    }
    return pd.DataFrame(
        [
            {"unit": u, "time": t + 1, "outcome": y, "cohort": g}
            for u, (g, path) in paths.items()
            for t, y in enumerate(path)
            if y is not None
        ]
    ).astype({"cohort": float})


@pytest.mark.parametrize("weighting", ["variance", "equal"])
def test_a_fixed_composition_by_hand(weighting):
    """Over -2 to 1 only unit 1 enters; 3 and 4 are untreated and seen in periods 1 to 4."""
    estimator = LocalProjectionDiD(composition="fixed", pre=2, post=1, weighting=weighting)
    cells = estimator.fit(design(held_by_hand())).cells.set_index("event_time")
    others = {-2: (-1 + 0) / 2, 0: (2 + 1) / 2, 1: (5 + 3) / 2}
    for h, own in {-2: -1, 0: 4, 1: 5}.items():
        assert cells["estimate"][h] == pytest.approx(own - others[h], abs=EXACT)
        assert (cells["n_treated"][h], cells["n_comparison"][h]) == (1, 2)
    pooled = LocalProjectionDiD(composition="fixed", pre=2, post=1, effect="pooled")
    att, before = pooled.fit(design(held_by_hand())).estimates
    assert att == pytest.approx((4 + 5) / 2 - (1.5 + 4) / 2, abs=EXACT)
    assert before == pytest.approx(-1 - others[-2], abs=EXACT)


def test_any_composition_by_hand():
    """Units 2 and 5 count where they are seen; unit 3 enters beside nobody seen."""
    cells = LocalProjectionDiD(pre=2, post=1).fit(design(held_by_hand())).cells
    at = cells.set_index("event_time")
    assert at["estimate"][0] == pytest.approx((4 + 6) / 2 - (2 + 1 + 5) / 3, abs=EXACT)
    assert at["estimate"][1] == pytest.approx(5 - (5 + 3 + 5) / 3, abs=EXACT)
    assert (at["n_treated"][0], at["n_treated"][1]) == (2, 1)


# diff-diff 3.13.0, LPDiD(pre_window=2, post_window=2, no_composition=True), and reweight=True, on
# waves(gaps=True): horizons 0, 1, 2 with estimate, standard error and rows. Its leads are not held.
HELD = {
    "variance": [
        (0, 1.3652582023497315, 0.10842797739735416, 190),
        (1, 2.137900836154791, 0.189099526908878, 190),
        (2, 2.842310190357196, 0.2206433528505655, 190),
    ],
    "equal": [
        (0, 1.36525820234973, 0.10836693552568395, 115),
        (1, 2.13790083615479, 0.18899306924609072, 115),
        (2, 2.8423101903571952, 0.22051913690969047, 115),
    ],
}


@pytest.mark.parametrize("weighting", HELD)
def test_a_fixed_composition_equals_diff_diff_where_no_lead_is_asked_for(weighting):
    estimator = LocalProjectionDiD(
        composition="fixed", pre=0, post=2, weighting=weighting, unbalanced="observed_at_entry"
    )
    result = estimator.fit(design(waves(gaps=True), never_treated=0))
    for h, estimate, error, rows in HELD[weighting]:
        k = result.cells["event_time"].tolist().index(h)
        assert result.estimates[k] == pytest.approx(estimate, rel=1e-9)
        assert result.std_errors[k] == pytest.approx(error, rel=1e-9)
        assert result.cells.loc[k, ["n_treated", "n_comparison"]].sum() == rows


def test_never_treated_comparison_and_a_mean_of_base_periods():
    frame = staggered(7, n_units=60, cohorts=(4, 6))
    result = LocalProjectionDiD(comparison="never_treated", base_periods=3, pre=2, post=0).fit(
        design(frame)
    )
    Y = frame.pivot(index="unit", columns="time", values="outcome")
    cohort = frame.groupby("unit")["cohort"].first()
    changes = {g: Y[g] - Y[[g - 3, g - 2, g - 1]].mean(axis=1) for g in (4, 6)}
    effects = [changes[g][cohort == g].mean() - changes[g][cohort.isna()].mean() for g in (4, 6)]
    k = result.cells["event_time"].tolist().index(0)
    # Two periods of equal size have equal variance of entry.
    assert result.estimates[k] == pytest.approx(np.mean(effects), abs=EXACT)


def test_treatment_that_stops():
    """Treated in 4 and 5 only, effect 2 while treated and none after."""
    frame = staggered(8, n_units=60, periods=9, cohorts=(4,), noise=0.0, cluster_noise=0.0)
    on = (frame["cohort"] == 4) & frame["time"].isin([4, 5])
    frame = frame.assign(on=on.astype(int), outcome=frame["untreated"] + 2.0 * on)
    sample = design(frame, cohort=None, treated="on")
    with pytest.raises(DesignError, match="a treatment that lasts, or stabilisation: treatment"):
        LocalProjectionDiD().fit(sample)
    result = LocalProjectionDiD(stabilisation=1).fit(sample)
    after = result.cells[result.cells["event_time"] >= 0]
    assert list(after["event_time"]) == [0.0, 1.0]
    np.testing.assert_allclose(after["estimate"], 2.0, atol=EXACT)
    # Two periods after it stopped a unit is stable again and compares with others.
    assert result.cells["n_comparison"].max() > 0


def test_anticipation_moves_the_base_period():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=8, cohorts=(4, 6), noise=0, effect=2.0, anticipation=1
    )
    result = LocalProjectionDiD().fit(design(truth.frame, anticipation=1))
    assert result.att().estimates[0] == pytest.approx(2.0, abs=EXACT)
    assert result.cells.loc[
        result.cells["note"].str.startswith("base period"), "event_time"
    ].tolist() == [-2.0]


def test_refusals():
    frame = staggered(1)
    for settings in ({"pre": -1}, {"post": -1}, {"base_periods": 0}, {"stabilisation": 0}):
        with pytest.raises(DesignError, match=f"{next(iter(settings))} must be at least"):
            LocalProjectionDiD(**settings)
    with pytest.raises(EstimationError, match="can estimate no horizon"):
        LocalProjectionDiD(composition="fixed", pre=3, post=3).fit(design(frame))
    years = {1: 2011, 2: 2013, 3: 2017, 4: 2018, 5: 2020, 6: 2025}
    uneven = frame.assign(time=frame["time"].map(years), cohort=frame["cohort"].map(years))
    with pytest.raises(EstimationError, match="where periods are unevenly spaced, number them"):
        LocalProjectionDiD().fit(design(uneven))
    late = uneven.assign(cohort=uneven["cohort"].replace({2017: 2018}))
    said = LocalProjectionDiD().fit(design(late)).summary()
    assert "Cohort 2020 does not enter: none of its units is observed in the base period" in said
    with pytest.raises(EstimationError, match="cannot pool horizons 0 to 5"):
        LocalProjectionDiD(effect="pooled", post=5).fit(design(frame))
    asked = LocalProjectionDiD(pre=1, post=4).fit(design(frame)).cells
    assert asked["note"].tolist()[-1].startswith("entrants and clean comparison units do not meet")
    with pytest.raises(DesignError, match="needs an untreated period of each treated unit"):
        LocalProjectionDiD().fit(design(frame.assign(cohort=frame["cohort"].replace(3.0, 1.0))))


@pytest.mark.parametrize("settings", [{}, {"covariates": "z"}])
@pytest.mark.parametrize("composition", ["any", "fixed"])
def test_a_panel_of_every_other_year_counts_its_own_steps(settings, composition):
    frame = staggered(4, n_units=80, periods=8, cohorts=(4, 6), missing=0.05)
    biennial = frame.assign(time=2000 + 2 * frame["time"], cohort=2000 + 2 * frame["cohort"])
    own = {"composition": composition, "weighting": "equal"}
    wanted = LocalProjectionDiD(pre=2, post=1, **own).fit(design(frame, **settings))
    found = LocalProjectionDiD(pre=5, post=3, **own).fit(design(biennial, **settings))
    np.testing.assert_allclose(found.estimates, wanted.estimates, atol=EXACT)
    np.testing.assert_allclose(found.std_errors, wanted.std_errors, rtol=EXACT)
    np.testing.assert_array_equal(found.cells["event_time"], [-4, -2, 0, 2])
    # Anticipation counts years: of one, the period two years before treatment holds none.
    early = LocalProjectionDiD(pre=5, post=3, **own).fit(
        design(biennial, anticipation=1, **settings)
    )
    assert early.cells["note"].tolist()[1].startswith("base period")
