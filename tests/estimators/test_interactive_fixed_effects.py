"""Interactive fixed effects: R fect and gsynth's numbers, exact truth, uncertainty, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError, EstimationError, InferenceError
from impact.estimators.interactive_fixed_effects import InteractiveFixedEffects

# fect stops its iteration when fitted values move by about 1e-5 of the outcome.
SOLVER = 1e-4


def design_of(outcomes, first_treated, **settings):
    n, periods = outcomes.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
        }
    ).dropna(subset="y")
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g", **settings)


def panel(seed, n=30, periods=16, start=12, n_treated=6, noise=0.5, effect=2.0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, 2)) @ rng.normal(size=(2, periods)) * 1.5
    y += rng.normal(size=(n, 1)) + rng.normal(size=(1, periods))
    y += noise * rng.normal(size=(n, periods))
    y[:n_treated, start - 1 :] += effect
    return y, np.where(np.arange(n) < n_treated, float(start), np.nan)


@pytest.fixture
def simulated(reference_case):
    case, frame = reference_case("fect_simdata")
    panel = Panel(frame, unit="id", time="time")
    design = Design(panel, outcome="Y", treated="D", covariates=("X1", "X2"))
    return case["reference"], design


@pytest.mark.validation
@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("fe", {"rank": 0}),
        ("ife_r2", {"rank": 2}),
        ("gsynth_r2", {"rank": 2, "factors_from": "never_treated"}),
    ],
)
def test_simulated_data_as_in_r(simulated, variant, settings):
    """fect 2.4.5; event time 0 is its period 1."""
    reference, design = simulated
    expected = reference[variant]
    result = InteractiveFixedEffects(inference="none", **settings).fit(design)
    assert result.att("cell").estimates[0] == pytest.approx(expected["att_avg"], abs=SOLVER)
    slopes = result.extra["fit"].slopes
    np.testing.assert_allclose(slopes, expected["beta"], atol=SOLVER)
    path = result.event_study().cells.set_index("event_time")["estimate"]
    for period, effect in expected["att_by_period"].items():
        assert path[int(period) - 1] == pytest.approx(effect, abs=10 * SOLVER)


@pytest.mark.validation
def test_cross_validation_finds_the_two_factors(simulated):
    """gsynth 1.2.1 chooses two as well; the data were simulated with two."""
    reference, design = simulated
    for source in ("all", "never_treated"):
        result = InteractiveFixedEffects(factors_from=source, inference="none").fit(design)
        assert result.extra["fit"].rank == reference["gsynth_pkg_cv"]["r_cv"]


@pytest.mark.parametrize("source", ["all", "never_treated"])
def test_exact_factor_model_gives_the_effects_back(source):
    y, cohorts = panel(0, noise=0.0)
    settings = InteractiveFixedEffects(rank=2, factors_from=source, inference="none")
    cells = settings.fit(design_of(y, cohorts)).cells
    truth = np.where(cells["event_time"] >= 0, 2.0, 0.0)
    np.testing.assert_allclose(cells["estimate"], truth, atol=1e-6)


def test_gaps_are_allowed_and_empty_cells_say_so():
    y, cohorts = panel(1, noise=0.0)
    y[2, 3] = y[20, 5] = y[:6, 14] = np.nan
    result = InteractiveFixedEffects(rank=2, inference="none").fit(design_of(y, cohorts))
    cells = result.cells.set_index("time")
    assert np.isnan(cells.loc[15, "estimate"])
    assert "no unit of the cohort is observed" in cells.loc[15, "note"]
    assert result.att().estimates[0] == pytest.approx(2.0, abs=1e-5)


def test_jackknife_equals_leaving_out_each_unit():
    y, cohorts = panel(2, n=14, n_treated=4)
    fit = InteractiveFixedEffects(rank=1, inference="none")
    values = []
    for left_out in range(14):
        keep = np.arange(14) != left_out
        values.append(fit.fit(design_of(y[keep], cohorts[keep])).att().estimates[0])
    values = np.array(values)
    expected = np.sqrt(13 / 14 * np.sum((values - values.mean()) ** 2))
    result = InteractiveFixedEffects(rank=1).fit(design_of(y, cohorts))
    assert "jackknife" in result.uncertainty.method
    assert result.att().std_errors[0] == pytest.approx(expected, rel=1e-5)


def test_one_treated_unit_gets_placebos():
    y, cohorts = panel(3, n=14, n_treated=1)
    result = InteractiveFixedEffects(rank=1).fit(design_of(y, cohorts))
    assert len(result.uncertainty.draws) == 13
    assert any("Rank of the average effect among 13 placebos" in note for note in result.notes)


def test_staggered_placebos_and_bootstrap():
    y, cohorts = panel(4, n=24, n_treated=6)
    cohorts[3:6] = 14.0
    y[3:6, 11:13] -= 2.0  # what the later cohort did not have yet
    placebo, boot = (
        InteractiveFixedEffects(rank=1, inference=how, draws=15).fit(design_of(y, cohorts))
        for how in ("placebo", "bootstrap")
    )
    for result in (placebo, boot):
        assert result.uncertainty.draws.shape == (15, 2 * 16 + 2)
        assert 0.05 < result.att().std_errors[0] < 2.0


@pytest.mark.slow
def test_jackknife_covers_at_its_nominal_rate():
    n_reps, hits = 80, 0
    for seed in range(n_reps):
        y, cohorts = panel(seed, n=30, periods=14, start=11, n_treated=10)
        row = InteractiveFixedEffects(rank=2).fit(design_of(y, cohorts)).att().tidy().iloc[0]
        hits += row["conf_low"] <= 2.0 <= row["conf_high"]
    # Three standard deviations of a share over 80 repetitions.
    assert abs(hits / n_reps - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_reps)


def test_refusals():
    with pytest.raises(DesignError, match="rank is a number of factors"):
        InteractiveFixedEffects(rank=-1)
    y, cohorts = panel(5)
    with pytest.raises(EstimationError, match="6 units have at most 12 untreated observations"):
        InteractiveFixedEffects(rank=12).fit(design_of(y, cohorts))
    late = np.where(np.isnan(cohorts), 15.0, cohorts)
    with pytest.raises(EstimationError, match="nobody is untreated in 2 periods, time 15, 16"):
        InteractiveFixedEffects(rank=1).fit(design_of(y, late))
    one = np.where(np.arange(30) < 1, 12.0, np.nan)
    with pytest.raises(InferenceError, match='"jackknife" needs two treated clusters'):
        InteractiveFixedEffects(rank=1, inference="jackknife").fit(design_of(y, one))
    few = np.where(np.arange(30) < 26, 12.0, np.nan)
    with pytest.raises(EstimationError, match="there are 4, and 5 are needed"):
        InteractiveFixedEffects().fit(design_of(y, few))
    for source in ("all", "never_treated"):
        with pytest.raises(EstimationError, match="5 periods have no more than 4 untreated units"):
            InteractiveFixedEffects(rank=3, factors_from=source).fit(design_of(y, few))
    fitted = InteractiveFixedEffects(rank=2, inference="none").fit(design_of(y, few))
    assert np.isfinite(fitted.estimates).all()
