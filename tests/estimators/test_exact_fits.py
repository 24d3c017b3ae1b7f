"""Outcomes that a regression explains exactly: words or zeros, never a bare error."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    Design,
    HausmanTaylor,
    Panel,
    PanelIV,
    RandomEffects,
    SyntheticControl,
    breusch_pagan_test,
    hausman_test,
    honda_test,
    poolability_test,
)
from impact.errors import EstimationError


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unit": np.repeat(range(12), 6), "time": np.tile(range(6), 12)})
    frame["x"], frame["z"] = rng.normal(size=(2, 72))
    frame["q"] = frame["x"] + rng.normal(size=72)
    frame["q2"] = frame["x"] + rng.normal(size=72)
    frame["own"] = rng.normal(size=12)[frame["unit"]]
    return frame


def design_of(frame):
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates=["x", "z"])


def test_random_effects_of_an_outcome_without_error(frame):
    design = design_of(frame.assign(y=2 * frame["x"]))
    result = RandomEffects(method="wallace_hussain").fit(design)
    np.testing.assert_allclose(result.estimates, [2, 0, 0], atol=1e-12)


def test_instruments_of_an_outcome_without_error(frame):
    design = design_of(frame.assign(y=2 * frame["x"]))
    settings = {"endogenous": "x", "instruments": ["q", "q2"]}
    result = PanelIV(**settings, span=1).fit(design)
    np.testing.assert_allclose(result.estimates[0], 2, rtol=1e-12)
    assert "anderson_rubin_set" not in result.extra
    assert result.extra["overidentification"] is None
    assert result.extra["exogeneity"].note == "the regression leaves no error"
    with pytest.raises(EstimationError, match="exactly, so LIML has no root"):
        PanelIV(**settings, method="liml").fit(design)


@pytest.mark.parametrize(
    "test", [poolability_test, lambda design: hausman_test(design, robust=False)]
)
def test_nothing_within_units(frame, test):
    with pytest.raises(EstimationError, match="within units leaves no error"):
        test(design_of(frame.assign(y=frame["own"])))


def test_hausman_taylor_without_error_within_units(frame):
    with pytest.raises(EstimationError, match="within units leaves no error"):
        HausmanTaylor(endogenous="x").fit(design_of(frame.assign(y=frame["own"])))


def test_multipliers_need_pairs_of_rows(frame):
    sections = frame[frame["time"] == frame["unit"] % 6].assign(y=lambda f: f["q"])
    with pytest.raises(EstimationError, match="no two rows share a unit"):
        breusch_pagan_test(design_of(sections))
    with pytest.raises(EstimationError, match="no two rows share a unit"):
        honda_test(design_of(sections))
    assert np.isfinite(honda_test(design_of(sections), "time").statistic)


def test_units_named_by_pairs(frame):
    pairs = frame.assign(unit=[(int(u), "commune") for u in frame["unit"]], y=frame["q"])
    pairs["treated"] = ((frame["unit"] == 0) & (frame["time"] > 3)).astype(float)
    design = Design(Panel(pairs, unit="unit", time="time"), outcome="y", treated="treated")
    weights = SyntheticControl().fit(design).extra["fit"].unit_weights
    assert weights.columns.tolist() == ["0, commune"]
