"""Poisson fixed effects against dummy variables, and separation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from impact import Design, Panel, PoissonFixedEffects
from impact.errors import DesignError, EstimationError, InferenceError
from impact.kernels import poisson as module
from impact.kernels.groups import compact
from impact.kernels.poisson import fit_poisson, separated_rows, zero_groups

CONVERGED = 1e-7  # the reference stops at its own tolerance


def counts(seed=0, n_units=40, periods=6):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    frame["x"], frame["size"] = rng.normal(size=len(frame)), rng.uniform(1, 5, len(frame))
    frame["place"] = frame["unit"] % 4
    unit = rng.normal(size=n_units)[frame["unit"]]
    frame["share"] = rng.uniform(0.5, 2, len(frame))
    mean = np.exp(0.4 * frame["x"] + unit + 0.1 * frame["time"])
    frame["jobs"] = rng.poisson(mean).astype(float)
    return frame[rng.random(len(frame)) > 0.1].reset_index(drop=True)


def design_of(frame, **settings):
    settings = {"covariates": "x", **settings}
    return Design(Panel(frame, unit="unit", time="time"), outcome="jobs", **settings)


def independent(columns):
    """Keep the columns that those before them do not explain."""
    upper = np.abs(np.diag(np.linalg.qr(columns.to_numpy(), mode="r")))
    return columns.loc[:, upper > 1e-9 * upper.max()]


def with_dummies(frame, effects, weights=None, offset=None):
    dummies = pd.get_dummies(frame[effects].astype(str), dtype=float)
    columns = independent(pd.concat([frame[["x"]], dummies], axis=1))
    model = sm.GLM(
        frame["jobs"], columns, family=sm.families.Poisson(), freq_weights=weights, offset=offset
    )
    return model.fit(tol=1e-14, maxiter=200)


@pytest.mark.parametrize("weights", [None, "share"])
@pytest.mark.parametrize("effects", [("unit",), ("unit", "time"), ("unit", "time", "place^time")])
def test_equals_dummy_variables(effects, weights):
    frame = counts()
    frame = frame[frame.groupby("unit")["jobs"].transform("sum") > 0].reset_index(drop=True)
    frame["place^time"] = frame["place"] * 10 + frame["time"]
    theirs = with_dummies(frame, list(effects), None if weights is None else frame[weights])
    ours = PoissonFixedEffects(effects=effects, covariance="HC0").fit(
        design_of(frame, weights=weights)
    )
    np.testing.assert_allclose(ours.estimates, theirs.params["x"], rtol=CONVERGED)
    np.testing.assert_allclose(ours.extra["deviance"], theirs.deviance, rtol=CONVERGED)
    if weights is None:
        classical = PoissonFixedEffects(effects=effects, covariance="classical").fit(
            design_of(frame)
        )
        n, k = len(frame), theirs.df_model + 1
        factor = np.sqrt((n - 1) / (n - k))
        np.testing.assert_allclose(
            classical.std_errors, theirs.bse["x"] * factor, rtol=10 * CONVERGED
        )


def test_first_order_condition_and_no_effects():
    frame = counts()
    result = PoissonFixedEffects(effects=()).fit(design_of(frame))
    theirs = sm.GLM(frame["jobs"], sm.add_constant(frame[["x"]]), family=sm.families.Poisson()).fit(
        tol=1e-14
    )
    assert result.cells["term"].tolist() == ["x", "constant"]
    np.testing.assert_allclose(result.estimates, theirs.params[["x", "const"]], rtol=CONVERGED)
    np.testing.assert_allclose(result.extra["log_likelihood"], theirs.llf, rtol=CONVERGED)


def test_exposure_is_a_known_part_of_the_mean():
    frame = counts()
    theirs = with_dummies(frame, ["time"], offset=np.log(frame["size"]))
    ours = PoissonFixedEffects(effects="time", exposure="size").fit(design_of(frame))
    np.testing.assert_allclose(ours.estimates, theirs.params["x"], rtol=CONVERGED)


def test_the_outcomes_unit_does_not_matter():
    frame = counts()
    one = PoissonFixedEffects().fit(design_of(frame))
    for scale in (1e-6, 1e9):
        scaled = PoissonFixedEffects().fit(design_of(frame.assign(jobs=frame["jobs"] * scale)))
        np.testing.assert_allclose(scaled.estimates, one.estimates, rtol=1e-9)
        np.testing.assert_allclose(scaled.std_errors, one.std_errors, rtol=1e-8)


def test_units_that_never_have_a_job_are_left_out():
    frame = counts()
    frame.loc[frame["unit"] < 3, "jobs"] = 0
    gone = frame.groupby("unit")["jobs"].transform("sum") == 0
    result = PoissonFixedEffects().fit(design_of(frame))
    assert result.extra["n_left_out"] == gone.sum()
    assert result.notes[0].startswith(f"{gone.sum()} rows in groups whose outcomes are all zero")
    rest = PoissonFixedEffects().fit(design_of(frame[~gone]))
    np.testing.assert_allclose(result.estimates, rest.estimates, rtol=1e-10)
    np.testing.assert_allclose(result.std_errors, rest.std_errors, rtol=1e-10)


def test_zeros_that_a_regressor_predicts_are_found_and_left_out():
    """A second regressor is positive only on some rows whose outcome is zero."""
    frame = counts()
    frame["only"] = 0.0
    often = frame[(frame["jobs"] > 0) & (frame.groupby("unit")["jobs"].transform("min") > 0)]
    rows = often.groupby("unit").head(1).index[:6]
    frame.loc[rows, "jobs"] = 0.0
    frame.loc[rows, "only"] = 1.0 + np.arange(6)
    result = PoissonFixedEffects().fit(design_of(frame, covariates=["x", "only"]))
    assert any(note.startswith("6 rows with outcome zero") for note in result.notes)
    assert np.isnan(result.estimates[1])
    rest = PoissonFixedEffects().fit(design_of(frame.drop(rows)))
    np.testing.assert_allclose(result.estimates[0], rest.estimates[0], rtol=1e-9)


def test_certificate_of_separation_by_hand():
    outcome = np.array([0, 0, 1, 2, 0, 3.0])
    regressor = np.array([[1, 2, 0, 0, 0, 0.0]])
    found = separated_rows(outcome, np.concatenate((regressor, np.ones((1, 6)))), [])
    assert found.tolist() == [True, True, False, False, False, False]
    groups = [compact(np.array([0, 0, 1, 1, 1, 1]))]
    assert zero_groups(outcome, groups).tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_separated_zeros_in_many_small_cells_are_left_out(seed):
    """A closed workshop has no jobs; its rows, and what they alone link, tell nothing of x."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"unit": np.repeat(range(12), 8), "time": np.tile(range(8), 12)})
    frame = frame[rng.random(96) > 0.2].reset_index(drop=True)
    frame["region"] = frame["unit"] % 3
    frame["x"] = rng.normal(size=len(frame))
    frame["closed"] = (rng.random(len(frame)) < 0.5).astype(float)
    frame["y"] = rng.poisson(np.exp(0.5 * frame["x"] - 0.5)) * (1 - frame["closed"])
    estimator = PoissonFixedEffects(effects=("unit", "region^time"))

    def fit(rows, columns):
        panel = Panel(rows, unit="unit", time="time")
        return estimator.fit(Design(panel, outcome="y", covariates=columns))

    every = fit(frame, ["x", "closed"])
    rest = fit(frame[frame["closed"] == 0], ["x"])
    assert np.isnan(every.estimates[1])
    np.testing.assert_allclose(every.estimates[0], rest.estimates[0], rtol=1e-9)
    np.testing.assert_allclose(every.std_errors[0], rest.std_errors[0], rtol=1e-9)
    assert every.extra["n_rows"] == rest.extra["n_rows"]


