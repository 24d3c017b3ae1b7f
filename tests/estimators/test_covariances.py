"""Covariances asked for by more than a name, on the rows that a regression really has."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    Between,
    Conley,
    Design,
    DriscollKraay,
    FirstDifference,
    FixedEffects,
    NeweyWest,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
)
from impact.errors import InferenceError

CLOSED_FORM = 1e-10


@pytest.fixture
def frame():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"unit": np.repeat(range(20), 6), "time": np.tile(range(6), 20)})
    frame = frame[rng.random(120) > 0.15].reset_index(drop=True)
    frame["x"], frame["z"] = rng.normal(size=(2, len(frame)))
    frame["x"] += frame["z"]
    frame["y"] = frame["x"] + rng.normal(size=20)[frame["unit"]] + rng.normal(size=len(frame))
    frame["jobs"] = rng.poisson(np.exp(0.3 * frame["x"])) * (frame["unit"] > 3)
    frame["lat"] = rng.uniform(9, 22, 20)[frame["unit"]]
    frame["lon"] = rng.uniform(103, 108, 20)[frame["unit"]]
    return frame


def fit(estimator, frame, outcome="y", covariates=("x",)):
    panel = Panel(frame, unit="unit", time="time")
    return estimator.fit(Design(panel, outcome=outcome, covariates=covariates))


@pytest.mark.parametrize(
    "covariance", [DriscollKraay(2), NeweyWest(2), Conley(300, lags=2)], ids=str
)
def test_lags_count_steps_of_the_panel(frame, covariance):
    every_fifth_year = frame.assign(time=2000 + 5 * frame["time"])
    one = fit(FixedEffects(effects="unit", covariance=covariance), frame)
    other = fit(FixedEffects(effects="unit", covariance=covariance), every_fifth_year)
    np.testing.assert_allclose(other.std_errors, one.std_errors, rtol=CLOSED_FORM)
    none = fit(FixedEffects(effects="unit", covariance="HC0"), frame)
    assert not np.allclose(one.std_errors, none.std_errors, rtol=1e-3)


@pytest.mark.parametrize(
    "covariance", [DriscollKraay(3), NeweyWest(3), Conley(1e-6, lags=3)], ids=str
)
def test_lags_are_true_distances_where_periods_are_uneven(frame, covariance):
    years = np.array([0, 3, 6, 8, 9, 13])
    frame = frame[frame["time"] != 4].assign(time=lambda f: years[f["time"]])
    result = fit(PooledOLS(covariance=covariance), frame)
    x = np.column_stack((np.ones(len(frame)), frame["x"]))
    bread = np.linalg.inv(x.T @ x)
    scores = x * (frame["y"] - x @ bread @ x.T @ frame["y"]).to_numpy()[:, None]
    apart = np.abs(np.subtract.outer(frame["time"].to_numpy(), frame["time"].to_numpy()))
    weight = np.maximum(1 - apart / 4, 0)
    if not isinstance(covariance, DriscollKraay):
        weight *= np.equal.outer(frame["unit"].to_numpy(), frame["unit"].to_numpy())
    variance = np.diagonal(bread @ scores.T @ weight @ scores @ bread)
    ratio = result.covariance().to_numpy().diagonal() / variance[::-1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=CLOSED_FORM)
    n, periods = len(frame), 5
    factor = 1.0 if isinstance(covariance, Conley) else periods / (periods - 1) * (n - 1) / n
    assert ratio[0] == pytest.approx(factor * n / (n - 2), rel=CLOSED_FORM)


def test_conley_on_differences(frame):
    frame = frame.sort_values(["unit", "time"])
    before = frame.groupby("unit")[["time", "x", "y"]].shift(1)
    follows = frame["time"] - before["time"] == 1
    changes = frame.assign(x=frame["x"] - before["x"], y=frame["y"] - before["y"])[follows]
    ours = fit(FirstDifference(covariance=Conley(300)), frame)
    by_hand = fit(PooledOLS(covariance=Conley(300)), changes)
    np.testing.assert_allclose(ours.std_errors, by_hand.std_errors, rtol=CLOSED_FORM)


def test_conley_on_unit_means(frame):
    means = frame.groupby("unit", as_index=False).mean().assign(time=0)
    ours = fit(Between(covariance=Conley(300)), frame)
    by_hand = fit(PooledOLS(covariance=Conley(300)), means)
    np.testing.assert_allclose(ours.std_errors, by_hand.std_errors, rtol=CLOSED_FORM)


def test_conley_where_rows_are_left_out(frame):
    kept = frame[frame.groupby("unit")["jobs"].transform("sum") > 0]
    poisson = PoissonFixedEffects(effects="unit", covariance=Conley(300))
    np.testing.assert_allclose(
        fit(poisson, frame, "jobs").std_errors, fit(poisson, kept, "jobs").std_errors, rtol=1e-8
    )
    holes = frame.assign(z=frame["z"].where(frame.index % 7 > 0))
    iv = PanelIV(endogenous="x", instruments="z", covariance=Conley(300))
    np.testing.assert_allclose(
        fit(iv, holes).std_errors,
        fit(iv, holes.dropna(subset="z")).std_errors,
        rtol=CLOSED_FORM,
    )


@pytest.mark.parametrize("make", [DriscollKraay, NeweyWest])
def test_refusals(frame, make):
    with pytest.raises(InferenceError, match="lags counts whole periods, 0 or more; it was -1"):
        make(-1)
    with pytest.raises(InferenceError, match=r"lags counts whole periods, 0 or more; it was 1\.5"):
        make(1.5)
    with pytest.raises(InferenceError, match="all rows of this regression belong to one period"):
        fit(Between(covariance=make()), frame)
    with pytest.raises(InferenceError, match="all rows of this regression belong to one period"):
        fit(PooledOLS(covariance=make()), frame[frame["time"] == 3])
