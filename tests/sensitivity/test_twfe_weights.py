"""Weights of two-way fixed effects against the definition and a reference case."""

import numpy as np
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
