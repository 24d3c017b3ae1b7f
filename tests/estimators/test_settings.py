"""Settings of the regression estimators that are no names, no numbers or no covariances."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    ArellanoBond,
    Conley,
    Design,
    DistributedLag,
    DonorPool,
    DriscollKraay,
    FixedEffects,
    HausmanTaylor,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    fit_formula,
    hausman_test,
)
from impact.errors import DesignError, EstimationError, PanelError


@pytest.mark.parametrize("value", [3, None, [["unit"]], {"unit"}])
def test_names_that_are_none(value):
    for make in (FixedEffects, PanelIV, PoissonFixedEffects, DistributedLag):
        with pytest.raises(DesignError, match="effects names columns, as a text or a list"):
            make(effects=value)
    with pytest.raises(DesignError, match="HausmanTaylor: endogenous names columns"):
        HausmanTaylor(endogenous=value)


@pytest.mark.parametrize("value", ["a", 1.5, 0, -1, True])
def test_numbers_that_count_nothing(value):
    with pytest.raises(DesignError, match="PanelIV: span is a whole number, 1 or more; it was"):
        PanelIV(endogenous="x", instruments="z", span=value)
    with pytest.raises(DesignError, match="ArellanoBond: lags is a whole number, 1 or more"):
        ArellanoBond(lags=value)
    with pytest.raises(DesignError, match="last_instrument_lag is a whole number, 2 or more"):
        ArellanoBond(last_instrument_lag=value)


def test_what_the_data_do_not_have():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unit": np.repeat(range(9), 5), "time": np.tile(range(5), 9)})
    frame["x"], frame["y"] = rng.normal(size=(2, 45))
    panel = Panel(frame.assign(z=np.nan), unit="unit", time="time")
    design = Design(panel, outcome="y", covariates="x")
    with pytest.raises(EstimationError, match=r"no row has all instruments \(z\)"):
        PanelIV(endogenous="x", instruments="z").fit(design)
    with pytest.raises(
        EstimationError, match="4 lags of the outcome in differences need 6 periods"
    ):
        ArellanoBond(lags=4).fit(design)
    with pytest.raises(DesignError, match="covariance may be"):
        FixedEffects(covariance=DriscollKraay)
    with pytest.raises(PanelError, match="a formula is a text"):
        fit_formula(3, frame, unit="unit", time="time")


def test_settings_of_covariances_and_donor_pools_are_named():
    with pytest.raises(DesignError, match=r"Conley needs cutoff, .*: Conley\(cutoff=\.\.\.\)"):
        Conley()
    with pytest.raises(DesignError, match='Conley has no setting "cutof". Did you mean "cutoff"'):
        Conley(cutof=100)
    assert Conley(100).cutoff == Conley(cutoff=100).cutoff == 100
    with pytest.raises(
        DesignError, match='no setting "include". Did you mean "only".*farther_than'
    ):
        DonorPool(include=["a"])
    with pytest.raises(DesignError, match='no setting "exclude_units". Did you mean "exclude"'):
        DonorPool(exclude_units=["a"])


def test_hausman_test_of_two_results_says_what_it_takes():
    words = r"one design .*it was given Result, Result.*Write hausman_test\(design\)"
    frame = pd.DataFrame(
        {"i": np.repeat(range(9), 4), "t": np.tile(range(4), 9), "x": np.arange(36) ** 2 % 11}
    )
    frame["y"] = np.arange(36) ** 3 % 13
    design = Design(Panel(frame, unit="i", time="t"), outcome="y", covariates="x")
    fitted = FixedEffects(effects="unit").fit(design)
    with pytest.raises(DesignError, match=words):
        hausman_test(fitted, fitted)
    with pytest.raises(DesignError, match="it was given Result. Write"):
        hausman_test(fitted)
    assert 0 <= hausman_test(fitted.design).p_value <= 1
