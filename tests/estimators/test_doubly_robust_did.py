"""Two-period difference-in-differences: DRDID's numbers, by hand, identities, coverage."""

import numpy as np
import pandas as pd
import pytest
from reference import read_case

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError
from impact.estimators.doubly_robust_did import DoublyRobustDiD

METHODS = {
    "dr_imp": "improved",
    "dr_trad": "doubly_robust",
    "ipw_std": "inverse_probability",
    "ipw_ht": "horvitz_thompson",
    "reg": "regression",
}
COVARIATES = ["age", "educ", "black", "married", "nodegree", "hisp", "re74"]
# R DRDID 1.2.3; its logit and calibration stop at 1e-8.
ESTIMATE = 1e-5
STD_ERROR = 1e-4
EXACT = 1e-10


def fit(frame, method="improved", *, unit="unit", time="time", trim=0.995, **settings):
    names = {"outcome": "outcome", "cohort": "cohort"} | settings
    design = Design(Panel(frame, unit=unit, time=time), **names)
    return DoublyRobustDiD(method=method, trim=trim).fit(design)


def case(name: str) -> dict:
    description, frame = read_case(name)
    return {**description, "frame": frame}


@pytest.mark.parametrize("name", METHODS)
def test_training_programme_equals_r_drdid(name):
    given = case("drdid_nsw_cps_panel")
    frame = given["frame"].assign(first=lambda f: np.where(f["experimental"] == 1, 1978, np.nan))
    result = fit(
        frame, METHODS[name], unit="id", time="year", outcome="re", cohort="first",
        covariates=COVARIATES,
    )  # fmt: skip
    wanted = given["reference"][name]
    assert result.estimates[0] == pytest.approx(wanted["estimate"], rel=ESTIMATE)
    assert result.std_errors[0] == pytest.approx(wanted["se"], rel=STD_ERROR)


def two_by_two() -> pd.DataFrame:
    rows = [(1, 10, 15, 1), (2, 20, 27, 1), (3, 5, 6, np.nan), (4, 5, 7, np.nan), (5, 5, 8, np.nan)]
    return pd.DataFrame(
        [
            {"unit": u, "time": t, "outcome": y, "cohort": g}
            for u, before, after, g in rows
            for t, y in ((0, before), (1, after))
        ]
    )


@pytest.mark.parametrize("method", METHODS.values())
def test_by_hand_without_covariates(method):
    result = fit(two_by_two(), method)
    # Mean changes 6 and 2; variances of the means 1/2 and (2/3)/3.
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    assert result.std_errors[0] == pytest.approx(np.sqrt(1 / 2 + 2 / 9), rel=EXACT)


def test_by_hand_with_a_two_valued_covariate():
    """Within values 0 and 1 the effects are 3 and 1; treated units are 1 and 2 of them."""
    rows = [
        *[(0, 1, 5.0), (1, 1, 4.0), (1, 1, 6.0)],
        *[(0, 0, 1.0), (0, 0, 3.0), (0, 0, 2.0), (1, 0, 3.0), (1, 0, 5.0)],
    ]
    frame = pd.DataFrame(
        [
            {"unit": u, "time": t, "x": x, "cohort": 1.0 if d else np.nan, "outcome": t * dy}
            for u, (x, d, dy) in enumerate(rows)
            for t in (0, 1)
        ]
    )
    for method in METHODS.values():
        assert fit(frame, method, covariates="x").estimates[0] == pytest.approx(5 / 3, rel=1e-8)


def sample(seed=0, **settings):
    return simulate.staggered_panel(
        seed, n_units=300, periods=2, cohorts=(2,), covariate_shift=0.5, covariate_trend=0.4,
        **settings,
    ).frame  # fmt: skip


@pytest.mark.parametrize("method", ["doubly_robust", "regression", "inverse_probability"])
def test_equals_group_time_effects(method):
    frame = sample()
    for settings in ({}, {"covariates": "x"}):
        design = Design(
            Panel(frame, unit="unit", time="time"), outcome="outcome", cohort="cohort", **settings
        )
        theirs = CallawaySantAnna(method=method).fit(design).att()
        ours = DoublyRobustDiD(method=method).fit(design)
        np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-9)
        np.testing.assert_allclose(ours.std_errors, theirs.std_errors, rtol=1e-9)


def test_tilted_odds_balance_the_covariates():
    from impact.kernels.logit import fit_calibrated

    rng = np.random.default_rng(1)
    X = np.column_stack((np.ones(500), rng.normal(size=(500, 2))))
    treated = rng.random(500) < 1 / (1 + np.exp(1 - X[:, 1]))
    weights = rng.uniform(0.5, 2, 500)
    fit_ = fit_calibrated(X, treated, weights)
    odds = fit_.probabilities / (1 - fit_.probabilities)
    assert fit_.converged
    np.testing.assert_allclose((weights * odds * ~treated) @ X, (weights * treated) @ X, rtol=1e-9)


