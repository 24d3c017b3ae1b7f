"""Matrix completion: R fect's numbers, the limits of the penalty, uncertainty, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError
from impact.estimators.interactive_fixed_effects import InteractiveFixedEffects
from impact.estimators.matrix_completion import MatrixCompletion

# fect stops its iteration when fitted values move by about 1e-5 of the outcome.
SOLVER = 1e-4


def design_of(outcomes, first_treated):
    n, periods = outcomes.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
        }
    ).dropna(subset="y")
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")


def panel(seed, n=24, periods=14, start=11, n_treated=5, noise=0.3):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, 1)) @ rng.normal(size=(1, periods)) * 1.5
    y += rng.normal(size=(n, 1)) + rng.normal(size=(1, periods))
    y += noise * rng.normal(size=(n, periods))
    y[:n_treated, start - 1 :] += 2.0
    return y, np.where(np.arange(n) < n_treated, float(start), np.nan)


@pytest.mark.validation
def test_simulated_data_as_in_r_fect(reference_case):
    case, frame = reference_case("fect_simdata")
    panel = Panel(frame, unit="id", time="time")
    design = Design(panel, outcome="Y", treated="D", covariates=("X1", "X2"))
    reference = case["reference"]
    expected = reference["mc_lambda_0.003"]
    result = MatrixCompletion(penalty=0.003, inference="none").fit(design)
    assert result.att("cell").estimates[0] == pytest.approx(expected["att_avg"], abs=SOLVER)
    np.testing.assert_allclose(result.extra["fit"].slopes, expected["beta"], atol=SOLVER)
    path = result.event_study().cells.set_index("event_time")["estimate"]
    for period, effect in expected["att_by_period"].items():
        assert path[int(period) - 1] == pytest.approx(effect, abs=10 * SOLVER)
    for entry in reference["mc_lambda_path"]:
        fit = MatrixCompletion(penalty=entry["lambda"], inference="none").fit(design)
        assert fit.att("cell").estimates[0] == pytest.approx(entry["att"], abs=SOLVER)


def test_a_large_penalty_leaves_two_way_effects():
    design = design_of(*panel(0))
    large = MatrixCompletion(penalty=1e3, inference="none").fit(design)
    flat = InteractiveFixedEffects(rank=0, inference="none").fit(design)
    np.testing.assert_allclose(large.estimates, flat.estimates, atol=1e-9)
    assert large.extra["fit"].rank == 0


def test_cross_validation_beats_two_way_effects_where_there_is_a_factor():
    result = MatrixCompletion(inference="none").fit(design_of(*panel(1)))
    errors = result.extra["fit"].errors
    assert errors.min() < 0.7 * errors.iloc[0]
    assert result.extra["fit"].penalty == errors.index[np.argmin(errors)]
    assert abs(result.att().estimates[0] - 2.0) < 0.6


def test_gaps_are_allowed():
    y, cohorts = panel(2)
    plain = MatrixCompletion(penalty=0.002, inference="none").fit(design_of(y, cohorts))
    y[7, 3] = y[1, 12] = np.nan
    gaps = MatrixCompletion(penalty=0.002, inference="none").fit(design_of(y, cohorts))
    assert gaps.att().estimates[0] == pytest.approx(plain.att().estimates[0], abs=0.4)


def test_every_inference_gives_standard_errors_of_one_order():
    y, cohorts = panel(3)
    errors = [
        MatrixCompletion(penalty=0.002, inference=how, draws=20)
        .fit(design_of(y, cohorts))
        .att()
        .std_errors[0]
        for how in ("jackknife", "bootstrap", "placebo")
    ]
    assert max(errors) < 4 * min(errors)


def test_penalty_must_be_positive():
    with pytest.raises(DesignError, match="penalty is a positive price"):
        MatrixCompletion(penalty=0.0)
