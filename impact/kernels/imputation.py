"""Cell means of outcome less imputed untreated outcome, and what each unit adds to them.

With effects of units, periods and covariates fitted to untreated rows, a cell's mean effect
is linear in outcomes with weights v. A unit contributes sum_t v_it e_it, e being residuals of
untreated rows and, in the cell itself, the distance from the cell's centre. Unit effects drop
out because v sums to zero within units, so that only T x T systems are solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.kernels.cell_regression import RowFit, by_cohort, fit_moments, group_sums
from impact.kernels.moments import CohortMoments, LinearCells

__all__ = ["Imputed", "ImputedRows", "impute_moments", "impute_rows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Imputed:
    """K cell means from cohort moments, NaN where not identified, with contributions."""

    means: Floats
    linear: LinearCells


@dataclass(frozen=True, eq=False)
class ImputedRows:
    """K cell means from rows, NaN where not identified.

    ``largest_share`` is the largest share of one cluster in a cell's sum of squared weights.
    """

    means: Floats
    contributions: Floats
    largest_share: Floats


def impute_moments(
    moments: CohortMoments,
    untreated: Booleans,
    members: Booleans,
    period: Integers,
    *,
    squared_weights: bool,
    leave_one_out: bool = False,
) -> Imputed:
    """Impute cells from the moments of groups of units observed in the same periods.

    Parameters
    ----------
    moments : of P groups over T periods; cohorts, where every unit is observed in every period
    untreated : array, shape (P, T), periods in which a group is observed untreated
    members : array, shape (P, K), which groups' units the cells hold
    period : array, shape (K,), positions of the cells
    squared_weights : centre the cells at the average weighted by squared weights, which is the
        smallest upper bound of the variance, instead of their mean
    leave_one_out : measure each unit from the average of the others (equal weights only)

    Notes
    -----
    Within a group, a unit's effect is linear in its outcomes with the same weights a = e_t - u,
    u spreading one over its untreated periods: a'(Y_i - lambda). A cell's mean is that of its
    groups, weighted by size.
    """
    n_groups, n_periods = untreated.shape
    before = untreated / np.maximum(untreated.sum(axis=1, keepdims=True), 1)
    paths = (np.eye(n_periods)[period] - before[:, None, :]) * members[:, :, None]
    size = moments.size @ members
    share = members * moments.size[:, None] / np.where(size > 0, size, 1.0)
    functionals = np.einsum("pk,pkt->kt", share, paths)
    dummies = np.broadcast_to(np.eye(n_periods), (n_groups, n_periods, n_periods))
    fit = fit_moments(moments, dummies, untreated)
    known = fit.solution.estimable(functionals) & (size > 0)
    functionals[~known] = 0.0
    paths[:, ~known] = 0.0

    relative = moments.mean - moments.mean[:, :1] - fit.solution.coefficients
    effects = np.einsum("pkt,pt->pk", paths, relative)
    means = (share * effects).sum(axis=0)
    first = fit.linear(functionals)
    slopes, intercepts = -first.slopes, -first.intercepts
    units = moments.units @ members
    own = np.where(units > 1, units / np.maximum(units - 1, 1), 0.0) if leave_one_out else 1.0
    scale = own / np.where(size > 0, size, 1.0)
    slopes += paths * scale[:, None]
    apart = (effects - means) * members
    if squared_weights:
        squares = moments.second[:, -1, -1][:, None] * members
        total = np.einsum("pkt,pt->k", paths, moments.second[:, :-1, -1])
        total += (squares * apart).sum(axis=0)
        mass = squares.sum(axis=0)
        apart -= members * (total / np.where(mass > 0, mass, 1.0))
    intercepts += apart * scale
    return Imputed(np.where(known, means, np.nan), LinearCells(slopes, intercepts))


def impute_rows(
    fit: RowFit,
    outcomes: Floats,
    weights: Floats | None,
    cohort: Integers,
    period: Integers,
    clusters: Integers | None,
    *,
    squared_weights: bool,
    leave_one_out: bool = False,
) -> ImputedRows:
    """Impute cells from rows with gaps or covariates.

    Parameters
    ----------
    fit : of period indicators and covariates on the untreated rows, with unit effects
    outcomes : array, shape (N, T), of all rows, NaN where unobserved
    weights : array, shape (N,); equal if None
    cohort, period : arrays, shape (K,), positions of the cells
    clusters : array, shape (N,); every unit its own if None
    squared_weights, leave_one_out : as in `impute_moments`, leaving out a unit's whole cluster
    """
    n_units = len(outcomes)
    observed = ~np.isnan(outcomes)
    mass = observed * (np.ones(n_units) if weights is None else weights)[:, None]
    effects = np.where(observed, outcomes - fit.fitted, 0.0)
    functionals, means, sizes = _functionals(fit, mass, effects, cohort, period)
    known = (sizes > 0) & fit.solution.estimable(functionals)
    functionals[~known] = 0.0

    psi = -fit.contributions(functionals, clusters)
    largest = np.zeros(len(cohort))
    for c, members in by_cohort(fit.codes, len(fit.regressors)):
        for k in np.flatnonzero((cohort == c) & known):
            own = mass[members, period[k]]
            effect = effects[members, period[k]]
            squares = own**2
            centre = (squares @ effect) / squares.sum() if squared_weights else means[k]
            part = own * (effect - centre) / sizes[k]
            groups = members if clusters is None else clusters[members]
            if clusters is not None:
                part = np.bincount(groups, part, len(psi))
                squares = np.bincount(groups, squares, len(psi))
                groups = np.arange(len(psi))
            share = squares / squares.sum()
            largest[k] = share.max()
            if leave_one_out:
                part = np.divide(part, 1 - share, out=np.zeros(len(part)), where=share < 1)
            psi[groups, k] += part
    return ImputedRows(np.where(known, means, np.nan), psi, largest)


def _functionals(
    fit: RowFit, mass: Floats, effects: Floats, cohort: Integers, period: Integers
) -> tuple[Floats, Floats, Floats]:
    """Return the first-stage combination each cell rests on, (K, P), with means and sizes."""
    n_periods, k = mass.shape[1], fit.covariates.shape[2]
    total = fit.weights.sum(axis=1, keepdims=True)
    share = np.divide(fit.weights, total, out=np.zeros_like(fit.weights), where=total > 0)
    functionals = np.zeros((len(cohort), n_periods + k))
    means, sizes = np.zeros(len(cohort)), np.zeros(len(cohort))
    for c, members in by_cohort(fit.codes, len(fit.regressors)):
        cells = np.flatnonzero(cohort == c)
        own, at = mass[members], period[cells]
        size = own.sum(axis=0)
        sizes[cells] = size[at]
        scale = np.where(size > 0, size, 1.0)
        means[cells] = ((own * effects[members]).sum(axis=0) / scale)[at]
        part = (np.eye(n_periods) * (size > 0)) - (own.T @ share[members]) / scale[:, None]
        functionals[cells, :n_periods] = part[at]
        if k:
            X = fit.covariates[members]
            before = np.einsum("nt,ntk->nk", share[members], X)
            moved = np.einsum("nt,ntk->tk", own, X) - own.T @ before
            functionals[cells, n_periods:] = (moved / scale[:, None])[at]
    return functionals, means, sizes


def summed_by_cluster(values: Floats, clusters: Integers | None, n_clusters: int) -> Floats:
    """Sum (N, m) contributions by cluster; as they are if every unit is its own."""
    return values if clusters is None else group_sums(values, clusters, n_clusters)
