"""Difference and system GMM: exact recovery, matrices written out unit by unit, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import ArellanoBond, BlundellBond, Design, FixedEffects, Panel, simulate
from impact.errors import DesignError, EstimationError

CLOSED_FORM = 1e-8


def dynamic(seed=0, n_units=60, periods=7, rho=0.5, noise=1.0):
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=n_units)
    x = rng.normal(size=(n_units, periods + 20))
    y = np.zeros_like(x)
    for t in range(1, periods + 20):
        shock = noise * rng.normal(size=n_units)
        y[:, t] = rho * y[:, t - 1] + 2 * x[:, t] + unit + shock
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    return frame.assign(y=y[:, 20:].ravel(), x=x[:, 20:].ravel(), place=frame["unit"] // 4)


def design_of(frame, **settings):
    settings = {"covariates": "x", **settings}
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", **settings)


@pytest.mark.parametrize("collapse", [False, True])
def test_noise_free_dynamics_are_recovered(collapse):
    frame = dynamic(noise=0.0)
    result = ArellanoBond(collapse=collapse, time_effects=False).fit(design_of(frame))
    np.testing.assert_allclose(result.estimates, [0.5, 2.0], rtol=1e-8)


def test_lags_of_unlike_length_are_refused():
    frame = dynamic()
    uneven = frame.assign(time=np.array([0, 3, 6, 8, 11, 13, 15])[frame["time"]])
    for estimator in (ArellanoBond(), BlundellBond()):
        with pytest.raises(
            EstimationError, match=r"2 apart at the nearest, and 3, 11, 13 and 1 more"
        ):
            estimator.fit(design_of(uneven))
    whole = frame.assign(time=np.array([0, 2, 4, 8, 10, 12, 14])[frame["time"]])
    halves = whole.assign(time=whole["time"] // 2)
    found, same = (ArellanoBond().fit(design_of(f)) for f in (whole, halves))
    np.testing.assert_allclose(found.estimates, same.estimates, rtol=1e-12)


def by_hand(frame, n_periods):
    """Sum Z_i'X_i, Z_i'y_i, Z_i'HZ_i and Z_i'e_i e_i'Z_i over units, one unit at a time."""
    pieces = []
    lags = [(t, s) for t in range(2, n_periods) for s in range(2, t + 1)]
    for _, unit in frame.groupby("unit"):
        y = unit.set_index("time")["y"].reindex(range(n_periods))
        x = unit.set_index("time")["x"].reindex(range(n_periods))
        change = pd.DataFrame({"y": y.diff(), "lag": y.diff().shift(1), "x": x.diff()}).dropna()
        z = np.zeros((len(change), len(lags) + 1))
        for row, t in enumerate(change.index):
            for column, (at, lag) in enumerate(lags):
                if at == t and pd.notna(y.get(t - lag)):
                    z[row, column] = y[t - lag]
            z[row, -1] = change.loc[t, "x"]
        apart = np.abs(np.subtract.outer(change.index.to_numpy(), change.index.to_numpy()))
        h = np.where(apart == 0, 2.0, np.where(apart == 1, -1.0, 0.0))
        pieces.append((z, change[["lag", "x"]].to_numpy(), change["y"].to_numpy(), h))
    zx = sum(z.T @ x for z, x, _, _ in pieces)
    zy = sum(z.T @ y for z, _, y, _ in pieces)
    weight = np.linalg.pinv(sum(z.T @ h @ z for z, _, _, h in pieces))
    bread = np.linalg.inv(zx.T @ weight @ zx)
    beta = bread @ zx.T @ weight @ zy
    spread = sum(np.outer(m, m) for m in (z.T @ (y - x @ beta) for z, x, y, _ in pieces))
    gain = bread @ zx.T @ weight
    efficient = np.linalg.pinv(spread)
    bread2 = np.linalg.inv(zx.T @ efficient @ zx)
    beta2 = bread2 @ zx.T @ efficient @ zy
    left = zy - zx @ beta2
    return beta, gain @ spread @ gain.T, beta2, bread2, left @ efficient @ left


