"""Least squares on regressors that vary by cohort and period, with unit effects.

The difference-in-differences regressions have in common that, beside units and covariates,
every regressor is a function of cohort and period. Their normal equations need one T x T
matrix a cohort; neither dummies nor rows by regressors are ever formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.kernels.moments import CohortMoments, LinearCells

__all__ = ["MomentFit", "RowFit", "Solution", "fit_moments", "fit_rows", "solve_normal"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

COLLINEAR = 1e-10
"""Share of a regressor's variation, of what it had, at which it counts as explained by others."""

NOT_ESTIMABLE = 1e-6
"""Relative loading on an undetermined direction above which a combination is not estimable."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved least-squares problem with P regressors, some perhaps collinear.

    Attributes
    ----------
    coefficients : array, shape (P,), zero for redundant regressors
    inverse : array, shape (P, P), a generalised inverse of the normal matrix
    null : array, shape (P, P - rank), directions in which coefficients are undetermined,
        in units of ``scale``
    scale : array, shape (P,), root mean size of each regressor
    """

    coefficients: Floats
    inverse: Floats
    null: Floats
    scale: Floats

    @property
    def rank(self) -> int:
        """Number of independent regressors."""
        return len(self.coefficients) - int(self.null.shape[1])

    def estimable(self, functionals: Floats) -> Booleans:
        """Tell which linear combinations of coefficients, shape (J, P), the data determine."""
        scaled = functionals / self.scale
        loading = np.abs(scaled @ self.null)
        size = np.abs(scaled).max(axis=1, initial=0.0)[:, None] * np.abs(self.null).max(
            axis=0, initial=0.0
        )
        return np.asarray((loading <= NOT_ESTIMABLE * size).all(axis=1))


def solve_normal(gram: Floats, right: Floats) -> Solution:
    """Solve normal equations by Cholesky with complete pivoting, whatever their rank."""
    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.where(size > 0, size, 1.0)
    scaled = gram / np.outer(scale, scale)
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(scaled, lower=1, tol=COLLINEAR)
    kept, redundant = pivots[:rank] - 1, pivots[rank:] - 1
    lower = (np.tril(factor[:rank, :rank]), True)
    inverse = np.zeros_like(gram)
    inverse[np.ix_(kept, kept)] = scipy.linalg.cho_solve(lower, np.eye(rank))
    null = np.zeros((len(gram), len(redundant)))
    null[redundant, np.arange(len(redundant))] = 1.0
    null[kept] = -scipy.linalg.cho_solve(lower, scaled[np.ix_(kept, redundant)])
    coefficients = np.zeros(len(gram))
    coefficients[kept] = scipy.linalg.cho_solve(lower, (right / scale)[kept])
    return Solution(coefficients / scale, inverse / np.outer(scale, scale), null, scale)


@dataclass(frozen=True, eq=False)
class MomentFit:
    """A regression fitted to cohort moments.

    Attributes
    ----------
    regressors : array, shape (C, T, P), swept of unit effects
    residuals : array, shape (C, T), of cohort means, swept of unit effects
    """

    solution: Solution
    regressors: Floats
    residuals: Floats
    n_rows: int

    def linear(self, functionals: Floats) -> LinearCells:
        """Return what each unit adds to the estimated combinations, functionals (J, P)."""
        slopes = (functionals @ self.solution.inverse) @ np.swapaxes(self.regressors, 1, 2)
        return LinearCells(slopes, np.einsum("cjt,ct->cj", slopes, self.residuals))


