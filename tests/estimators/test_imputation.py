"""Imputation: by hand, against explicit weights and R didimputation, and refused."""

import numpy as np
import pandas as pd
import pytest
from did import (
    cell_columns,
    dense_imputation,
    dense_regression,
    design,
    dummies,
    staggered,
    two_by_two,
)

from impact import Imputation, simulate
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R didimputation 0.5.0 stops its demeaning at 1e-6 of the outcome's scale; points differ by 1e-7.
ITERATED = 1e-7
STD_ERROR = 1e-7


def test_two_periods_by_hand():
    result = Imputation().fit(design(two_by_two())).att()
    # Mean changes 6 and 2. Treated deviate by -1 and 1 of 2, comparison units by -1, 0, 1 of 3.
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    assert result.std_errors[0] == pytest.approx(np.sqrt(2 / 4 + 2 / 9), rel=EXACT)


def test_leaving_one_out_by_hand():
    result = Imputation(leave_one_out=True).fit(design(two_by_two())).att()
    # Each of two treated units is measured from the other: deviations of -2 and 2.
    assert result.std_errors[0] == pytest.approx(np.sqrt(8 / 4 + 2 / 9), rel=EXACT)


def test_didimputation(reference_case):
    case, frame = reference_case("bjs_df_het")
    reference = case["reference"]
    columns = {"outcome": "dep_var", "cohort": "g", "time": "year", "never_treated": 0}
    result = Imputation().fit(design(frame, **columns))
    by_state = Imputation().fit(design(frame, **columns, clusters="state"))
    for got, wanted in (
        (result.att("cell"), reference["static"][0]),
        (by_state.att("cell"), reference["static_cluster_state"][0]),
    ):
        assert got.estimates[0] == pytest.approx(wanted["estimate"], abs=ITERATED)
        assert got.std_errors[0] == pytest.approx(wanted["std.error"], rel=STD_ERROR)
    study, before = result.event_study(), result.extra["pre_trends"]
    for row in reference["event_study"]:
        view = before if int(row["term"]) < 0 else study
        k = view.cells["event_time"].tolist().index(int(row["term"]))
        assert view.estimates[k] == pytest.approx(row["estimate"], abs=2 * ITERATED)
        assert view.std_errors[k] == pytest.approx(row["std.error"], rel=STD_ERROR)


@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("covariates", [(), ("z",)])
@pytest.mark.parametrize("clusters", ["unit", "cluster"])
def test_explicit_weights(leave_one_out, missing, weights, covariates, clusters):
    frame = staggered(2, missing=missing)
    untreated = ~(frame["time"] >= frame["cohort"])
    frame = frame[frame["unit"].isin(frame.loc[untreated, "unit"])]
    result = Imputation(leave_one_out=leave_one_out).fit(
        design(frame, weights=weights, covariates=covariates, clusters=clusters)
    )
    estimates, psi = dense_imputation(
        frame, result.cells, covariates=covariates, weights=weights, clusters=clusters,
        leave_one_out=leave_one_out,
    )  # fmt: skip
    np.testing.assert_allclose(result.estimates, estimates, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        result.covariance().to_numpy(), psi.T @ psi, rtol=1e-8, atol=1e-8 * np.square(psi).sum()
    )
    w = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    share = w @ cell_columns(frame, result.cells)
    share = share / share.sum()
    static = result.extra["static"]
    assert static.estimates[0] == pytest.approx(share @ estimates, rel=1e-9)
    assert static.std_errors[0] == pytest.approx(np.sqrt(np.square(psi @ share).sum()), rel=1e-8)


def test_pre_trends_are_the_regression_on_untreated_rows():
    frame = staggered(3, missing=0.1)
    result = Imputation(pre_periods=2).fit(design(frame, always_treated="drop", clusters="cluster"))
    test = result.extra["pre_trends"]
    used = frame[~(frame["time"] >= frame["cohort"])]
    used = used[used["unit"].isin(result.design.sample.units)]
    ahead = (used["cohort"] - used["time"]).to_numpy()
    X = np.column_stack((ahead == 2, ahead == 1, dummies(used, "unit", "time"))).astype(float)
    estimates, covariance = dense_regression(
        used["outcome"].to_numpy(), X, None, used["cluster"].to_numpy(), [0, 1], 2 + 6
    )
    np.testing.assert_allclose(test.estimates, estimates, rtol=1e-9)
    np.testing.assert_allclose(test.covariance().to_numpy(), covariance, rtol=1e-8)
    assert test.pre_trends_test().restrictions == 2


