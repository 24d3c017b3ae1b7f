"""Formulas give the estimates their parts give when written out."""

import unicodedata

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


@pytest.mark.parametrize("term", ["np.where(gap > 0, 1, 0)", "I(gap > 0)", "I(lag(gap) > 0)"])
def test_comparisons_of_what_is_missing_are_missing(frame, term):
    frame = frame.assign(gap=frame["x"].mask(frame["firm"] < 5)).sort_values(["firm", "year"])
    values = read_formula(f"jobs ~ {term}", frame, **KEYS).panel.frame.iloc[:, -1]
    known = read_formula("jobs ~ lag(gap)", frame, **KEYS).panel.frame["lag(gap)"]
    wanted = known if "lag" in term else frame["gap"]
    np.testing.assert_array_equal(values.isna(), wanted.isna())
    np.testing.assert_array_equal(values.dropna(), (wanted.dropna() > 0).astype(float))
    with pytest.raises(PanelError, match="compares before it looks back"):
        read_formula("jobs ~ lag(gap > 0)", frame, **KEYS)


def test_a_column_with_the_name_of_a_term_is_not_taken_for_it(frame):
    with pytest.raises(PanelError, match=r"'log\(jobs\)' has the name of a column .* other values"):
        read_formula("x ~ log(jobs)", frame.assign(**{"log(jobs)": frame["z"]}), **KEYS)
    same_values = frame.assign(**{"log(jobs)": np.log(frame["jobs"])})
    same(fit_formula("x ~ log(jobs)", same_values, **KEYS),
         fit_formula("x ~ log(jobs)", frame, **KEYS))  # fmt: skip


def test_numbers_kept_as_objects_are_numbers_and_no_levels(frame):
    same(
        fit_formula("jobs ~ x", frame.assign(x=frame["x"].astype(object)), **KEYS),
        fit_formula("jobs ~ x", frame, **KEYS),
    )


def test_several_lags_and_changes():
    frame = pd.DataFrame(
        {"firm": [1, 1, 1, 1], "year": [1, 2, 3, 5], "x": [1.0, 3, 7, 20], "y": 1.0}
    )
    model = read_formula("y ~ l(x, 0:1) + d(x) + f(x, c(1, 2)) + l(x^2)", frame, **KEYS)
    assert model.covariates == ("l(x, 0)", "l(x, 1)", "d(x)", "f(x, 1)", "f(x, 2)", "l(x ** 2)")
    wide = model.panel.frame
    np.testing.assert_array_equal(wide["l(x, 1)"], [np.nan, 1, 3, np.nan])
    np.testing.assert_array_equal(wide["d(x)"], [np.nan, 2, 4, np.nan])
    np.testing.assert_array_equal(wide["f(x, 2)"], [7, np.nan, 20, np.nan])
    np.testing.assert_array_equal(wide["l(x ** 2)"], [np.nan, 1, 9, np.nan])
    crossed = read_formula("y ~ l(x, 0:1):d(x)", frame, **KEYS)
    assert len(crossed.covariates) == 2


def test_signs_of_an_outcome_are_arithmetic(frame):
    """A change ahead over a level behind, as in local projections."""
    ahead, behind = (
        read_formula(f"jobs ~ {term}", frame, **KEYS).panel.frame[term]
        for term in ("f(x, 1)", "l(x, 1)")
    )
    same(
        fit_formula("f(x, 1) - l(x, 1) ~ z | firm", frame, **KEYS),
        fit_formula("change ~ z | firm", frame.assign(change=ahead - behind), **KEYS),
    )
    for outcome, values in (("jobs + x", frame["jobs"] + frame["x"]), ("x^2", frame["x"] ** 2)):
        same(
            fit_formula(f"{outcome} ~ z", frame, **KEYS),
            fit_formula("made ~ z", frame.assign(made=values), **KEYS),
        )


def test_levels_left_out_and_kept(frame):
    frame["treated"] = (frame["place"] == 1).astype(float)
    one = fit_formula(
        "log(jobs) ~ i(year, treated, ref=c(2001, 2003)) | firm + year", frame, **KEYS
    )
    years = [2000, 2002, 2004]
    columns = {f"t{y}": frame["treated"] * (frame["year"] == y) for y in years}
    same(one, by_hand(frame, FixedEffects(), list(columns), **columns))
    kept = read_formula("jobs ~ i(year, keep=2001:2003)", frame, **KEYS)
    assert kept.covariates == ("year::2001", "year::2002", "year::2003")
    rest = read_formula("jobs ~ i(year, ref=c(2001:2003))", frame, **KEYS)
    assert rest.covariates == ("year::2000", "year::2004")
    with pytest.raises(PanelError, match=r'i\(year, ref=1999\): "year" never is 1999'):
        read_formula("jobs ~ i(year, ref=1999)", frame, **KEYS)
    with pytest.raises(PanelError, match="bin= of i\\(\\) is not read"):
        read_formula("jobs ~ i(year, bin=2)", frame, **KEYS)
    with pytest.raises(PanelError, match="the levels 'two' of i\\(\\) cannot be read"):
        read_formula("jobs ~ i(year, ref=two)", frame, **KEYS)


