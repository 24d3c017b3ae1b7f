"""Extended TWFE: by hand, against R etwfe and dense regressions, and refused."""

import numpy as np
import pandas as pd
import pytest
from did import (
    cell_columns,
    dense_regression,
    design,
    dummies,
    reweighted_errors,
    staggered,
    two_by_two,
)

from impact import ExtendedTWFE, Imputation, simulate
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
ESTIMATE = 1e-10
# R etwfe 0.6.0 takes standard errors by numerical derivatives.
NUMERICAL = 2e-6


def test_two_periods_by_hand():
    result = ExtendedTWFE().fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    factor = 5 / 4 * 9 / 7
    assert result.std_errors[0] == pytest.approx(np.sqrt(factor * (2 / 4 + 2 / 9)), rel=EXACT)


def test_poisson_by_hand():
    """Means 15 to 21 among treated and 5 to 7 among others: 15 * 7/5 = 21, so no effect."""
    result = ExtendedTWFE(family="poisson").fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(0.0, abs=EXACT)
    # d(tau) of a unit's outcomes: treated 1/2 after, -(7/5)/2 before; others -(15/5)/3 after,
    # 15 * 7/25 / 3 before; deviations from the cells' means (15, 21), (5, 7).
    treated = [(15 - 21) / 2 - 0.7 * (10 - 15), (27 - 21) / 2 - 0.7 * (20 - 15)]
    others = [-(after - 7) for after in (6, 7, 8)]
    # K = 2 cohorts + 2 periods + 1 effect - 1.
    factor = 5 / 4 * 9 / 6
    wanted = np.sqrt(factor * np.sum(np.square([*treated, *others])))
    assert result.std_errors[0] == pytest.approx(wanted, rel=1e-9)


def test_etwfe(reference_case):
    case, frame = reference_case("etwfe_mpdta")
    columns = {"outcome": "lemp", "unit": "countyreal", "time": "year", "cohort": "first.treat",
               "never_treated": 0}  # fmt: skip
    views = {
        "simple": lambda r: r.att("cell"),
        "event": lambda r: r.event_study(),
        "group": lambda r: r.by("cohort"),
        "calendar": lambda r: r.by("time"),
    }
    for name, effects, covariates in (
        ("cov", "cohort", "lpop"), ("nocov", "cohort", ()), ("nocov_unit_fe", "unit", ()),
    ):  # fmt: skip
        result = ExtendedTWFE(effects=effects).fit(design(frame, covariates=covariates, **columns))
        for kind, rows in case["reference"][name].items():
            view = views[kind](result)
            wanted = pd.DataFrame(rows)
            np.testing.assert_allclose(view.estimates, wanted["estimate"], rtol=ESTIMATE)
            np.testing.assert_allclose(view.std_errors, wanted["std.error"], rtol=NUMERICAL)
        if name == "cov":
            for cell, error in zip(result.cells.itertuples(), result.std_errors, strict=True):
                term = f".Dtreat:first.treat::{cell.cohort:g}:year::{cell.time}"
                wanted = case["reference"]["regression_coefs_cov"][term]
                assert cell.estimate == pytest.approx(wanted["estimate"], rel=ESTIMATE)
                assert error == pytest.approx(wanted["se"], rel=1e-9)


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("trends", [False, True])
def test_dense_regression(comparison, missing, trends):
    if trends and comparison == "never_treated":
        return
    frame = staggered(3, missing=missing, cohorts=(4, 5))
    result = ExtendedTWFE(comparison=comparison, cohort_trends=trends).fit(
        design(frame, clusters="cluster", always_treated="drop")
    )
    frame = frame[frame["unit"].isin(result.design.sample.units)]
    free = result.cells[result.cells["note"] == ""]
    own = [(frame["cohort"] == g) * frame["time"] for g in (4, 5)] if trends else []
    X = np.column_stack((cell_columns(frame, free), *own, dummies(frame, "unit", "time")))
    n_parameters = len(free) + 2 * trends + 6
    estimates, covariance = dense_regression(
        frame["outcome"].to_numpy(), X, None, frame["cluster"].to_numpy(), np.arange(len(free)),
        n_parameters,
    )  # fmt: skip
    rows = free.index.to_numpy()
    np.testing.assert_allclose(free["estimate"], estimates, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        result.covariance().to_numpy()[np.ix_(rows, rows)], covariance, rtol=1e-7, atol=1e-10
    )


