"""Sun and Abraham: by hand, against R fixest and dense regressions, and refused."""

import numpy as np
import pytest
from did import cell_columns, dense_regression, design, dummies, staggered, two_by_two

from impact import CallawaySantAnna, SunAbraham, simulate
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R fixest 0.14.2 on the same closed form.
REFERENCE = 1e-9


def test_two_periods_by_hand():
    result = SunAbraham().fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    # G/(G-1) (n-1)/(n-K) with G = 5, n = 10 and K = 1 effect + 2 periods.
    factor = 5 / 4 * 9 / 7
    assert result.std_errors[0] == pytest.approx(np.sqrt(factor * (2 / 4 + 2 / 9)), rel=EXACT)
    assert result.uncertainty.df == 4


def test_fixest(reference_case):
    case, frame = reference_case("sunab_base_stagg")
    reference = case["reference"]
    columns = {"outcome": "y", "unit": "id", "time": "year", "cohort": "year_treated",
               "never_treated": 10000, "covariates": "x1"}  # fmt: skip
    result = SunAbraham().fit(design(frame, **columns))
    twice = SunAbraham(base_event_times=(-9, -1)).fit(design(frame, **columns))
    for fitted, name in ((result, "event_time_cluster"), (twice, "bin_ref_first_and_m1")):
        study = fitted.event_study()
        rows = {int(e): k for k, e in enumerate(study.cells["event_time"])}
        for term, wanted in reference[name].items():
            if term == "x1":
                slope = fitted.extra["covariates"].loc["x1"]
                got = slope["estimate"], slope["std_error"]
            else:
                k = rows[int(term.split("::")[1])]
                got = study.estimates[k], study.std_errors[k]
            assert got == pytest.approx((wanted["estimate"], wanted["se"]), rel=REFERENCE)
    overall, wanted = result.att("cell"), reference["event_time_cluster_ATT"]["ATT"]
    assert overall.estimates[0] == pytest.approx(wanted["estimate"], rel=REFERENCE)
    assert overall.std_errors[0] == pytest.approx(wanted["se"], rel=REFERENCE)
    by_cohort = result.by("cohort")
    for cohort, estimate in zip(by_cohort.cells["cohort"], by_cohort.estimates, strict=True):
        wanted = reference["cohort"][f"cohort::{cohort:g}"]
        assert estimate == pytest.approx(wanted["estimate"], rel=REFERENCE)


def test_classical_errors_equal_fixests_default(reference_case):
    case, frame = reference_case("sunab_base_stagg")
    reference = case["reference"]
    columns = {"outcome": "y", "unit": "id", "time": "year", "cohort": "year_treated",
               "never_treated": 10000, "covariates": "x1"}  # fmt: skip
    result = SunAbraham(covariance="classical").fit(design(frame, **columns))
    study = result.event_study()
    for e, estimate, error in zip(
        study.cells["event_time"], study.estimates, study.std_errors, strict=True
    ):
        if e == -1:
            continue
        wanted = reference["event_time"][f"year::{e:g}"]
        assert (estimate, error) == pytest.approx((wanted["estimate"], wanted["se"]), rel=REFERENCE)
    slope = result.extra["covariates"].loc["x1"]
    assert slope["std_error"] == pytest.approx(reference["event_time"]["x1"]["se"], rel=REFERENCE)
    overall, wanted = result.att("cell"), reference["ATT"]["ATT"]
    assert overall.estimates[0] == pytest.approx(wanted["estimate"], rel=REFERENCE)
    assert overall.std_errors[0] == pytest.approx(wanted["se"], rel=REFERENCE)
    by_cohort = result.by("cohort")
    assert len(by_cohort) == 9
    for cohort, error in zip(by_cohort.cells["cohort"], by_cohort.std_errors, strict=True):
        wanted = reference["cohort"][f"cohort::{cohort:g}"]
        assert error == pytest.approx(wanted["se"], rel=REFERENCE)
    # Rows less cells, periods, units and x1.
    assert result.uncertainty.df == 950 - len(columns_estimated(result)) - 9 - 95 - 1


def columns_estimated(result):
    return result.cells[result.cells["note"] == ""]


