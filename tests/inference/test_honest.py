"""Honest confidence sets against R HonestDiD, brute-force linear programmes and coverage."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import foldnorm, norm

from impact.errors import InferenceError
from impact.inference.fixed_length import folded_normal_quantile, smoothness_path
from impact.inference.honest import HonestProblem
from impact.inference.moment_inequalities import accepts, elimination_rays, extreme_rays, project

FOLDED_NORMAL = 1e-4  # R draws that quantile a million times: 0.2 % of a standard error
FIRST_STAGE = 6e-4  # R draws the critical value 1,000 times: two standard deviations of an end
CLOSED_FORM = 1e-10
BOTH = {"bias": "positive", "monotone": "increasing"}


@pytest.fixture(scope="module")
def benzarti(reference_case):
    case, _ = reference_case("honest_benzarti_carloni")
    given = case["task"]["input"]
    return case["reference"], np.array(given["betahat"]), np.array(given["sigma"])


def event_study(n_pre=3, n_post=4, seed=3):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_pre + n_post, n_pre + n_post + 4))
    covariance = 0.01 * (root @ root.T) / root.shape[1]
    return rng.normal(0.0, 0.1, n_pre + n_post) + np.r_[
        np.zeros(n_pre), np.ones(n_post)
    ], covariance


def test_relative_magnitudes_equal_r_honestdid_on_its_grid(benzarti):
    """Their ends are the innermost accepted points of a grid of step 2/999."""
    reference, estimate, covariance = benzarti
    rows = reference["delta_rm_clf"]
    sets = HonestProblem(estimate, covariance, 4).intervals([row["Mbar"] for row in rows])
    for low, high, row in zip(sets.low, sets.high, rows, strict=True):
        assert row["lb"] - 2 / 999 <= low <= row["lb"] + FIRST_STAGE
        assert row["ub"] - FIRST_STAGE <= high <= row["ub"] + 2 / 999


def test_smoothness_intervals_equal_r_honestdid(benzarti):
    reference, estimate, covariance = benzarti
    rows = reference["delta_sd_flci"]
    problem = HonestProblem(estimate, covariance, 4, restriction="smoothness")
    sets = problem.intervals([row["M"] for row in rows])
    np.testing.assert_allclose(sets.low, [row["lb"] for row in rows], rtol=0, atol=FOLDED_NORMAL)
    np.testing.assert_allclose(sets.high, [row["ub"] for row in rows], rtol=0, atol=FOLDED_NORMAL)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("sd_negative_bias", {"bias": "negative"}),
        ("sd_decreasing_monotone", {"monotone": "decreasing"}),
    ],
)
def test_sign_and_shape_hybrids_equal_r_honestdid(benzarti, name, shape):
    """The case states 0.002 for their grid of 1,000 points and their interval's solver."""
    reference, estimate, covariance = benzarti
    rows = reference[name]
    problem = HonestProblem(estimate, covariance, 4, restriction="smoothness", **shape)
    sets = problem.intervals([row["M"] for row in rows])
    np.testing.assert_allclose(sets.low, [row["lb"] for row in rows], atol=0.002)
    np.testing.assert_allclose(sets.high, [row["ub"] for row in rows], atol=0.002)


def test_smoothness_without_bend_is_the_gls_extrapolation():
    """At M = 0 the best estimator is linear extrapolation by generalised least squares."""
    estimate, covariance = event_study(4, 3)
    target = np.array([0.2, 0.3, 0.5])
    times = np.r_[-4:0, 1:4].astype(float)
    columns = np.column_stack([times, np.vstack([np.zeros((4, 3)), np.eye(3)])])
    precision = np.linalg.inv(covariance)
    fitted = np.linalg.inv(columns.T @ precision @ columns)
    contrast = np.r_[0.0, target]
    centre = contrast @ fitted @ columns.T @ precision @ estimate
    half = norm.ppf(0.975) * np.sqrt(contrast @ fitted @ contrast)
    sets = HonestProblem(
        estimate, covariance, 4, target=target, restriction="smoothness"
    ).intervals([0.0])
    np.testing.assert_allclose(sets.low[0], centre - half, rtol=CLOSED_FORM)
    np.testing.assert_allclose(sets.high[0], centre + half, rtol=CLOSED_FORM)


def test_parallel_trends_and_one_period_give_the_usual_interval():
    estimate, covariance = event_study(3, 1)
    sets = HonestProblem(estimate, covariance, 3).intervals([0.0])
    half = norm.ppf(0.975) * np.sqrt(covariance[-1, -1])
    # the hybrid spends a tenth of its level on a simulated first stage
    np.testing.assert_allclose([sets.low[0], sets.high[0]], estimate[-1] + [-half, half], rtol=3e-3)