def test_on_balanced_panels_points_are_those_of_imputation():
    sample = design(staggered(4))
    np.testing.assert_allclose(
        ExtendedTWFE().fit(sample).estimates, Imputation().fit(sample).estimates, atol=EXACT
    )


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_poisson_equals_the_generalised_linear_model(missing, weights, comparison):
    sm = pytest.importorskip("statsmodels.api")
    frame = staggered(6, missing=missing).assign(outcome=lambda f: np.exp(f["outcome"] / 4))
    estimator = ExtendedTWFE(family="poisson", comparison=comparison)
    result = estimator.fit(
        design(frame, weights=weights, clusters="cluster", always_treated="drop")
    )
    frame = frame[frame["unit"].isin(result.design.sample.units)].reset_index(drop=True)
    free = result.cells[result.cells["note"] == ""]
    rows = cell_columns(frame, free)
    groups = frame["cohort"].fillna(0.0).rename("group")
    X = np.column_stack((rows, dummies(frame.assign(group=groups), "group"),
                         dummies(frame, "time")[:, 1:]))  # fmt: skip
    w = None if weights is None else frame[weights] / frame.groupby("unit")[weights].first().mean()
    model = sm.GLM(frame["outcome"], X, family=sm.families.Poisson(), freq_weights=w)
    fit = model.fit(tol=1e-14, maxiter=200)
    mean = np.exp(X @ fit.params)
    weight = np.ones(len(frame)) if w is None else w.to_numpy()
    bread = np.linalg.inv((X * (weight * mean)[:, None]).T @ X)
    scores = X * (weight * (frame["outcome"].to_numpy() - mean))[:, None]
    psi = np.stack([np.bincount(frame["cluster"], c) for c in (scores @ bread).T], axis=1)
    slopes, effects = [], []
    for k in range(len(free)):
        x = X[np.flatnonzero(rows[:, k])[0]]
        without = np.where(np.arange(len(x)) == k, 0.0, x)
        effects.append(np.exp(x @ fit.params) - np.exp(without @ fit.params))
        slopes.append(x * np.exp(x @ fit.params) - without * np.exp(without @ fit.params))
    np.testing.assert_allclose(free["estimate"], effects, rtol=1e-8, atol=1e-9)
    moved = psi @ np.array(slopes).T
    n, k, n_clusters = len(frame), X.shape[1], len(psi)
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - k)
    np.testing.assert_allclose(
        result.std_errors[free.index] ** 2, factor * np.square(moved).sum(axis=0), rtol=1e-7
    )


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_poisson_with_covariates_equals_the_saturated_model(missing, weights, comparison):
    """One regression with all interactions, and the delta method over each cell's rows."""
    sm = pytest.importorskip("statsmodels.api")
    frame = staggered(6, missing=missing, n_units=90).assign(
        outcome=lambda f: np.exp(f["outcome"] / 4)
    )
    estimator = ExtendedTWFE(family="poisson", comparison=comparison)
    result = estimator.fit(
        design(frame, weights=weights, clusters="cluster", always_treated="drop", covariates="z")
    )
    frame = frame[frame["unit"].isin(result.design.sample.units)].reset_index(drop=True)
    free = result.cells[result.cells["note"] == ""]
    rows = cell_columns(frame, free)
    z = ((frame["z"] - frame["z"].mean()) / frame["z"].std()).to_numpy()[:, None]
    groups = dummies(frame.assign(group=frame["cohort"].fillna(0.0)), "group")
    times = dummies(frame, "time")
    X = np.column_stack(
        (rows, rows * z, groups, times[:, 1:], z, z * groups[:, 1:], z * times[:, 1:])
    )
    w = np.ones(len(frame))
    if weights is not None:
        w = (frame[weights] / frame.groupby("unit")[weights].first().mean()).to_numpy()
    fit = sm.GLM(frame["outcome"], X, family=sm.families.Poisson(), freq_weights=w).fit(
        tol=1e-14, maxiter=200
    )
    mean = np.exp(X @ fit.params)
    bread = np.linalg.inv((X * (w * mean)[:, None]).T @ X)
    scores = X * (w * (frame["outcome"].to_numpy() - mean))[:, None]
    psi = np.stack([np.bincount(frame["cluster"], c) for c in (scores @ bread).T], axis=1)
    slopes, effects = [], []
    for k in range(len(free)):
        x = X[rows[:, k] == 1]
        own = w[rows[:, k] == 1] / w[rows[:, k] == 1].sum()
        without = x * ~np.isin(np.arange(x.shape[1]), (k, len(free) + k))
        treated, untreated = np.exp(x @ fit.params), np.exp(without @ fit.params)
        effects.append(own @ (treated - untreated))
        slopes.append((own * treated) @ x - (own * untreated) @ without)
    np.testing.assert_allclose(free["estimate"], effects, rtol=1e-7, atol=1e-8)
    n, k, n_clusters = len(frame), X.shape[1], len(psi)
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - k)
    errors = np.sqrt(factor * np.square(psi @ np.array(slopes).T).sum(axis=0))
    np.testing.assert_allclose(result.std_errors[free.index], errors, rtol=1e-6)


