"""Synthetic difference-in-differences: R's digits, the exact optimum, and what it must refuse."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel, simulate
from impact.errors import DesignError, InferenceError
from impact.estimators.parts.donor_pool import DonorPool
from impact.estimators.synthetic_did import SyntheticDiD

ROUNDING = 1e-9
# synthdid's iteration stops early: its estimate differs from the optimum by up to this share.
STOPPED = 2e-3


def long_frame(outcomes, first_treated):
    """Lay a matrix out as rows; ``first_treated`` holds NaN for units never treated."""
    n, periods = outcomes.shape
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
        }
    )


def design_of(outcomes, first_treated, **settings):
    frame = long_frame(outcomes, first_treated)
    for name in ("clusters", "covariates"):
        if name in settings and not isinstance(settings[name], str):
            frame[name] = np.asarray(settings[name]).ravel()
            settings[name] = name
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g", **settings)


def factor_panel(seed, n, periods, n_treated, start, noise=0.5, effect=0.0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(periods, 2)).cumsum(axis=0)
    loadings = rng.normal(size=(n, 2))
    y = loadings @ factors.T + rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, periods))
    y[:n_treated, start - 1 :] += effect
    cohorts = np.where(np.arange(n) < n_treated, float(start), np.nan)
    return y, cohorts


@pytest.fixture
def california(reference_case):
    case, frame = reference_case("sdid_prop99")
    panel = Panel(frame, unit="State", time="Year")
    return case["reference"], Design(panel, outcome="PacksPerCapita", treated="treated")


@pytest.mark.validation
def test_frank_wolfe_repeats_every_digit_of_r(california):
    """R synthdid 0.0.9 on Proposition 99."""
    reference, design = california
    result = SyntheticDiD(solver="frank_wolfe", inference="none").fit(design)
    assert result.att().estimates[0] == pytest.approx(reference["sdid"], rel=1e-10)
    fit = result.extra["fit"]
    omega = fit.unit_weights.iloc[:, 0]
    for state, weight in reference["omega"].items():
        assert omega[state] == pytest.approx(weight, abs=1e-10)
    for year, weight in reference["lambda"].items():
        assert fit.time_weights.loc[int(year)].item() == pytest.approx(weight, abs=1e-10)


@pytest.mark.validation
def test_exact_optimum_is_near_r_and_certified(california):
    reference, design = california
    result = SyntheticDiD(inference="none").fit(design)
    assert result.att().estimates[0] == pytest.approx(reference["sdid"], rel=STOPPED)
    assert result.extra["fit"].residuals.max() <= 1e-10
    stopped = SyntheticDiD(inference="none", solver="frank_wolfe").fit(design)
    assert stopped.extra["fit"].residuals.max() > 1e-6


@pytest.mark.validation
def test_placebo_standard_error_of_proposition_99(california):
    """All 38 placebos here, 500 draws of the same 38 in R: their Monte Carlo error is 12 %."""
    reference, design = california
    att = SyntheticDiD().fit(design).att()
    assert len(att.uncertainty.draws) == 38
    assert att.std_errors[0] == pytest.approx(reference["placebo_se"]["sdid"], rel=0.12)
    assert att.uncertainty.p_values(att.estimates)[0] == pytest.approx(2 / 39)


def test_two_periods_before_two_donors_by_hand():
    """Donors are parallel copies: any weights serve, and the effect is the double difference."""
    y = np.array([[1.0, 2.0, 8.0], [0.0, 1.0, 2.0], [5.0, 6.0, 7.0]])
    result = SyntheticDiD(inference="none").fit(design_of(y, [3, np.nan, np.nan]))
    assert result.att().estimates[0] == pytest.approx(8 - 2 - (2 - 1), rel=1e-12)


def test_exact_truth_without_noise_is_recovered():
    """Without noise and with additive effects alone, the cells are the effects put in."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(30, 1)) + rng.normal(size=(1, 12))
    cohorts = np.where(np.arange(30) < 3, 7.0, np.where(np.arange(30) < 7, 9.0, np.nan))
    times = np.arange(1, 13)
    y = y + np.where(times >= np.nan_to_num(cohorts, nan=99)[:, None], times - 5.0, 0.0)
    cells = SyntheticDiD(inference="none").fit(design_of(y, cohorts)).cells
    truth = np.where(cells["event_time"] >= 0, cells["time"] - 5.0, 0.0)
    np.testing.assert_allclose(cells["estimate"], truth, atol=1e-9)


def test_cells_before_treatment_average_to_zero_with_the_time_weights():
    result = SyntheticDiD(inference="none").fit(design_of(*factor_panel(1, 40, 15, 4, 11)))
    fit = result.extra["fit"]
    before = result.cells.loc[result.cells["event_time"] < 0, "estimate"].to_numpy()
    assert before @ fit.time_weights.iloc[:10, 0].to_numpy() == pytest.approx(0.0, abs=1e-12)