def test_folded_normal_quantile_inverts_scipys():
    means = np.array([0.0, 0.1, 1.0, 5.0, 80.0])
    quantiles = folded_normal_quantile(means, 0.95)
    np.testing.assert_allclose(foldnorm.cdf(quantiles, means), 0.95, rtol=CLOSED_FORM)


@pytest.mark.parametrize("bound", [0.0, 0.01, 0.1, 1.0])
def test_no_other_estimator_has_a_shorter_interval(bound):
    """Random unbiased directions around the best weights only lengthen the interval."""
    estimate, covariance = event_study(5, 3)
    target = np.ones(3) / 3
    weights, half_length = smoothness_path(estimate, covariance, 5, target).best(bound, 0.05)
    times = np.r_[-5:0, 1:4]
    np.testing.assert_allclose(weights @ times, 0.0, atol=1e-12)
    second = np.diff(np.delete(np.eye(9), 5, axis=1), n=2, axis=0)

    def length(candidate):
        bias = np.abs(np.linalg.lstsq(second.T, candidate, rcond=None)[0]).sum()
        deviation = np.sqrt(candidate @ covariance @ candidate)
        return deviation * folded_normal_quantile(np.array([bound * bias / deviation]), 0.95)[0]

    np.testing.assert_allclose(length(weights), half_length, rtol=CLOSED_FORM)
    rng = np.random.default_rng(0)
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(50):
            move = np.zeros(8)
            move[:5] = scale * rng.normal(size=5)
            move[4] = -(move[:4] @ np.arange(5, 1, -1))
            assert length(weights + move) >= half_length * (1 - 1e-12)


def brute_force_test(restrictions, limits, estimate, covariance, target, theta):
    """Andrews-Roth-Pakes conditional test, every step a linear programme."""
    n_post = len(target)
    direction = target / (target @ target)
    nuisance = np.linalg.svd(target[None, :])[2][1:].T
    post = restrictions[:, -n_post:]
    moment = restrictions @ estimate - limits - post @ direction * theta
    x, variance = post @ nuisance, restrictions @ covariance @ restrictions.T
    scale = np.sqrt(np.diag(variance))
    dual = linprog(
        -moment, A_eq=np.vstack([x.T, scale]), b_eq=np.r_[np.zeros(x.shape[1]), 1.0], method="highs"
    )
    gamma, largest = dual.x, -dual.fun
    if gamma @ variance @ gamma < 1e-12:
        return largest <= 1e-9
    line = variance @ gamma / (gamma @ variance @ gamma)
    rest = moment - line * largest
    columns = np.column_stack([line - scale, -x])
    used = gamma > 1e-9
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * np.eye(columns.shape[1])[0],
            A_ub=columns[~used],
            b_ub=-rest[~used],
            A_eq=columns[used],
            b_eq=-rest[used],
            bounds=[(None, None)] * columns.shape[1],
            method="highs",
        )
        ends.append(solved.x[0] if solved.status == 0 else -sign * np.inf)
    deviation = np.sqrt(gamma @ variance @ gamma)
    low, value, high = norm.sf(np.array([ends[0], largest, ends[1]]) / deviation)
    return not (largest > 0 and low - value > 0.95 * (low - high))


