"""Slopes that differ: absorbed, by group, unit by unit; beside dummies written out."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from impact import (
    Design,
    FixedEffects,
    MeanGroup,
    Panel,
    PanelIV,
    SlopesByGroup,
    fixed_effects,
    predict,
)
from impact.errors import DesignError, EstimationError, InferenceError
from impact.estimators.from_formula import fit_formula
from impact.kernels import sparse_levels

CLOSED_FORM = 1e-10
PRINTED_OUT = 1e-8  # dummies by the hundred: statsmodels inverts by pinv


def data(seed=0, n_units=60, periods=12, gaps=0.1):
    rng = np.random.default_rng(seed)
    n = n_units * periods
    unit, time = np.repeat(np.arange(n_units), periods), np.tile(np.arange(periods), n_units)
    x, z = rng.normal(size=(2, n))
    slope = 1 + 0.5 * (unit % 3) + 0.3 * rng.normal(size=n_units)[unit]
    y = slope * x + 0.4 * z + rng.normal(size=n_units)[unit] * (1 + 0.1 * time) + rng.normal(size=n)
    frame = pd.DataFrame({"unit": unit, "time": time, "x": x, "z": z, "y": y})
    frame = frame.assign(
        region=frame["unit"] % 3, place=frame["unit"] // 6, phase=(frame["time"] > 5).astype(int)
    )
    return frame[rng.random(n) > gaps].reset_index(drop=True)


def design_of(frame, **settings):
    settings = {"covariates": ["x", "z"], **settings}
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", **settings)


@pytest.mark.parametrize(
    ("effects", "formula"),
    [
        (("unit[z]", "time"), "y ~ x + C(unit) + C(unit):z + C(time)"),
        (("time", "region[z, w]"), "y ~ x + C(region) + C(region):z + C(region):w + C(time)"),
    ],
)
def test_absorbed_slopes_equal_dummies(effects, formula):
    frame = data().assign(w=lambda f: np.sin(f["unit"] * f["time"]))
    result = FixedEffects(effects=effects, covariance="classical").fit(
        design_of(frame, covariates="x")
    )
    written = smf.ols(formula, frame).fit()
    np.testing.assert_allclose(result.estimates[0], written.params["x"], rtol=PRINTED_OUT)
    np.testing.assert_allclose(result.std_errors[0], written.bse["x"], rtol=PRINTED_OUT)


SEVERAL = [
    (("unit[z]", "time[w]"), ["unit", "unit:z", "time", "time:w"]),
    (("region[z]", "unit", "time[z]"), ["unit", "region:z", "time", "time:z"]),
    (("unit[w]", "group[year]"), ["unit", "unit:w", "group:year"]),
    (("unit[z, w]", "time", "phase[w]"), ["unit", "unit:z", "unit:w", "time", "phase:w"]),
]


def written_out(frame, columns, weights):
    """Return the slope of x, its variances by name, the residual degrees and the fitted values."""
    parts = []
    for column in columns:
        group, _, variable = column.partition(":")
        dummies = pd.get_dummies(frame[group], dtype=float).to_numpy()
        parts.append(dummies * frame[variable].to_numpy()[:, None] if variable else dummies)
    root = np.sqrt(weights)
    d = np.hstack(parts) * root[:, None]
    d = d[:, (d**2).sum(axis=0) > 0]
    basis, sizes, _ = np.linalg.svd(d / np.sqrt((d**2).sum(axis=0)), full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes[0]]
    x, y = (frame[c].to_numpy() * root for c in ("x", "y"))
    x_left, y_left = x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)
    slope = x_left @ y_left / (x_left @ x_left)
    left = y_left - slope * x_left
    n, k = len(y), basis.shape[1] + 1
    scores, bread = x_left * left, 1 / (x_left @ x_left)
    leverage = (basis**2).sum(axis=1) + x_left**2 * bread
    by_place = pd.Series(scores).groupby(frame["place"].to_numpy()).sum()
    places = len(by_place)
    variances = {
        "classical": left @ left / (n - k) * bread,
        "HC1": n / (n - k) * (scores**2).sum() * bread**2,
        "HC3": ((scores / (1 - leverage)) ** 2).sum() * bread**2,
        "CR1": (n - 1) / (n - k) * places / (places - 1) * (by_place**2).sum() * bread**2,
    }
    return slope, variances, n - k, (y - left) / root


@pytest.mark.parametrize("weights", [None, "share"])
@pytest.mark.parametrize(("effects", "columns"), SEVERAL)
def test_slopes_of_several_effects_equal_dummies(effects, columns, weights):
    """Groups may nest each other, and years count from zero or from two thousand."""
    frame = data().assign(
        w=lambda f: np.sin(f["unit"] * f["time"]),
        year=lambda f: f["time"] + 2000.0,
        group=lambda f: f["unit"] % 3,
        share=lambda f: 0.5 + f["unit"] % 4,
    )
    frame = frame.sort_values(["unit", "time"])
    design = design_of(frame, covariates="x", clusters="place", weights=weights)
    share = np.ones(len(frame)) if weights is None else frame["share"].to_numpy()
    slope, variances, spare, fitted = written_out(frame, columns, share)
    for covariance, variance in variances.items():
        estimator = FixedEffects(effects=effects, covariance=covariance, convention="areg")
        result = estimator.fit(design)
        np.testing.assert_allclose(result.estimates[0], slope, rtol=PRINTED_OUT)
        np.testing.assert_allclose(result.std_errors[0], np.sqrt(variance), rtol=PRINTED_OUT)
        assert result.extra["df_residual"] == spare
    np.testing.assert_allclose(predict(result)["fitted"], fitted, rtol=1e-7, atol=1e-7)


def test_slopes_of_several_effects_have_no_blocks():
    frame = data()
    design = design_of(frame, covariates="x", clusters="place")
    result = FixedEffects(effects=("unit[z]", "time[z]")).fit(design)
    with pytest.raises(InferenceError, match="cr2"):
        result.infer("cr2")
    with pytest.raises(InferenceError, match="where several effects have slopes"):
        FixedEffects(effects=("unit[z]", "time[z]"), covariance="CR2").fit(design)
    assert set(result.infer("auto").tidy()["inference"]) == {"none"}
    with pytest.raises(DesignError, match="absorbed slopes of several effects"):
        fixed_effects(result)
    with pytest.raises(DesignError, match="absorbed slopes of several effects"):
        predict(result, frame)


def test_slopes_of_a_large_second_effect_are_refused(monkeypatch):
    monkeypatch.setattr(sparse_levels, "DENSE_SYSTEM", 15)
    with pytest.raises(EstimationError, match="solved for up to 15 levels and slopes .* are 24"):
        FixedEffects(effects=("unit[z]", "time[z]")).fit(design_of(data(), covariates="x"))


def test_unit_slopes_of_time_are_unit_trends():
    design = design_of(data())
    one = FixedEffects(trends=True).fit(design)
    other = FixedEffects(effects=("time", "unit[time]")).fit(design)
    np.testing.assert_allclose(other.estimates, one.estimates, rtol=CLOSED_FORM)
    np.testing.assert_allclose(other.std_errors, one.std_errors, rtol=CLOSED_FORM)
    both = FixedEffects(effects="unit[z]", trends=True).fit(design_of(data(), covariates="x"))
    written = smf.ols("y ~ x + C(unit) + C(unit):z + C(unit):time", data()).fit()
    np.testing.assert_allclose(both.estimates[0], written.params["x"], rtol=PRINTED_OUT)


def test_formula_reads_absorbed_slopes():
    frame = data()
    got = fit_formula("y ~ x | unit[z] + time", frame, unit="unit", time="time")
    same = FixedEffects(effects=("unit[z]", "time")).fit(design_of(frame, covariates="x"))
    np.testing.assert_allclose(got.estimates, same.estimates, rtol=CLOSED_FORM)


@pytest.mark.parametrize("by", ["region", "phase"])
def test_coefficients_by_group_equal_dummies(by):
    frame = data(n_units=30)
    result = SlopesByGroup(by=by, variables="x", covariance="classical").fit(design_of(frame))
    written = smf.ols(f"y ~ C({by}):x + z + C(unit) + C(time)", frame).fit()
    groups = sorted(frame[by].unique())
    wanted = [written.params[f"C({by})[{g}]:x"] for g in groups]
    terms = [f"{by}::{g}:x" for g in groups]
    cells = result.cells.set_index("term")["estimate"]
    np.testing.assert_allclose(cells[terms], wanted, rtol=PRINTED_OUT)
    np.testing.assert_allclose(cells["z"], written.params["z"], rtol=PRINTED_OUT)
    shares = frame[by].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(cells["x"], shares.to_numpy() @ wanted, rtol=PRINTED_OUT)
    names = [f"C({by})[{g}]:x" for g in groups]
    same = written.f_test(", ".join(f"{names[0]} = {name}" for name in names[1:]))
    test = result.extra["equality"]["x"]
    assert test.restrictions == len(groups) - 1
    np.testing.assert_allclose(test.statistic / test.restrictions, same.fvalue, rtol=1e-6)
    np.testing.assert_allclose(test.p_value, same.pvalue, rtol=1e-6)


def test_clustered_coefficients_by_group_equal_dummies():
    """Standard errors by place, with Stata's small-sample factor (all dummies counted)."""
    frame = data(n_units=30)
    result = SlopesByGroup(by="region", variables="x", convention="areg").fit(
        design_of(frame, clusters="place")
    )
    written = smf.ols("y ~ C(region):x + z + C(unit) + C(time)", frame).fit(
        cov_type="cluster", cov_kwds={"groups": frame["place"]}
    )
    wanted = [written.bse[f"C(region)[{g}]:x"] for g in range(3)]
    np.testing.assert_allclose(result.std_errors[1:4], wanted, rtol=PRINTED_OUT)


