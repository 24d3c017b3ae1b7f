"""Two-way fixed effects where the table lies: a fixed number of queries, no row moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import DesignError
from impact.estimators.parts.cohort_sums import (
    cohort_groups,
    scores_of_groups,
    sums_of_groups,
)
from impact.estimators.parts.regression import Regression
from impact.estimators.parts.variables import Variables
from impact.inference.clusters import Convention, EffectCounts, FullRegression
from impact.inference.summed import SummedScores
from impact.kernels.groups import Groups
from impact.kernels.twoway_sums import fit_sums, sum_blocks, sweep_periods
from impact.warehouse.sample import TableSample
from impact.warehouse.twoway import Regressor, twoway_blocks, twoway_scores, twoway_sums

__all__ = ["Regressor", "covariate_regressors", "regress_table", "treatment_regressors"]

Floats = NDArray[np.float64]

BY_CLUSTER = ("classical", "CR0", "CR1", "CR2", "CR3", "jackknife")

CONSTANT = 1e-20
"""Share of a column's squares left within units at which units explain it."""


def covariate_regressors(design: Design) -> list[Regressor]:
    """Return the design's covariates as regressors."""
    return [Regressor(name, covariate=j) for j, name in enumerate(design.covariates)]


def treatment_regressors(design: Design) -> list[Regressor]:
    """Return the design's treatment as a regressor; none where it states none."""
    if design.treatment_column is None:
        return []
    return [Regressor(str(design.treated or design.dose or "treated"))]


def regress_table(
    design: Design,
    table: TableSample,
    regressors: Sequence[Regressor],
    *,
    covariance: Any = "CR1",
    convention: Convention = "fixest",
) -> Regression:
    """Regress the outcome on regressors, unit effects and period effects.

    Raises
    ------
    DesignError : a covariance that needs rows
    TableError : units that cross clusters, or weights that change within units
    """
    if covariance not in BY_CLUSTER:
        raise DesignError(
            f"where a table lies, covariance may be {', '.join(BY_CLUSTER)}; it was "
            f"{covariance!r}, which needs rows. Draw units into memory with design.collect(share=)."
        )
    names = tuple(regressor.name for regressor in regressors)
    groups = cohort_groups(design, table, regressors)
    if groups is None:
        sums = twoway_sums(table, regressors)
    else:
        sums = sums_of_groups(design, groups, regressors)
    cross = sums.cross.sum(axis=0)
    swept = sweep_periods(sums.presence, sums.mass, sums.means, cross, sums.sums)
    within = np.diagonal(cross)[1:]
    before = np.where(within > CONSTANT * sums.squares[1:], within, np.inf)
    fit = fit_sums(swept, before, design.n_units, design.n_rows)
    columns = np.append(0, 1 + fit.kept)
    kept = [regressors[j] for j in fit.kept]
    swept_off = (swept.shifts[:, columns], fit.coefficients)
    if groups is None:
        scores = twoway_scores(table, kept, *swept_off)
    else:
        scores = scores_of_groups(design, table, groups, kept, *swept_off)
    fit = replace(
        fit,
        coefficients=fit.coefficients + fit.bread @ scores.total,
        scores=scores.scores,
        meat=scores.meat,
        squares=scores.squares,
        weights=np.zeros(0) if table.roles.weights else None,
    )
    contrast = np.zeros((len(names), len(fit.kept)))
    contrast[fit.kept, np.arange(len(fit.kept))] = 1.0
    uncertainty = SummedScores(
        fit,
        (Groups(np.zeros(0, dtype=np.int64), design.n_clusters),),
        contrast,
        EffectCounts(fit.n_effects, len(design.periods), all_nested=False),
        cache(partial(_full, table, kept)),
        covariance,
        convention,
    )
    return Regression(_no_rows(names), fit, uncertainty, None, _lone_rows(table))


def _full(
    table: TableSample, regressors: Sequence[Regressor], *, with_rows: bool = False
) -> FullRegression:
    """Write period effects out as columns, cluster by cluster; rows stay in their table."""
    sums = twoway_blocks(table, regressors)
    rows = sums.rows
    blocks = sum_blocks(
        rows.presence, rows.mass, rows.means, rows.cross, sums.clusters, sums.sums, rows.squares
    )
    empty = np.zeros((0, 0))
    return FullRegression(blocks, empty, empty, np.zeros(0, dtype=np.int64))


def _no_rows(names: tuple[str, ...]) -> Variables:
    codes, none = np.zeros(0, dtype=np.int64), np.zeros(0)
    regressors = np.zeros((len(names), 0))
    rows = DesignRows(codes, codes, codes[:, None], none, regressors.T, names, None)
    return Variables(rows, none, regressors, names)


def _lone_rows(table: TableSample) -> int:
    """Count rows that stand alone for their unit or their period."""
    counts = table.groups["units"].to_numpy()
    alone = table.presence.sum(axis=1) == 1
    once = (counts @ table.presence) == 1
    others = (counts[:, None] * table.presence)[~alone][:, once]
    return int(counts[alone].sum() + others.sum())
