"""Two-way fixed effects of a treatment that cohorts tell, from the moments of a table alone.

Where every regressor follows from cohort and period, a unit's outcomes enter sums and scores
linearly, and squares by their second moments: no query beside that of the moments is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.estimators.parts.cells import GroupMoments, moments_of
from impact.kernels.cell_regression import group_sums
from impact.kernels.moments import LinearCells
from impact.warehouse.moments import MOST_PATTERNS
from impact.warehouse.sample import TableSample
from impact.warehouse.twoway import MOST_CLUSTERS, Regressor, TableScores, TwoWaySums

__all__ = ["cohort_groups", "scores_of_groups", "sums_of_groups"]

Floats = NDArray[np.float64]


def cohort_groups(
    design: Design, table: TableSample, regressors: Sequence[Regressor]
) -> GroupMoments | None:
    """Return the moments of the design's groups if they tell all that the regression needs."""
    told = all(regressor.covariate is None for regressor in regressors)
    lasting = not (table.roles.dose or table.groups["stopped"].any())
    if not (told and lasting) or table.roles.weights or len(table.groups) > MOST_PATTERNS:
        return None
    if table.roles.cluster and table.cluster_counts[0] > MOST_CLUSTERS:
        return None
    return moments_of(design)


def sums_of_groups(
    design: Design, groups: GroupMoments, regressors: Sequence[Regressor]
) -> TwoWaySums:
    """Return what `twoway_sums` adds up in queries, the outcome less its mean first."""
    units, seen = groups.moments.size, groups.seen
    level = float(groups.moments.mean[seen].mean())
    paths = np.concatenate(
        ((groups.moments.mean - level)[:, :, None], _indicators(design, groups, regressors)), axis=2
    )
    paths *= seen[:, :, None]
    swept = _within(paths, seen)
    cross = np.einsum("p,ptj,pti->pji", units, swept, swept, optimize=True)
    cross[:, 0, 0] += _spread(groups, centred=True)
    sums = np.einsum("p,ptj->tj", units, paths)
    squares = np.einsum("p,ptj,ptj->j", units, paths, paths, optimize=True)
    squares[0] += _spread(groups, centred=False).sum()
    means = units[:, None] * paths.sum(axis=1) / seen.sum(axis=1)[:, None]
    return TwoWaySums(seen, units, means, cross, sums, squares)


def scores_of_groups(
    design: Design,
    table: TableSample,
    groups: GroupMoments,
    regressors: Sequence[Regressor],
    shifts: Floats,
    coefficients: Floats,
) -> TableScores:
    """Return what `twoway_scores` adds up in a query; ``shifts`` and the level are as there."""
    moments, seen = groups.moments, groups.seen
    level = float(moments.mean[seen].mean())
    swept = _indicators(design, groups, regressors) - shifts[:, 1:]
    left = moments.mean - level - shifts[:, 0] - swept @ coefficients
    slopes = np.swapaxes(_within(swept * seen[:, :, None], seen), 1, 2)
    own = _within((left * seen)[:, :, None], seen)[:, :, 0]
    linear = LinearCells(slopes, np.einsum("pkt,pt->pk", slopes, own))
    squares = float((_spread(groups, centred=True) + moments.size * (own**2).sum(axis=1)).sum())
    total = moments.size @ linear.intercepts
    if table.cluster_counts[0] > MOST_CLUSTERS:
        return TableScores(None, linear.covariance(moments), total, squares)
    rows = table.pattern_means
    parts = linear.contributions(rows.outcomes, rows.codes, moments, rows.sizes)
    scores = group_sums(parts, rows.clusters, table.cluster_counts[0])
    if table.roles.cluster is None:
        return TableScores(scores, linear.covariance(moments), total, squares)
    return TableScores(scores, scores.T @ scores, total, squares)


def _indicators(design: Design, groups: GroupMoments, regressors: Sequence[Regressor]) -> Floats:
    """Return the regressors of each group and period, shape (P, T, k)."""
    cohorts = np.append(design.cohort_values, np.nan)[groups.cohort]
    since = design.periods[None, :] - cohorts[:, None]
    ends = [regressor.events or (0.0, np.inf) for regressor in regressors]
    columns = [(since >= first) & (since <= last) for first, last in ends]
    shape = (*since.shape, 0)
    return np.stack(columns, axis=2).astype(np.float64) if columns else np.zeros(shape)


def _within(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Take the mean over the periods seen off (P, T, m) values that are zero elsewhere."""
    centre = values.sum(axis=1, keepdims=True) / seen.sum(axis=1)[:, None, None]
    return np.asarray((values - centre) * seen[:, :, None])


def _spread(groups: GroupMoments, *, centred: bool) -> Floats:
    """Sum squared deviations of units from their group's path, of units' means too, shape (P,)."""
    second = groups.moments.second[:, :-1, :-1]
    whole = np.trace(second, axis1=1, axis2=2)
    if not centred:
        return np.asarray(whole)
    return np.asarray(whole - second.sum(axis=(1, 2)) / groups.seen.sum(axis=1))
