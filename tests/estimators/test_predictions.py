"""Fitted values and recovered fixed effects: dummies, hand cases, what cannot be known."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    Design,
    FirstDifference,
    FixedEffects,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
    RandomEffects,
    fixed_effects,
    predict,
)
from impact.errors import DesignError

DUMMIES = 1e-9
"""Dummies by the dozen lose digits in lstsq."""


def data(seed=0, n_units=25, periods=7, gaps=0.2):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "firm": np.repeat(range(n_units), periods),
            "year": np.tile(range(periods), n_units) + 2000,
        }
    )
    n = len(frame)
    frame["x"], frame["z"] = rng.normal(size=(2, n))
    frame["region"] = [f"r{k}" for k in rng.integers(0, 4, n)]
    frame["y"] = frame["x"] + 0.2 * frame["firm"] + frame["year"] % 3 + rng.normal(size=n)
    frame["jobs"] = rng.poisson(np.exp(0.3 * frame["x"] + 0.05 * frame["firm"]))
    frame["size"], frame["share"] = rng.uniform(0.5, 2, (2, n))
    frame["x2"] = frame["x"] + frame["z"] + rng.normal(size=n)
    kept = frame[rng.random(n) > gaps]
    return kept.sample(frac=1, random_state=3).reset_index(drop=True)


def fit(estimator, frame, covariates=("x",), outcome="y", **more):
    panel = Panel(frame, unit="firm", time="year")
    return estimator.fit(Design(panel, outcome=outcome, covariates=list(covariates), **more))


def dummies(frame, columns, slope=None):
    every = [pd.get_dummies(frame[c].astype(str), dtype=float).to_numpy() for c in columns]
    if slope is not None:
        every.append(every[0] * frame[slope].to_numpy()[:, None])
    return np.hstack(every)


@pytest.mark.parametrize("weights", [None, "share"])
@pytest.mark.parametrize(
    ("effects", "columns", "slope"),
    [
        ("unit", ["firm"], None),
        (("unit", "time"), ["firm", "year"], None),
        (("time", "unit"), ["year", "firm"], None),
        (("unit", "time", "region"), ["firm", "year", "region"], None),
        (("unit", "region^year"), ["firm", "both"], None),
        (("unit[z]", "time"), ["firm", "year"], "z"),
    ],
)
def test_fitted_values_equal_dummies_and_sums_of_effects(effects, columns, slope, weights):
    frame = data().assign(both=lambda f: f["region"] + f["year"].astype(str))
    root = np.sqrt(frame["share"].to_numpy()) if weights else np.ones(len(frame))
    x = np.column_stack((frame["x"], dummies(frame, columns, slope))) * root[:, None]
    solution = np.linalg.lstsq(x, frame["y"] * root, rcond=None)[0]
    wanted = (x @ solution) / root
    result = fit(FixedEffects(effects=effects), frame, weights=weights)
    own = predict(result).set_index(["firm", "year"]).sort_index()
    same = frame.assign(wanted=wanted).set_index(["firm", "year"]).sort_index()
    np.testing.assert_allclose(own["fitted"], same["wanted"], rtol=DUMMIES, atol=DUMMIES)
    np.testing.assert_allclose(own["fitted"] + own["residual"], same["y"], rtol=1e-12)
    again = predict(result, frame)
    assert (again["note"] == "").all()
    np.testing.assert_allclose(again["fitted"], wanted, rtol=DUMMIES, atol=DUMMIES)
    table = fixed_effects(result).table
    assert table["n_rows"].sum() == len(frame) * len(columns)


def test_effects_by_hand():
    frame = pd.DataFrame({"firm": [1, 1, 1, 2, 2, 2], "year": [1, 2, 3] * 2})
    frame["x"] = [0.0, 1, 0, 2, 0, 5]
    frame["y"] = 2 * frame["x"] + np.repeat([10.0, 20.0], 3) + np.tile([0.0, 3.0, -1.0], 2)
    found = fixed_effects(fit(FixedEffects(covariance="classical"), frame))
    np.testing.assert_allclose(found["unit"], [10, 20], rtol=1e-12)
    np.testing.assert_allclose(found["time"], [0, 3, -1], atol=1e-12)
    assert found["time"].index.tolist() == [1, 2, 3]
    assert found.n_references == 1
    assert found.notes == ('"unit" holds the level; "time" is zero at its first level.',)
    assert "-1" in repr(found).replace("−", "-")
    with pytest.raises(DesignError, match='no fixed effect "tim". Did you mean "time"'):
        found["tim"]


def test_slopes_by_hand():
    """Each firm has a level and a slope; the third is seen at one value of z."""
    frame = pd.DataFrame({"firm": [1, 1, 1, 2, 2, 2, 3, 3], "year": [1, 2, 3, 1, 2, 3, 1, 2]})
    frame["z"] = [0.0, 1, 2, 0, 2, 4, 7, 7]
    frame["x"] = [1.0, 0, 0, 3, 0, 1, 2, 5]
    frame["y"] = 4 * frame["x"] + np.select(
        [frame["firm"] == 1, frame["firm"] == 2], [1 + 2 * frame["z"], 5 - frame["z"]], 9.0
    )
    result = fit(FixedEffects(effects="unit[z]", covariance="classical"), frame)
    table = fixed_effects(result).table
    np.testing.assert_allclose(table["estimate"], [1, 5, np.nan], atol=1e-10)
    np.testing.assert_allclose(table["slope of z"], [2, -1, np.nan], atol=1e-10)
    own = predict(result)
    np.testing.assert_allclose(own["fitted"], frame["y"], rtol=1e-10)
    new = predict(result, frame.assign(z=frame["z"] + 1.0))
    np.testing.assert_allclose(new["fitted"][:3], frame["y"][:3] + 2, rtol=1e-10)
    assert (new["note"][6:] == "the fit does not determine the sum of its effects").all()


def test_unit_trends_are_predicted_at_other_periods():
    frame = data(gaps=0.0)
    frame = frame[frame["year"] != 2003]
    result = fit(FixedEffects(effects="unit", trends=True), frame)
    new = predict(result, frame.assign(year=2003, x=0.0))
    at = [predict(result, frame.assign(year=y, x=0.0))["fitted"] for y in (2002, 2004)]
    np.testing.assert_allclose(new["fitted"], (at[0] + at[1]) / 2, rtol=1e-9)


def test_rows_that_cannot_be_predicted_say_why():
    frame = data()
    result = fit(FixedEffects(), frame)
    new = frame.head(5).copy()
    new.loc[0, "firm"] = 99
    new.loc[1, "x"] = np.nan
    new.loc[2, "year"] = 1990
    new["x"] = new["x"].where(new.index != 3, np.inf)
    table = predict(result, new)
    assert table["note"].tolist() == [
        'its level of "unit" is not in the fit',
        '"x" is missing or infinite',
        'its level of "time" is not in the fit',
        '"x" is missing or infinite',
        "",
    ]
    assert table["fitted"].isna().tolist() == [True, True, True, True, False]
    changed = predict(result, new.assign(x=new["x"] + 1.0))
    np.testing.assert_allclose(
        changed["fitted"][4] - table["fitted"][4], result.estimates[0], rtol=1e-10
    )


def test_parts_of_a_panel_without_link_are_told_apart():
    frame = data(gaps=0.0)
    frame = frame[(frame["firm"] < 12) == (frame["year"] < 2003)]
    result = fit(FixedEffects(), frame)
    found = fixed_effects(result)
    assert found.n_references == 2
    assert "fall into 2 parts that share no level" in found.notes[1]
    np.testing.assert_allclose(found["time"][[2000, 2003]], 0.0, atol=1e-12)
    across = predict(result, frame.head(1).assign(firm=3, year=2005))
    assert np.isnan(across["fitted"].iloc[0])
    assert across["note"].iloc[0] == "the fit does not determine the sum of its effects"
    within = predict(result, frame.head(1).assign(firm=3, year=2001))
    assert within["note"].iloc[0] == ""


def test_an_effect_within_another_has_no_values_of_its_own():
    frame = data(gaps=0.0).assign(area=lambda f: f["firm"] % 3)
    result = fit(FixedEffects(effects=("unit", "time", "area")), frame)
    found = fixed_effects(result)
    assert (found["area"] == 0).all()
    assert found.n_references == 4
    assert "leave another 2 values open" in found.notes[1]
    moved = predict(result, frame.assign(area=(frame["area"] + 1) % 3))
    assert moved["fitted"].isna().all()
    np.testing.assert_allclose(
        predict(result, frame)["fitted"].to_numpy(),
        predict(fit(FixedEffects(), frame), frame)["fitted"],
        rtol=1e-10,
    )


def test_pooled_regression_with_and_without_constant():
    frame = data()
    for constant in (True, False):
        result = fit(PooledOLS(constant=constant), frame, ("x", "z"))
        slopes = dict(zip(result.cells["term"], result.estimates, strict=True))
        wanted = sum(slopes[name] * frame[name] for name in ("x", "z")) + slopes.get("constant", 0)
        np.testing.assert_allclose(predict(result, frame)["fitted"], wanted, rtol=1e-12)
    with pytest.raises(DesignError, match="PooledOLS absorbed no fixed effects"):
        fixed_effects(result)


def test_instruments_leave_structural_residuals():
    frame = data()
    frame.loc[:4, "z"] = np.nan
    iv = PanelIV(endogenous="x2", instruments="z")
    result = fit(iv, frame, ("x2", "x"))
    own = predict(result)
    assert len(own) == len(frame) - 5
    # Orthogonal to the instrument once effects are taken out, not to the regressor.
    swept = own.merge(frame, on=["firm", "year"]).assign(time=lambda f: f["year"])
    d = dummies(swept, ["firm", "year"])
    z = swept["z"] - d @ np.linalg.lstsq(d, swept["z"], rcond=None)[0]
    assert abs(z @ own["residual"]) < 1e-8
    assert abs(swept["x2"] @ own["residual"]) > 1e-2
    other = predict(result, frame.iloc[:1])
    wanted = [fixed_effects(result)[e][v] for e, v in (("unit", frame.at[0, "firm"]),
                                                       ("time", frame.at[0, "year"]))]  # fmt: skip
    total = sum(wanted) + frame.loc[0, ["x2", "x"]].to_numpy(float) @ result.estimates
    np.testing.assert_allclose(other["fitted"].iloc[0], total, rtol=1e-10)


@pytest.mark.parametrize("exposure", [None, "size"])
def test_poisson_means(exposure):
    frame = data()
    frame.loc[frame["firm"] == 4, "jobs"] = 0
    result = fit(PoissonFixedEffects(exposure=exposure), frame, outcome="jobs")
    own = predict(result)
    assert 4 not in set(own["firm"])
    sums = own.groupby("firm")[["outcome", "fitted"]].sum()
    np.testing.assert_allclose(sums["fitted"], sums["outcome"], rtol=1e-9)
    again = predict(result, frame).assign(firm=frame["firm"], year=frame["year"])
    gone = again["firm"] == 4
    assert (again.loc[gone, "note"] == 'its level of "unit" is not in the fit').all()
    same = again[~gone].set_index(["firm", "year"]).sort_index()["fitted"]
    np.testing.assert_allclose(same, own["fitted"], rtol=1e-9)
    row = frame[~frame["firm"].eq(4)].iloc[0]
    effects = fixed_effects(result)
    size = 1.0 if exposure is None else row["size"]
    mean = np.exp(
        effects["unit"][row["firm"]] + effects["time"][row["year"]] + row["x"] * result.estimates[0]
    )
    np.testing.assert_allclose(same[row["firm"], row["year"]], size * mean, rtol=1e-9)


def test_an_exposure_of_nothing_is_noted():
    frame = data()
    result = fit(PoissonFixedEffects(exposure="size"), frame, outcome="jobs")
    table = predict(result, frame.head(2).assign(size=[0.0, 1.0]))
    assert table["note"].tolist() == ['"size" is not positive', ""]
    assert table["fitted"].isna().tolist() == [True, False]


def test_poisson_with_an_intercept():
    result = fit(PoissonFixedEffects(effects=()), data(), outcome="jobs")
    own = predict(result)
    np.testing.assert_allclose(own["fitted"].sum(), own["outcome"].sum(), rtol=1e-10)
    np.testing.assert_allclose(
        np.sort(predict(result, data())["fitted"]), np.sort(own["fitted"]), rtol=1e-10
    )


def test_a_regressor_without_coefficient_is_named():
    frame = data().assign(twice=lambda f: 2 * f["x"])
    result = fit(FixedEffects(), frame, ("x", "twice"))
    table = predict(result, frame.head(2))
    assert (table["note"] == "holds if twice is as other regressors imply").all()
    assert table["fitted"].notna().all()


def test_crossed_effects_go_by_both_columns():
    frame = data()
    found = fixed_effects(fit(FixedEffects(effects=("unit", "region^year")), frame))
    assert ("r0", 2001) in found["region^year"].index.tolist()


def test_refusals():
    frame = data()
    result = fit(FixedEffects(), frame)
    with pytest.raises(DesignError, match='rows to predict lack "x", a regressor of the'):
        predict(result, frame.drop(columns="x"))
    with pytest.raises(DesignError, match='lack "year", fixed effect "time" of the regression'):
        predict(result, frame.drop(columns="year"))
    with pytest.raises(DesignError, match='"x" of the rows to predict holds .* where numbers'):
        predict(result, frame.assign(x="many"))
    with pytest.raises(DesignError, match="takes the rows to predict as a pandas DataFrame"):
        predict(result, frame["x"])
    with pytest.raises(DesignError, match="RandomEffects has no fitted values in levels"):
        predict(fit(RandomEffects(), frame))
    with pytest.raises(DesignError, match="FirstDifference has no fitted values in levels"):
        fixed_effects(fit(FirstDifference(), frame))
    with pytest.raises(DesignError, match="PanelIV has no fitted values in levels"):
        predict(fit(PanelIV(endogenous="x2", instruments="z", span=1), frame, ("x2",)))
    with pytest.raises(DesignError, match="DataFrame has no fitted values"):
        predict(frame)