def test_classical_errors_are_those_of_dense_least_squares_with_weights_and_gaps():
    frame = staggered(4, missing=0.1)
    result = SunAbraham(covariance="classical").fit(
        design(frame, covariates="z", weights="w", clusters="cluster")
    )
    kept = result.cells[result.cells["note"] == ""]
    X = np.concatenate(
        (cell_columns(frame, kept), frame[["z"]], dummies(frame, "unit", "time")), axis=1
    )
    w, y = frame["w"].to_numpy(), frame["outcome"].to_numpy()
    inverse = np.linalg.pinv((X * w[:, None]).T @ X)
    left = y - X @ (inverse @ X.T @ (w * y))
    df = len(y) - np.linalg.matrix_rank(X)
    # Weights of the design have mean one by unit; s^2 and the inverse undo any scale.
    errors = np.sqrt(np.diag(inverse)[: len(kept)] * (w @ left**2) / df)
    np.testing.assert_allclose(result.std_errors[kept.index], errors, rtol=1e-8)
    assert result.uncertainty.df == df
    assert "classical" in result.summary()
    with pytest.raises(DesignError, match="covariance may be 'CR1', 'classical'"):
        SunAbraham(covariance="HC3")


def test_classical_errors_need_degrees_of_freedom():
    with pytest.raises(EstimationError, match="leave nothing to estimate the variance from"):
        SunAbraham(covariance="classical").fit(design(two_by_two().query("unit in (1, 3)")))


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("covariates", [(), ("z",)])
def test_dense_regression(missing, weights, covariates):
    frame = staggered(3, missing=missing)
    result = SunAbraham().fit(
        design(frame, weights=weights, covariates=covariates, clusters="cluster",
               always_treated="drop")
    )  # fmt: skip
    frame = frame[frame["unit"].isin(result.design.sample.units)]
    free = result.cells[result.cells["note"] == ""]
    X = np.column_stack(
        (cell_columns(frame, free), *(frame[c] for c in covariates), dummies(frame, "unit", "time"))
    )
    w = None if weights is None else frame[weights].to_numpy()
    n_parameters = len(free) + len(covariates) + 6
    estimates, covariance = dense_regression(
        frame["outcome"].to_numpy(), X, w, frame["cluster"].to_numpy(), np.arange(len(free)),
        n_parameters,
    )  # fmt: skip
    rows = free.index.to_numpy()
    np.testing.assert_allclose(free["estimate"], estimates, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        result.covariance().to_numpy()[np.ix_(rows, rows)], covariance, rtol=1e-7, atol=1e-10
    )


def test_never_treated_controls_give_the_group_time_effects():
    frame = staggered(5, n_units=90)
    one = SunAbraham().fit(design(frame))
    other = CallawaySantAnna(comparison="never_treated").fit(design(frame))
    np.testing.assert_allclose(one.estimates, other.estimates, atol=EXACT)
    factor = 90 / 89 * (540 - 1) / (540 - 10 - 6)
    np.testing.assert_allclose(one.std_errors, np.sqrt(factor) * other.std_errors, rtol=1e-9)


def test_without_never_treated_the_last_cohort_compares():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=6, cohorts={3: 0.5, 5: 0.5}, noise=0, effect=1.0
    )
    result = SunAbraham().fit(design(truth.frame))
    by_reason = result.cells.groupby("note")["time"].size()
    assert by_reason["this cohort, treated last, serves as comparison"] == 6
    assert by_reason["nobody is untreated in this period"] == 2
    after = result.cells[(result.cells["event_time"] >= 0) & result.cells["estimate"].notna()]
    assert list(after["time"]) == [3, 4]
    np.testing.assert_allclose(after["estimate"], 1.0, atol=EXACT)


def test_anticipation_moves_the_base_period():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=8, cohorts=(5, 7), noise=0, effect=2.0, anticipation=1
    )
    result = SunAbraham().fit(design(truth.frame, anticipation=1))
    assert result.att().estimates[0] == pytest.approx(2.0, abs=EXACT)
    based = result.cells["note"].str.startswith("base period")
    assert set(result.cells.loc[based, "event_time"]) == {-2.0}


def test_refusals():
    frame = staggered(1)
    with pytest.raises(DesignError, match="base_event_times must hold event times before"):
        SunAbraham(base_event_times=(0,))
    with pytest.raises(DesignError, match="base_event_times must hold event times before"):
        SunAbraham(base_event_times=())
    with pytest.raises(EstimationError, match=r"cohort 3 is not seen at any of base_event_times"):
        SunAbraham(base_event_times=(-4,)).fit(design(frame))
    one_cluster = frame.assign(country="VN")
    with pytest.raises(DesignError, match='all units share one value of "country"'):
        SunAbraham().fit(design(one_cluster, clusters="country"))


def test_a_covariate_the_unit_effects_absorb_has_no_slope():
    frame = staggered(2)
    result = SunAbraham().fit(design(frame, covariates="x"))
    assert np.isnan(result.extra["covariates"].loc["x", "estimate"])
    np.testing.assert_allclose(
        result.estimates, SunAbraham().fit(design(frame)).estimates, atol=1e-9
    )
