"""Random effects, gaps or not: published tables, matrices written out, refusals."""

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


def fit(frame, effects="two_way", **settings):
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="invest", covariates=["value", "capital"])
    return RandomEffects(effects=effects, covariance="classical", **settings).fit(design)


@pytest.mark.parametrize(
    ("effects", "method", "deviations", "coefficients"),
    [
        ("unit", "swamy_arora", [84.20, 0.0, 52.77], [0.110, 0.308]),
        ("unit", "amemiya", [83.52, 0.0, 52.77], [0.110, 0.308]),
        ("unit", "wallace_hussain", [87.36, 0.0, 53.75], [0.110, 0.308]),
        ("two_way", "swamy_arora", [84.23, 0.0, 51.72], [0.110, 0.308]),
        ("two_way", "amemiya", [89.26, 15.78, 51.72], [0.111, 0.324]),
        ("two_way", "wallace_hussain", [87.31, 0.0, 55.33], [0.110, 0.308]),
    ],
)
def test_grunfeld_as_printed(effects, method, deviations, coefficients):
    """Baltagi, Econometric Analysis of Panel Data, Tables 2.1 and 3.1, as printed."""
    result = fit(grunfeld(), effects, method=method, unbiased=True)
    parts = result.extra["components"]
    got = np.sqrt([parts.unit, parts.time, parts.error])
    # 53.745 is printed 53.75.
    np.testing.assert_allclose(got, deviations, atol=5.01e-3)
    np.testing.assert_allclose(result.estimates[:2], coefficients, atol=5e-4)


PLM_BALANCED = {
    ("unit", "wallace_hussain"): "3089.07 5690.18 0 -57.553864 0.109710 0.307374",
    ("unit", "amemiya"): "2755.15 6477.30 0 -57.771054 0.109764 0.307952",
    ("unit", "swamy_arora"): "2784.46 7089.80 0 -57.834415 0.109781 0.308113",
    ("unit", "nerlove"): "2617.39 7350.06 0 -57.907362 0.109802 0.308294",
    ("two_way", "wallace_hussain"): "3188.06 5685.23 0 -57.522213 0.109703 0.307286",
    ("two_way", "amemiya"): "2644.13 7452.02 243.78 -63.767791 0.111386 0.323321",
    ("two_way", "swamy_arora"): "2675.43 7095.25 0 -57.865377 0.109790 0.308190",
    ("two_way", "nerlove"): "2260.74 8426.92 534.94 -68.304674 0.112729 0.334494",
}
PLM_ERRORS = {
    ("unit", "wallace_hussain"): "25.335537 0.010181 0.017272",
    ("unit", "amemiya"): "27.961477 0.010421 0.017200",
    ("unit", "swamy_arora"): "28.898935 0.010493 0.017180",
    ("unit", "nerlove"): "30.106995 0.010576 0.017158",
    ("two_way", "wallace_hussain"): "25.012301 0.010147 0.017283",
    ("two_way", "amemiya"): "29.851537 0.010909 0.018772",
    ("two_way", "swamy_arora"): "29.393359 0.010528 0.017171",
    ("two_way", "nerlove"): "33.457520 0.011330 0.019686",
}
PLM_ONE_ROW_MISSING = {
    ("unit", "wallace_hussain"): "2900.88 7663.69 0 -57.874183 0.109792 0.308181",
    ("unit", "amemiya"): "2799.34 6994.34 0 -57.831814 0.109780 0.308074",
    ("unit", "swamy_arora"): "2799.34 7124.82 0 -57.846046 0.109784 0.308110",
    ("unit", "nerlove"): "2630.54 7371.22 0 -57.917118 0.109804 0.308288",
    ("two_way", "wallace_hussain"): "3078.75 7655.76 0 -57.828 0.10978 0.30806",
    ("two_way", "amemiya"): "2675.67 8088.44 326.08 -65.371 0.11185 0.32691",
    ("two_way", "swamy_arora"): "2675.67 7131.05 0 -57.881 0.10979 0.30820",
    ("two_way", "nerlove"): "2258.86 8507.69 576.05 -69.329 0.11305 0.33639",
}
ERRORS_ONE_ROW_MISSING = {
    ("unit", "wallace_hussain"): "29.422867 0.010552 0.017216",
    ("unit", "amemiya"): "28.748169 0.010503 0.017229",
    ("unit", "swamy_arora"): "28.969526 0.010519 0.017224",
    ("unit", "nerlove"): "30.158311 0.010601 0.017203",
}
UNSCALED_ERRORS = {
    "wallace_hussain": "0.54187 0.00019828 0.00032541",
    "amemiya": "0.60239 0.00021633 0.00037420",
    "swamy_arora": "0.55860 0.00019973 0.00032561",
    "nerlove": "0.67047 0.00022642 0.00039545",
}


def assert_printed(values, line):
    """Compare with numbers as printed, each to half a unit of its last digit."""
    for value, text in zip(values, line.split(), strict=True):
        unit = 10.0 ** -len(text.partition(".")[2])
        np.testing.assert_allclose(value, float(text), rtol=0, atol=0.501 * unit)


def in_their_order(values):
    """Put the constant first."""
    return values[[2, 0, 1]]


def numbers(result):
    parts = result.extra["components"]
    return [parts.error, parts.unit, parts.time, *in_their_order(result.estimates)]


@pytest.mark.parametrize(("effects", "method"), PLM_BALANCED)
def test_balanced_components_equal_plm(effects, method):
    """R plm 2.6-9999 (commit d49dfb4), test_Estimators.Rout.save, all eight summaries."""
    result = fit(grunfeld(), effects, method=method)
    assert_printed(numbers(result), PLM_BALANCED[effects, method])
    assert_printed(in_their_order(result.std_errors), PLM_ERRORS[effects, method])


@pytest.mark.parametrize(("effects", "method"), PLM_ONE_ROW_MISSING)
def test_components_with_a_row_missing_equal_plm(effects, method):
    """The same file: Grunfeld's data without their last row."""
    frame = grunfeld()
    frame = frame[~((frame["firm"] == "Diamond Match") & (frame["year"] == 1954))]
    assert len(frame) == 199
    result = fit(frame, effects, method=method)
    assert_printed(numbers(result), PLM_ONE_ROW_MISSING[effects, method])
    if effects == "unit":
        assert_printed(in_their_order(result.std_errors), ERRORS_ONE_ROW_MISSING[effects, method])
    else:
        # plm's are not multiplied by the standard deviation of the errors, as its own balanced are.
        theirs = np.array(UNSCALED_ERRORS[method].split(), dtype=float)
        scaled = theirs * np.sqrt(result.extra["sigma2"])
        np.testing.assert_allclose(in_their_order(result.std_errors), scaled, rtol=3e-5)


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
    result = fit(frame, method=method, unbiased=True)
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
    result = fit(frame, method=method, unbiased=True)
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
    with pytest.raises(EstimationError, match="unbiased=False.*groups have from 13 to 18 rows"):
        fit(frame, method="amemiya", unbiased=False)
    with pytest.raises(EstimationError, match="one unit, or one period, does not tell how"):
        fit(frame[frame["firm"] == "Chrysler"], "unit")
    with pytest.raises(EstimationError, match="in 2 periods leave no variation within both"):
        fit(
            frame[frame["year"].isin([1940, 1941])]
            .groupby("firm")
            .filter(lambda f: len(f) == 2)
            .head(4)
        )
    with pytest.raises(EstimationError, match="2 periods leave no degrees of freedom between them"):
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