def test_words_of_r(frame):
    frame["named"] = "p" + frame["place"].astype(str)
    same(
        fit_formula("jobs ~ as.factor(named) + I(x^2) + sqrt(jobs + TRUE)", frame, **KEYS),
        fit_formula("jobs ~ C(named) + I(x**2) + np.sqrt(jobs + 1)", frame, **KEYS),
    )
    frame.loc[3, "x"] = np.nan
    scaled = read_formula("jobs ~ scale(x) + center(x)", frame, **KEYS).panel.frame
    np.testing.assert_allclose(scaled["scale(x)"].std(), 1)
    np.testing.assert_allclose(scaled["center(x)"], frame["x"] - frame["x"].mean())


def test_names_with_accents_blanks_and_marks(frame):
    """Names typed in a notebook and names from a file may write accents in one letter or two."""
    names = {"x": "hỗ trợ", "place": "tỉnh", "z": "a|b + c", "firm": "mã_số"}
    whole = fit_formula("jobs ~ x + log(z + 9) + i(place) | year", frame, **KEYS)
    formula = "jobs ~ `hỗ trợ` + log(`a|b + c` + 9) + i(`tỉnh`) | `year`"
    for form in ("NFC", "NFD"):
        named = frame.rename(columns={a: unicodedata.normalize(form, b) for a, b in names.items()})
        unit = unicodedata.normalize("NFD", "mã_số")
        found = fit_formula(formula, named, unit=unit, time="year", clusters=unit)
        same(found, whole)
        assert found.cells["term"].iloc[2] == "tỉnh::1"


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("jobs ~ csw(x, z)", r"csw\(\) in the formula .* side by side with compare"),
        ("jobs ~ x | sw(firm, year)", r"sw\(\) in the formula"),
        ("c(jobs, x) ~ z", "names several columns. Fit a formula for each"),
        ("jobs ~ x + offset(z)", r"offset\(\) .*exposure="),
        ("jobs ~ x %in% z", "%in% .* Write a:b"),
        ("jobs ~ .", "Name the regressors"),
        ("jobs ~ x + (1 | firm)", "within brackets"),
        ("jobs ~ x | firm | x ~ z", '"x" stands among the regressors .* and, as endogenous'),
        ("jobs ~ i(year, i.place)", r"is no column. .* Write C\(year\):C\(i?\.?place\)"),
        ("jobs ~ lag(x, 1.5)", "counts whole periods; it was 1.5"),
        ("jobs ~ lag(named)", "is taken of numbers; these values are"),
        ("jobs ~ i(year, x, z, place)", r"i\(\) takes a factor and a number"),
    ],
)
def test_words_without_meaning_here_are_refused(frame, formula, words):
    with pytest.raises(PanelError, match=words):
        read_formula(formula, frame.assign(named="p"), **KEYS)


def test_a_column_that_hides_a_function_is_named(frame):
    with pytest.raises(PanelError, match=r'column "l" hides the function l\(\)'):
        read_formula("jobs ~ l(x)", frame.assign(l=1.0), **KEYS)
    with pytest.raises(PanelError, match="a formula is read on a DataFrame; this is a dict"):
        read_formula("jobs ~ x", {"jobs": [1]}, **KEYS)


def test_refusals(frame):
    with pytest.raises(PanelError, match=r"is not outcome ~ regressors \| effects"):
        read_formula("jobs", frame, **KEYS)
    with pytest.raises(PanelError, match='"jbos" is no column. Did you mean "jobs"'):
        read_formula("log(jbos) ~ x", frame, **KEYS)
    with pytest.raises(PanelError, match="cannot be read"):
        read_formula("jobs ~ x +* z", frame, **KEYS)
    with pytest.raises(PanelError, match='outcome "jobs" holds .* values where numbers belong'):
        read_formula("jobs ~ x", frame.assign(jobs="many"), **KEYS)
    with pytest.raises(PanelError, match="makes 3 columns; it must be one"):
        read_formula("bs(jobs, df=3) ~ z", frame, **KEYS)
    with pytest.raises(DesignError, match="a Poisson regression takes no instruments"):
        fit_formula("jobs ~ 1 | firm | x ~ z", frame, family="poisson", **KEYS)
    with pytest.raises(PanelError, match='"log\\(x\\)" is infinite|cannot be read'):
        fit_formula("jobs ~ log(x)", frame.assign(x=0.0), **KEYS)
