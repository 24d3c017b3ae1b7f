"""Fixed effects, differences, between, random effects, Mundlak: textbook tables and identities."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.datasets import jobtraining, wage_panel
from linearmodels.panel import PanelOLS
from linearmodels.panel import RandomEffects as TheirRandomEffects

from impact import (
    ArellanoBond,
    Between,
    BlundellBond,
    Design,
    DistributedLag,
    DriscollKraay,
    FirstDifference,
    FixedEffects,
    HausmanTaylor,
    Mundlak,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
    RandomEffects,
    SlopesByGroup,
    simulate,
)
from impact.errors import DesignError, EstimationError, InferenceError
from impact.estimators.specification_tests import (
    breusch_pagan_test,
    hausman_test,
    honda_test,
    poolability_test,
)

CLOSED_FORM = 1e-8
SINGLE = 1e-6  # the reference ran on the same data in single precision
CLASSICAL = {"covariance": "classical"}


@pytest.fixture(scope="module")
def grants():
    return Panel(jobtraining.load(), unit="fcode", time="year")


@pytest.fixture(scope="module")
def grunfeld():
    frame = sm.datasets.grunfeld.load_pandas().data
    frame = frame[frame["firm"] != "American Steel"]
    return Design(
        Panel(frame, unit="firm", time="year"), outcome="invest", covariates=["value", "capital"]
    )


@pytest.fixture(scope="module")
def wages():
    panel = Panel(wage_panel.load(), unit="nr", time="year")
    return Design(panel, outcome="lwage", covariates=["exper", "expersq", "married", "union"])


def fit(estimator, design):
    result = estimator.fit(design)
    numbers = zip(result.estimates, result.std_errors, strict=True)
    return dict(zip(result.cells["term"], numbers, strict=True))


def test_training_grants_and_scrap_rates(grants):
    """Wooldridge, Introductory Econometrics, Example 14.1: 54 firms, n = 162."""
    columns = ["d88", "d89", "grant", "grant_1"]
    design = Design(grants, outcome="lscrap", covariates=columns)
    result = FixedEffects(effects="unit", **CLASSICAL).fit(design)
    assert (design.n_units, design.n_rows) == (54, 162)
    np.testing.assert_allclose(
        result.estimates, [-0.080215674966, -0.247202794036, -0.252314873815, -0.421589508529],
        rtol=SINGLE,
    )  # fmt: skip
    np.testing.assert_allclose(
        result.std_errors, [0.109475127720, 0.133218291392, 0.150628994355, 0.210199964418],
        rtol=SINGLE,
    )  # fmt: skip
    clustered = FixedEffects(effects="unit", convention="linearmodels").fit(design)
    np.testing.assert_allclose(clustered.std_errors[2:], [0.1421, 0.2798], atol=5e-5)
    two_way = FixedEffects(**CLASSICAL).fit(
        Design(grants, outcome="lscrap", covariates=["grant", "grant_1"])
    )
    np.testing.assert_allclose(two_way.estimates, result.estimates[2:], rtol=1e-10)
    np.testing.assert_allclose(two_way.std_errors, result.std_errors[2:], rtol=1e-10)


def test_training_grants_raise_hours_of_training_and_not_employment(grants):
    hours = fit(
        FixedEffects(**CLASSICAL),
        Design(grants, outcome="hrsemp", covariates=["grant", "grant_1", "lemploy"]),
    )
    np.testing.assert_allclose(hours["grant"], (34.22817862544, 2.85843846584), rtol=SINGLE)
    jobs = fit(
        FixedEffects(**CLASSICAL),
        Design(grants, outcome="lemploy", covariates=["grant", "grant_1"]),
    )
    # As printed to four digits from linearmodels 7.1: 0.0333 (0.0400), 440 rows.
    np.testing.assert_allclose(jobs["grant"], (0.0333, 0.0400), atol=5e-5)
    assert Design(grants, outcome="lemploy", covariates=["grant", "grant_1"]).n_rows == 440


def test_scrap_rates_in_differences(grants):
    """Wooldridge section 13.4: -.317 (.164), 54 firms, 1987 to 1988."""
    frame = grants.frame[grants.frame["year"] <= 1988]
    design = Design(Panel(frame, unit="fcode", time="year"), outcome="lscrap", covariates="grant")
    got = fit(FirstDifference(**CLASSICAL), design)
    np.testing.assert_allclose(got["grant"], (-0.317057924928, 0.163875139739), rtol=SINGLE)


def test_grunfeld_investment(grunfeld):
    """Baltagi, Econometric Analysis of Panel Data, Tables 2.1 and 3.1; plm 2.6.2."""
    within = fit(FixedEffects(effects="unit", **CLASSICAL), grunfeld)
    np.testing.assert_allclose(within["value"], (0.110123804121, 0.011856694214), rtol=CLOSED_FORM)
    np.testing.assert_allclose(within["capital"], (0.310065341300, 0.017354502776), rtol=1e-8)
    between = fit(Between(**CLASSICAL), grunfeld)
    np.testing.assert_allclose(between["capital"], (0.032031474331, 0.190937799168), rtol=1e-7)
    two_way = fit(FixedEffects(**CLASSICAL), grunfeld)
    np.testing.assert_allclose(two_way["value"], (0.117715855083, 0.013751283004), rtol=1e-7)


@pytest.mark.parametrize(
    ("settings", "value", "capital"),
    [
        ({}, (0.109781152232, 0.010492663550), (0.308112982831, 0.017180469090)),
        (
            {"method": "amemiya"},
            (0.109763687672, 0.010421159769),
            (0.307951870384, 0.017200280141),
        ),
        (
            {"method": "wallace_hussain"},
            (0.109710374009, 0.010181334009),
            (0.307373927646, 0.017272180674),
        ),
        ({"method": "nerlove"}, (0.109802322965, 0.010575807307), (0.308294301963, 0.017158313979)),
        (
            {"effects": "two_way"},
            (0.109789999306, 0.010527847852),
            (0.308190487585, 0.017170979954),
        ),
    ],
)
def test_grunfeld_random_effects_equal_plm(grunfeld, settings, value, capital):
    got = fit(RandomEffects(**settings, **CLASSICAL), grunfeld)
    np.testing.assert_allclose(got["value"], value, rtol=1e-7)
    np.testing.assert_allclose(got["capital"], capital, rtol=1e-7)


def test_two_way_components_that_are_negative_are_said_to_be(grunfeld):
    result = RandomEffects(effects="two_way").fit(grunfeld)
    assert result.extra["components"].negative == ("time",)
    assert any("estimated negative" in note for note in result.notes)


def test_grunfeld_specification_tests(grunfeld):
    """Hausman 2.33, F(9, 188) 49.18, Breusch-Pagan 798.16 (plm 2.6.2)."""
    classical = hausman_test(grunfeld, robust=False)
    np.testing.assert_allclose(classical.statistic, 2.33036689367546, rtol=1e-7)
    assert classical.restrictions == 2
    pool = poolability_test(grunfeld)
    np.testing.assert_allclose(pool.statistic, 49.1766254994185, rtol=1e-8)
    assert (pool.restrictions, pool.df) == (9, 188)
    np.testing.assert_allclose(breusch_pagan_test(grunfeld).statistic, 798.161548369066, rtol=1e-7)
    np.testing.assert_allclose(
        breusch_pagan_test(grunfeld, "two_way").statistic, 804.615429949604, rtol=1e-7
    )
    np.testing.assert_allclose(honda_test(grunfeld).statistic, 28.2517530140886, rtol=1e-7)
    one = breusch_pagan_test(grunfeld, "time").statistic
    np.testing.assert_allclose(honda_test(grunfeld, "time").statistic ** 2, one)


def test_wages_and_unions(wages):
    """Vella and Verbeek (1998); plm 2.6.2."""
    fixed = fit(FixedEffects(effects="unit", **CLASSICAL), wages)
    np.testing.assert_allclose(fixed["union"], (0.082087134165, 0.019290725057), rtol=SINGLE)
    np.testing.assert_allclose(
        hausman_test(wages, robust=False).statistic, 250.259432634763, rtol=10 * SINGLE
    )
    mundlak = fit(Mundlak(**CLASSICAL), wages)
    np.testing.assert_allclose(mundlak["union"], fixed["union"], rtol=1e-8)
    expected = (0.163741042133, 0.052941574497)
    np.testing.assert_allclose(mundlak["union (unit mean)"], expected, rtol=SINGLE)


def test_experience_is_said_to_be_explained_by_unit_and_time(wages):
    result = FixedEffects().fit(wages)
    row = result.cells.set_index("term").loc["exper"]
    assert np.isnan(row["estimate"])
    assert "fixed effects" in row["note"]
    assert any(note.startswith('"exper" has no coefficient') for note in result.notes)


def gaps(seed=1, n_units=60, periods=8):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    unit = rng.normal(size=n_units)[frame["unit"]]
    frame["x"] = rng.normal(size=len(frame)) + unit
    frame["w"] = rng.uniform(0.5, 2, n_units)[frame["unit"]]
    frame["place"] = frame["unit"] % 7
    frame["y"] = 0.5 * frame["x"] + unit + rng.normal(size=len(frame))
    return frame[rng.random(len(frame)) > 0.15].reset_index(drop=True)


@pytest.mark.parametrize("weights", [None, "w"])
def test_two_way_effects_equal_linearmodels_with_gaps(weights):
    frame = gaps()
    indexed = frame.set_index(["unit", "time"])
    theirs = PanelOLS(
        indexed["y"], indexed[["x"]], entity_effects=True, time_effects=True,
        weights=None if weights is None else indexed[weights],
    ).fit(cov_type="unadjusted")  # fmt: skip
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="y", covariates="x", weights=weights
    )
    ours = fit(FixedEffects(**CLASSICAL), design)["x"]
    np.testing.assert_allclose(ours, (theirs.params["x"], theirs.std_errors["x"]), rtol=1e-7)


def test_three_effects_equal_dummies():
    frame = gaps()
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    ours = fit(FixedEffects(effects=("unit", "time", "place^time"), **CLASSICAL), design)["x"]
    dummies = pd.get_dummies(
        frame[["unit"]].assign(cell=frame["place"] * 100 + frame["time"]), columns=["unit", "cell"]
    )
    columns = np.column_stack((frame["x"], dummies.to_numpy(dtype=float)))
    beta, _, rank, _ = np.linalg.lstsq(columns, frame["y"].to_numpy(), rcond=1e-10)
    residual = frame["y"] - columns @ beta
    swept = (
        frame["x"] - columns[:, 1:] @ np.linalg.lstsq(columns[:, 1:], frame["x"], rcond=1e-10)[0]
    )
    error = np.sqrt(residual @ residual / (len(frame) - rank) / (swept @ swept))
    np.testing.assert_allclose(ours, (beta[0], error), rtol=1e-8)


@pytest.mark.parametrize(
    ("effects", "classical", "robust", "levels"),
    [
        (("unit", "place^time"), 0.16286681941493714, 0.14235188092044607, 41),
        (("unit", "time", "place^time"), 0.17148999490293668, 0.14988886883875524, 46),
    ],
)
def test_counting_levels_equals_fixest_where_parts_have_no_link(effects, classical, robust, levels):
    """pyfixest 0.60; the rank is 38, as units and places times periods fall into four parts."""
    frame = pd.DataFrame({"unit": np.repeat(range(18), 6), "time": np.tile(range(6), 18)})
    frame = frame[(5 * frame["unit"] + frame["time"]) % 7 != 0].reset_index(drop=True)
    frame["place"], frame["x"] = frame["unit"] % 4, frame["unit"] * frame["time"] ** 2 % 11
    frame["y"] = frame["x"] + frame["unit"] ** 2 * frame["time"] % 13
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    for covariance, wanted in (("classical", classical), ("HC1", robust)):
        estimator = FixedEffects(effects=effects, covariance=covariance, effect_count="levels")
        result = estimator.fit(design)
        assert result.extra["n_effects"] == levels
        np.testing.assert_allclose(result.std_errors, wanted, rtol=CLOSED_FORM)
    exact = FixedEffects(effects=effects, **CLASSICAL).fit(design)
    assert exact.extra["n_effects"] == 38
    shrink = np.sqrt((len(frame) - 1 - levels) / (len(frame) - 1 - 38))
    np.testing.assert_allclose(exact.std_errors, classical * shrink, rtol=CLOSED_FORM)
    clustered = [
        FixedEffects(effects=effects, effect_count=count).fit(design).std_errors
        for count in ("rank", "levels")
    ]
    np.testing.assert_allclose(clustered[0], clustered[1], rtol=1e-12)


def test_unbalanced_random_effects_by_baltagi_and_chang():
    """Quasi-demeaning by each unit's own rows is GLS with the components' covariance."""
    frame = gaps()
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    result = RandomEffects(**CLASSICAL).fit(design)
    parts = result.extra["components"]
    same = (frame["unit"].to_numpy()[:, None] == frame["unit"].to_numpy()).astype(float)
    inverse = np.linalg.inv(parts.error * np.eye(len(frame)) + parts.unit * same)
    x = np.column_stack((frame["x"], np.ones(len(frame))))
    beta = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ frame["y"])
    np.testing.assert_allclose(result.estimates, beta, rtol=1e-9)


def test_balanced_random_effects_equal_linearmodels(wages):
    frame = wages.panel.frame.set_index(["nr", "year"])
    columns = ["exper", "expersq", "married", "union"]
    theirs = TheirRandomEffects(frame["lwage"], sm.add_constant(frame[columns])).fit()
    ours = fit(RandomEffects(**CLASSICAL), wages)
    for name in columns:
        np.testing.assert_allclose(ours[name][0], theirs.params[name], rtol=1e-6)


def test_robust_hausman_holds_its_size_and_finds_correlation():
    correlated = gaps()
    design = Design(Panel(correlated, unit="unit", time="time"), outcome="y", covariates="x")
    assert hausman_test(design).p_value < 0.01
    rng = np.random.default_rng(5)
    apart = correlated.assign(x=rng.normal(size=len(correlated)))
    apart["y"] = 0.5 * apart["x"] + rng.normal(size=60)[apart["unit"]] + rng.normal(size=len(apart))
    free = Design(Panel(apart, unit="unit", time="time"), outcome="y", covariates="x")
    assert hausman_test(free).p_value > 0.05


def test_differences_respect_gaps_and_spans():
    frame = pd.DataFrame(
        {"unit": [1, 1, 1, 1, 2, 2, 2], "time": [1, 2, 4, 5, 1, 2, 3], "x": [0, 1, 3, 7, 2, 2, 5.0]}
    )
    frame["y"] = 2 * frame["x"] + 10 * frame["unit"]
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    one = FirstDifference(constant=False).fit(design)
    np.testing.assert_allclose(one.estimates, 2)
    assert one.extra["n_rows"] == 4
    assert FirstDifference(span=3, constant=False).fit(design).extra["n_rows"] == 2
    with pytest.raises(EstimationError, match="no unit is observed at two periods 9 steps apart"):
        FirstDifference(span=9).fit(design)


def test_long_differences_between_distant_surveys_count_as_one_step():
    frame = pd.DataFrame({"unit": [1, 1, 2, 2], "time": [1985, 1995] * 2, "x": [0, 1, 0, 3.0]})
    frame["y"] = frame["x"] * 2
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    assert FirstDifference(constant=False, covariance="HC0").fit(design).extra["n_rows"] == 2


def test_two_periods_make_differences_and_fixed_effects_the_same():
    frame = gaps(periods=2)
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    fixed, change = FixedEffects().fit(design), FirstDifference().fit(design)
    np.testing.assert_allclose(change.estimates[0], fixed.estimates[0], rtol=1e-10)


def test_between_weights_units_once():
    frame = pd.DataFrame({"unit": [1, 1, 1, 2, 3], "time": [1, 2, 3, 1, 1], "x": [1, 1, 1, 2, 3.0]})
    frame["y"] = [3, 3, 3, 5, 8.0]
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    np.testing.assert_allclose(Between().fit(design).estimates, [2.5, 1 / 3], rtol=1e-10)


def test_lone_rows_are_counted():
    frame = gaps()
    frame = frame[(frame["unit"] != 3) | (frame["time"] == frame["time"][frame["unit"] == 3].min())]
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
    assert any(note.startswith("1 row stand") for note in FixedEffects().fit(design).notes)


def test_refusals(wages):
    panel = wages.panel
    with pytest.raises(EstimationError, match="no regressor varies within the fixed effects"):
        FixedEffects(effects="unit").fit(Design(panel, outcome="lwage", covariates="educ"))
    with pytest.raises(DesignError, match='names "regoin".*'):
        FixedEffects(effects="regoin").fit(wages)
    with pytest.raises(DesignError, match='"marriedd".*Did you mean "married"'):
        FixedEffects(effects="unit^marriedd").fit(wages)
    with pytest.raises(DesignError, match="effects is empty"):
        FixedEffects(effects=())
    with pytest.raises(DesignError, match='effects must include "unit"'):
        FixedEffects(effects="time", trends=True)
    with pytest.raises(DesignError, match="span counts whole periods"):
        FirstDifference(span=0)
    with pytest.raises(DesignError, match="covariance may be .*DriscollKraay"):
        FixedEffects(covariance=3)
    holes = panel.frame.assign(region=np.where(panel.frame["nr"] == 13, np.nan, 1.0))
    with pytest.raises(DesignError, match='column "region" is missing in 8 rows'):
        FixedEffects(effects="region").fit(
            Design(Panel(holes, unit="nr", time="year"), outcome="lwage", covariates="union")
        )


def test_random_effects_refusals(wages):
    frame = gaps()
    panel = Panel(frame, unit="unit", time="time")
    with pytest.raises(DesignError, match="random effects take no weights"):
        RandomEffects().fit(Design(panel, outcome="y", covariates="x", weights="w"))
    with pytest.raises(DesignError, match="Lagrange multiplier tests are defined without weights"):
        honda_test(Design(panel, outcome="y", covariates="x", weights="w"))
    once = Panel(frame.groupby("unit").head(1), unit="unit", time="time")
    with pytest.raises(EstimationError, match="no variation within units"):
        RandomEffects().fit(Design(once, outcome="y", covariates="x"))
    few = Panel(frame[frame["unit"] < 2], unit="unit", time="time")
    with pytest.raises(EstimationError, match="2 units leave no degrees of freedom between them"):
        RandomEffects().fit(Design(few, outcome="y", covariates="x"))
    constant = Panel(frame.assign(x=frame["unit"] * 1.0), unit="unit", time="time")
    with pytest.raises(EstimationError, match="none of the regressors"):
        Mundlak().fit(Design(constant, outcome="y", covariates="x"))
    with pytest.raises(DesignError, match="PooledOLS needs a treatment or covariates"):
        PooledOLS().fit(Design(wages.panel, outcome="lwage"))


def test_one_cluster_leaves_estimates_without_errors_and_too_many_lags_are_refused(wages):
    frame = wages.panel.frame.assign(country=1)
    panel = Panel(frame, unit="nr", time="year")
    one = Design(panel, outcome="lwage", covariates="union", clusters="country")
    result = FixedEffects().fit(one)
    np.testing.assert_array_equal(
        result.estimates, FixedEffects(covariance="HC1").fit(one).estimates
    )
    assert np.isnan(result.std_errors).all()
    assert any("all rows belong to one cluster" in note for note in result.notes)
    assert (result.tidy()["note"] == "no standard error, see the notes").all()
    assert "all rows belong to one cluster" in result.summary()
    averages = SlopesByGroup(by="black", variables="union").fit(one)
    assert np.isnan(averages.std_errors).all()
    mundlak = Mundlak(covariance="CR1").fit(one)
    assert np.isnan(mundlak.std_errors).all()
    assert "belong to one cluster" in mundlak.extra["hausman"].note
    for adjusted in ("CR2", "CR3"):
        assert np.isnan(PooledOLS(covariance=adjusted).fit(one).std_errors).all()
    with pytest.raises(InferenceError, match="fewer than the 8 periods"):
        FixedEffects(covariance=DriscollKraay(8)).fit(wages).std_errors  # noqa: B018


@pytest.mark.parametrize(
    "estimator",
    [
        FixedEffects(),
        FirstDifference(),
        PooledOLS(),
        Between(),
        RandomEffects(),
        Mundlak(),
        HausmanTaylor(),
        PanelIV(endogenous="treated", instruments="x"),
        PoissonFixedEffects(),
        DistributedLag(),
        ArellanoBond(),
        BlundellBond(),
    ],
    ids=lambda e: e.name,
)
def test_anticipation_is_refused_by_regressions_on_the_treatment(estimator):
    frame = simulate.staggered_panel(3, n_units=60, periods=7, cohorts=(4, 6)).frame
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", covariates="x", anticipation=1)
    with pytest.raises(DesignError, match="1 period early, .* counts the anticipation periods as"):
        estimator.fit(design)


def test_shares_explained_equal_linearmodels_and_definitions():
    """Overall and within R-squared; adjusted as fixest's ar2 and war2."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"unit": np.repeat(range(15), 5), "time": np.tile(range(5), 15)})
    frame["x"], frame["share"] = rng.normal(size=75), rng.uniform(0.5, 2, 75)
    frame["y"] = 3 + frame["x"] + rng.normal(size=15)[frame["unit"]] + rng.normal(size=75)
    panel = Panel(frame, unit="unit", time="time")
    plain = Design(panel, outcome="y", covariates="x")
    weighted = Design(panel, outcome="y", covariates="x", weights="share")
    for design, weights in ((plain, None), (weighted, frame["share"])):
        pooled = PooledOLS().fit(design).extra
        x = sm.add_constant(frame[["x"]])
        theirs = sm.WLS(frame["y"], x, weights=1.0 if weights is None else weights).fit()
        np.testing.assert_allclose(pooled["r_squared"], theirs.rsquared, rtol=1e-10)
        np.testing.assert_allclose(pooled["adjusted_r_squared"], theirs.rsquared_adj, rtol=1e-10)
        assert "r_squared_within" not in pooled
        dummies = pd.get_dummies(frame["unit"], dtype=float)
        wide = pd.concat([frame[["x"]], dummies], axis=1)
        lsdv = sm.WLS(frame["y"], wide, weights=1.0 if weights is None else weights).fit()
        alone = sm.WLS(frame["y"], dummies, weights=1.0 if weights is None else weights).fit()
        within = FixedEffects(effects="unit").fit(design).extra
        np.testing.assert_allclose(within["r_squared"], lsdv.rsquared, rtol=1e-10)
        np.testing.assert_allclose(within["adjusted_r_squared"], lsdv.rsquared_adj, rtol=1e-10)
        share = 1 - lsdv.ssr / alone.ssr
        np.testing.assert_allclose(within["r_squared_within"], share, rtol=1e-10)
        adjusted = 1 - (lsdv.ssr / lsdv.df_resid) / (alone.ssr / alone.df_resid)
        np.testing.assert_allclose(within["adjusted_r_squared_within"], adjusted, rtol=1e-10)
    through = PooledOLS(constant=False).fit(plain).extra
    theirs = sm.OLS(frame["y"], frame["x"]).fit()
    np.testing.assert_allclose(through["r_squared"], theirs.rsquared, rtol=1e-10)