def test_poisson_covariates_mend_trends_that_differ_with_them():
    frame = staggered(11, n_units=400, n_clusters=400, cluster_noise=0.0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400) + 0.8 * (frame.groupby("unit")["cohort"].first() == 3)
    frame["x"] = x.to_numpy()[frame["unit"]]
    on = frame["time"] >= frame["cohort"].fillna(np.inf)
    level = np.exp(0.1 * frame["x"] * frame["time"] + 0.05 * frame["time"])
    frame["outcome"] = level * np.where(on, 1.5, 1.0)
    result = ExtendedTWFE(family="poisson").fit(design(frame, covariates="x"))
    truth = (level / 2)[on].groupby([frame["cohort"], frame["time"]]).mean()
    after = result.cells[result.cells["event_time"] >= 0]
    wanted = [truth[c.cohort, c.time] for c in after.itertuples()]
    np.testing.assert_allclose(after["estimate"], wanted, rtol=1e-9)
    plain = ExtendedTWFE(family="poisson").fit(design(frame)).cells
    assert np.abs(plain.loc[after.index, "estimate"] / wanted - 1).max() > 0.1


def test_poisson_cells_of_zeros_and_separated_covariates_have_effects_and_errors():
    frame = staggered(6, n_units=90).assign(outcome=lambda f: np.exp(f["outcome"] / 4))
    cell = (frame["cohort"] == 3) & (frame["time"] == 5)
    none = frame.assign(outcome=frame["outcome"].where(~cell, 0.0))
    split = frame.assign(outcome=frame["outcome"].where(~cell | (frame["z"] > 2), 0.0))
    for changed in (none, split):
        result = ExtendedTWFE(family="poisson").fit(design(changed, covariates="z"))
        k = result.cells.query("cohort == 3 and time == 5").index[0]
        assert result.estimates[k] < 1
        assert 0 < result.std_errors[k] < 1
    assert ExtendedTWFE(family="poisson").fit(design(none, covariates="z")).estimates[k] < 0


