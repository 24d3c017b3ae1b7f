"""Augmented synthetic control: R augsynth's numbers, the ridge's limits, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError, InferenceError
from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
from impact.estimators.synthetic_control import SyntheticControl
from impact.kernels.ridge_augmentation import augmented_weights, choose_ridge
from impact.kernels.simplex import simplex_least_squares

# augsynth's quadratic program stops at about 1e-6 of the weights; references have six digits.
SOLVER = 2e-6


def design_of(outcomes, first_treated):
    n, periods = outcomes.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
        }
    )
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")


def panel(seed, n=15, periods=14, start=11, n_treated=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, 2)) @ rng.normal(size=(2, periods)).cumsum(axis=1)
    y += 0.3 * rng.normal(size=(n, periods))
    return y, np.where(np.arange(n) < n_treated, float(start), np.nan)


@pytest.mark.validation
@pytest.mark.parametrize(
    ("variant", "settings"),
    [("ridge", {}), ("ridge_fixedeff", {"demean": True})],
)
def test_kansas_as_in_r_augsynth(reference_case, variant, settings):
    case, frame = reference_case("ascm_kansas")
    frame["quarter"] = (4 * frame["year_qtr"]).astype(int)
    design = Design(
        Panel(frame, unit="fips", time="quarter"), outcome="lngdpcapita", treated="treated"
    )
    reference = case["reference"][variant]
    result = AugmentedSyntheticControl(inference="none", **settings).fit(design)
    quality = result.extra["fit"].quality.iloc[0]
    assert quality["ridge"] == pytest.approx(reference["lambda"], rel=1e-9)
    assert quality["imbalance"] == pytest.approx(reference["l2_imbalance"], rel=1e-5)
    assert quality["relative_imbalance"] == pytest.approx(reference["scaled_l2"], rel=1e-5)
    assert result.att().estimates[0] == pytest.approx(reference["average_att"], abs=SOLVER)
    weights = result.extra["fit"].unit_weights.iloc[:, 0]
    for state, weight in reference["weights"].items():
        assert weights[int(state)] == pytest.approx(weight, abs=SOLVER)
    path = result.cells.set_index("time")["estimate"]
    for quarter, effect in reference["att_by_time"].items():
        assert path[int(4 * float(quarter))] == pytest.approx(effect, abs=SOLVER)


@pytest.mark.validation
def test_kansas_without_augmentation(reference_case):
    case, frame = reference_case("ascm_kansas")
    frame["quarter"] = (4 * frame["year_qtr"]).astype(int)
    design = Design(
        Panel(frame, unit="fips", time="quarter"), outcome="lngdpcapita", treated="treated"
    )
    reference = case["reference"]["scm"]
    result = SyntheticControl(inference="none").fit(design)
    assert result.att().estimates[0] == pytest.approx(reference["average_att"], abs=SOLVER)
    rmspe = result.extra["fit"].quality["rmspe_before"].item()
    assert rmspe * np.sqrt(89) == pytest.approx(reference["l2_imbalance"], rel=1e-5)


def test_added_weights_solve_the_ridge_problem_by_brute_force():
    rng = np.random.default_rng(0)
    donors, target, base = rng.normal(size=(7, 5)), rng.normal(size=5), rng.dirichlet(np.ones(7))
    weights = augmented_weights(donors, target, base, 0.7)
    X, x = donors - donors.mean(axis=0), target - donors.mean(axis=0)
    expected = base + X @ np.linalg.solve(X.T @ X + 0.7 * np.eye(5), x - base @ X)
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    assert weights.sum() == pytest.approx(1.0)


def test_ridge_is_chosen_by_leaving_out_each_period():
    y, _ = panel(1)
    donors, target = y[1:, :10], y[0, :10]
    choice = choose_ridge(donors, target)
    assert len(choice.grid) == 21
    best = np.argmin(choice.errors)
    limit = choice.errors[best] + choice.std_errors[best]
    assert choice.ridge == choice.grid[choice.errors <= limit].max()
    centre = donors.mean(axis=0)
    X, x, squared = donors - centre, target - centre, []
    for t in range(10):
        kept = np.arange(10) != t
        base = simplex_least_squares(X[:, kept].T, x[kept]).weights
        gap = x[t] - augmented_weights(X[:, kept], x[kept], base, choice.grid[4]) @ X[:, t]
        squared.append(gap**2)
    assert choice.errors[4] == pytest.approx(np.mean(squared), rel=1e-8)
    assert choice.std_errors[4] == pytest.approx(np.std(squared, ddof=1) / np.sqrt(10), rel=1e-8)


def test_large_ridge_is_synthetic_control_and_small_ridge_fits_exactly():
    y, cohorts = panel(2)
    design = design_of(y, cohorts)
    plain = SyntheticControl(inference="none").fit(design)
    large = AugmentedSyntheticControl(ridge=1e12, inference="none").fit(design)
    np.testing.assert_allclose(large.estimates, plain.estimates, atol=1e-9)
    small = AugmentedSyntheticControl(ridge=1e-9, inference="none").fit(design)
    before = small.cells["event_time"] < 0
    np.testing.assert_allclose(small.cells.loc[before, "estimate"], 0.0, atol=1e-6)


def test_nothing_is_added_where_synthetic_control_fits():
    rng = np.random.default_rng(3)
    donors = rng.normal(size=(6, 10))
    y = np.vstack([0.4 * donors[0] + 0.6 * donors[1], donors])
    y[0, 7:] += 2.0
    result = AugmentedSyntheticControl(ridge=1.0).fit(design_of(y, [8] + [np.nan] * 6))
    after = result.cells["event_time"] >= 0
    np.testing.assert_allclose(result.cells.loc[after, "estimate"], 2.0, atol=1e-10)


def test_demeaning_ignores_constants_of_units():
    y, cohorts = panel(4)
    level = 10 * np.random.default_rng(5).normal(size=(15, 1))
    plain, moved = (
        AugmentedSyntheticControl(demean=True).fit(design_of(v, cohorts)) for v in (y, y + level)
    )
    np.testing.assert_allclose(moved.estimates, plain.estimates, atol=1e-8)
    np.testing.assert_allclose(moved.std_errors, plain.std_errors, atol=1e-8)


def test_placebos_equal_fitting_each_donor_with_the_same_ridge():
    y, cohorts = panel(6, n=7)
    result = AugmentedSyntheticControl(ridge=0.5).fit(design_of(y, cohorts))
    expected = []
    for unit in range(1, 7):
        order = [unit] + [j for j in range(1, 7) if j != unit]
        fit = AugmentedSyntheticControl(ridge=0.5, inference="none")
        expected.append(fit.fit(design_of(y[order], cohorts[:6])).att().estimates[0])
    draws = result.att().uncertainty.draws[:, 0]
    np.testing.assert_allclose(np.sort(draws), np.sort(expected), atol=1e-9)


def test_several_treated_units():
    y, cohorts = panel(7, n_treated=3)
    result = AugmentedSyntheticControl(draws=20).fit(design_of(y, cohorts))
    assert list(result.extra["fit"].unit_weights.columns) == [0, 1, 2]
    assert result.att().std_errors[0] > 0
    pooled = AugmentedSyntheticControl(pooled=True, inference="none").fit(design_of(y, cohorts))
    assert list(pooled.extra["fit"].unit_weights.columns) == ["cohort 11"]


def test_refusals():
    with pytest.raises(DesignError, match="ridge is a positive penalty"):
        AugmentedSyntheticControl(ridge=0.0)
    y, cohorts = panel(8, start=3)
    with pytest.raises(DesignError, match="2 periods before 3 cannot choose a ridge"):
        AugmentedSyntheticControl().fit(design_of(y, cohorts))
    y, cohorts = panel(8, n=6, n_treated=3)
    with pytest.raises(InferenceError, match="3 donors cannot stand in for 3"):
        AugmentedSyntheticControl().fit(design_of(y, cohorts))
    y, cohorts = panel(8, n=2)
    with pytest.raises(DesignError, match="1 donor with one path before 11 for the treated"):
        AugmentedSyntheticControl(inference="none").fit(design_of(y, cohorts))