def test_the_treatment_differs_by_default_and_cr2_tests_by_hotelling():
    frame = data().assign(d=lambda f: ((f["unit"] % 2 == 0) & (f["time"] > 4)).astype(int))
    design = design_of(frame, treated="d", clusters="place")
    result = SlopesByGroup(by="region", covariance="CR2").fit(design)
    assert list(result.cells["term"][:4]) == ["d", "region::0:d", "region::1:d", "region::2:d"]
    test = result.extra["equality"]["d"]
    assert test.note == "HTZ, F form"
    assert test.df < 9
    assert 0 < test.p_value < 1


@pytest.mark.parametrize("covariance", ["CR1", "CR2"])
def test_groups_within_one_cluster_have_no_standard_errors_and_no_test(covariance):
    frame = data(n_units=2, gaps=0.0)
    design = design_of(frame, covariates=["x", "z"])
    # Effects of units alone: CR2 allows no second effect that is nested in clusters.
    settings = {"by": "unit", "variables": "x", "effects": "unit"}
    result = SlopesByGroup(**settings, covariance=covariance).fit(design)
    table = result.tidy().set_index("term")
    assert table.loc[["x", "unit::0:x", "unit::1:x"], "std_error"].isna().all()
    assert "2 groups in one cluster" in table.loc["x", "note"]
    assert (table.loc[["unit::0:x", "unit::1:x"], "note"].str.contains("in one cluster")).all()
    assert np.isnan(result.extra["equality"]["x"].p_value)
    assert any("not tested, 2 groups of 2 in one cluster" in note for note in result.notes)
    robust = SlopesByGroup(**settings, covariance="HC1").fit(design)
    np.testing.assert_array_equal(result.estimates, robust.estimates)
    assert robust.extra["equality"]["x"].p_value > 0