def fit_moments(
    moments: CohortMoments,
    regressors: Floats,
    used: Booleans | None = None,
    *,
    unit_effects: bool = True,
) -> MomentFit:
    """Regress outcomes of a balanced panel on cohort-by-period regressors.

    Parameters
    ----------
    moments : of C cohorts over T periods
    regressors : array, shape (C, T, P)
    used : array, shape (C, T), cells whose rows enter; all if None
    unit_effects : whether each unit has its own intercept

    Notes
    -----
    A unit's within-transformed regressors D depend on its cohort alone, so that
    coefficients are (sum_c n_c D_c' D_c)^-1 sum_c n_c D_c' mu_c, and a unit contributes
    w_i inverse D_c' (Y_i - mu_c + r_c) with r_c the residual of its cohort's mean path.
    """
    weight = np.ones(moments.mean.shape) if used is None else used.astype(np.float64)

    def sweep(values: Floats) -> Floats:
        own = weight[:, :, None]
        centre = (own * values).sum(axis=1, keepdims=True) / np.maximum(
            own.sum(axis=1, keepdims=True), 1.0
        )
        return np.asarray(own * (values - centre if unit_effects else values))

    swept = sweep(regressors)
    sized = swept * moments.size[:, None, None]
    gram = np.einsum("ctp,ctq->pq", sized, swept, optimize=True)
    level = moments.mean[:, :1]
    right = np.einsum("ctp,ct->p", sized, moments.mean - level if unit_effects else moments.mean)
    solution = solve_normal(gram, right)
    left = moments.mean - regressors @ solution.coefficients
    n_rows = int((weight * moments.units[:, None]).sum())
    return MomentFit(solution, swept, sweep(left[:, :, None])[:, :, 0], n_rows)


@dataclass(frozen=True, eq=False)
class RowFit:
    """A regression fitted unit by unit, with gaps, covariates or weights by row.

    Attributes
    ----------
    regressors : array, shape (C, T, P), as given
    covariates : array, shape (N, T, k), centred and scaled, zero where unobserved
    weights : array, shape (N, T), zero where a row is not used
    residuals : array, shape (N, T), swept of unit effects and times weights
    intercepts : array, shape (N,), unit effects; zero without them
    covariate_scale : array, shape (k,), what covariates were divided by
    """

    solution: Solution
    codes: Integers
    regressors: Floats
    covariates: Floats
    weights: Floats
    residuals: Floats
    intercepts: Floats
    covariate_scale: Floats

    @property
    def n_rows(self) -> int:
        """Rows used."""
        return int(np.count_nonzero(self.weights))

    @cached_property
    def fitted(self) -> Floats:
        """Unit effect plus regressors times coefficients in every cell, shape (N, T)."""
        n_own = self.regressors.shape[2]
        paths = self.regressors @ self.solution.coefficients[:n_own]
        return np.asarray(
            self.intercepts[:, None]
            + paths[self.codes]
            + self.covariates @ self.solution.coefficients[n_own:]
        )

    def contributions(self, functionals: Floats, clusters: Integers | None = None) -> Floats:
        """Return what each unit, or cluster, adds to the combinations, shape (G, J)."""
        n_own = self.regressors.shape[2]
        rows = functionals @ self.solution.inverse
        slopes = rows[:, :n_own] @ np.swapaxes(self.regressors, 1, 2)
        moved = np.einsum("ntk,nt->nk", self.covariates, self.residuals)
        if clusters is None:
            result = np.empty((len(self.codes), len(functionals)))
            for cohort, members in by_cohort(self.codes, len(self.regressors)):
                result[members] = self.residuals[members] @ slopes[cohort].T
            return np.asarray(result + moved @ rows[:, n_own:].T)
        n_clusters, n_cohorts = int(clusters.max()) + 1, len(self.regressors)
        keys = clusters * n_cohorts + self.codes
        sums = group_sums(self.residuals, keys, n_clusters * n_cohorts)
        sums = sums.reshape(n_clusters, n_cohorts, -1)
        result = np.einsum("gct,cjt->gj", sums, slopes, optimize=True)
        return np.asarray(result + group_sums(moved, clusters, n_clusters) @ rows[:, n_own:].T)