def test_poisson_names_what_zeros_leave_undetermined():
    frame = staggered(6).assign(outcome=lambda f: np.exp(f["outcome"] / 4))
    nothing = (frame["cohort"] == 3) & (frame["time"] < 3)
    result = ExtendedTWFE(family="poisson").fit(
        design(frame.assign(outcome=frame["outcome"].where(~nothing, 0.0)))
    )
    lost = result.cells[np.isnan(result.estimates)]
    assert set(lost["cohort"]) == {3.0}
    assert set(lost["note"]) == {"all untreated outcomes it rests on are zero"}


def test_poisson_recovers_effects_in_percent_exactly():
    truth = simulate.staggered_panel(3, n_units=60, periods=6, cohorts=(3, 5), noise=0, effect=0.5)
    # Within cohorts all units alike: cohort effects are exact, and so is every cell.
    level = truth.frame.groupby("cohort", dropna=False)["untreated"].transform("first")
    path = truth.frame["time"] * 0.1
    base = np.exp(level.groupby(truth.frame["unit"]).transform("first") / 4 + path)
    frame = truth.frame.assign(outcome=base * np.where(truth.frame["treated"], 1.2, 1.0))
    result = ExtendedTWFE(family="poisson").fit(design(frame))
    for cell in result.cells.itertuples():
        rows = (frame["cohort"] == cell.cohort) & (frame["time"] == cell.time)
        assert cell.estimate == pytest.approx(0.2 * base[rows].mean(), rel=1e-9)


def test_a_covariate_that_moves_the_trend_is_accounted_for():
    # A cohort's average covariate moves its trend; its interactions with periods take it up.
    truth = simulate.staggered_panel(
        5, n_units=3_000, periods=5, cohorts=(3, 4), noise=0.5,
        covariate_trend=0.5, covariate_shift=1.0,
    )  # fmt: skip
    naive = ExtendedTWFE().fit(design(truth.frame)).att()
    mended = ExtendedTWFE().fit(design(truth.frame, covariates="x")).att()
    assert abs(naive.estimates[0] - truth.att()) > 0.3
    assert abs(mended.estimates[0] - truth.att()) < 4 * mended.std_errors[0] < 0.15


def test_refusals():
    frame = staggered(1)
    everyone = frame.assign(cohort=frame["cohort"].fillna(6.0))
    with pytest.raises(EstimationError, match="comparison='never_treated' needs units"):
        ExtendedTWFE(comparison="never_treated").fit(design(everyone))
    with pytest.raises(DesignError, match="family may be 'linear', 'poisson'; it was 'logit'"):
        ExtendedTWFE(family="logit")
    with pytest.raises(DesignError, match="outcomes that are not negative"):
        ExtendedTWFE(family="poisson").fit(design(frame))
    positive = frame.assign(outcome=np.exp(frame["outcome"]))
    with pytest.raises(DesignError, match='family="poisson" has no classical covariance'):
        ExtendedTWFE(family="poisson", covariance="classical").fit(design(positive))
    with pytest.raises(DesignError, match='family="poisson" takes no cohort_trends here'):
        ExtendedTWFE(family="poisson", cohort_trends=True).fit(design(positive))


def test_cohort_trends_without_two_untreated_periods_say_so():
    """Cohort 3 has periods 1 and 2 before treatment; without period 1 its trend is anybody's."""
    frame = staggered(3).query("time > 1")
    result = ExtendedTWFE(cohort_trends=True).fit(design(frame))
    lost = result.cells[np.isnan(result.estimates)]
    assert set(lost["cohort"]) == {3.0}
    assert set(lost["note"]) == {"not identified beside the other regressors"}


def test_poisson_covariates_that_separate_untreated_rows_are_refused():
    frame = staggered(6, n_units=90)
    untreated = ~(frame["time"] >= frame["cohort"])
    frame["half"] = frame["unit"] % 2
    nothing = untreated & (frame["time"] == 1) & (frame["half"] == 0)
    frame["outcome"] = np.exp(frame["outcome"] / 4).where(~nothing, 0.0)
    with pytest.raises(EstimationError, match="does not settle in 100 steps; covariates"):
        ExtendedTWFE(family="poisson").fit(design(frame, covariates="half"))


