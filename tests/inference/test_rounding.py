"""Rounding is told from variation: whole outcomes, single cells, fits without error."""

import numpy as np
import pytest

from impact import CallawaySantAnna, Design, FixedEffects, Panel, TwoWayFixedEffects, simulate
from impact.errors import EstimationError
from impact.inference.rounding import is_additive, is_constant, rounding_rows

UNITS, TIMES = (codes.ravel() for codes in np.indices((30, 6)))
TWO_WAY = 1e3 * np.sin(UNITS) + np.cos(TIMES)


def marked(estimates, errors, outcome):
    variances = np.square(errors)
    noise, exact = rounding_rows(
        np.array(estimates), variances, outcome, lambda: is_additive(outcome, UNITS, TIMES)
    )
    return noise.tolist(), exact.tolist()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_rounding_of_an_outcome_without_variation_in_any_unit(scale):
    outcome = scale * TWO_WAY
    tiny = 1e-13 * scale
    noise, _ = marked([tiny, np.nan, 0.0, tiny], [tiny, np.nan, 0.0, np.nan], outcome)
    assert noise == [True, False, False, True]


def test_small_effects_on_large_outcomes_are_no_rounding():
    rng = np.random.default_rng(0)
    outcome = TWO_WAY + 1e-8 * rng.normal(size=len(UNITS))
    assert marked([1e-9, 3e-9], [1e-9, 1e-9], outcome) == ([False, False], [False, False])


def test_estimates_in_other_units_than_the_outcome_are_no_rounding():
    """Log points of an outcome in dong are 1e-14 of it and vary all the same."""
    rng = np.random.default_rng(0)
    outcome = 1e12 * np.exp(rng.normal(size=len(UNITS)))
    assert marked([0.05], [0.01], outcome) == ([False], [False])


def test_one_cell_without_variation_beside_others():
    outcome = TWO_WAY + np.random.default_rng(0).normal(size=len(UNITS))
    noise, exact = marked([1e-16, 0.3, 0.5], [2e-17, 0.2, 1e-17], outcome)
    assert noise == [True, False, False]
    assert exact == [True, False, True]


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e-16, 1e-30])
def test_coefficients_of_covariates_in_any_unit_are_no_rounding(unit):
    """Gross product in dong, or its square, has coefficients 1e-15 times the treatment's."""
    rng = np.random.default_rng(4)
    frame = simulate.staggered_panel(3, n_units=60, periods=6, cohorts=(3, 5)).frame
    product = rng.normal(size=len(frame))
    frame["outcome"] = frame["outcome"] + product
    fitted = []
    for x in (product, product / unit):
        panel = Panel(frame.assign(x=x), unit="unit", time="time")
        design = Design(panel, outcome="outcome", treated="treated", covariates=["x"])
        fitted.append(FixedEffects().fit(design))
    one, other = fitted
    scales = np.array([1.0, unit])
    np.testing.assert_allclose(other.estimates, scales * one.estimates, rtol=1e-8)
    np.testing.assert_allclose(other.std_errors, scales * one.std_errors, rtol=1e-6)
    np.testing.assert_allclose(
        other.covariance().to_numpy(),
        np.outer(scales, scales) * one.covariance().to_numpy(),
        rtol=1e-6,
    )


def test_estimates_without_any_error_are_left_to_their_estimator():
    outcome = TWO_WAY + np.random.default_rng(0).normal(size=len(UNITS))
    assert marked([0.4, 0.0, 0.3], [np.nan, 0.0, 0.0], outcome) == ([False] * 3, [False] * 3)


def test_constant_outcomes_at_any_scale():
    assert is_constant(np.full(9, 5.3e-9))
    assert is_constant(np.zeros(4))
    assert not is_constant(5.3 + 1e-9 * np.arange(9))


def simulated(outcome):
    frame = simulate.staggered_panel(3, n_units=60, periods=6, cohorts=(3, 5)).frame
    panel = Panel(frame.assign(outcome=outcome(frame)), unit="unit", time="time")
    return Design(panel, outcome="outcome", cohort="cohort")


def test_results_without_variation_have_zeros_and_the_reason():
    design = simulated(lambda f: np.sin(f["unit"]) + np.cos(f["time"]))
    for result in (
        CallawaySantAnna().fit(design),
        TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design),
    ):
        assert (result.cells["note"].str.contains("zero but for rounding")).any()
        tidy = result.att().tidy()
        assert tidy["estimate"].tolist() == [0.0]
        assert tidy[["std_error", "p_value", "conf_low"]].isna().all(axis=None)
        assert "0" in result.summary()


def test_a_fit_without_error_keeps_its_estimate_and_has_no_p_value():
    design = simulated(lambda f: np.sin(f["unit"]) + 2.5 * f["treated"])
    att = CallawaySantAnna().fit(design).att()
    assert att.estimates[0] == pytest.approx(2.5)
    assert att.tidy()["p_value"].isna().all()


def test_a_constant_outcome_is_refused():
    with pytest.raises(EstimationError, match=r'outcome "outcome" is 5\.3 in all 360 rows'):
        CallawaySantAnna().fit(simulated(lambda f: np.full(len(f), 5.3)))
