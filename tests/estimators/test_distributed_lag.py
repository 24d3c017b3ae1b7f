"""Distributed lags: exact responses, identities, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, DistributedLag, FixedEffects, Panel
from impact.errors import DesignError, EstimationError

RESPONSE = np.array([1.0, 0.5, -0.25])


def responding(noise=0.0, n_units=40, periods=9):
    rng = np.random.default_rng(0)
    dose = rng.uniform(0, 2, (n_units, periods)) * (rng.random((n_units, periods)) > 0.5)
    y = rng.normal(size=(n_units, 1)) + np.arange(periods) ** 1.5
    for lag, response in enumerate(RESPONSE):
        y[:, lag:] += response * dose[:, : periods - lag]
    y += noise * rng.normal(size=y.shape)
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    return frame.assign(dose=dose.ravel(), y=y.ravel())


def design_of(frame, **settings):
    settings = {"dose": "dose", **settings}
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", **settings)


def test_responses_are_recovered_and_add_up():
    design = design_of(responding())
    each = DistributedLag(lags=2, leads=1, effect="each").fit(design)
    np.testing.assert_allclose(each.estimates, [0, *RESPONSE], atol=1e-10)
    total = DistributedLag(lags=2, leads=1).fit(design)
    np.testing.assert_allclose(total.estimates, [0, *np.cumsum(RESPONSE)], atol=1e-10)
    assert total.cells["event_time"].tolist() == [-1, 0, 1, 2]


def test_cumulative_errors_come_from_the_joint_covariance():
    design = design_of(responding(noise=1.0))
    each = DistributedLag(lags=2, effect="each").fit(design)
    total = DistributedLag(lags=2).fit(design)
    np.testing.assert_allclose(total.std_errors[2] ** 2, each.covariance().to_numpy().sum())


def test_no_lags_is_fixed_effects():
    design = design_of(responding(noise=1.0))
    none, plain = DistributedLag(lags=0).fit(design), FixedEffects().fit(design)
    np.testing.assert_allclose(none.estimates, plain.estimates, rtol=1e-10)
    np.testing.assert_allclose(none.std_errors, plain.std_errors, rtol=1e-10)


@pytest.mark.parametrize("stated", ["dose", "cohort"])
def test_lags_look_whole_steps_back_where_periods_are_uneven(stated):
    years = np.array([0, 3, 6, 8, 10, 13, 16, 18, 21])
    frame = responding(noise=1.0)
    frame["time"] = years[frame["time"]]
    frame["cohort"] = np.array([np.nan, 3.0, 13.0, 16.0])[frame["unit"] % 4]
    if stated == "dose":
        before = frame[["unit", "time"]].assign(time=frame["time"] + 2, past=frame["dose"])
        rows = frame.merge(before)
    else:
        rows = frame[frame["time"] >= 2]
        on = (rows["time"] >= rows["cohort"]).astype(float)
        rows = rows.assign(dose=on, past=(rows["time"] - 2 >= rows["cohort"]).astype(float))
    asked = design_of(frame, **{"dose": None, stated: stated})
    ours = DistributedLag(lags=1, effect="each").fit(asked)
    written = FixedEffects().fit(design_of(rows, covariates=["past"]))
    np.testing.assert_allclose(ours.estimates, written.estimates, rtol=1e-9)


def test_lags_written_as_columns_give_the_same_with_gaps():
    frame = responding(noise=1.0)
    frame["past"] = frame.groupby("unit")["dose"].shift(1)
    frame = frame.drop(index=[13, 40, 77])
    gone = frame[["unit", "time"]].assign(time=frame["time"] + 1).merge(frame[["unit", "time"]])
    rows = frame.merge(gone)
    ours = DistributedLag(lags=1, effect="each").fit(design_of(frame))
    theirs = FixedEffects().fit(design_of(rows, covariates="past"))
    np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-10)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors, rtol=1e-10)


def test_doses_before_a_missing_outcome_still_count():
    frame = responding()
    frame.loc[frame["time"] < 2, "y"] = np.nan
    result = DistributedLag(lags=2, effect="each").fit(design_of(frame))
    assert result.extra["n_rows"] == 40 * 7
    np.testing.assert_allclose(result.estimates, RESPONSE, atol=1e-10)


def test_cohorts_serve_as_treatment():
    frame = responding()
    frame["cohort"] = np.where(frame["unit"] < 20, 4.0, np.nan)
    frame["y"] = (
        frame["unit"]
        + frame["time"]
        + np.where(frame["unit"] < 20, np.clip(frame["time"] - 3, 0, 2), 0)
    )
    design = design_of(frame, dose=None, cohort="cohort")
    result = DistributedLag(lags=1).fit(design)
    np.testing.assert_allclose(result.estimates, [1, 2], atol=1e-9)


def test_refusals():
    design = design_of(responding())
    with pytest.raises(DesignError, match="DistributedLag: lags is a whole number, 0 or more"):
        DistributedLag(lags=-1)
    with pytest.raises(EstimationError, match="no row has all of 9 lags"):
        DistributedLag(lags=9).fit(design)
    frame = responding().assign(dose=lambda f: (f["time"] >= 5) * 1.0)
    with pytest.raises(EstimationError, match="cannot be told from the other lags"):
        DistributedLag(lags=1).fit(design_of(frame))