# etwfe differentiates numerically.
NUMERICAL_DERIVATIVE = 1e-5


def test_poisson_with_covariates_equals_r_etwfe(reference_case):
    """etwfe 0.6, its own test: etwfe(emp ~ lpop, family = "poisson", vcov = ~countyreal), event."""
    _, frame = reference_case("etwfe_mpdta")
    columns = {"outcome": "emp", "unit": "countyreal", "time": "year", "cohort": "first.treat",
               "never_treated": 0, "covariates": "lpop"}  # fmt: skip
    result = ExtendedTWFE(family="poisson").fit(
        design(frame.assign(emp=np.exp(frame["lemp"])), **columns)
    )
    study = result.event_study()
    assert list(study.cells["event_time"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(
        study.estimates,
        [-25.3497484355494, 1.09175116997388, -75.1246321552693, -101.823979344829],
        rtol=1e-7,
    )
    np.testing.assert_allclose(
        study.std_errors,
        [15.8862762958862, 40.2952222352926, 23.1541376499351, 27.0877431076141],
        rtol=NUMERICAL_DERIVATIVE,
    )


@pytest.mark.parametrize("family", ["linear", "poisson"])
def test_a_covariate_constant_within_cohorts_leaves_what_others_identify(family):
    """Cohort 3 lies between the two others only as long as cohort 5 is untreated."""
    frame = staggered(3).assign(
        outcome=lambda f: np.exp(f["outcome"] / 4), kind=lambda f: f["cohort"].fillna(0.0) / 3
    )
    result = ExtendedTWFE(family=family).fit(design(frame, covariates="kind"))
    known = result.cells[~np.isnan(result.estimates)]
    assert list(zip(known["cohort"], known["time"], strict=True)) == [(3, 3), (3, 4)]
    means = frame.groupby([frame["cohort"].fillna(0.0), "time"])["outcome"].mean()
    means = means if family == "linear" else np.log(means)
    change = {g: means[g, 3] - (means[g, 1] + means[g, 2]) / 2 for g in (0, 3, 5)}
    if family == "linear":
        between = change[0] + (change[5] - change[0]) * 3 / 5
        assert known["estimate"].iloc[0] == pytest.approx(change[3] - between, rel=1e-9)


def cross_sections(n=400):
    """Rows of five periods, each of another unit, in 40 places."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "unit": np.arange(n),
            "time": rng.integers(1, 6, n),
            "cohort": rng.choice([3.0, 4.0, np.nan], n),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, n),
            "cluster": rng.integers(0, 40, n),
        }
    )
    treated = frame["time"] >= frame["cohort"]
    level = 0.3 * frame["time"] * (1 + frame["x"]) + 0.2 * frame["cohort"].fillna(0.0)
    return frame.assign(outcome=level + treated * (1 + frame["x"]) + rng.normal(size=n))


def untreated_columns(frame):
    """Cohort and period effects with slopes of x that differ by cohort and period."""
    groups = frame.assign(group=frame["cohort"].fillna(0.0))
    effects = dummies(groups, "group", "time")
    return np.column_stack((effects, effects * frame[["x"]].to_numpy()))


@pytest.mark.parametrize("weights", [None, "w"])
def test_repeated_cross_sections_by_a_dense_regression_and_by_imputation(weights):
    frame = cross_sections()
    sample = design(frame, weights=weights, covariates="x", clusters="cluster")
    result = ExtendedTWFE(effects="cohort").fit(sample)
    w = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    member = cell_columns(frame, result.cells)
    means = (member * w[:, None]).T @ frame["x"] / (w @ member)
    centred = member * (frame["x"].to_numpy()[:, None] - means)
    X = np.column_stack((member, centred, untreated_columns(frame)))
    estimates, covariance = dense_regression(
        frame["outcome"].to_numpy(), X, w, frame["cluster"].to_numpy(), np.arange(len(result)),
        np.linalg.matrix_rank(X),
    )  # fmt: skip
    np.testing.assert_allclose(result.estimates, estimates, rtol=1e-8)
    np.testing.assert_allclose(result.covariance(), covariance, rtol=1e-7, atol=1e-10)
    off, columns = ~(frame["time"] >= frame["cohort"]).to_numpy(), untreated_columns(frame)
    root = np.sqrt(w)
    slopes = np.linalg.lstsq(
        columns[off] * root[off, None], (frame["outcome"] * root)[off], rcond=None
    )[0]
    effects = frame["outcome"].to_numpy() - columns @ slopes
    imputed = (member * w[:, None]).T @ effects / (w @ member)
    np.testing.assert_allclose(result.estimates, imputed, rtol=1e-8)
    rows = np.average(effects[~off], weights=w[~off])
    assert result.att("row").estimates[0] == pytest.approx(rows, rel=1e-8)


@pytest.mark.parametrize("covariates", [(), ("x",)])
def test_poisson_on_repeated_cross_sections_by_imputation(covariates):
    sm = pytest.importorskip("statsmodels.api")
    frame = cross_sections().assign(outcome=lambda f: np.exp(f["outcome"] / 4))
    result = ExtendedTWFE(family="poisson").fit(
        design(frame, covariates=covariates, clusters="cluster")
    )
    off = ~(frame["time"] >= frame["cohort"]).to_numpy()
    X = untreated_columns(frame)
    X = X if covariates else X[:, : X.shape[1] // 2]
    kept = np.linalg.qr(X[off])[1]
    kept = np.abs(np.diag(kept)) > 1e-8
    model = sm.GLM(frame["outcome"][off], X[off][:, kept], family=sm.families.Poisson())
    mean = np.exp(X[:, kept] @ model.fit(tol=1e-14, maxiter=200).params)
    member = cell_columns(frame, result.cells)
    imputed = member.T @ (frame["outcome"].to_numpy() - mean) / member.sum(axis=0)
    np.testing.assert_allclose(result.estimates, imputed, rtol=1e-7)


@pytest.mark.parametrize("family", ["linear", "poisson"])
@pytest.mark.parametrize("sections", [True, False])
def test_sampled_means_of_covariates_are_part_of_the_error(family, sections):
    """All that units bring is sampled then, so that moving their weights tells the error."""
    frame = cross_sections() if sections else staggered(3, cohorts=(4, 5), missing=0.1)
    if family == "poisson":
        frame = frame.assign(outcome=np.exp(frame["outcome"] / 4))
    effects = "cohort" if sections else "unit"

    def fit(rows, means="sampled"):
        estimator = ExtendedTWFE(family=family, effects=effects, covariate_means=means)
        return estimator.fit(design(rows, weights="w", covariates="x", clusters="cluster"))

    wanted = reweighted_errors(fit, frame, clusters="cluster")
    ratio = fit(frame).std_errors / wanted
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert 1.0 < ratio[0] < 1.1
    if sections:
        assert (fit(frame, "given").std_errors[1:] < fit(frame).std_errors[1:]).all()


def test_sampled_means_need_clusters():
    estimator = ExtendedTWFE(covariate_means="sampled", covariance="classical")
    with pytest.raises(DesignError, match='covariance="classical" knows no clusters'):
        estimator.fit(design(staggered(3), covariates="x"))


def test_units_seen_once_have_no_effects_of_their_own():
    with pytest.raises(DesignError, match='DoublyRobustDiD or ExtendedTWFE\\(effects="cohort"\\)'):
        ExtendedTWFE().fit(design(cross_sections()))
    undated = cross_sections().assign(on=lambda f: (f["time"] >= f["cohort"]).astype(int))
    with pytest.raises(DesignError, match="who was treated later cannot be told"):
        ExtendedTWFE(effects="cohort").fit(design(undated, cohort=None, treated="on"))