def test_cell_average_weighs_cohorts_by_units_times_periods():
    """Clarke et al. (2024): the overall effect weighs cohorts by treated cells."""
    y, _ = factor_panel(3, 40, 12, 0, 5)
    cohorts = np.full(40, np.nan)
    cohorts[:3], cohorts[3:8] = 7.0, 10.0
    result = SyntheticDiD(inference="none").fit(design_of(y, cohorts))
    by_cohort = result.by("cohort").estimates
    expected = np.average(by_cohort, weights=[3 * 6, 5 * 3])
    assert result.att("cell").estimates[0] == pytest.approx(expected, rel=1e-12)


def test_a_cohort_alone_gives_the_same_cells_as_in_a_staggered_design():
    y, _ = factor_panel(3, 40, 12, 0, 5)
    cohorts = np.full(40, np.nan)
    cohorts[:3], cohorts[3:8] = 7.0, 10.0
    both = SyntheticDiD(inference="none").fit(design_of(y, cohorts)).cells
    keep = cohorts != 10.0
    alone = SyntheticDiD(inference="none").fit(design_of(y[keep], cohorts[keep])).cells
    part = both[both["cohort"] == 7.0]["estimate"].to_numpy()
    np.testing.assert_allclose(part, alone["estimate"], rtol=ROUNDING, atol=1e-12)


def test_jackknife_equals_refitting_with_weights_held_fixed():
    y, cohorts = factor_panel(5, 25, 12, 4, 9)
    design = design_of(y, cohorts)
    result = SyntheticDiD(inference="jackknife").fit(design)
    fit = result.extra["fit"]
    omega, lambda_ = fit.unit_weights.iloc[:, 0].reindex(range(4, 25)), fit.time_weights.iloc[:8, 0]
    values = []
    for left_out in range(25):
        treated = [i for i in range(4) if i != left_out]
        donors = [i for i in range(4, 25) if i != left_out]
        weights = omega.loc[donors].to_numpy() / omega.loc[donors].sum()
        gap = y[treated].mean(axis=0) - weights @ y[donors]
        values.append(gap[8:].mean() - lambda_.to_numpy() @ gap[:8])
    values = np.array(values)
    expected = np.sqrt(24 / 25 * np.sum((values - values.mean()) ** 2))
    assert result.att().std_errors[0] == pytest.approx(expected, rel=1e-9)


def test_clusters_are_left_out_and_drawn_whole():
    y, cohorts = factor_panel(5, 24, 12, 6, 9)
    alone = np.repeat(np.arange(24), 12)
    pairs = np.repeat(np.arange(24) // 2, 12)
    by_unit, by_pair = (
        SyntheticDiD(inference="jackknife").fit(design_of(y, cohorts, clusters=c))
        for c in (alone, pairs)
    )
    assert len(by_unit.uncertainty.draws) == 24
    assert len(by_pair.uncertainty.draws) == 12
    boot = SyntheticDiD(inference="bootstrap", draws=15).fit(design_of(y, cohorts, clusters=pairs))
    assert np.isfinite(boot.std_errors).all()


def test_covariates_are_projected_out():
    y, cohorts = factor_panel(9, 40, 14, 5, 10, noise=0.1)
    x = np.random.default_rng(4).normal(size=y.shape)
    plain = SyntheticDiD(inference="none").fit(design_of(y, cohorts)).att().estimates[0]
    shifted = design_of(y + 3.0 * x, cohorts, covariates=x)
    adjusted = SyntheticDiD(inference="none").fit(shifted).att().estimates[0]
    raw = SyntheticDiD(inference="none").fit(design_of(y + 3.0 * x, cohorts)).att().estimates[0]
    assert abs(adjusted - plain) < 0.1 < abs(raw - plain)


def test_anticipation_moves_the_pre_period():
    y, cohorts = factor_panel(11, 30, 12, 3, 9)
    early = SyntheticDiD(inference="none").fit(design_of(y, cohorts, anticipation=2))
    assert early.extra["fit"].time_weights.iloc[6:, 0].isna().all()
    assert (early.extra["fit"].time_weights.iloc[:6, 0] >= 0).all()


def test_donor_pools_by_label_and_by_column():
    y, cohorts = factor_panel(11, 30, 12, 1, 9)
    frame = long_frame(y, cohorts)
    frame["region"] = frame["unit"] % 3
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")

    def donors(**pool):
        result = SyntheticDiD(pool=DonorPool(**pool), inference="none").fit(design)
        return set(result.extra["fit"].unit_weights.index)

    assert donors(same="region") == {3, 6, 9, 12, 15, 18, 21, 24, 27}
    assert donors(different="region").isdisjoint({3, 6, 9})
    assert donors(exclude=(1, 2)) == set(range(3, 30))
    assert donors(only=(4, 5, 6)) == {4, 5, 6}


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["placebo", "bootstrap"])
def test_coverage_is_nominal_both_ways(inference):
    """Two-way effects, independent noise: the 95 % interval covers the effect of 1."""
    n_reps, hits = 200, 0
    for seed in range(n_reps):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(40, 1)) + rng.normal(size=(1, 12)) + rng.normal(size=(40, 12))
        cohorts = np.where(np.arange(40) < 10, 9.0, np.nan)
        y[:10, 8:] += 1.0
        row = (
            SyntheticDiD(inference=inference, draws=50, seed=seed)
            .fit(design_of(y, cohorts))
            .att()
            .tidy()
            .iloc[0]
        )
        hits += row["conf_low"] <= 1.0 <= row["conf_high"]
    # Three standard deviations of a share over 200 repetitions, and 1 point for 50 draws.
    assert abs(hits / n_reps - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_reps) + 0.01


