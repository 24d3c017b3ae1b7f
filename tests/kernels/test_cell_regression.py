"""Cohort-by-period regressions against dense least squares."""

import numpy as np
import pytest

from impact.kernels.cell_regression import fit_moments, fit_rows, solve_normal
from impact.kernels.moments import cohort_moments

# Two routes to the same closed form, a few hundred rows.
EXACT = 1e-10


def problem(seed, *, gaps=0.0, k=0):
    rng = np.random.default_rng(seed)
    n_units, n_periods, n_cohorts = 40, 5, 3
    codes = np.arange(n_units) % n_cohorts
    outcomes = rng.normal(size=(n_units, n_periods)) + 1e3 * rng.normal(size=(n_units, 1))
    outcomes[rng.random(outcomes.shape) < gaps] = np.nan
    own = np.zeros((n_cohorts, n_periods, 2))
    own[0, 2:, 0] = 1.0
    own[1, 3:, 1] = [1.0, 2.0]
    dummies = np.broadcast_to(np.eye(n_periods), (n_cohorts, n_periods, n_periods))
    covariates = rng.normal(size=(n_units, n_periods, k)) if k else None
    weights = 0.5 + rng.random(n_units)
    return outcomes, codes, np.concatenate((dummies, own), axis=2), covariates, weights


def dense(outcomes, codes, regressors, covariates, weights, unit_effects):
    unit, period = np.nonzero(~np.isnan(outcomes))
    parts = [regressors[codes[unit], period]]
    if covariates is not None:
        parts.append(covariates[unit, period])
    if unit_effects:
        parts.append(np.eye(len(codes))[unit])
    X, y, w = np.concatenate(parts, axis=1), outcomes[unit, period], weights[unit]
    inverse = np.linalg.pinv((X * w[:, None]).T @ X, rcond=1e-12)
    beta = inverse @ (X.T @ (w * y))
    scores = np.zeros((len(codes), X.shape[1]))
    np.add.at(scores, unit, X * (w * (y - X @ beta))[:, None])
    return beta, scores @ inverse, np.linalg.matrix_rank(X)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("k", [0, 2])
@pytest.mark.parametrize("unit_effects", [True, False])
def test_rows_equal_dense_least_squares(gaps, k, unit_effects):
    outcomes, codes, regressors, covariates, weights = problem(3, gaps=gaps, k=k)
    fit = fit_rows(outcomes, codes, regressors, covariates, weights, unit_effects=unit_effects)
    beta, psi, rank = dense(outcomes, codes, regressors, covariates, weights, unit_effects)
    wanted = [5, 6, *range(7, 7 + k)]
    scale = np.concatenate((np.ones(2), fit.covariate_scale))
    functionals = np.eye(len(fit.solution.scale))[wanted] / scale[:, None]
    assert fit.solution.estimable(functionals).all()
    np.testing.assert_allclose(functionals @ fit.solution.coefficients, beta[wanted], rtol=1e-9)
    # Levels of 1,000 beside noise of 1 cost three digits without unit effects.
    rtol = EXACT if unit_effects else 1e-7
    size = np.abs(psi[:, wanted]).max()
    np.testing.assert_allclose(
        fit.contributions(functionals), psi[:, wanted], rtol=rtol, atol=rtol * size
    )
    assert fit.solution.rank + (len(codes) if unit_effects else 0) == rank
    clusters = np.arange(len(codes)) // 4
    by_cluster = fit.contributions(functionals, clusters)
    summed = np.add.reduceat(fit.contributions(functionals), np.arange(0, len(codes), 4))
    np.testing.assert_allclose(by_cluster, summed, rtol=1e-9, atol=1e-12 * size)


@pytest.mark.parametrize("unit_effects", [True, False])
def test_moments_equal_rows(unit_effects):
    outcomes, codes, regressors, _, weights = problem(4)
    used = np.ones((3, 5), dtype=bool)
    used[0, 4] = used[1, 0] = False
    moments = cohort_moments(outcomes, codes, 3, weights)
    quick = fit_moments(moments, regressors, used, unit_effects=unit_effects)
    kept = np.where(used[codes], outcomes, np.nan)
    slow = fit_rows(kept, codes, regressors, None, weights, unit_effects=unit_effects)
    functionals = np.eye(7)[5:]
    assert quick.n_rows == slow.n_rows
    np.testing.assert_allclose(
        quick.solution.coefficients[5:], slow.solution.coefficients[5:], rtol=1e-9
    )
    linear = quick.linear(functionals)
    psi = linear.contributions(outcomes, codes, moments, weights)
    np.testing.assert_allclose(psi, slow.contributions(functionals), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(linear.covariance(moments), psi.T @ psi, rtol=1e-8, atol=1e-12)


def test_what_collinear_regressors_leave_undetermined_is_known_exactly():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    X = np.column_stack((X, X[:, 0] + X[:, 1], np.zeros(50)))
    y = rng.normal(size=50)
    solution = solve_normal(X.T @ X, X.T @ y)
    assert solution.rank == 3
    functionals = np.array(
        [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 0, 2, 0], [1, -1, 0, 0, 0], [0, 0, 0, 0, 1.0]]
    )
    assert solution.estimable(functionals).tolist() == [False, True, True, True, False]
    dense_fit = np.linalg.lstsq(X, y)[0]
    for row in (1, 2, 3):
        assert functionals[row] @ solution.coefficients == pytest.approx(
            functionals[row] @ dense_fit, abs=1e-10
        )


def test_a_covariate_constant_within_units_is_left_to_the_unit_effects():
    outcomes, codes, regressors, _, weights = problem(5)
    constant = np.repeat(np.random.default_rng(1).normal(size=(40, 1, 1)), 5, axis=1)
    fit = fit_rows(outcomes, codes, regressors, constant, weights)
    plain = fit_rows(outcomes, codes, regressors, None, weights)
    assert not fit.solution.estimable(np.eye(8)[7:])[0]
    np.testing.assert_allclose(
        fit.solution.coefficients[5:7], plain.solution.coefficients[5:7], rtol=1e-9
    )
