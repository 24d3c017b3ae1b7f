"""Formulas give the estimates their parts give when written out."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, FixedEffects, Panel, PanelIV, PoissonFixedEffects, PooledOLS
from impact.errors import DesignError, PanelError
from impact.estimators.from_formula import fit_formula
from impact.formula import read_formula

KEYS = {"unit": "firm", "time": "year"}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"firm": np.repeat(range(30), 5), "year": np.tile(range(2000, 2005), 30)})
    frame["x"], frame["z"] = rng.normal(size=(2, 150))
    frame["jobs"] = np.exp(0.3 * frame["x"] + rng.normal(size=150))
    frame["place"] = frame["firm"] % 4
    return frame.drop(index=[7, 44]).sample(frac=1, random_state=1).reset_index(drop=True)


def by_hand(frame, estimator, covariates, **columns):
    ready = frame.assign(log_jobs=np.log(frame["jobs"]), **columns)
    return estimator.fit(Design(Panel(ready, **KEYS), outcome="log_jobs", covariates=covariates))


def same(one, other):
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=1e-10)
    np.testing.assert_allclose(one.std_errors, other.std_errors, rtol=1e-10)


def test_fixed_effects(frame):
    same(
        fit_formula("log(jobs) ~ x + z | firm + year", frame, **KEYS),
        by_hand(frame, FixedEffects(), ["x", "z"]),
    )
    same(
        fit_formula("log(jobs) ~ x | firm + place^year", frame, covariance="HC1", **KEYS),
        by_hand(frame, FixedEffects(effects=("firm", "place^year"), covariance="HC1"), ["x"]),
    )


def test_no_effects_and_poisson(frame):
    same(fit_formula("log(jobs) ~ x", frame, **KEYS), by_hand(frame, PooledOLS(), ["x"]))
    poisson = fit_formula("jobs ~ x | firm", frame, family="poisson", **KEYS)
    design = Design(Panel(frame, **KEYS), outcome="jobs", covariates="x")
    same(poisson, PoissonFixedEffects(effects="firm").fit(design))


def test_instruments(frame):
    same(
        fit_formula("log(jobs) ~ 1 | firm + year | x ~ z", frame, **KEYS),
        by_hand(frame, PanelIV(endogenous="x", instruments="z"), ["x"]),
    )


@pytest.mark.parametrize(
    "terms", ["i(place)", "i(place, ref=2)", "C(place)", "named", "place:named", "C(lag(place))"]
)
def test_rows_without_a_level_are_left_out_as_rows_without_a_number_are(frame, terms):
    lost = (frame["firm"] % 3 == 0) & (frame["year"] > 2002)
    frame["named"] = ("p" + frame["place"].astype(str)).mask(lost)
    frame["place"] = frame["place"].astype(float).mask(lost)
    if "lag" in terms:
        frame["lag_place"] = read_formula("jobs ~ lag(place)", frame, **KEYS).panel.frame[
            "lag(place)"
        ]
        lost, complete = frame["lag_place"].isna(), "C(lag_place)"
    else:
        complete = terms
    model = read_formula(f"log(jobs) ~ {terms} + x", frame, **KEYS)
    dummies = [name for name in model.covariates if name != "x"]
    assert (model.panel.frame[dummies].isna().all(axis=1) == lost).all()
    same(
        fit_formula(f"log(jobs) ~ {terms} + x | firm", frame, **KEYS),
        fit_formula(f"log(jobs) ~ {complete} + x | firm", frame[~lost], **KEYS),
    )


def test_columns_with_blanks_are_quoted(frame):
    frame["the place"] = frame["place"].astype(float).mask(frame["firm"] == 3)
    quoted = fit_formula("jobs ~ C(`the place`)", frame, **KEYS)
    same(quoted, fit_formula("jobs ~ C(place)", frame[frame["firm"] != 3], **KEYS))


def test_powers_of_functions(frame):
    same(
        fit_formula("jobs ~ I(log(jobs + 1)**2) | firm", frame, **KEYS),
        fit_formula(
            "jobs ~ squared | firm", frame.assign(squared=np.log(frame["jobs"] + 1) ** 2), **KEYS
        ),
    )


def test_dummies_are_named_by_level(frame):
    model = read_formula("jobs ~ x + i(year) | firm", frame, **KEYS)
    assert model.covariates == ("x", "year::2001", "year::2002", "year::2003", "year::2004")
    other = read_formula("jobs ~ i(year, ref=2003)", frame, **KEYS)
    assert other.covariates == ("year::2000", "year::2001", "year::2002", "year::2004")
    dummies = fit_formula("log(jobs) ~ x + i(year) | firm", frame, **KEYS)
    absorbed = fit_formula("log(jobs) ~ x | firm + year", frame, **KEYS)
    np.testing.assert_allclose(dummies.estimates[0], absorbed.estimates[0], rtol=1e-10)


def test_slopes_by_level(frame):
    """An event study as fixest writes it: i(year, treated, ref = 2001)."""
    frame["treated"] = (frame["place"] == 1).astype(float)
    frame["place"] = frame["place"].map(str)
    ours = fit_formula("log(jobs) ~ i(year, treated, ref=2001) | firm + year", frame, **KEYS)
    years = [2000, 2002, 2003, 2004]
    columns = {f"t{y}": frame["treated"] * (frame["year"] == y) for y in years}
    same(ours, by_hand(frame, FixedEffects(), list(columns), **columns))
    assert ours.cells["term"].tolist() == [f"year::{y}:treated" for y in years]
    every = read_formula("jobs ~ i(place, x)", frame, **KEYS)
    assert every.covariates == tuple(f"place::{p}:x" for p in "0123")
    with pytest.raises(PanelError, match='"year" never is 1999. Its levels are 2000, 2001'):
        read_formula("jobs ~ i(year, x, ref=1999)", frame, **KEYS)
    with pytest.raises(PanelError, match=r'takes slopes of a number; "place" holds str'):
        read_formula("jobs ~ i(year, place)", frame, **KEYS)
    with pytest.raises(PanelError, match=r'"treat" in i\(year, treat\) is no column. Did you mean'):
        read_formula("jobs ~ i(year, treat)", frame, **KEYS)


@pytest.mark.parametrize("terms", ["0 + x + z", "x + z - 1", "-1 + x + z"])
def test_without_an_intercept(frame, terms):
    plain = by_hand(frame, PooledOLS(constant=False), ["x", "z"])
    same(fit_formula(f"log(jobs) ~ {terms}", frame, **KEYS), plain)
    within = fit_formula(f"log(jobs) ~ {terms} | firm", frame, **KEYS)
    same(within, by_hand(frame, FixedEffects(effects="firm"), ["x", "z"]))
    with pytest.raises(DesignError, match="without effects has an intercept"):
        fit_formula(f"jobs ~ {terms}", frame, family="poisson", **KEYS)


def test_instruments_without_an_intercept(frame):
    ours = fit_formula("log(jobs) ~ 0 | x ~ z", frame, **KEYS)
    y, x, z = np.log(frame["jobs"]), frame["x"], frame["z"]
    np.testing.assert_allclose(ours.estimates, [(z @ y) / (z @ x)], rtol=1e-10)


def test_lags_and_leads_respect_gaps():
    frame = pd.DataFrame(
        {"firm": [1, 1, 1, 2, 2], "year": [1, 2, 4, 1, 2], "x": [10.0, 20, 40, 1, 2], "y": 1.0}
    )
    model = read_formula("y ~ lag(x, 1) + lead(x) + lag(x, 2)", frame, **KEYS)
    wide = model.panel.frame
    np.testing.assert_array_equal(wide[model.covariates[0]], [np.nan, 10, np.nan, np.nan, 1])
    np.testing.assert_array_equal(wide[model.covariates[1]], [20, np.nan, np.nan, 2, np.nan])
    np.testing.assert_array_equal(wide[model.covariates[2]], [np.nan, np.nan, 20, np.nan, np.nan])
    with pytest.raises(PanelError, match="no unit is observed 9 periods before another"):
        read_formula("y ~ lag(x, 9)", frame, **KEYS)


def test_the_callers_frame_is_untouched(frame):
    before = frame.copy()
    read_formula("log(jobs) ~ lag(x) + i(year) | firm", frame, **KEYS)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "formula", ["jobs ~ x | firm | z", "jobs ~ x || firm", "jobs ~ x | x ~ z | x ~ z", "jobs"]
)
def test_parts_that_would_be_overlooked_are_refused(frame, formula):
    with pytest.raises(PanelError, match=r"is not outcome ~ regressors \| effects"):
        read_formula(formula, frame, **KEYS)


@pytest.mark.parametrize("terms", ["x^2", "z + x**2"])
def test_powers_outside_brackets_are_refused(frame, terms):
    with pytest.raises(PanelError, match=r"is no power: .* Write I\(x\*\*2\)"):
        read_formula(f"jobs ~ {terms}", frame, **KEYS)
    assert read_formula("jobs ~ I(x**2)", frame, **KEYS).covariates == ("I(x ** 2)",)


def test_refusals(frame):
    with pytest.raises(PanelError, match=r"is not outcome ~ regressors \| effects"):
        read_formula("jobs", frame, **KEYS)
    with pytest.raises(PanelError, match='"jbos" is no column. Did you mean "jobs"'):
        read_formula("log(jbos) ~ x", frame, **KEYS)
    with pytest.raises(PanelError, match="cannot be read"):
        read_formula("jobs ~ x +* z", frame, **KEYS)
    with pytest.raises(PanelError, match='outcome "jobs" holds .* values where numbers belong'):
        read_formula("jobs ~ x", frame.assign(jobs="many"), **KEYS)
    with pytest.raises(PanelError, match="makes 2 columns; it must be one"):
        read_formula("jobs + x ~ z", frame, **KEYS)
    with pytest.raises(DesignError, match="a Poisson regression takes no instruments"):
        fit_formula("jobs ~ 1 | firm | x ~ z", frame, family="poisson", **KEYS)
    with pytest.raises(PanelError, match='"log\\(x\\)" is infinite|cannot be read'):
        fit_formula("jobs ~ log(x)", frame.assign(x=0.0), **KEYS)