def test_a_region_of_one_place_and_more_groups_than_clusters_are_not_tested():
    frame = data(n_units=30)
    alone = frame.assign(place=frame["place"].where(frame["region"] > 0, 999))
    result = SlopesByGroup(by="region", variables="x").fit(design_of(alone, clusters="place"))
    table = result.tidy().set_index("term")
    assert np.isnan(table.loc["region::0:x", "std_error"])
    assert table.loc["region::1:x", "std_error"] > 0
    assert np.isnan(result.extra["equality"]["x"].p_value)
    two = frame.assign(half=frame["unit"] % 2, many=frame["time"] % 5)
    result = SlopesByGroup(by="many", variables="x").fit(design_of(two, clusters="half"))
    assert result.extra["equality"]["x"].note == "2 clusters cannot measure 4 differences"
    assert (result.std_errors[:6] > 0).all()


def test_a_group_without_variation_has_no_coefficient_and_no_part_in_the_average():
    frame = data().assign(x=lambda f: np.where(f["region"] == 2, 1.0, f["x"]))
    result = SlopesByGroup(by="region", variables="x").fit(design_of(frame))
    cells = result.cells.set_index("term")
    assert np.isnan(cells.loc["region::2:x", "estimate"])
    assert "explain it exactly" in cells.loc["region::2:x", "note"]
    assert cells.loc["x", "note"] == "average over 2 groups; 1 have no coefficient"
    assert result.extra["equality"]["x"].restrictions == 1
    rows = frame["region"].value_counts()
    two = cells.loc[["region::0:x", "region::1:x"], "estimate"].to_numpy()
    wanted = np.average(two, weights=[rows[0], rows[1]])
    np.testing.assert_allclose(cells.loc["x", "estimate"], wanted, rtol=CLOSED_FORM)