@pytest.mark.parametrize("shape", [{}, {"bias": "positive"}, {"monotone": "increasing"}])
@pytest.mark.parametrize("target", [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
def test_projection_equals_brute_force_programmes(shape, target):
    """Smoothness, three periods each side: the conditional test at 40 values of the target."""
    estimate, covariance = event_study(3, 3)
    target = np.array(target)
    second = np.diff(np.delete(np.eye(7), 3, axis=1), n=2, axis=0)[-3:]
    levels = np.eye(6)[3:]
    rows = [second, -second]
    if "bias" in shape:
        rows.append(-levels)
    if "monotone" in shape:
        rows.append(-np.diff(np.vstack([np.zeros(6), levels]), axis=0))
    restrictions = np.vstack(rows)
    limits = np.r_[np.full(6, 0.1), np.zeros(len(restrictions) - 6)]
    moments = project(
        elimination_rays(restrictions[:, 3:], target),
        restrictions,
        limits,
        estimate,
        np.linalg.cholesky(covariance),
        target,
    )
    grid = np.linspace(0.0, 2.0, 40)
    brute = [
        brute_force_test(restrictions, limits, estimate, covariance, target, theta)
        for theta in grid
    ]
    np.testing.assert_array_equal(accepts(moments, grid, 0.05), brute)
    assert 3 < sum(brute) < 37

    problem = HonestProblem(
        estimate,
        covariance,
        3,
        target=target,
        restriction="smoothness",
        method="conditional",
        **shape,
    )
    np.testing.assert_array_equal([problem.covers(theta, 0.1) for theta in grid], brute)


def test_largest_moment_equals_its_linear_programme():
    """Relative magnitudes and a sign: min eta with y - x tau <= eta sigma, for 30 draws of y."""
    covariance = event_study(2, 4)[1]
    target = np.full(4, 0.25)
    first = np.diff(np.delete(np.eye(7), 2, axis=1), axis=0)
    rows = np.vstack([first[2:] - first[0], -first[2:] - first[0], -np.eye(6)[2:]])
    scale = np.sqrt(np.diag(rows @ covariance @ rows.T))
    nuisance = rows[:, 2:] @ np.linalg.svd(target[None, :])[2][1:].T
    rays = elimination_rays(rows[:, 2:], target)
    rng = np.random.default_rng(0)
    for _ in range(30):
        draw = rng.normal(size=len(rows)) * scale
        solved = linprog(
            np.r_[1.0, np.zeros(3)],
            A_ub=-np.column_stack([scale, nuisance]), b_ub=-draw, bounds=[(None, None)] * 4,
        )  # fmt: skip
        largest = (rays @ draw / (rays @ scale)).max()
        np.testing.assert_allclose(largest, solved.fun, rtol=1e-9, atol=1e-9)


def test_extreme_rays_of_a_hand_computable_cone():
    """g1 - g2 + g3 = 0 has the edges (1, 1, 0)/2 and (0, 1, 1)/2."""
    rays = extreme_rays(np.array([[1.0], [-1.0], [1.0]]))
    np.testing.assert_allclose(sorted(rays.tolist()), [[0, 0.5, 0.5], [0.5, 0.5, 0]])


def test_identified_set_of_relative_magnitudes_by_hand():
    """Pre-trend steps 0.1 and 0.2: three later steps may each move 0.2 Mbar."""
    estimate = np.array([-0.3, -0.2, 1.0, 1.0, 1.0])
    sets = HonestProblem(estimate, 1e-6 * np.eye(5), 2, target=np.array([0.0, 0.0, 1.0])).intervals(
        [0.0, 1.0, 2.0]
    )
    np.testing.assert_allclose(sets.set_low, [1.0, 1.0 - 0.6, 1.0 - 1.2])
    np.testing.assert_allclose(sets.set_high, [1.0, 1.0 + 0.6, 1.0 + 1.2])


@pytest.mark.parametrize(
    "restriction", ["relative_magnitudes", "smoothness", "relative_smoothness"]
)
@pytest.mark.parametrize("factor", [1e-6, 1e9])
def test_units_of_the_outcome_change_nothing(restriction, factor):
    estimate, covariance = event_study()
    bounds = np.array([0.5, 1.0])
    scaled = bounds * factor if restriction == "smoothness" else bounds
    here = HonestProblem(estimate, covariance, 3, restriction=restriction).intervals(bounds)
    there = HonestProblem(
        factor * estimate, factor**2 * covariance, 3, restriction=restriction
    ).intervals(scaled)
    np.testing.assert_allclose(there.low / factor, here.low, rtol=1e-5)
    np.testing.assert_allclose(there.set_high / factor, here.set_high, rtol=CLOSED_FORM)


@pytest.mark.parametrize("method", ["flci", "c-lf", "c-f", "conditional"])
def test_adding_an_effect_moves_the_set_by_it(method):
    estimate, covariance = event_study()
    problem = {"n_pre": 3, "restriction": "smoothness", "method": method}
    here = HonestProblem(estimate, covariance, **problem).intervals([0.2])
    moved = estimate + np.r_[np.zeros(3), 5.0 * np.ones(4)]
    there = HonestProblem(moved, covariance, **problem).intervals([0.2])
    np.testing.assert_allclose(there.low - 5.0, here.low, atol=1e-6)
    np.testing.assert_allclose(there.high - 5.0, here.high, atol=1e-6)


def test_known_sign_cuts_the_identified_set_on_one_side():
    estimate, covariance = event_study()
    free = HonestProblem(estimate, covariance, 3).intervals([1.0])
    signed = HonestProblem(estimate, covariance, 3, bias="positive").intervals([1.0])
    assert signed.set_low[0] == pytest.approx(free.set_low[0])
    assert signed.set_high[0] == pytest.approx(estimate[3])


@pytest.mark.parametrize("restriction", ["relative_magnitudes", "smoothness"])
def test_breakdown_is_where_the_set_meets_the_null(restriction):
    estimate, covariance = event_study()
    problem = HonestProblem(estimate, covariance, 3, restriction=restriction)
    bound = problem.breakdown()
    assert problem.intervals([0.98 * bound]).low[0] > 0
    assert problem.intervals([1.02 * bound]).low[0] < 0


def test_breakdown_names_both_extremes():
    estimate, covariance = event_study()
    assert np.isnan(HonestProblem(0.0 * estimate, covariance, 3).breakdown())
    certain = np.r_[1e-9, -1e-9, 1e-9, np.ones(4)]
    assert np.isinf(HonestProblem(certain, 1e-12 * np.eye(7), 3).breakdown())


def test_same_seed_same_bytes():
    estimate, covariance = event_study()
    sets = [HonestProblem(estimate, covariance, 3, seed=5).intervals([1.0]) for _ in range(2)]
    assert sets[0].low.tobytes() == sets[1].low.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("distance", [3.0, 30.0])
@pytest.mark.parametrize(
    ("settings", "bound", "path"),
    [
        ({}, 1.0, [-1, -1, -1, 1, 2]),
        ({"target": np.array([0.5, 0.5])}, 1.0, [-1, -1, -1, 1, 2]),
        ({"restriction": "smoothness"}, None, [0, 0, 0, 1, 3]),
        ({"restriction": "smoothness", "method": "c-lf"}, None, [0, 0, 0, 1, 3]),
        ({"restriction": "smoothness", "bias": "positive"}, None, [0, 0, 0, 1, 3]),
        ({"restriction": "smoothness", "monotone": "increasing"}, None, [0, 0, 0, 1, 3]),
        ({"restriction": "smoothness", **BOTH}, None, [0, 0, 0, 1, 3]),
        ({"bias": "positive"}, 1.0, [-1, -1, -1, 1, 2]),
        (BOTH, 1.0, [-1, -1, -1, 1, 2]),
        ({"restriction": "relative_smoothness"}, 1.0, [2, 1, 0, 1, 3]),
        (
            {"restriction": "relative_smoothness", "target": np.array([0.5, 0.5]), **BOTH},
            1.0,
            [2, 1, 0, 1, 3],
        ),
    ],
)
def test_coverage_at_the_boundary_of_the_restriction(settings, bound, path, distance):
    """No effect, delta as large as allowed, 2,000 draws (1,000 of the slow union).

    Thirty standard errors out one restriction binds alone and coverage is 95 %, give or take
    three Monte Carlo errors; at three the other members of a union still cover now and then, more
    so of relative smoothness, whose second differences are noisier.
    """
    slow = settings.get("restriction") == "relative_smoothness"
    union, n_draws = (0.99, 1000) if slow else (0.98, 2000)
    check_on_the_boundary(settings, bound or 1.0, path)
    delta = distance * np.array(path, dtype=float)
    covariance = 0.5 * np.eye(5) + 0.5
    root = np.linalg.cholesky(covariance)
    rng = np.random.default_rng(1)
    draws = delta + rng.standard_normal((n_draws, 5)) @ root.T
    bound = distance if bound is None else bound
    covered = np.mean(
        [HonestProblem(draw, covariance, 3, **settings).covers(0.0, bound) for draw in draws]
    )
    error = np.sqrt(0.95 * 0.05 / n_draws)
    assert 0.94 <= covered <= (0.95 + 3 * error if distance > 10 else union)


def check_on_the_boundary(settings, bound, path):
    """The path keeps the restriction, none longer by a thousandth does, and zero is its end."""
    level = np.insert(np.array(path, dtype=float), 3, 0.0)
    changes = np.diff(level, n=2 if "smoothness" in settings.get("restriction", "") else 1)
    most = bound * (
        1.0 if settings.get("restriction") == "smoothness" else np.abs(changes[:-2]).max()
    )
    np.testing.assert_array_equal(np.abs(changes[-2:]), most)
    problem = HonestProblem(np.array(path, dtype=float), 1e-12 * np.eye(5), 3, **settings)
    assert problem.intervals([bound]).set_low[0] == pytest.approx(0.0, abs=1e-9)


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(InferenceError, match="covariance has shape"):
        HonestProblem(np.zeros(3), np.eye(2), 1)
    with pytest.raises(InferenceError, match="either side of the reference period"):
        HonestProblem(np.zeros(3), np.eye(3), 3)


def test_missing_coefficients_are_refused():
    with pytest.raises(InferenceError, match=r"no estimate or variance at positions \[1\]"):
        HonestProblem(np.array([0.0, np.nan, 0.0]), np.eye(3), 1)


def test_singular_covariance_is_refused():
    with pytest.raises(InferenceError, match="singular"):
        HonestProblem(np.zeros(3), np.ones((3, 3)), 1)


def test_target_without_weight_is_refused():
    with pytest.raises(InferenceError, match="not all by zero"):
        HonestProblem(np.zeros(3), np.eye(3), 1, target=np.zeros(2))


def test_relative_smoothness_needs_two_periods_before():
    with pytest.raises(InferenceError, match="needs 2 pre-treatment coefficients"):
        HonestProblem(np.zeros(3), np.eye(3), 1, restriction="relative_smoothness")


def test_methods_that_do_not_apply_are_refused():
    with pytest.raises(InferenceError, match="arbitrarily wide"):
        HonestProblem(np.zeros(3), np.eye(3), 1, method="flci")
    with pytest.raises(InferenceError, match="finite under the smoothness restriction"):
        HonestProblem(np.zeros(3), np.eye(3), 1, method="c-f")


@pytest.mark.parametrize("argument", ["restriction", "bias", "monotone", "method"])
def test_unknown_options_are_named(argument):
    with pytest.raises(InferenceError, match=f"{argument} may be .* it was 'both'"):
        HonestProblem(np.zeros(3), np.eye(3), 1, **{argument: "both"})


def test_negative_bounds_are_refused():
    with pytest.raises(InferenceError, match="finite and not negative"):
        HonestProblem(np.zeros(3), np.eye(3), 1).intervals([-1.0])


def test_too_many_inequalities_are_refused():
    post = np.random.default_rng(0).normal(size=(40, 12))
    with pytest.raises(InferenceError, match="more than 100 inequalities"):
        extreme_rays(post, most=100)


def test_medicaid_event_study_and_its_honest_sets_equal_r(reference_case):
    """Two-way event study by least squares with fixest's factor, then both restrictions."""
    case, frame = reference_case("honest_medicaid_ehec")
    frame = frame[(frame["year"] < 2016) & (frame["yexp2"] != 2015)]
    treated = (frame["yexp2"] == 2014).to_numpy(float)
    years = frame["year"].to_numpy()
    leads = [year for year in range(2008, 2016) if year != 2013]
    state = frame["stfips"].to_numpy()
    columns = np.column_stack(
        [treated * (years == year) for year in leads]
        + [years == year for year in range(2009, 2016)]
        + [state == code for code in np.unique(state)]
    ).astype(float)
    outcome = frame["dins"].to_numpy()
    bread = np.linalg.inv(columns.T @ columns)
    beta = bread @ columns.T @ outcome
    rows = columns * (outcome - columns @ beta)[:, None]
    sums = np.stack([rows[state == code].sum(0) for code in np.unique(state)])
    n, clusters = len(outcome), len(sums)
    factor = (n - 1) / (n - 15) * clusters / (clusters - 1)
    covariance = (factor * bread @ sums.T @ sums @ bread)[:7, :7]
    given = list(case["reference"]["event_study"].values())
    np.testing.assert_allclose(beta[:7], [x["estimate"] for x in given], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [x["se"] for x in given], rtol=1e-8)

    rows = case["reference"]["delta_rm_clf"]
    sets = HonestProblem(beta[:7], covariance, 5).intervals([row["Mbar"] for row in rows])
    np.testing.assert_allclose(sets.low, [row["lb"] for row in rows], rtol=0, atol=5e-4)
    np.testing.assert_allclose(sets.high, [row["ub"] for row in rows], rtol=0, atol=5e-4)
    rows = case["reference"]["delta_sd_flci"]
    smooth = HonestProblem(beta[:7], covariance, 5, restriction="smoothness")
    sets = smooth.intervals([row["M"] for row in rows])
    np.testing.assert_allclose(sets.low, [row["lb"] for row in rows], rtol=0, atol=FOLDED_NORMAL)
    np.testing.assert_allclose(sets.high, [row["ub"] for row in rows], rtol=0, atol=FOLDED_NORMAL)
