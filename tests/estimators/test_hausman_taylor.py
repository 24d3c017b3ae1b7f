"""Hausman and Taylor: identities, consistency where random effects fail, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, FixedEffects, Panel, RandomEffects
from impact.errors import DesignError, EstimationError, InferenceError
from impact.estimators.hausman_taylor import HausmanTaylor


def sample(seed=0, n_units=300, periods=6):
    """x2 and school correlate with the unit effect; x1 moves school; true 1, 1, 1, 2."""
    rng = np.random.default_rng(seed)
    unit, ability = np.repeat(np.arange(n_units), periods), rng.normal(size=n_units)
    level, place = rng.normal(size=n_units), rng.normal(size=n_units)
    school = level + ability + rng.normal(size=n_units)
    frame = pd.DataFrame({"unit": unit, "time": np.tile(np.arange(periods), n_units)})
    frame["x1"] = level[unit] + rng.normal(size=len(frame))
    frame["x2"] = ability[unit] + rng.normal(size=len(frame))
    frame["place"], frame["school"] = place[unit], school[unit]
    noise = ability[unit] + rng.normal(size=len(frame))
    frame["y"] = frame["x1"] + frame["x2"] + frame["place"] + 2 * frame["school"] + noise
    return frame


def design_of(frame, columns=("x1", "x2", "place", "school"), **settings):
    return Design(
        Panel(frame, unit="unit", time="time"), outcome="y", covariates=columns, **settings
    )


HT = HausmanTaylor(endogenous=["x2", "school"])


def test_just_identified_slopes_are_the_within_ones():
    frame = sample()
    result = HT.fit(design_of(frame))
    within = FixedEffects(effects="unit").fit(design_of(frame, ["x1", "x2"]))
    np.testing.assert_allclose(result.estimates[:2], within.estimates, rtol=1e-8)


@pytest.mark.parametrize("gaps", [False, True])
def test_consistent_where_random_effects_are_not(gaps):
    frame = sample(1, n_units=2000)
    if gaps:
        frame = frame[np.random.default_rng(0).random(len(frame)) > 0.15]
    result = HT.fit(design_of(frame))
    apart = (result.estimates - [1, 1, 1, 2, 0]) / result.std_errors
    assert (np.abs(apart) < 3.5).all()
    random = RandomEffects().fit(design_of(frame))
    assert random.estimates[3] > 2 + 5 * random.std_errors[3]


def test_coefficients_solve_the_moment_conditions():
    frame = sample()
    result = HT.fit(design_of(frame))
    fit = result.extra["regression"].fit
    np.testing.assert_allclose(fit.regressors @ fit.residuals, 0, atol=1e-7)


def test_refusals():
    frame = sample(n_units=40)
    with pytest.raises(DesignError, match='"schol" is not in the design. Did you mean "school"'):
        HausmanTaylor(endogenous="schol").fit(design_of(frame))
    with pytest.raises(DesignError, match="1 time-constant endogenous regressor need as many"):
        HT.fit(design_of(frame, ["x2", "school"]))
    with pytest.raises(EstimationError, match="no regressor varies within units"):
        HausmanTaylor(endogenous="school").fit(design_of(frame, ["place", "school"]))
    twin = frame.assign(twin=2 * frame["place"])
    with pytest.raises(EstimationError, match="twin cannot be told from the other regressors"):
        HT.fit(design_of(twin, ["x1", "x2", "place", "school", "twin"]))
    with pytest.raises(DesignError, match="HausmanTaylor takes no weights"):
        HT.fit(design_of(frame.assign(w=1.0), weights="w"))
    with pytest.raises(InferenceError, match="'CR3' has no definition"):
        HausmanTaylor(covariance="CR3")
    with pytest.raises(InferenceError, match="no definition with instruments"):
        HT.fit(design_of(frame)).uncertainty.with_kind("CR2").covariance()


@pytest.mark.parametrize(("n_treated", "method"), [(3, "none"), (10, "wild")])
def test_few_treated_are_inferred_as_with_random_effects(n_treated, method):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"unit": np.repeat(range(20), 6), "time": np.tile(range(6), 20)})
    frame["cohort"] = np.where(frame["unit"] < n_treated, 3.0, np.nan)
    frame["y"] = rng.normal(size=20)[frame["unit"]] + rng.normal(size=len(frame))
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="cohort")
    found = HausmanTaylor().fit(design)
    random = RandomEffects().fit(design)
    assert found.inferences()[0].method == random.inferences()[0].method == method
    share = found.evidence(0).leverage
    # Their variance components differ a little.
    np.testing.assert_allclose(share, random.evidence(0).leverage, atol=1e-3)