@pytest.mark.parametrize("settings", [{}, {"trends": True}, {"common_factors": True}])
def test_mean_group_equals_regressions_unit_by_unit(settings):
    frame = data()
    result = MeanGroup(**settings).fit(design_of(frame))
    averages = frame.groupby("time")[["y", "x", "z"]].transform("mean")
    found = []
    for _, rows in frame.groupby("unit"):
        columns = [rows["x"], rows["z"], np.ones(len(rows))]
        if settings.get("trends"):
            columns.append(rows["time"])
        if settings.get("common_factors"):
            columns += [averages.loc[rows.index, name] for name in averages]
        fit = sm.OLS(rows["y"].to_numpy(), np.column_stack(columns)).fit()
        found.append(fit.params[:2])
    found = np.array(found)
    np.testing.assert_allclose(result.extra["slopes"], found, rtol=1e-7)
    np.testing.assert_allclose(result.estimates, found.mean(axis=0), rtol=1e-9)
    errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    np.testing.assert_allclose(result.std_errors, errors, rtol=1e-8)
    assert result.uncertainty.df == len(found) - 1


def test_mean_group_sums_units_within_clusters():
    frame = data()
    result = MeanGroup().fit(design_of(frame, clusters="place"))
    slopes = result.extra["slopes"].to_numpy()
    sums = pd.DataFrame(slopes - slopes.mean(axis=0)).groupby(np.arange(60) // 6).sum() / 60
    wanted = np.sqrt(10 / 9 * (sums**2).sum().to_numpy())
    np.testing.assert_allclose(result.std_errors, wanted, rtol=CLOSED_FORM)


def test_units_that_do_not_identify_slopes_are_left_out_and_counted():
    frame = data()
    frame.loc[frame["unit"] == 0, "x"] = 3.0
    short = frame[(frame["unit"] != 1) | (frame["time"] < 2)]
    result = MeanGroup().fit(design_of(short))
    assert result.extra["n_units"] == 58
    assert result.notes == ("2 units of 60 do not identify every slope and are left out.",)
    whole = MeanGroup().fit(design_of(short[short["unit"] > 1]))
    np.testing.assert_allclose(result.estimates, whole.estimates, rtol=CLOSED_FORM)
    np.testing.assert_allclose(result.std_errors, whole.std_errors, rtol=CLOSED_FORM)


def test_homogeneity_holds_its_size_and_sees_different_slopes():
    """300 panels of 40 units: the two-sided 5 % test rejects between 2 and 9 %."""
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(300):
        frame = data(seed=int(rng.integers(1 << 30)), n_units=40, periods=10)
        alike = frame["x"] + 0.4 * frame["z"] + rng.normal(size=len(frame))
        test = MeanGroup().fit(design_of(frame.assign(y=alike))).extra["homogeneity"]
        rejected += test.p_value < 0.05
    assert 6 <= rejected <= 27
    assert MeanGroup().fit(design_of(data())).extra["homogeneity"].p_value < 0.01


def test_homogeneity_by_hand():
    """Pesaran and Yamagata (2008), eq. (27) and (29), on a balanced panel."""
    frame = data(n_units=20, gaps=0.0)
    test = MeanGroup().fit(design_of(frame)).extra["homogeneity"]
    centred = frame - frame.groupby("unit")[list(frame.columns)].transform("mean")
    pieces = [
        (g[["x", "z"]].to_numpy(), g["y"].to_numpy()) for _, g in centred.groupby(frame["unit"])
    ]
    pooled = np.linalg.solve(sum(x.T @ x for x, _ in pieces), sum(x.T @ y for x, y in pieces))
    variances = [np.sum((y - x @ pooled) ** 2) / 11 for x, y in pieces]
    weighted = np.linalg.solve(
        sum(x.T @ x / v for (x, _), v in zip(pieces, variances, strict=True)),
        sum(x.T @ y / v for (x, y), v in zip(pieces, variances, strict=True)),
    )
    total = 0.0
    for (x, y), v in zip(pieces, variances, strict=True):
        apart = np.linalg.lstsq(x, y, rcond=None)[0] - weighted
        total += apart @ x.T @ x @ apart / v
    delta = np.sqrt(20) * (total / 20 - 2) / np.sqrt(2 * 2 * (12 - 2 - 1) / (12 + 1))
    np.testing.assert_allclose(test.statistic, delta, rtol=1e-9)


def test_refusals():
    frame = data()
    design = design_of(frame)
    no_z = frame.assign(z=frame["z"].where(frame.index > 0))
    no_region = frame.assign(region=frame["region"].where(frame.index > 1))
    mixed = frame.assign(one=(frame["unit"] > 57).astype(int))
    mixed.loc[mixed["unit"] > 57, "x"] = 1.0
    with pytest.raises(DesignError, match='written "group\\[x\\]".*unit\\[x'):
        FixedEffects(effects=("unit[x", "time"))
    with pytest.raises(DesignError, match="have a level each, so that fixest's"):
        FixedEffects(effects=("unit[[x]]", "time"))
    with pytest.raises(DesignError, match='effects must include "unit"; it was'):
        FixedEffects(effects=("region[x]", "time"), trends=True)
    with pytest.raises(DesignError, match='"z", whose slope differs by group, is missing in 1 row'):
        FixedEffects(effects=("unit[z]", "time")).fit(design_of(no_z, covariates="x"))
    with pytest.raises(DesignError, match="which FixedEffects takes"):
        PanelIV(endogenous="x", instruments="z", effects=("unit[z]",)).fit(
            design_of(frame, covariates="x")
        )
    with pytest.raises(DesignError, match='variable "w" is not among'):
        SlopesByGroup(by="region", variables="w").fit(design)
    with pytest.raises(DesignError, match='"region" is missing in 2 rows'):
        SlopesByGroup(by="region").fit(design_of(no_region))
    with pytest.raises(DesignError, match='"one" has 1 group'):
        SlopesByGroup(by="one").fit(design_of(frame.assign(one=1)))
    with pytest.raises(EstimationError, match='"x" varies within the fixed effects in none'):
        SlopesByGroup(by="region", variables="x").fit(design_of(frame.assign(x=frame["unit"])))
    with pytest.raises(DesignError, match="MeanGroup takes no weights"):
        MeanGroup().fit(design_of(frame.assign(w=1.0), weights="w"))
    with pytest.raises(EstimationError, match="0 units of 59 identify the slopes of x, z"):
        MeanGroup().fit(design_of(frame[frame["time"] < 2]))
    with pytest.raises(EstimationError, match='one cluster of "one"'):
        MeanGroup().fit(design_of(mixed, clusters="one"))