@pytest.mark.parametrize("gaps", [False, True])
def test_equals_matrices_written_out(gaps):
    frame = dynamic()
    if gaps:
        frame = frame[np.random.default_rng(2).random(len(frame)) > 0.1].reset_index(drop=True)
    beta, robust, beta2, conventional, hansen = by_hand(frame, 7)
    one = ArellanoBond(time_effects=False).fit(design_of(frame))
    np.testing.assert_allclose(one.estimates, beta, rtol=CLOSED_FORM)
    np.testing.assert_allclose(one.covariance(), robust, rtol=1e-6)
    np.testing.assert_allclose(one.extra["hansen"].statistic, hansen, rtol=1e-6)
    two = ArellanoBond(time_effects=False, steps=2, covariance="conventional").fit(design_of(frame))
    np.testing.assert_allclose(two.estimates, beta2, rtol=1e-7)
    np.testing.assert_allclose(two.covariance(), conventional, rtol=1e-6)


def test_windmeijer_widens_the_two_step_errors():
    settings = {"steps": 2, "time_effects": False}
    corrected = ArellanoBond(**settings).fit(design_of(dynamic()))
    plain = ArellanoBond(covariance="conventional", **settings).fit(design_of(dynamic()))
    assert (corrected.std_errors > plain.std_errors).all()


def test_employment_of_british_firms_equals_published_tables(reference_case):
    """Arellano and Bond (1991), Table 4 (a1) and (a2): n(t-1) .686 (.145) and .629 (.090)."""
    _, frame = reference_case("gmm_arellano_bond_table4")
    frame = frame.assign(n=np.log(frame["emp"]), w=np.log(frame["wage"]))
    frame = frame.assign(k=np.log(frame["capital"]), ys=np.log(frame["output"]))
    columns = ["w", "k", "ys"]
    for name, lag in (("w", 1), ("k", 1), ("k", 2), ("ys", 1), ("ys", 2)):
        frame[f"{name}{lag}"] = frame.groupby("firm")[name].shift(lag)
        columns.append(f"{name}{lag}")
    design = Design(Panel(frame, unit="firm", time="year"), outcome="n", covariates=columns)
    one, two = ArellanoBond(lags=2).fit(design), ArellanoBond(lags=2, steps=2).fit(design)
    np.testing.assert_allclose([one.estimates[0], one.std_errors[0]], [0.686, 0.145], atol=5e-4)
    np.testing.assert_allclose(two.estimates[0], 0.629, atol=5e-4)
    assert one.extra["n_instruments"] == 41
    np.testing.assert_allclose(one.extra["ar_tests"]["statistic"], [-3.60, -0.52], atol=5e-3)
    np.testing.assert_allclose(one.extra["sargan"].statistic, 67.59, atol=5e-3)
    np.testing.assert_allclose(one.extra["hansen"].statistic, 31.38, atol=5e-3)