def test_cross_sections_without_covariates_are_four_means():
    """Card and Krueger's table 3: all rows of each state and wave, stores in one or both."""
    given = case("did2x2_card_krueger")
    raw = given["frame"]
    fte = {
        0: raw["empft"] + raw["nmgrs"] + 0.5 * raw["emppt"],
        1: raw["empft2"] + raw["nmgrs2"] + 0.5 * raw["emppt2"],
    }
    frame = pd.concat(
        [
            pd.DataFrame(
                {"store": raw["id"], "time": t, "fte": y, "first": raw["state"].replace(0, np.nan)}
            )
            for t, y in fte.items()
        ]
    ).dropna(subset="fte")
    frame["row"] = np.arange(len(frame))
    own = {"time": "time", "outcome": "fte", "cohort": "first"}
    apart = fit(frame, unit="row", **own)
    wanted = given["reference"]["did_means"]
    assert apart.estimates[0] == pytest.approx(wanted["estimate"], rel=1e-9)
    # Influence functions divide sums of squares by n, cell by cell; the case by n - 1.
    sizes = frame.groupby(["first", "time"], dropna=False)["fte"]
    by_cell = np.sqrt(((sizes.var(ddof=0)) / sizes.size()).sum())
    assert apart.std_errors[0] == pytest.approx(by_cell, rel=EXACT)
    unbiased = np.sqrt((sizes.var(ddof=1) / sizes.size()).sum())
    assert unbiased == pytest.approx(wanted["se_cells"], rel=1e-9)
    both = fit(frame, unit="store", always_treated="drop", **own)
    assert both.estimates[0] == pytest.approx(given["reference"]["balanced"]["estimate"], rel=1e-9)
    assert "observed in one period only left out" in both.summary()


def test_refusals():
    longer = simulate.staggered_panel(1, n_units=30, periods=3, cohorts=(2, 3)).frame
    with pytest.raises(DesignError, match=r"3 periods \(1, 2, 3\) and 2 cohorts"):
        fit(longer)
    frame = sample()
    with pytest.raises(DesignError, match=r"method may be .* it was 'dr'"):
        fit(frame, "dr")
    own = frame["x"] ** 2 * frame["cohort"].eq(2)
    with pytest.raises(EstimationError, match="collinear among comparison units"):
        fit(frame.assign(z=2 * frame["x"] + own), "regression", covariates=["x", "z"])
    perfect = frame.assign(z=frame["cohort"].eq(2) + 0.001 * frame["unit"])
    with pytest.raises(EstimationError, match="covariates separate 150 treated from 150 compar"):
        fit(perfect, covariates="z")
    half = frame[~(frame["cohort"].eq(2) & frame["time"].eq(2)) | frame["unit"].eq(-1)]
    late = half[~(half["cohort"].eq(2) & half["unit"].eq(0))]
    with pytest.raises((EstimationError, DesignError), match="no treated unit is observed in"):
        fit(late)


@pytest.mark.parametrize("method", ["improved", "doubly_robust", "regression"])
def test_covariates_that_repeat_others_are_left_out_and_counted(method):
    frame = sample().assign(z=lambda f: 2 * f["x"] - 1)
    alone, more = fit(frame, method, covariates="x"), fit(frame, method, covariates=["x", "z"])
    np.testing.assert_allclose(more.estimates, alone.estimates, rtol=1e-8)
    np.testing.assert_allclose(more.std_errors, alone.std_errors, rtol=1e-7)
    assert "1 covariate left out, set by the others." in more.summary()


def test_trimmed_units_are_counted():
    frame = sample()
    assert (
        "comparison unit" in fit(frame, "inverse_probability", covariates="x", trim=0.6).summary()
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["improved", "doubly_robust", "horvitz_thompson"])
def test_intervals_cover_neither_too_seldom_nor_too_often(method):
    draws, covered, errors, estimates = 500, 0, [], []
    for seed in range(draws):
        truth = simulate.staggered_panel(
            seed, n_units=300, periods=2, cohorts=(2,), assignment="random", effect=1.5,
            covariate_shift=0.5, covariate_trend=0.4, effect_sd=0.3,
        )  # fmt: skip
        result = fit(truth.frame, method, covariates="x")
        covered += abs(result.estimates[0] - 1.5) <= 1.96 * result.std_errors[0]
        errors.append(result.std_errors[0])
        estimates.append(result.estimates[0])
    # 0.95 +- 3 Monte Carlo standard errors of 500 draws.
    assert 0.921 <= covered / draws <= 0.979
    assert 0.9 <= np.mean(errors) / np.std(estimates) <= 1.1
