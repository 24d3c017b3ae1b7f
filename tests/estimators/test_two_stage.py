"""Two stages: by hand, against the joint moment conditions and R did2s, and refused."""

import numpy as np
import pytest
from did import cell_columns, design, dummies, reweighted_errors, staggered, two_by_two, waves

from impact import Imputation, TwoStage
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R did2s 1.2.1 stops its demeaning at 1e-6 of the outcome's scale; points differ by 1e-7.
ITERATED = 1e-7
STD_ERROR = 1e-7
# Derivatives are central differences with steps of 1e-4, in error by their square.
DERIVATIVE = 1e-7


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


# pyfixest 0.60.0 did2s on waves(gaps=True), first stage "~ 0 | unit + time" (with covariate
# "~ x | unit + time"), second stages "~i(rel, ref=-99)" and "~i(treat)". Its demeaning and its
# recovery of fixed effects stop at 1e-6 by default, which moves estimates by 4e-6; here they ran to
# 1e-14 and singletons stayed, as in R did2s. Clusters are unit // 4, weights 0.5 + unit % 4.
WITH_GAPS = {
    "plain": (
        {},
        [-0.13488640496246113, -0.05975613468114484, 0.1290555720930521, 1.5879122300899433,
         2.457267083789658, 2.980711987842248],
        [0.05266463015240052, 0.02236335485978659, 0.030537683498792417, 0.09085285517017005,
         0.12949323804598428, 0.17484051199682094],
        (2.2096089621421253, 0.10924664153605408),
    ),
    "clusters": (
        {"clusters": "cl"},
        [-0.13488640496246113, -0.05975613468114484, 0.1290555720930521, 1.5879122300899433,
         2.457267083789658, 2.980711987842248],
        [0.03426175576800372, 0.016564624698902113, 0.015943041538480772, 0.040494940351051154,
         0.05355165346620677, 0.10496334626756192],
        (2.2096089621421253, 0.03424502152115386),
    ),
    "weights": (
        {"clusters": "cl", "weights": "w"},
        [-0.13803055803204103, -0.04104722438793124, 0.11828823788062635, 1.5701967119709075,
         2.4393678543543293, 2.978894855376331],
        [0.0338146882347812, 0.015124677749065816, 0.01934011770939931, 0.05708777762594297,
         0.07714403237205045, 0.09097760552706163],
        (2.1823957720331997, 0.05512799051573707),
    ),
    "covariate": (
        {"covariates": "x"},
        [-0.13492968992391863, -0.05957953101718813, 0.1289012065744322, 1.587824801913847,
         2.457222319718806, 2.9816421428023685],
        [0.052700229170544295, 0.022366086674871843, 0.030533803949914347, 0.09081494578740293,
         0.1294985587045436, 0.17505679475616118],
        (2.209740494306919, 0.1092639084931532),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_GAPS)
def test_second_stages_by_rows_equal_did2s_in_a_panel_with_gaps(name):
    settings, estimates, errors, (overall, overall_error) = WITH_GAPS[name]
    frame = waves(gaps=True).assign(cl=lambda f: f["unit"] // 4, w=lambda f: 0.5 + f["unit"] % 4)
    sample = design(frame, never_treated=0, **settings)
    study = TwoStage(second_stage="event_time").fit(sample)
    np.testing.assert_array_equal(study.cells["event_time"], np.arange(-3, 3))
    np.testing.assert_allclose(study.estimates, estimates, rtol=EXACT)
    np.testing.assert_allclose(study.std_errors, errors, rtol=EXACT)
    att = TwoStage(second_stage="treated").fit(sample)
    assert att.estimates[0] == pytest.approx(overall, rel=EXACT)
    assert att.std_errors[0] == pytest.approx(overall_error, rel=EXACT)
    cells = TwoStage().fit(sample)
    study, att = cells.event_study(by_rows=True), cells.att("row")
    np.testing.assert_allclose(study.estimates, estimates, rtol=EXACT)
    np.testing.assert_allclose(study.std_errors, errors, rtol=EXACT)
    assert att.estimates[0] == pytest.approx(overall, rel=EXACT)
    assert att.std_errors[0] == pytest.approx(overall_error, rel=EXACT)


VIEWS_BY_ROWS = {
    "all rows": lambda result: result.att("row"),
    "event time": lambda result: result.event_study(by_rows=True),
    "period": lambda result: result.by("time", by_rows=True),
    "cohort, then by size": lambda result: result.by("cohort", by_rows=True).att("cell"),
}


@pytest.mark.parametrize("view", VIEWS_BY_ROWS)
@pytest.mark.parametrize("clusters", ["unit", "cluster"])
def test_errors_of_averages_by_rows_count_how_many_rows_there_are(view, clusters):
    frame = staggered(4, n_units=40, missing=0.15)

    def fit(rows):
        sample = design(rows, weights="w", clusters=clusters, always_treated="drop")
        return VIEWS_BY_ROWS[view](TwoStage().fit(sample))

    np.testing.assert_allclose(
        fit(frame).std_errors, reweighted_errors(fit, frame, clusters=clusters), rtol=DERIVATIVE
    )


def test_averages_by_rows_of_an_outcome_without_error_have_no_standard_error():
    frame = staggered(4, n_units=60, missing=0.15)
    exact = frame.assign(outcome=frame["unit"] % 7 + 0.5 * frame["time"])
    result = TwoStage().fit(design(exact, always_treated="drop"))
    assert np.isnan(result.att("row").std_errors).all()
    assert np.isnan(result.event_study(by_rows=True).std_errors).all()


@pytest.mark.parametrize("settings", [{}, {"clusters": "cluster", "weights": "w"}])
def test_second_stages_by_rows_are_views_of_the_cells_without_gaps(settings):
    sample = design(staggered(2), **settings)
    cells = TwoStage().fit(sample)
    study = TwoStage(second_stage="event_time").fit(sample)
    np.testing.assert_allclose(study.estimates, cells.event_study().estimates, rtol=EXACT)
    np.testing.assert_allclose(
        study.covariance(), cells.event_study().covariance(), rtol=1e-8, atol=1e-15
    )
    att = TwoStage(second_stage="treated").fit(sample)
    assert att.std_errors[0] == pytest.approx(cells.att("cell").std_errors[0], rel=EXACT)
    pooled = TwoStage(second_stage="treated").fit(design(staggered(2), covariates="z"))
    expected = TwoStage().fit(design(staggered(2), covariates="z")).att("cell")
    assert pooled.std_errors[0] == pytest.approx(expected.std_errors[0], rel=EXACT)


def test_event_times_without_an_estimate_are_left_empty_and_no_other_is_moved():
    frame = staggered(3)
    late = (frame["time"] == 6) & ((frame["cohort"] != 3) | frame["cohort"].isna())
    frame = frame[~late]
    study = TwoStage(second_stage="event_time").fit(design(frame))
    alone = study.cells["event_time"] == 3
    assert np.isnan(study.estimates[alone]).all()
    assert np.isnan(study.std_errors[alone]).all()
    shorter = TwoStage(second_stage="event_time").fit(design(frame[frame["time"] < 6]))
    np.testing.assert_allclose(study.estimates[~alone], shorter.estimates, rtol=EXACT)
    np.testing.assert_allclose(study.std_errors[~alone], shorter.std_errors, rtol=EXACT)


@pytest.mark.parametrize("settings", [{}, {"clusters": "cluster", "weights": "w"}])
@pytest.mark.parametrize("second_stage", ["event_time", "treated"])
def test_second_stages_of_a_table_with_gaps(second_stage, settings, tmp_path):
    pytest.importorskip("ibis")
    from table_equality import assert_same, gaps, in_memory, scanned

    frame = gaps(staggered(n_units=300, periods=6, cohorts=(3, 5), n_clusters=24))
    settings = settings | {"cohort": "cohort", "always_treated": "drop"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    assert_same(TwoStage(second_stage=second_stage), here, there, views=())


def test_an_unknown_second_stage_is_refused():
    with pytest.raises(DesignError, match="second_stage may be .*it was .evnt_time."):
        TwoStage(second_stage="evnt_time")


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