def test_noise_free_effects_are_recovered_exactly():
    truth = simulate.staggered_panel(
        3, n_units=80, periods=8, cohorts=(4, 5, 7), noise=0, missing=0.1,
        effect=lambda e, g: 1 + 0.5 * e - 0.1 * g,
    )  # fmt: skip
    result = Imputation(pre_periods=0).fit(design(truth.frame, always_treated="drop"))
    effects = truth.cells.set_index(["cohort", "time"])["effect"]
    expected = [
        effects[g, t] for g, t in zip(result.cells["cohort"], result.cells["time"], strict=True)
    ]
    np.testing.assert_allclose(result.estimates, expected, atol=1e-9)
    assert "pre_trends" not in result.extra


def test_effects_without_untreated_rows_in_their_period_are_named():
    frame = simulate.staggered_panel(
        3, n_units=60, periods=6, cohorts={3: 0.5, 5: 0.5}, noise=0, effect=1.0
    ).frame
    result = Imputation().fit(design(frame))
    lost = result.cells[np.isnan(result.estimates)]
    assert set(lost["note"]) == {"nobody is untreated in this period"}
    assert set(lost["time"]) == {5, 6}
    assert set(lost["cohort"]) == {3.0, 5.0}
    known = result.cells[~np.isnan(result.estimates)]
    np.testing.assert_allclose(known["estimate"], 1.0, atol=EXACT)
    assert "4 of 6 cells could not be estimated" in " ".join(result.notes)


def test_periods_that_no_unit_links_are_named():
    """Early units seen in periods 1-3 only, late ones in 4-6 only: their levels do not compare."""
    frame = staggered(4, periods=6, cohorts={3: 0.3, 5: 0.3}, noise=0.5)
    early = frame["unit"] % 2 == 0
    keep = (early & (frame["time"] <= 3)) | (~early & (frame["time"] >= 4) & (frame["cohort"] != 3))
    linked = frame[keep | (frame["cohort"] == 3) & early]
    result = Imputation(pre_periods=0).fit(design(linked))
    lost = result.cells[np.isnan(result.estimates)]
    assert set(zip(lost["cohort"], lost["time"], strict=True)) == {(3, 4), (3, 5), (3, 6)}
    assert set(lost["note"]) == {"no unit links this period to the cohort's untreated rows"}
    kept = result.cells[~np.isnan(result.estimates)]
    estimates, _ = dense_imputation(linked, kept)
    np.testing.assert_allclose(kept["estimate"], estimates, rtol=1e-9)


def test_a_cell_of_one_cluster_says_so_or_is_refused():
    frame = staggered(5, n_units=40)
    alone = frame.assign(
        cohort=np.where(frame["unit"] == 0, 4.0, np.where(frame["cohort"] == 5, 5.0, np.nan))
    )
    result = Imputation().fit(design(alone))
    assert set(result.cells.loc[result.cells["cohort"] == 4, "note"]) == {
        "one cluster: its own variation is not counted"
    }
    with pytest.raises(EstimationError, match=r"3 cells \(cohort, period\) have one: \(4, 4\)"):
        Imputation(leave_one_out=True).fit(design(alone))


def test_weights_v_are_orthogonal_to_every_effect():
    """Adding unit and period effects and a multiple of the covariate changes no estimate."""
    frame = staggered(6, missing=0.1)
    moved = frame.assign(
        outcome=frame["outcome"]
        + 50 * np.sin(frame["unit"])
        + 7 * frame["time"] ** 2
        + 4 * frame["z"]
    )
    settings = {"covariates": "z", "weights": "w", "always_treated": "drop"}
    one, other = (Imputation().fit(design(f, **settings)) for f in (frame, moved))
    np.testing.assert_allclose(other.estimates, one.estimates, atol=1e-8)