@pytest.mark.parametrize(
    ("settings", "estimates", "errors", "hansen", "serial"),
    [
        (
            {"collapse": True},
            [0.853895, -0.169886, -0.533119, 0.352516, 0.271707, 0.612855, -0.682550],
            [0.562348, 0.123293, 0.245948, 0.432846, 0.089921, 0.242289, 0.612311],
            (11.62681, 5),
            [-1.290551, 0.4482577],
        ),
        (
            {"time_effects": False},
            [0.448806, -0.042209, -0.542931, 0.191413, 0.320322, 0.636832, -0.246296],
            [0.182638, 0.056360, 0.150326, 0.154501, 0.057396, 0.113729, 0.204975],
            (31.87899, 25),
            [-1.501206, -0.41767],
        ),
    ],
)
def test_collapsed_and_without_periods_as_plm_prints(
    reference_case, settings, estimates, errors, hansen, serial
):
    """R plm 2.6-9999 (commit 708b421), test_pgmm.Rout.save: ab.b.collapse and ab.b.ind."""
    _, frame = reference_case("gmm_arellano_bond_table4")
    logs = {"n": "emp", "w": "wage", "k": "capital", "ys": "output"}
    frame = frame.assign(**{name: np.log(frame[column]) for name, column in logs.items()})
    firms = frame.groupby("firm")
    frame = frame.assign(w1=firms["w"].shift(1), ys1=firms["ys"].shift(1))
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="n", covariates=["w", "w1", "k", "ys", "ys1"])
    result = ArellanoBond(lags=2, steps=2, **settings).fit(design)
    np.testing.assert_allclose(result.estimates, estimates, rtol=0, atol=5.01e-7)
    np.testing.assert_allclose(result.std_errors, errors, rtol=0, atol=5.01e-7)
    test = result.extra["hansen"]
    np.testing.assert_allclose(test.statistic, hansen[0], rtol=0, atol=5.01e-6)
    assert test.restrictions == hansen[1]
    np.testing.assert_allclose(result.extra["ar_tests"]["statistic"], serial, rtol=0, atol=1e-6)


def test_system_equals_xtabond2_conventions(reference_case):
    """pyxtabond2 0.0.4: xtabond2 n L.n w k, gmm(n) iv(w k) robust, and its twostep."""
    _, frame = reference_case("gmm_arellano_bond_table4")
    frame = frame.assign(
        n=np.log(frame["emp"]), w=np.log(frame["wage"]), k=np.log(frame["capital"])
    )
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="n", covariates=["w", "k"])
    one = BlundellBond(time_effects=False).fit(design)
    np.testing.assert_allclose(
        one.estimates, [0.6855871661961483, -0.20321859003389164, 0.26020590553159373], rtol=1e-8
    )
    np.testing.assert_allclose(
        one.std_errors, [0.08057585100874212, 0.07882847666516346, 0.06131079807084074], rtol=1e-7
    )
    two = BlundellBond(time_effects=False, steps=2, collapse=True).fit(design)
    np.testing.assert_allclose(
        two.estimates, [0.5103803179082723, -0.36838549889302713, 0.4036384219596665], rtol=1e-8
    )
    np.testing.assert_allclose(
        two.std_errors, [0.14813653803606158, 0.15447906668406258, 0.11648678231774187], rtol=1e-7
    )
    np.testing.assert_allclose(two.extra["hansen"].statistic, 29.44862896696965, rtol=1e-7)
    table = one.extra["difference_in_hansen"]
    np.testing.assert_allclose(
        table.loc["differences in levels", ["excluding", "difference"]],
        [56.15055306571207, 5.315832977321811],
        rtol=1e-6,
    )


LIMITED = {"first_instrument_lag": 3, "last_instrument_lag": 4, "predetermined": "w"}
COLLAPSED = {"collapse": True, "predetermined": "w", "endogenous": "k"}


