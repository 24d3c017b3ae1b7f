"""Covariances against reference software and against their definitions."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from linearmodels.panel import PanelOLS

from impact import Design, FixedEffects, Panel
from impact.errors import InferenceError, VarianceError
from impact.inference.clusters import (
    BlockScores,
    EffectCounts,
    count_effects,
    full_regression,
    small_sample_factor,
)
from impact.inference.spatial import (
    BeckKatzKernel,
    ConleyKernel,
    DriscollKraayKernel,
    NeweyWestKernel,
    great_circle,
)
from impact.kernels.absorb import absorb
from impact.kernels.groups import compact
from impact.kernels.least_squares import least_squares

REFERENCE = 1e-9  # printed with 15 digits; closed forms on both sides


def scores(y, x, groups, *, effects=(), weights=None, kind="CR1", convention="fixest"):
    absorber = absorb(effects, weights) if effects else None
    fit = least_squares(
        y,
        x,
        weights,
        sweep=absorber.sweep if absorber else None,
        n_effects=absorber.rank if absorber else 0,
        leverage_of_effects=absorber.leverage if absorber else None,
    )
    full = partial(full_regression, fit, y, x, weights, list(effects), None, groups[0])
    counts = count_effects(effects, groups, fit.n_effects)
    return BlockScores(fit, groups, np.eye(len(x)), counts, full, kind, convention)


def std_errors(uncertainty):
    return np.sqrt(uncertainty.variances())


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(11)
    unit, time = np.repeat(np.arange(40), 8), np.tile(np.arange(8), 40)
    keep = rng.random(320) > 0.1
    unit, time = unit[keep], time[keep]
    x = rng.normal(size=(2, keep.sum()))
    y = x[0] + rng.normal(size=40)[unit] + rng.normal(size=keep.sum())
    return y, x, compact(unit), compact(time), compact(unit // 5)


@pytest.fixture(scope="module")
def petersen(reference_case):
    case, frame = reference_case("se_petersen")
    x = np.vstack((np.ones(len(frame)), frame["x"]))
    groups = {name: compact(frame[name].to_numpy()) for name in ("firm", "year")}
    return case["reference"], frame, x, groups


PETERSEN = {
    "ols": (["firm"], "classical", "fixest"),
    "HC0": (["firm"], "HC0", "fixest"),
    "HC1": (["firm"], "HC1", "fixest"),
    "HC2": (["firm"], "HC2", "fixest"),
    "HC3": (["firm"], "HC3", "fixest"),
    "cluster_firm_HC1_cadjust": (["firm"], "CR1", "stata"),
    "cluster_year_HC1_cadjust": (["year"], "CR1", "fixest"),
    "twoway_firm_year_HC1_cadjust": (["firm", "year"], "CR1", "sandwich"),
    "fixest_twoway": (["firm", "year"], "CR1", "fixest"),
    "cluster_firm_HC0_nocadjust": (["firm"], "CR1", "plm"),
    "CR2_firm": (["firm"], "CR2", "fixest"),
    "CR3_firm": (["firm"], "CR3", "fixest"),
    "CR2_year": (["year"], "CR2", "fixest"),
}


@pytest.mark.parametrize("name", PETERSEN)
def test_petersen_data_equal_sandwich_clubsandwich_and_fixest(petersen, name):
    reference, frame, x, groups = petersen
    dimensions, kind, convention = PETERSEN[name]
    chosen = tuple(groups[d] for d in dimensions)
    got = scores(frame["y"].to_numpy(), x, chosen, kind=kind, convention=convention)
    np.testing.assert_allclose(std_errors(got), list(reference[name].values()), rtol=REFERENCE)


def test_petersen_satterthwaite_degrees_of_freedom(petersen):
    reference, frame, x, groups = petersen
    got = scores(frame["y"].to_numpy(), x, (groups["year"],), kind="CR2")
    np.testing.assert_allclose(
        got.freedoms, reference["satterthwaite_CR2_year"]["df"], rtol=REFERENCE
    )
    assert got.df == got.freedoms.min()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("driscoll_kraay_fixest_lag1", lambda u, t, fit: DriscollKraayKernel(t, 1)),
        ("newey_west_panel_fixest_lag1", lambda u, t, fit: NeweyWestKernel(u, t, 1)),
        (
            "beck_katz_pcse",
            lambda u, t, fit: BeckKatzKernel(u, t, fit.regressors, fit.residuals),
        ),
    ],
)
def test_petersen_errors_that_cross_units(petersen, name, make):
    reference, frame, x, groups = petersen
    base = scores(frame["y"].to_numpy(), x, (groups["firm"],))
    kernel = make(frame["firm"].to_numpy(), frame["year"].to_numpy(), base.fit)
    got = std_errors(base.with_kind(kernel))
    np.testing.assert_allclose(got, list(reference[name].values()), rtol=REFERENCE)


@pytest.mark.parametrize("cutoff", [100, 200])
def test_conley_equals_fixest_on_the_plane_and_nearly_on_the_sphere(reference_case, cutoff):
    case, frame = reference_case("conley_quakes")
    x = np.vstack((np.ones(len(frame)), frame["mag"]))
    base = scores(frame["depth"].to_numpy(), x, (compact(np.arange(len(frame))),))
    place = frame["lat"].to_numpy(), frame["long"].to_numpy()
    plane = base.with_kind(ConleyKernel(*place, cutoff, distance="plane"))
    sphere = base.with_kind(ConleyKernel(*place, cutoff))
    reference = case["reference"]
    np.testing.assert_allclose(
        std_errors(plane), list(reference[f"c{cutoff}"].values()), rtol=REFERENCE
    )
    # The case states 2e-3: the earth's radius and pairs at the cutoff differ.
    np.testing.assert_allclose(
        std_errors(sphere), list(reference[f"c{cutoff}_spherical"].values()), rtol=2e-3
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_mortality_rates_cr2_equals_clubsandwich(reference_case, weighted):
    case, frame = reference_case("cr2_mortality_rates")
    frame = frame.dropna(subset=["mrate", "legal", "beertaxa"])
    reference = case["reference"]["CR2_weighted_pop" if weighted else "CR2"]
    state, year = compact(frame["state"].to_numpy()), compact(frame["year"].to_numpy())
    got = scores(
        frame["mrate"].to_numpy(),
        frame[["legal", "beertaxa"]].to_numpy().T,
        (state,),
        effects=[state, year],
        weights=frame["pop"].to_numpy(dtype=float) if weighted else None,
        kind="CR2",
    )
    np.testing.assert_allclose(std_errors(got), list(reference["se"].values()), rtol=REFERENCE)
    np.testing.assert_allclose(got.freedoms, list(reference["df"].values()), rtol=REFERENCE)
    if not weighted:
        plain = got.with_kind("CR1", "clubsandwich")
        expected = list(case["reference"]["CR1"]["se"].values())
        np.testing.assert_allclose(std_errors(plain), expected, rtol=REFERENCE)


def test_joint_test_of_laws_and_taxes_equals_clubsandwich(reference_case):
    """Wald_test(..., test="HTZ") of R clubSandwich: F 2.7062 with 2 and 13.0088 degrees."""
    case, frame = reference_case("cr2_mortality_rates")
    frame = frame.dropna(subset=["mrate", "legal", "beertaxa"])
    reference = case["reference"]["wald_legal_beertaxa"]
    at = reference["test"].index("HTZ")
    state, year = compact(frame["state"].to_numpy()), compact(frame["year"].to_numpy())
    got = scores(
        frame["mrate"].to_numpy(),
        frame[["legal", "beertaxa"]].to_numpy().T,
        (state,),
        effects=[state, year],
        kind="CR2",
    )
    test = got.hotelling_test(got.fit.coefficients)
    assert test.restrictions == 2
    np.testing.assert_allclose(
        [test.statistic, test.df, test.p_value],
        [reference["Fstat"][at], reference["df_denom"][at], reference["p"][at]],
        rtol=REFERENCE,
    )


def by_hand(x, residuals, clusters, restrictions, weights):
    """HTZ written out on dense matrices: Pustejovsky and Tipton (2018), section 3.2."""
    n = len(residuals)
    bread = np.linalg.inv((x * weights) @ x.T)
    left = np.eye(n) - x.T @ bread @ (x * weights)
    pieces = []
    for g in np.unique(clusters):
        rows = clusters == g
        values, vectors = np.linalg.eigh(left[rows] @ left[rows].T)
        root = (vectors / np.sqrt(values)) @ vectors.T
        pieces.append(restrictions @ bread @ (x * weights)[:, rows] @ root)
    meat = sum(
        np.outer(piece @ residuals[clusters == g], piece @ residuals[clusters == g])
        for g, piece in enumerate(pieces)
    )
    target = restrictions @ bread @ (x * weights**2) @ x.T @ bread @ restrictions.T
    values, vectors = np.linalg.eigh(target)
    root = (vectors / np.sqrt(values)) @ vectors.T
    spread = 0.0
    rotated = [root @ piece @ left[clusters == g] for g, piece in enumerate(pieces)]
    for one in rotated:
        for other in rotated:
            inner = one @ other.T
            spread += np.trace(inner) ** 2 + np.trace(inner @ inner)
    q = len(restrictions)
    return meat, q * (q + 1) / spread


@pytest.mark.parametrize("weighted", [False, True])
def test_joint_test_equals_matrices_written_out(weighted):
    rng = np.random.default_rng(4)
    n, n_clusters = 120, 12
    clusters = np.sort(rng.integers(0, n_clusters, n))
    x = np.vstack((np.ones(n), rng.normal(size=(3, n)), rng.normal(size=n_clusters)[clusters]))
    y = x.sum(axis=0) + rng.normal(size=n) + rng.normal(size=n_clusters)[clusters]
    weights = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    got = scores(y, x, (compact(clusters),), weights=weights if weighted else None, kind="CR2")
    picked = np.eye(5)[[1, 2, 4]]
    meat, eta = by_hand(x, got.fit.residuals, clusters, picked, weights)
    test = got.combine(picked).hotelling_test(picked @ got.fit.coefficients)
    b = picked @ got.fit.coefficients
    wald = b @ np.linalg.solve(meat, b)
    np.testing.assert_allclose(test.df, eta - 2, rtol=1e-8)
    np.testing.assert_allclose(test.statistic, wald * (eta - 2) / (eta * 3), rtol=1e-8)
    # One restriction is the t test squared, and a restriction twice is one restriction.
    one = got.combine(picked[:1]).hotelling_test(b[:1])
    np.testing.assert_allclose(one.statistic, b[0] ** 2 / meat[0, 0], rtol=1e-8)
    np.testing.assert_allclose(one.df, got.freedoms[1], rtol=1e-8)
    twice = got.combine(picked[[0, 1, 2, 2]]).hotelling_test(b[[0, 1, 2, 2]])
    np.testing.assert_allclose([twice.statistic, twice.df], [test.statistic, test.df], rtol=1e-8)
    assert twice.restrictions == 3


def test_results_with_cr2_are_tested_jointly_by_hotelling(panel):
    y, (x, z), unit, time, place = panel
    columns = {"unit": unit.codes, "time": time.codes, "place": place.codes}
    frame = pd.DataFrame({**columns, "y": y, "x": x, "z": z})
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="y", covariates=["x", "z"], clusters="place"
    )
    result = FixedEffects(covariance="CR2").fit(design)
    test = result.joint_test(np.ones(2, dtype=bool))
    wanted = result.uncertainty.hotelling_test(result.estimates)
    assert (test.statistic, test.df) == (wanted.statistic, wanted.df)
    assert test.note == "Hotelling's F with CR2"
    plain = FixedEffects().fit(design)
    later = plain.infer("cr2").joint_test(np.ones(2, dtype=bool))
    np.testing.assert_allclose(later.p_value, test.p_value, rtol=1e-10)
    assert plain.joint_test(np.ones(2, dtype=bool)).note == ""


def test_joint_test_has_no_p_value_where_restrictions_are_too_many():
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(4), 10)
    x = np.vstack((np.ones(40), rng.normal(size=(3, 4))[:, clusters] + rng.normal(size=(3, 40))))
    got = scores(rng.normal(size=40), x, (compact(clusters),), kind="CR2")
    test = got.combine(np.eye(4)).hotelling_test(got.fit.coefficients)
    assert np.isnan(test.p_value)
    assert test.df < 1


def test_cr3_and_jackknife_equal_refits_without_each_cluster(panel):
    y, x, unit, time, place = panel
    effects = [unit, time]
    base = scores(y, x, (place,), effects=effects, kind="CR3")
    estimates = []
    for g in range(place.size):
        m = place.codes != g
        absorber = absorb([unit.codes[m], time.codes[m]])
        estimates.append(least_squares(y[m], x[:, m], sweep=absorber.sweep).coefficients)
    apart = np.array(estimates) - base.fit.coefficients
    np.testing.assert_allclose(base.covariance(), apart.T @ apart, rtol=1e-9)
    share = (place.size - 1) / place.size
    jackknife = base.with_kind("jackknife")
    np.testing.assert_allclose(jackknife.covariance(), share * base.covariance(), rtol=1e-12)
    np.testing.assert_allclose(base.contributions(), -apart, atol=1e-12)


def test_clusters_that_units_cross_keep_cr2_exact(panel):
    """With unit effects written out as columns, CR2 by period needs no unit to stay put."""
    y, x, unit, time, _ = panel
    got = scores(y, x, (time,), effects=[unit, time], kind="CR2")
    dummies = np.vstack((x, np.eye(unit.size)[:, unit.codes], np.eye(time.size)[1:, time.codes]))
    written = scores(y, dummies, (time,), kind="CR2")
    np.testing.assert_allclose(std_errors(got), std_errors(written)[:2], rtol=1e-8)
    np.testing.assert_allclose(got.freedoms, written.freedoms[:2], rtol=1e-6)


@pytest.mark.parametrize("by", ["unit", "time", "both"])
@pytest.mark.parametrize("effects", ["unit", "time", "both"])
def test_linearmodels_convention(panel, effects, by):
    y, x, unit, time, _ = panel
    index = pd.MultiIndex.from_arrays([unit.codes, time.codes])
    frame = pd.DataFrame({"y": y, "a": x[0], "b": x[1]}, index=index)
    model = PanelOLS(
        frame["y"],
        frame[["a", "b"]],
        entity_effects=effects != "time",
        time_effects=effects != "unit",
    )
    theirs = model.fit(cov_type="clustered", cluster_entity=by != "time", cluster_time=by != "unit")
    groups = {"unit": (unit,), "time": (time,), "both": (unit, time)}
    ours = scores(y, x, groups[by], effects=groups[effects], convention="linearmodels")
    np.testing.assert_allclose(std_errors(ours), theirs.std_errors, rtol=1e-8)


def test_fixest_counts_effects_nested_in_clusters_as_one(panel):
    _, _, unit, time, place = panel
    assert count_effects([unit], (unit,), 40).fixest == 1
    assert count_effects([unit, time], (place,), 47).fixest == 8
    assert count_effects([unit, time], (time,), 47).fixest == 40
    assert count_effects([unit, time], (unit,), 87, n_slopes=1).fixest == 8 + 40
    assert count_effects([], (unit,), 0) == EffectCounts()


def test_conventions_by_hand():
    sizes = {"n_rows": 101, "n_regressors": 1, "n_clusters": 11}
    effects = EffectCounts(rank=20, fixest=10, all_nested=False)
    expected = {
        "fixest": 100 / 90 * 1.1,
        "stata": 100 / 90 * 1.1,
        "areg": 100 / 80 * 1.1,
        "sandwich": 100 / 80 * 1.1,
        "clubsandwich": 1.1,
        "plm": 1.0,
        "linearmodels": 101 / 80,
    }
    for convention, factor in expected.items():
        got = small_sample_factor(convention, effects=effects, **sizes)
        np.testing.assert_allclose(got, factor, rtol=1e-14)


def test_combinations_keep_their_degrees_of_freedom(panel):
    y, x, unit, time, place = panel
    base = scores(y, x, (place,), effects=[unit, time], kind="CR2")
    mean = base.combine(np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(mean.covariance(), base.covariance().mean(), rtol=1e-12)
    assert mean.df != base.df
    assert mean.with_kind("CR1").df == place.size - 1
    psi = mean.with_kind("CR0").contributions()
    np.testing.assert_allclose(psi.T @ psi, mean.with_kind("CR0").covariance(), rtol=1e-10)


def two_way_by_hand(y, x, row, column):
    """Sum products of scores by rows and by columns, less those of each row: no factor."""
    bread = np.linalg.inv(x @ x.T)
    own = x * (y - (bread @ (x @ y)) @ x)
    meat = -own @ own.T
    for codes in (row, column):
        summed = np.stack([own[:, codes == g].sum(axis=1) for g in np.unique(codes)])
        meat += summed.T @ summed
    return bread @ meat @ bread


def test_two_way_covariance_is_never_negative():
    """Inclusion and exclusion leave negative eigenvalues here.

    fixest, Stata's ivreg2 and Cameron, Gelbach and Miller set those of the covariance to zero;
    sandwich and linearmodels leave them unless they are asked.
    """
    rng = np.random.default_rng(0)
    row, column = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    repaired = 0
    for _ in range(20):
        y, x = rng.normal(size=16), rng.normal(size=(2, 16))
        groups = (compact(row), compact(column))
        got = scores(y, x, groups, kind="CR0")
        raw = two_way_by_hand(y, x, row, column)
        values, vectors = np.linalg.eigh(raw)
        cut = (vectors * np.maximum(values, 0)) @ vectors.T
        np.testing.assert_allclose(got.covariance(), cut, rtol=0, atol=1e-13)
        left = got.with_kind(convention="sandwich").covariance()
        expected = cut if np.diagonal(raw).min() < 0 else raw
        np.testing.assert_allclose(left, expected, rtol=0, atol=1e-13)
        repaired += bool(values[0] < 0 < np.diagonal(raw).min())
    assert repaired >= 3


@pytest.mark.parametrize("kind", ["classical", "HC1", "HC2", "HC3"])
def test_as_many_parameters_as_rows_leave_no_error(kind):
    rng = np.random.default_rng(1)
    unit = compact(np.repeat(np.arange(3), 2))
    got = scores(rng.normal(size=6), rng.normal(size=(3, 6)), (unit,), effects=[unit], kind=kind)
    with pytest.raises(VarianceError, match="6 rows leave no degrees of freedom beside 6"):
        got.covariance()


def test_driscoll_kraay_respects_gaps():
    scores_by_row = np.array([[1.0, 2.0, 4.0]])
    gap = DriscollKraayKernel(np.array([1, 2, 4]), 1).meat(scores_by_row)
    np.testing.assert_allclose(gap, 1 + 4 + 16 + 2 * 0.5 * 2)
    unit = NeweyWestKernel(np.zeros(3), np.array([1, 2, 4]), 1).meat(scores_by_row)
    np.testing.assert_allclose(unit, gap)


def test_conley_over_time_and_space_by_hand():
    latitude, longitude = np.array([0.0, 0.0, 1.0, 1.0]), np.zeros(4)
    time, unit = np.array([1, 2, 1, 2]), np.array([0, 0, 1, 1])
    row = np.array([[1.0, 2.0, 3.0, 4.0]])
    near = ConleyKernel(latitude, longitude, 150.0, time, unit)
    np.testing.assert_allclose(near.meat(row), (1 + 3) ** 2 + (2 + 4) ** 2)
    far = ConleyKernel(latitude, longitude, 100.0, time, unit)
    np.testing.assert_allclose(far.meat(row), 1 + 4 + 9 + 16)
    lagged = ConleyKernel(latitude, longitude, 100.0, time, unit, lags=1)
    np.testing.assert_allclose(lagged.meat(row), 30 + 2 * 0.5 * (1 * 2 + 3 * 4))
    fading = ConleyKernel(latitude, longitude, 150.0, time, unit, shape="bartlett")
    weight = 1 - great_circle(np.zeros((2, 1)), np.array([[1.0], [0.0]]))[0, 0] / 150
    np.testing.assert_allclose(fading.meat(row), 30 + 2 * weight * (3 + 8), rtol=1e-10)


def test_great_circle_between_hanoi_and_saigon():
    hanoi, saigon = np.array([[21.0278], [105.8342]]), np.array([[10.8231], [106.6297]])
    assert great_circle(hanoi, saigon)[0, 0] == pytest.approx(1138, abs=2)
    assert great_circle(np.zeros((2, 1)), np.array([[0.0], [180.0]]))[0, 0] == pytest.approx(
        np.pi * 6371
    )


def test_refusals(panel):
    y, x, unit, time, _ = panel
    one = compact(np.zeros(len(y), dtype=int))
    with pytest.raises(InferenceError, match="all rows belong to one cluster"):
        scores(y, x, (one,)).covariance()
    with pytest.raises(InferenceError, match=r"it was 'cr2'. Did you mean \"CR2\""):
        scores(y, x, (unit,), kind="cr2")
    with pytest.raises(InferenceError, match=r"covariance may be .*it was 'CR4'. Did you mean"):
        scores(y, x, (unit,), kind="CR4")
    with pytest.raises(InferenceError, match=r"convention may be .*'fixes'"):
        scores(y, x, (unit,), convention="fixes")
    with pytest.raises(InferenceError, match="CR2 is defined for one cluster dimension"):
        scores(y, x, (unit, time), kind="CR2").covariance()
    with pytest.raises(InferenceError, match="3 rows leave no degrees of freedom"):
        small_sample_factor(
            "fixest", n_rows=3, n_regressors=3, effects=EffectCounts(), n_clusters=3
        )
    many, halves = compact(np.arange(1600)), compact(np.arange(3200) % 2)
    crossing = compact(np.concatenate((many.codes, many.codes[::-1])))
    nothing = np.zeros(3200), np.zeros((1, 3200))
    empty = least_squares(*nothing)
    with pytest.raises(InferenceError, match="1,600 levels"):
        full_regression(empty, *nothing, None, [crossing], None, halves)
    with pytest.raises(InferenceError, match="each unit to stay in one cluster"):
        full_regression(least_squares(y, x), y, x, None, [unit], x[:1], time)
    with pytest.raises(InferenceError, match=r"each of 40 units in each of 8 periods once"):
        scores(y, x, (unit,), kind=BeckKatzKernel(unit.codes, time.codes, x, y)).covariance()
    with pytest.raises(InferenceError, match="lags must be 0 or more and fewer than the 8 periods"):
        scores(y, x, (unit,), kind=DriscollKraayKernel(time.codes, 8)).covariance()
    with pytest.raises(InferenceError, match="swap the two columns"):
        ConleyKernel(np.array([106.0]), np.array([21.0]), 100.0)
    with pytest.raises(InferenceError, match="cutoff is the distance in km"):
        ConleyKernel(np.array([21.0]), np.array([106.0]), 0.0)
    with pytest.raises(InferenceError, match="need the unit and the period"):
        ConleyKernel(np.zeros(2), np.zeros(2), 1.0, lags=1).meat(np.ones((1, 2)))
    with pytest.raises(InferenceError, match=r"shape may be .*'square'"):
        ConleyKernel(np.zeros(2), np.zeros(2), 1.0, shape="square")