def test_one_treated_unit_has_no_jackknife_and_no_bootstrap():
    design = design_of(*factor_panel(0, 10, 8, 1, 6))
    for inference in ("jackknife", "bootstrap"):
        with pytest.raises(InferenceError, match=f'"{inference}" needs two treated clusters'):
            SyntheticDiD(inference=inference).fit(design)
    with pytest.raises(InferenceError, match="more donors than the 1 treated unit: widen"):
        SyntheticDiD().fit(design_of(*factor_panel(0, 2, 8, 1, 6)))


def test_placebos_need_more_donors_than_treated_units():
    design = design_of(*factor_panel(0, 10, 8, 5, 6))
    with pytest.raises(InferenceError, match="5 donors cannot stand in for 5 treated units"):
        SyntheticDiD(inference="placebo").fit(design)
    assert "jackknife" in SyntheticDiD().fit(design).uncertainty.method


def test_jackknife_refuses_when_one_cluster_holds_all_donor_weight():
    y, cohorts = factor_panel(0, 10, 8, 4, 6)
    clusters = np.repeat([0, 0, 1, 1, 2, 2, 2, 2, 2, 2], 8)
    with pytest.raises(InferenceError, match="all donor weight of the cohort of 6"):
        SyntheticDiD(inference="jackknife").fit(design_of(y, cohorts, clusters=clusters))


def test_gaps_are_refused_with_their_place():
    y, cohorts = factor_panel(0, 10, 8, 1, 6)
    y[4, 2] = np.nan
    with pytest.raises(
        DesignError, match=r"1 unit of 10 has gaps, 1 in all, first \(unit 4, time 3"
    ):
        SyntheticDiD().fit(design_of(y, cohorts))


def test_no_pre_period_is_refused():
    y, _ = factor_panel(0, 10, 8, 1, 6)
    with pytest.raises(DesignError, match="1 period before 2 for unit 0"):
        SyntheticDiD().fit(design_of(y, [2.0] + [np.nan] * 9))


def test_nobody_never_treated_is_refused():
    y, _ = factor_panel(0, 10, 8, 1, 6)
    with pytest.raises(DesignError, match="all 10 units are treated in the end"):
        SyntheticDiD().fit(design_of(y, [5.0] * 5 + [7.0] * 5))


def test_sampling_weights_are_refused():
    frame = long_frame(*factor_panel(0, 10, 8, 1, 6)).assign(w=1.0)
    panel = Panel(frame, unit="unit", time="time")
    with pytest.raises(DesignError, match='weighs units by "w"'):
        SyntheticDiD().fit(Design(panel, outcome="y", cohort="g", weights="w"))


def test_donor_pools_are_checked():
    design = design_of(*factor_panel(0, 10, 8, 2, 6))
    with pytest.raises(DesignError, match="contains 1 treated unit, 1: their outcomes hold"):
        SyntheticDiD(pool=DonorPool(only=(1, 4, 5))).fit(design)
    with pytest.raises(DesignError, match="names 77, which is no unit"):
        SyntheticDiD(pool=DonorPool(exclude=(77,))).fit(design)
    with pytest.raises(DesignError, match="no donor is left for unit 0, 1"):
        SyntheticDiD(pool=DonorPool(exclude=tuple(range(2, 10)))).fit(design)
    with pytest.raises(DesignError, match="exclude is a tuple of unit labels"):
        DonorPool(exclude="Hue")


def test_draws_do_not_depend_on_labels_or_row_order():
    frame = simulate.staggered_panel(2, n_units=40, periods=9, cohorts={6: 0.1, 8: 0.1}).frame

    def error(data):
        design = Design(Panel(data, unit="unit", time="time"), outcome="outcome", cohort="cohort")
        return SyntheticDiD(draws=30).fit(design).att().std_errors[0]

    renamed = frame.assign(unit=[f"u{900 - u}" for u in frame["unit"]])
    assert error(renamed.sample(frac=1, random_state=1)) == pytest.approx(
        error(frame), rel=ROUNDING
    )