@pytest.mark.parametrize(
    ("estimator", "estimates", "errors", "sargan", "hansen", "serial"),
    [
        (
            ArellanoBond(**LIMITED, accept_many_instruments=True),
            [0.12916890348205845, -0.6907422604454965, 0.4098732549874332],
            [0.1599810208338905, 0.17782415087829262, 0.061018288972291175],
            61.38209798802363,
            None,
            [-0.6100153063819491, -0.010250309964325905],
        ),
        (
            ArellanoBond(**LIMITED, accept_many_instruments=True, steps=2),
            [0.21572654228045707, -0.6427866914570615, 0.3571770167720816],
            [0.1746955687083976, 0.24808962439210575, 0.05377099424708956],
            61.38209798802363,
            39.24316572102075,
            [-0.8507990527859904, 0.2437544759976451],
        ),
        (
            BlundellBond(**COLLAPSED),
            [0.7176342119018829, -0.5600945728275426, 0.24491338513247157],
            [0.12593402982596918, 0.1659482160824257, 0.07645441896780585],
            82.45647599989299,
            None,
            [-3.5058767371660853, -0.2233189700402618],
        ),
        (
            BlundellBond(**COLLAPSED, steps=2),
            [0.741108229508437, -0.4669155781549342, 0.24408743836498029],
            [0.1304711612691754, 0.1895543145908954, 0.09148545439394591],
            82.45647599989299,
            26.512889750668215,
            [-2.4436407291240867, -0.31092529438545036],
        ),
    ],
)
def test_gaps_periods_and_predetermined_regressors_equal_xtabond2_conventions(
    reference_case, estimator, estimates, errors, sargan, hansen, serial
):
    """pyxtabond2 0.0.4 on rows left out by rule: iv() of periods, gmm() of w from lag 1, of k."""
    _, frame = reference_case("gmm_arellano_bond_table4")
    frame = frame[(7 * frame["firm"] + frame["year"]) % 11 != 0]
    logs = {"n": "emp", "w": "wage", "k": "capital"}
    frame = frame.assign(**{name: np.log(frame[column]) for name, column in logs.items()})
    panel = Panel(frame, unit="firm", time="year")
    result = estimator.fit(Design(panel, outcome="n", covariates=["w", "k"]))
    np.testing.assert_allclose(result.estimates, estimates, rtol=1e-9)
    np.testing.assert_allclose(result.std_errors, errors, rtol=1e-9)
    np.testing.assert_allclose(result.extra["sargan"].statistic, sargan, rtol=1e-9)
    np.testing.assert_allclose(result.extra["ar_tests"]["statistic"], serial, rtol=1e-6)
    if hansen is not None:
        np.testing.assert_allclose(result.extra["hansen"].statistic, hansen, rtol=1e-9)


def test_counts_of_instruments():
    """Six equations t = 2..6 with t - 1 lags each, and x; five lags when collapsed."""
    frame = dynamic()

    def count(**settings):
        estimator = ArellanoBond(time_effects=False, **settings)
        return estimator.fit(design_of(frame)).extra["n_instruments"]

    assert count() == 1 + 2 + 3 + 4 + 5 + 1
    assert count(collapse=True) == 5 + 1
    assert count(last_instrument_lag=3) == 1 + 2 * 4 + 1
    assert count(predetermined="x", collapse=True) == 5 + 6
    assert count(endogenous="x", collapse=True) == 5 + 5


def test_clusters_above_the_unit_change_errors_and_not_one_step_estimates():
    frame = dynamic()
    unit = ArellanoBond().fit(design_of(frame))
    place = ArellanoBond().fit(design_of(frame, clusters="place"))
    np.testing.assert_allclose(place.estimates, unit.estimates, rtol=1e-10)
    assert place.uncertainty.n_clusters == 15
    assert not np.allclose(place.std_errors, unit.std_errors)


def test_levels_left_out_for_a_missing_regressor_still_serve_as_instruments():
    frame = dynamic()
    frame.loc[frame["time"] == 0, "x"] = np.nan
    result = ArellanoBond(time_effects=False).fit(design_of(frame))
    assert result.extra["n_instruments"] == 1 + 2 + 3 + 4 + 5 + 1


@pytest.mark.slow
def test_differences_remove_nickells_bias():
    """Mean over 60 draws: the within estimator is biased by about -0.2, GMM by little."""
    gmm, within = [], []
    for seed in range(60):
        frame = dynamic(seed, n_units=150, periods=6)
        gmm.append(ArellanoBond().fit(design_of(frame)).estimates[0])
        lagged = frame.assign(lag=frame.groupby("unit")["y"].shift(1))
        within.append(FixedEffects().fit(design_of(lagged, covariates=["lag", "x"])).estimates[0])
    assert abs(np.mean(gmm) - 0.5) < 0.01
    assert np.mean(within) < 0.5 - 0.02