def fit_rows(
    outcomes: Floats,
    codes: Integers,
    regressors: Floats,
    covariates: Floats | None = None,
    weights: Floats | None = None,
    *,
    unit_effects: bool = True,
) -> RowFit:
    """Regress outcomes with gaps on cohort-by-period regressors and covariates, exactly.

    Parameters
    ----------
    outcomes : array, shape (N, T); rows that are NaN do not enter
    codes : array, shape (N,), cohort of each unit, position in ``regressors``
    regressors : array, shape (C, T, P)
    covariates : array, shape (N, T, k), finite wherever outcomes are; their coefficients
        follow those of the regressors
    weights : array, shape (N,) or (N, T), positive; equal if None
    unit_effects : whether each unit has its own intercept
    """
    observed = ~np.isnan(outcomes)
    weight = observed.astype(np.float64)
    if weights is not None:
        weight *= weights[:, None] if weights.ndim == 1 else weights
    total = weight.sum(axis=1)
    share = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    if not unit_effects:
        share[:] = 0.0
    y = np.where(observed, outcomes, 0.0)
    X, scale = _standardise(covariates, outcomes.shape, weight)

    gram, right = _normal_equations(y, codes, regressors, X, weight, share)
    solution = solve_normal(gram, right)
    n_own = regressors.shape[2]
    left = y - (regressors @ solution.coefficients[:n_own])[codes]
    if X.shape[2]:
        left -= X @ solution.coefficients[n_own:]
    intercepts = np.einsum("nt,nt->n", weight, left) * share
    residuals = weight * (left - intercepts[:, None])
    return RowFit(solution, codes, regressors, X, weight, residuals, intercepts, scale)


def _standardise(
    covariates: Floats | None, shape: tuple[int, ...], weight: Floats
) -> tuple[Floats, Floats]:
    """Centre and scale covariates over the rows used, which changes no effect."""
    if covariates is None or not covariates.shape[2]:
        return np.zeros((*shape, 0)), np.ones(0)
    X = np.where((weight > 0)[:, :, None] | ~np.isnan(covariates), covariates, 0.0)
    used = weight > 0
    centre = X[used].mean(axis=0)
    scale = X[used].std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return np.where(np.isnan(covariates), 0.0, (X - centre) / scale), scale


def _normal_equations(
    y: Floats, codes: Integers, regressors: Floats, X: Floats, weight: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """Accumulate the normal equations cohort by cohort, swept of unit effects.

    A covariate that unit effects explain is zeroed: what is left of it is rounding.
    """
    n_own, k = regressors.shape[2], X.shape[2]
    gram = np.zeros((n_own + k, n_own + k))
    right = np.zeros(n_own + k)
    for cohort, members in by_cohort(codes, len(regressors)):
        own, part = weight[members], share[members]
        D = regressors[cohort]
        moment = np.diag(own.sum(axis=0)) - (own * part[:, None]).T @ own
        gram[:n_own, :n_own] += D.T @ moment @ D
        swept = _sweep(y[members][:, :, None], own, part)
        right[:n_own] += D.T @ swept.sum(axis=0)[:, 0]
        if k:
            Z = X[members]
            swept_Z = _sweep(Z, own, part)
            gram[:n_own, n_own:] += D.T @ swept_Z.sum(axis=0)
            flat = swept_Z.reshape(-1, k)
            gram[n_own:, n_own:] += Z.reshape(-1, k).T @ flat
            right[n_own:] += Z.reshape(-1, k).T @ swept.ravel()
    raw = np.einsum("nt,ntk,ntk->k", weight, X, X)
    absorbed = n_own + np.flatnonzero(np.diag(gram)[n_own:] <= COLLINEAR * raw)
    gram[n_own:, :n_own] = gram[:n_own, n_own:].T
    gram[absorbed, :] = 0.0
    gram[:, absorbed] = 0.0
    right[absorbed] = 0.0
    return gram, right


def _sweep(values: Floats, weight: Floats, share: Floats) -> Floats:
    """Take weighted unit means off (n, T, k) values and multiply by weights."""
    centre = np.einsum("nt,ntk->nk", weight, values) * share[:, None]
    return np.asarray(weight[:, :, None] * (values - centre[:, None, :]))


def by_cohort(codes: Integers, n_cohorts: int) -> Iterator[tuple[int, Integers]]:
    """Yield each cohort that has members, with their positions."""
    order = np.argsort(codes.astype(np.min_scalar_type(n_cohorts)), kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_cohorts))
    for cohort in range(n_cohorts):
        members = order[(ends[cohort - 1] if cohort else 0) : ends[cohort]]
        if len(members):
            yield cohort, members


def group_sums(values: Floats, keys: Integers, n_keys: int) -> Floats:
    """Sum the rows of (n, m) values by key, shape (n_keys, m)."""
    columns = [np.bincount(keys, column, n_keys) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((n_keys, 0))
