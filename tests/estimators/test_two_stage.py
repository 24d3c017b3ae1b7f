"""Two stages: by hand, against the joint moment conditions and R did2s, and refused."""

import numpy as np
import pytest
from did import cell_columns, design, dummies, staggered, two_by_two

from impact import Imputation, TwoStage
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R did2s 1.2.1 stops its demeaning at 1e-6 of the outcome's scale; points differ by 1e-7.
ITERATED = 1e-7
STD_ERROR = 1e-7


def test_two_periods_by_hand():
    result = TwoStage().fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    # As for imputation: the only cohort's share does not enter its average.
    assert result.std_errors[0] == pytest.approx(np.sqrt(2 / 4 + 2 / 9), rel=EXACT)


def test_did2s(reference_case):
    case, frame = reference_case("did2s_df_het")
    reference = case["reference"]
    result = TwoStage().fit(
        design(frame, outcome="dep_var", cohort="g", time="year", never_treated=0, clusters="state")
    )
    overall, wanted = result.att("cell"), reference["static"]["treat::TRUE"]
    assert overall.estimates[0] == pytest.approx(wanted["estimate"], abs=ITERATED)
    assert overall.std_errors[0] == pytest.approx(wanted["se"], rel=STD_ERROR)
    study = result.event_study()
    rows = {int(e): k for k, e in enumerate(study.cells["event_time"])}
    for term, wanted in reference["event_study"].items():
        k = rows[int(term.split("::")[1])]
        assert study.estimates[k] == pytest.approx(wanted["estimate"], abs=2 * ITERATED)
        assert study.std_errors[k] == pytest.approx(wanted["se"], rel=STD_ERROR)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("covariates", [(), ("z",)])
def test_the_sandwich_of_both_moment_conditions(missing, weights, covariates):
    frame = staggered(2, missing=missing)
    untreated = ~(frame["time"] >= frame["cohort"]).to_numpy()
    frame = frame[frame["unit"].isin(frame.loc[untreated, "unit"])].reset_index(drop=True)
    untreated = ~(frame["time"] >= frame["cohort"]).to_numpy()
    result = TwoStage().fit(
        design(frame, weights=weights, covariates=covariates, clusters="cluster")
    )
    y = frame["outcome"].to_numpy()
    w = np.ones(len(y)) if weights is None else frame[weights].to_numpy()
    X1 = np.column_stack((dummies(frame, "unit", "time"), *(frame[c] for c in covariates)))
    X10 = np.where(untreated[:, None], X1, 0.0)
    inverse = np.linalg.pinv((X10 * w[:, None]).T @ X10)
    first = inverse @ (X10.T @ (w * y))
    X2 = cell_columns(frame, result.cells)
    bread = np.linalg.inv((X2 * w[:, None]).T @ X2)
    second = bread @ (X2.T @ (w * (y - X1 @ first)))
    e1, e2 = w * np.where(untreated, y - X1 @ first, 0.0), w * (y - X1 @ first - X2 @ second)
    scores = X2 * e2[:, None] - (X10 * e1[:, None]) @ inverse @ ((X1 * w[:, None]).T @ X2)
    psi = np.stack([np.bincount(frame["cluster"], column) for column in (scores @ bread).T], axis=1)
    np.testing.assert_allclose(result.estimates, second, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(
        result.covariance().to_numpy(), psi.T @ psi, rtol=1e-7, atol=1e-8 * np.square(psi).sum()
    )


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("settings", [{}, {"covariates": "z", "weights": "w"}])
def test_points_are_those_of_imputation(missing, settings):
    sample = design(staggered(4, missing=missing), always_treated="drop", **settings)
    two_stage, imputation = TwoStage().fit(sample), Imputation().fit(sample)
    after = two_stage.cells["event_time"] >= 0
    np.testing.assert_allclose(two_stage.estimates[after], imputation.estimates, rtol=1e-12)
    if not settings:
        np.testing.assert_allclose(two_stage.std_errors[after], imputation.std_errors, rtol=1e-9)


def test_refusals():
    frame = staggered(1)
    early = frame.assign(cohort=frame["cohort"].replace(3.0, 1.0))
    with pytest.raises(DesignError, match="treated whenever observed"):
        TwoStage().fit(design(early))
    with pytest.raises(DesignError, match="are first treated in 4, so nobody"):
        TwoStage().fit(design(frame.assign(cohort=4.0)))
    after_only = frame.assign(c=frame["treated"] * np.sin(frame["unit"]))
    with pytest.raises(EstimationError, match=r"none of the 6 effects after treatment: untreated"):
        TwoStage().fit(design(after_only, covariates="c"))


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_averages_weigh_by_cohort_size_and_are_the_second_stage_without_gaps(missing):
    frame = staggered(2, missing=missing)
    untreated = ~(frame["time"] >= frame["cohort"])
    frame = frame[frame["unit"].isin(frame.loc[untreated, "unit"])].reset_index(drop=True)
    untreated = ~(frame["time"] >= frame["cohort"]).to_numpy()
    X, y = dummies(frame, "unit", "time"), frame["outcome"].to_numpy()
    residuals = y - X @ (np.linalg.pinv(X[untreated]) @ y[untreated])
    result = TwoStage().fit(design(frame))
    overall = result.att("cell").estimates[0]
    assert (abs(overall - residuals[~untreated].mean()) < EXACT) == (missing == 0.0)
    cells = result.cells[result.cells["event_time"] >= 0]
    size = cells["cohort"].map(frame.groupby("cohort")["unit"].nunique())
    assert overall == pytest.approx(np.average(cells["estimate"], weights=size), abs=EXACT)