def test_refusals():
    frame = dynamic()
    design = design_of(frame)
    with pytest.raises(DesignError, match="lags is a whole number, 1 or more; it was 0"):
        ArellanoBond(lags=0)
    with pytest.raises(DesignError, match="instruments are the outcome's lags from 2 on"):
        ArellanoBond(first_instrument_lag=1)
    with pytest.raises(DesignError, match='predetermined regressor "xx" is not in the design'):
        ArellanoBond(predetermined="xx").fit(design)
    with pytest.raises(DesignError, match='"x" is called both predetermined and endogenous'):
        ArellanoBond(predetermined="x", endogenous="x").fit(design)
    with pytest.raises(DesignError, match="16 instruments for 10 units.*collapse=True"):
        ArellanoBond(time_effects=False).fit(design_of(frame[frame["unit"] < 10]))
    weighted = design_of(frame.assign(w=1.0), weights="w")
    with pytest.raises(DesignError, match="ArellanoBond takes no weights"):
        ArellanoBond().fit(weighted)
    with pytest.raises(DesignError, match="at least three periods"):
        ArellanoBond().fit(design_of(frame[frame["time"] < 2]))
    with pytest.raises(EstimationError, match="7 lags of the outcome .* need 9 periods"):
        ArellanoBond(lags=7).fit(design)
    gaps = design_of(frame[frame["time"] % 3 < 2])
    with pytest.raises(EstimationError, match="no unit is observed in 3 consecutive periods"):
        ArellanoBond().fit(gaps)
    with pytest.raises(EstimationError, match="1 instrument cannot identify 2 coefficients"):
        ArellanoBond(lags=2, last_instrument_lag=2, collapse=True, time_effects=False).fit(
            Design(Panel(frame, unit="unit", time="time"), outcome="y")
        )


@pytest.mark.parametrize("estimator", [ArellanoBond(), BlundellBond(collapse=True)])
def test_regressors_that_nothing_is_left_of_are_refused_by_name(estimator):
    frame = dynamic().assign(w=lambda f: 2 * f["x"], path=lambda f: np.sin(f["time"]))
    with pytest.raises(EstimationError, match="^w cannot be told from the other regressors"):
        estimator.fit(design_of(frame, covariates=["x", "w"]))
    with pytest.raises(EstimationError, match="^path cannot be told.*time_effects=False"):
        estimator.fit(design_of(frame, covariates=["x", "path"]))
    with pytest.raises(EstimationError, match="^zero cannot be told"):
        estimator.fit(design_of(frame.assign(zero=0.0), covariates=["x", "zero"]))


def test_what_differences_remove_is_refused_and_one_cluster():
    frame = dynamic()
    constant = frame.assign(size=np.sqrt(frame["unit"] + 1.0))
    with pytest.raises(EstimationError, match="^size cannot be told.*constant within units"):
        ArellanoBond().fit(design_of(constant, covariates=["x", "size"]))
    with pytest.raises(EstimationError, match="all units used belong to one cluster"):
        ArellanoBond().fit(design_of(frame.assign(country=1), clusters="country"))


@pytest.mark.parametrize("estimator", [ArellanoBond(), BlundellBond()])
def test_the_average_effect_is_the_treatments_coefficient_not_the_lags(estimator):
    frame = simulate.staggered_panel(3, n_units=200, periods=8, cohorts={4: 0.3}).frame
    frame["on"] = (frame["time"] >= frame["cohort"]).astype(float)
    panel = Panel(frame, unit="unit", time="time")
    for stated, term in (({"treated": "on"}, "on"), ({"cohort": "cohort"}, "treated")):
        result = estimator.fit(Design(panel, outcome="outcome", **stated))
        shown = result.att().tidy().iloc[0]
        own = result.tidy().set_index("term").loc[term]
        assert shown["term"] == term
        assert shown["estimate"] == own["estimate"] != result.estimates[0]