def test_a_perfect_fit_settles():
    """The deviance is zero and gains are rounding alone."""
    outcome = np.array([1.0, 2.0, 4.0, 8.0])
    x = np.array([0.0, 1.0, 2.0, 3.0])
    fit = fit_poisson(outcome, np.stack((x, np.ones(4))), [])
    np.testing.assert_allclose(fit.coefficients, [np.log(2), 0.0], atol=1e-12)


def test_refusals():
    frame = counts()
    with pytest.raises(EstimationError, match=r'outcome "jobs" is negative in 1 row, first unit 0'):
        PoissonFixedEffects().fit(
            design_of(frame.assign(jobs=np.where(frame.index == 0, -1.0, frame["jobs"])))
        )
    with pytest.raises(EstimationError, match=r"rows, first unit 0, 1, 2 and \d+ more"):
        PoissonFixedEffects().fit(design_of(frame.assign(jobs=-1.0 - frame["jobs"])))
    with pytest.raises(EstimationError, match="is 0 in all"):
        PoissonFixedEffects().fit(design_of(frame.assign(jobs=0.0)))
    with pytest.raises(EstimationError, match="no regressor varies within"):
        PoissonFixedEffects().fit(design_of(frame.assign(x=frame["unit"] * 1.0)))
    with pytest.raises(DesignError, match='exposure "size" is missing, zero or negative in 1 row'):
        PoissonFixedEffects(exposure="size").fit(
            design_of(frame.assign(size=np.where(frame.index == 3, 0.0, frame["size"])))
        )
    with pytest.raises(InferenceError, match="covariance 'CR2' is exact only for linear"):
        PoissonFixedEffects(covariance="CR2")
    result = PoissonFixedEffects().fit(design_of(frame))
    with pytest.raises(InferenceError, match="exact only for linear regressions"):
        result.uncertainty.with_kind("CR3").covariance()


def test_unsettled_estimates_are_refused(monkeypatch):
    frame = counts()
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    x = np.vstack((frame["x"], np.ones(len(frame))))
    with pytest.raises(EstimationError, match="does not settle: its likelihood still grows"):
        fit_poisson(frame["jobs"].to_numpy(), x, [])
    monkeypatch.setattr(module, "HALVINGS", 0)
    with pytest.raises(EstimationError, match="does not settle: no step of 0 halvings"):
        fit_poisson(frame["jobs"].to_numpy(), x, [])
