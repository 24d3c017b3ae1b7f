"""Panel matching: hand cases, equality with group-time differences, uncertainty, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError
from impact.estimators.panel_matching import PanelMatching
from impact.kernels.matching import lag_distances, nearest_weights


def design_of(outcomes, first_treated, **columns):
    n, periods = outcomes.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
            **{name: np.asarray(values).ravel() for name, values in columns.items()},
        }
    ).dropna(subset="y")
    panel = Panel(frame, unit="unit", time="time")
    return Design(panel, outcome="y", cohort="g", covariates=tuple(columns))


def test_nearest_past_decides_by_hand():
    """Unit 1 has the treated unit's past: the effect is (9 - 2) - (3 - 2) = 6."""
    y = np.array([[1.0, 2.0, 9.0], [1.1, 2.0, 3.0], [7.0, 8.0, 0.0], [4.0, 4.0, 0.0]])
    result = PanelMatching(lags=2, size=1).fit(design_of(y, [3, np.nan, np.nan, np.nan]))
    assert result.att().estimates[0] == pytest.approx(6.0)


def test_distances_by_brute_force():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(4, 3, 2)), rng.normal(size=(7, 3, 2))
    distances = lag_distances(one, two)
    expected = np.zeros((4, 7))
    for lag in range(3):
        inverse = np.linalg.inv(np.cov(np.vstack([one[:, lag], two[:, lag]]).T))
        for i in range(4):
            for j in range(7):
                gap = one[i, lag] - two[j, lag]
                expected[i, j] += np.sqrt(gap @ inverse @ gap) / 3
    np.testing.assert_allclose(distances, expected, atol=1e-10)


def test_weights_go_to_the_nearest_allowed_and_share_ties():
    distances = np.array([[1.0, 2.0, 2.0, 0.5]])
    allowed = np.array([True, True, True, False])
    np.testing.assert_allclose(nearest_weights(distances, allowed, 2), [[1 / 3] * 3 + [0]])
    np.testing.assert_allclose(nearest_weights(distances, allowed, 1), [[1, 0, 0, 0]])
    np.testing.assert_allclose(nearest_weights(distances, ~allowed, 9), [[0, 0, 0, 1]])


def test_without_refinement_cells_are_group_time_differences():
    """Not-yet-treated comparison, universal base: Callaway and Sant'Anna's cells and errors."""
    frame = simulate.staggered_panel(5, n_units=80, periods=8, cohorts=(4, 6)).frame
    design = Design(Panel(frame, unit="unit", time="time"), outcome="outcome", cohort="cohort")
    ours = PanelMatching(lags=3, refinement="none").fit(design)
    theirs = CallawaySantAnna(base_period="universal").fit(design)
    after = ours.cells["event_time"] >= 0
    np.testing.assert_allclose(
        ours.estimates[after], theirs.estimates[after], rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        ours.std_errors[after], theirs.std_errors[after], rtol=1e-8, atol=1e-12
    )
    np.testing.assert_allclose(ours.att().std_errors, theirs.att().std_errors, rtol=1e-8)


@pytest.mark.parametrize("refinement", ["mahalanobis", "propensity"])
def test_matching_removes_a_trend_that_follows_a_covariate(refinement):
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    treated = rng.random(400) < 1 / (1 + np.exp(1.0 - x))
    trend = np.arange(8) * x[:, None]
    y = trend + 0.3 * rng.normal(size=(400, 8))
    y[treated, 5:] += 1.0
    cohorts = np.where(treated, 6.0, np.nan)
    columns = {"x": np.repeat(x, 8)}
    matched = PanelMatching(lags=3, refinement=refinement).fit(design_of(y, cohorts, **columns))
    plain = PanelMatching(lags=3, refinement="none").fit(design_of(y, cohorts, **columns))
    bias, plain_bias = (abs(r.att().estimates[0] - 1.0) for r in (matched, plain))
    # Neighbours among 400 units are near, not equal: part of the trend of 3 a unit of x stays.
    assert bias < plain_bias / 4
    balance = matched.extra["fit"].balance.loc[(6.0, "x")].abs()
    assert balance["matches"] < 0.3 * balance["all candidates"]


@pytest.mark.slow
def test_coverage_is_not_below_nominal():
    """Independent noise, nothing to match on: the intervals cover at 95 %, both ways."""
    n_reps, hits = 400, 0
    for seed in range(n_reps):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(90, 1)) + rng.normal(size=(90, 7))
        y[:30, 5:] += 1.0
        cohorts = np.where(np.arange(90) < 30, 6.0, np.nan)
        row = PanelMatching(lags=2, refinement="none").fit(design_of(y, cohorts)).att()
        tidy = row.tidy().iloc[0]
        hits += tidy["conf_low"] <= 1.0 <= tidy["conf_high"]
    # Three standard deviations of a share over 400 repetitions.
    assert abs(hits / n_reps - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_reps)


def test_units_without_their_lags_are_left_out_and_counted():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(12, 8))
    y[0, 1] = np.nan
    result = PanelMatching(lags=2).fit(design_of(y, [6, 6] + [np.nan] * 10))
    y_kept = np.delete(y, 0, axis=0)
    whole = PanelMatching(lags=2).fit(design_of(y_kept, [6] + [np.nan] * 10))
    assert result.extra["fit"].matched["left_out"].item() == 0
    y[0, 4] = np.nan
    result = PanelMatching(lags=2).fit(design_of(y, [6, 6] + [np.nan] * 10))
    assert result.extra["fit"].matched["left_out"].item() == 1
    assert result.att().estimates[0] == pytest.approx(whole.att().estimates[0])


def test_a_cohort_too_early_for_the_lags_is_missing_with_its_reason():
    rng = np.random.default_rng(3)
    cohorts = [3.0] * 3 + [7.0] * 3 + [np.nan] * 8
    result = PanelMatching(lags=4).fit(design_of(rng.normal(size=(14, 9)), cohorts))
    early = result.cells[result.cells["cohort"] == 3.0]
    assert early["estimate"].isna().all()
    assert (early["note"] == "fewer than 4 periods before treatment").all()
    assert np.isfinite(result.att().estimates[0])


def test_refusals():
    rng = np.random.default_rng(4)
    y, cohorts = rng.normal(size=(10, 6)), [5.0] * 4 + [np.nan] * 6
    with pytest.raises(DesignError, match="lags counts from 1 up"):
        PanelMatching(lags=0)
    with pytest.raises(EstimationError, match="no treated unit has a match with 9 lags"):
        PanelMatching(lags=9).fit(design_of(y, cohorts))
    y[:4, :4] += 100.0
    with pytest.raises(EstimationError, match="tells treated and untreated apart"):
        PanelMatching(lags=2, refinement="propensity").fit(design_of(y, cohorts))
