"""Two-way random effects with gaps: published tables, matrices written out, refusals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from impact import Design, Panel, RandomEffects
from impact.errors import EstimationError

CLOSED_FORM = 1e-9
METHODS = ("swamy_arora", "amemiya", "wallace_hussain")


def grunfeld(gaps=False):
    frame = sm.datasets.grunfeld.load_pandas().data
    frame = frame[frame["firm"] != "American Steel"].reset_index(drop=True)
    if gaps:
        frame = frame[np.random.default_rng(1).random(len(frame)) > 0.25]
    return frame


def fit(frame, **settings):
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="invest", covariates=["value", "capital"])
    return RandomEffects(effects="two_way", covariance="classical", **settings).fit(design)


@pytest.mark.parametrize(
    ("method", "deviations", "coefficients"),
    [
        ("swamy_arora", [84.23, 0.0, 51.72], [0.110, 0.308]),
        ("amemiya", [89.26, 15.78, 51.72], [0.111, 0.324]),
        ("wallace_hussain", [87.31, 0.0, 55.33], [0.110, 0.308]),
    ],
)
def test_grunfeld_as_printed(method, deviations, coefficients):
    """Baltagi, Econometric Analysis of Panel Data, Table 3.1, as printed."""
    result = fit(grunfeld(), method=method)
    parts = result.extra["components"]
    got = np.sqrt([parts.unit, parts.time, parts.error])
    np.testing.assert_allclose(got, deviations, atol=5e-3)
    np.testing.assert_allclose(result.estimates[:2], coefficients, atol=5e-4)


def test_grunfeld_by_wansbeek_and_kapteyn_equals_eviews():
    """EViews User's Guide, panel example on the same data, Wansbeek-Kapteyn components."""
    result = fit(grunfeld(), method="amemiya")
    parts = result.extra["components"]
    np.testing.assert_allclose(result.estimates, [0.111447, 0.323533, -63.89217], rtol=3e-6)
    np.testing.assert_allclose(result.std_errors[:2], [0.010963, 0.018767], rtol=5e-5)
    np.testing.assert_allclose(
        np.sqrt([parts.unit, parts.time, parts.error]), [89.26257, 15.77783, 51.72452], rtol=2e-7
    )


def dense(frame):
    """Return outcome, regressors with constant, unit and period dummies."""
    dummies = [pd.get_dummies(frame[name], dtype=float).to_numpy() for name in ("firm", "year")]
    x = np.column_stack((np.ones(len(frame)), frame[["value", "capital"]]))
    return frame["invest"].to_numpy(), x, *dummies


def projection(columns):
    return columns @ np.linalg.pinv(columns)


def quadratic_forms(x, units, times, method):
    """Pair each symmetric matrix A with the residual maker R of its quadratic form e'Ae, e = Ry."""
    n = len(x)
    within = np.eye(n) - projection(np.hstack((units, times)))
    of_units, of_times = projection(units), projection(times)
    centre = np.eye(n) - 1 / n
    slopes = x[:, 1:] @ np.linalg.pinv(within @ x[:, 1:]) @ within
    if method == "swamy_arora":
        makers = [p @ (np.eye(n) - x @ np.linalg.pinv(p @ x)) for p in (of_units, of_times)]
        return [within @ (np.eye(n) - slopes), *(m for m in makers)]
    if method == "amemiya":
        maker = centre @ (np.eye(n) - slopes)
        return [within @ maker, of_units @ maker, of_times @ maker]
    maker = np.eye(n) - projection(x)
    return [within @ maker, of_units @ maker, of_times @ maker]


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_components_solve_expected_quadratic_forms(method, gaps):
    """q_j = |R_j y|^2 is sum_k sigma_k tr R_j V_k R_j' with V = I, DD' of unit, of period."""
    frame = grunfeld(gaps)
    y, x, units, times = dense(frame)
    makers = quadratic_forms(x, units, times, method)
    parts = [np.eye(len(y)), units @ units.T, times @ times.T]
    system = [[np.trace(maker @ part @ maker.T) for part in parts] for maker in makers]
    expected = np.linalg.solve(system, [np.sum((maker @ y) ** 2) for maker in makers])
    result = fit(frame, method=method)
    got = result.extra["components"]
    named = dict(zip(("error", "unit", "time"), expected, strict=True))
    for name, value in named.items():
        if value < 0:
            assert name in got.negative
            assert getattr(got, name) == 0
        else:
            np.testing.assert_allclose(getattr(got, name), value, rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_transformed_rows_give_generalised_least_squares(method):
    rng = np.random.default_rng(5)
    frame = grunfeld(gaps=True)
    shocks = pd.Series(rng.normal(size=frame["year"].nunique()), sorted(frame["year"].unique()))
    frame = frame.assign(invest=frame["invest"] + 80 * shocks[frame["year"]].to_numpy())
    result = fit(frame, method=method)
    parts = result.extra["components"]
    assert parts.time > 0
    y, x, units, times = dense(frame)
    covariance = parts.error * np.eye(len(y))
    covariance += parts.unit * units @ units.T + parts.time * times @ times.T
    inverse = np.linalg.inv(covariance)
    bread = np.linalg.inv(x.T @ inverse @ x)
    beta = bread @ x.T @ inverse @ y
    left = y - x @ beta
    scale = left @ inverse @ left / (len(y) - 3)
    order = [1, 2, 0]
    np.testing.assert_allclose(result.estimates, beta[order], rtol=CLOSED_FORM)
    np.testing.assert_allclose(
        result.std_errors, np.sqrt(scale * np.diag(bread))[order], rtol=CLOSED_FORM
    )


def test_an_outcome_in_another_unit_changes_nothing_else():
    frame = grunfeld(gaps=True)
    plain = fit(frame)
    scaled = fit(frame.assign(invest=frame["invest"] * 1e9))
    np.testing.assert_allclose(scaled.estimates, plain.estimates * 1e9, rtol=CLOSED_FORM)


def test_refusals():
    frame = grunfeld(gaps=True)
    with pytest.raises(EstimationError, match='"nerlove" is defined for unit effects alone'):
        fit(frame, method="nerlove")
    with pytest.raises(EstimationError, match="in 2 periods leave no variation within both"):
        fit(
            frame[frame["year"].isin([1940, 1941])]
            .groupby("firm")
            .filter(lambda f: len(f) == 2)
            .head(4)
        )
    with pytest.raises(EstimationError, match="no degrees of freedom between them"):
        fit(frame[frame["year"].isin([1940, 1941])])


@pytest.mark.parametrize("method", METHODS)
def test_regressors_without_variation_within_still_have_components(method):
    """With no slope within, its residuals are the outcome less effects."""
    frame = grunfeld(gaps=True)
    frame = frame.assign(value=frame.groupby("firm")["value"].transform("first"))
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="invest", covariates="value")
    parts = RandomEffects(effects="two_way", method=method).fit(design).extra["components"]
    assert parts.error > 0
    assert parts.unit > 0