def test_nothing_identified_is_refused():
    """Units treated later leave before the others' treatment begins."""
    frame = staggered(1, cohorts={3: 0.5, 5: 0.5})
    gone = frame[(frame["cohort"] == 3) | (frame["time"] < 3)]
    late = gone[gone["time"] < 6].assign(cohort=gone["cohort"])
    with pytest.raises(EstimationError, match="can estimate none of the .* nobody is untreated"):
        Imputation(pre_periods=0).fit(design(late))


def test_refusals():
    frame = staggered(1)
    with pytest.raises(DesignError, match="pre_periods counts leads, 0 or more; it was -1"):
        Imputation(pre_periods=-1)
    with pytest.raises(DesignError, match="pre_periods=4 leaves no untreated period"):
        Imputation(pre_periods=4).fit(design(frame))
    early = frame.assign(cohort=frame["cohort"].replace(3.0, 1.0))
    with pytest.raises(DesignError, match="treated whenever observed, first unit"):
        Imputation().fit(design(early))
    reversing = frame.assign(on=((frame["time"] == 3) & (frame["cohort"] == 3)).astype(int))
    with pytest.raises(DesignError, match="treatment stops again in 20 units"):
        Imputation().fit(design(reversing, cohort=None, treated="on"))


def test_cells_cover_all_treated_rows():
    result = Imputation().fit(design(staggered(1)))
    frame = result.design.panel.frame
    covered = cell_columns(frame, result.cells).sum(axis=1)
    np.testing.assert_array_equal(covered, frame["treated"])
    assert isinstance(result.cells, pd.DataFrame)


def test_in_unequal_clusters_rows_keep_their_own_weights():
    """One cell, clusters of 1, 2 and 6 treated units: the centre is the mean over units.

    Clusters weighed by their squared totals (equation 8 with clusters for units) bound the variance
    too, and by less: by hand for the treated arm, in a panel of two periods.
    """
    rng = np.random.default_rng(4)
    sizes = (1, 2, 6, 3, 3, 3)
    cluster = np.repeat(np.arange(6), sizes)
    change = rng.normal(size=6)[cluster] + rng.normal(size=len(cluster))
    treated = cluster < 3
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(len(cluster)), 2),
            "time": np.tile([1, 2], len(cluster)),
            "cluster": np.repeat(cluster, 2),
            "cohort": np.repeat(np.where(treated, 2.0, np.nan), 2),
            "outcome": np.column_stack((0 * change, change)).ravel(),
        }
    )
    own, other = change[treated], change[~treated]
    effects = own - other.mean()
    totals = np.bincount(cluster[treated], effects) / len(own)
    shares = np.array(sizes[:3]) / len(own)
    control = np.bincount(cluster[~treated] - 3, other - other.mean()) / len(other)

    def std_error(centre):
        return np.sqrt(np.sum((totals - shares * centre) ** 2) + np.sum(control**2))

    found = Imputation(pre_periods=0).fit(design(frame, clusters="cluster")).std_errors[-1]
    least = (totals @ shares) / (shares @ shares)
    assert found == pytest.approx(std_error(effects.mean()), rel=EXACT)
    assert std_error(least) < 0.99 * found


def test_leads_in_a_panel_of_every_other_year_are_its_periods():
    frame = staggered(4, n_units=80, periods=8, cohorts=(4, 6))
    biennial = frame.assign(time=2000 + 2 * frame["time"], cohort=2000 + 2 * frame["cohort"])
    wanted = Imputation(pre_periods=3).fit(design(frame)).extra["pre_trends"]
    found = Imputation(pre_periods=3).fit(design(biennial)).extra["pre_trends"]
    np.testing.assert_array_equal(found.cells["event_time"], [-6, -4, -2])
    np.testing.assert_allclose(found.estimates, wanted.estimates, atol=EXACT)
    np.testing.assert_allclose(found.std_errors, wanted.std_errors, rtol=1e-9)
    balanced = Imputation().fit(design(biennial)).event_study(balanced=3)
    np.testing.assert_array_equal(balanced.cells["event_time"], [0, 2])
