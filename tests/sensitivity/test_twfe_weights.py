"""Weights of two-way fixed effects against the definition and a reference case."""

import numpy as np
import pandas as pd
import pytest

from impact.design import Design
from impact.errors import DesignError
from impact.estimators import CallawaySantAnna, TwoWayFixedEffects
from impact.panel import Panel
from impact.sensitivity import twfe_weights
from impact.sensitivity.twfe_weights import cell_weights

CLOSED_FORM = 1e-10


def test_union_wages_equal_the_reference(reference_case):
    """Treatment that stops and starts: 204 of 1,064 weights are negative."""
    case, frame = reference_case("twfe_weights_wagepan")
    reference = case["reference"]
    design = Design(Panel(frame, unit="nr", time="year"), outcome="lwage", treated="union")
    found = twfe_weights(TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design)).values
    for ours, theirs in {
        "twfe": "beta_fe",
        "n_treated_cells": "n_treated_cells",
        "n_negative": "n_negative",
        "sum_positive": "sum_positive",
        "sum_negative": "sum_negative",
        "sigma": "sigma_fe",
    }.items():
        np.testing.assert_allclose(found[ours], reference[theirs], rtol=1e-9)


def test_weights_recover_the_estimate_from_known_effects():
    """Without noise the coefficient is the weighted sum of the cells' effects."""
    rng = np.random.default_rng(0)
    unit, time = np.repeat(np.arange(12), 6), np.tile(np.arange(6), 12)
    treatment = (time >= np.repeat(rng.choice([2, 4, 9], 12), 6)).astype(float)
    effects = rng.normal(size=72)
    outcome = rng.normal(size=12)[unit] + rng.normal(size=6)[time] + effects * treatment
    weights = rng.uniform(0.5, 2.0, 72)
    found = cell_weights(outcome, treatment, unit, time, weights)
    np.testing.assert_allclose(found.weight.sum(), 1.0)
    np.testing.assert_allclose(found.weight @ effects, found.coefficient, rtol=CLOSED_FORM)


def test_negative_cells_are_named(make_frame, design_of):
    """The early cohort's last years are compared with later ones when nobody stays untreated."""
    frame = make_frame()
    design = design_of(frame[frame["cohort"].notna()])
    finding = twfe_weights(CallawaySantAnna().fit(design))
    assert finding.statistic < 0
    assert "cohort 2013 in 201" in finding.sentence
    assert finding.table["weight"].sum() == pytest.approx(1.0)
    assert finding.figure().get_xlabel() == "Period"


def test_no_variation_is_refused(make_frame, design_of):
    result = CallawaySantAnna().fit(design_of(make_frame()))
    frame = make_frame()
    frame["everyone"] = (frame["year"] >= 2014).astype(int)
    object.__setattr__(result, "design", design_of(frame, cohort=None, treated="everyone"))
    with pytest.raises(DesignError, match="does not vary beside units and periods"):
        twfe_weights(result)


def unions():
    """Treatment that starts and stops; a sixth of the units are treated throughout."""
    unit, time = np.repeat(np.arange(48), 6), np.tile(np.arange(6), 48)
    treatment = ((unit + time) % 6 < unit % 4) | (unit % 6 == 5)
    x = np.cos(1.7 * unit + 0.9 * time)
    outcome = (
        np.sin(0.8 * unit) + 0.1 * time + 0.5 * treatment + 0.3 * x + np.cos(2.3 * unit * time)
    )
    return unit, time, treatment.astype(float), x, outcome


def test_what_is_zero_but_for_rounding_is_not_negative():
    """Treated shares alike in all periods: units treated throughout have no weight at all."""
    unit, time, _, _, outcome = unions()
    always = unit >= 42
    alike = (always | ((unit + time) % 6 < 3)).astype(float)
    assert np.ptp(np.bincount(time, alike)) == 0
    found = cell_weights(outcome, alike, unit, time)
    assert (found.weight[always] == 0).all()
    assert np.isfinite(found.sigma)


def test_covariates_are_partialled_out():
    """The numbers of twowayfeweights 0.1.0 (Python), type="feTR", controls=["x"]."""
    unit, time, treatment, x, outcome = unions()
    found = cell_weights(outcome, treatment, unit, time, covariates=x[:, None])
    dummies = [np.eye(48)[unit], np.eye(6)[time], x[:, None], treatment[:, None]]
    beta = np.linalg.lstsq(np.concatenate(dummies, axis=1), outcome, rcond=None)[0][-1]
    assert found.coefficient == pytest.approx(beta, rel=1e-9)
    assert found.coefficient == pytest.approx(0.35756954886233494, rel=1e-9)
    assert (found.weight < 0).sum() == 16
    assert found.weight[found.weight < 0].sum() == pytest.approx(-0.047297040704224615, rel=1e-9)


def test_equal_weights_leave_no_spread():
    unit, time = np.repeat(np.arange(8), 4), np.tile(np.arange(4), 8)
    treatment = ((unit < 4) & (time >= 2)).astype(float)
    found = cell_weights(np.cos(unit * time), treatment, unit, time)
    assert found.sigma == np.inf
    np.testing.assert_allclose(found.weight[treatment > 0], 1 / 8)


@pytest.mark.parametrize("seed", range(4))
def test_cells_of_a_weighted_panel_with_gaps_equal_a_dummy_regression(seed):
    """Weights by cohort and period, negative ones among them, sum to one."""
    rng = np.random.default_rng(seed)
    unit, time = np.repeat(np.arange(30), 6), np.tile(np.arange(6), 30)
    cohort = np.repeat([1.0, 2.0, 4.0, 4.0, 5.0], 36)
    frame = pd.DataFrame({"unit": unit, "time": time, "cohort": cohort})
    frame["y"], frame["w"] = rng.normal(size=180), np.repeat(rng.uniform(0.5, 2.0, 30), 6)
    frame = frame[(rng.random(180) > 0.15) | (time == 0)]
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="cohort",
                    weights="w")  # fmt: skip
    finding = twfe_weights(TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design))
    treated = (frame["time"] >= frame["cohort"]).to_numpy(float)
    dummies = np.column_stack([np.eye(30)[frame["unit"]], np.eye(6)[frame["time"]]])
    root = np.sqrt(frame["w"].to_numpy())
    slopes = np.linalg.lstsq(root[:, None] * dummies, root * treated, rcond=None)[0]
    share = frame["w"] * (treated - dummies @ slopes) * treated
    cells = (share / share.sum())[treated > 0].groupby([frame["cohort"], frame["time"]]).sum()
    found = finding.table.set_index(["cohort", "time"])["weight"]
    np.testing.assert_allclose(found, cells, atol=1e-10)
    assert finding.statistic < -0.01
    assert finding.table["weight"].sum() == pytest.approx(1.0, rel=1e-12)
