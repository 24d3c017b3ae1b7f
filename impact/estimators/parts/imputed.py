"""What imputation and the two-stage estimator share: the first stage and the cells it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.estimators.parts.cells import (
    Cells,
    GroupMoments,
    cluster_codes,
    cohort_shares,
    linear_uncertainty,
    moments_of,
    period_dummies,
    untreated_periods,
)
from impact.inference.scores import Scores, Uncertainty
from impact.kernels.cell_regression import fit_rows
from impact.kernels.imputation import impute_moments, impute_rows, summed_by_cluster
from impact.kernels.moments import LinearCells

__all__ = ["ImputedCells", "impute"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ImputedCells:
    """K cell means with their uncertainty.

    Attributes
    ----------
    means : array, shape (K,), NaN where not identified
    uncertainty : of the K means and C cohort shares
    lone : array, shape (K,), whether one cluster is all of a cell
    of_rows : the uncertainty of combinations of means, shares and weights of rows that
        ``Result.of_rows`` describes
    """

    means: Floats
    uncertainty: Uncertainty
    lone: Booleans
    of_rows: Callable[[Floats], Uncertainty]


def impute(
    design: Design,
    cells: Cells,
    *,
    squared_weights: bool,
    leave_one_out: bool = False,
    sampled_shares: bool,
    moments: GroupMoments | None = None,
) -> ImputedCells:
    """Fit untreated rows, impute the cells, and say how sure their means are.

    Parameters
    ----------
    squared_weights, leave_one_out : where treated rows are measured from, see
        `impact.kernels.imputation.impute_moments`
    sampled_shares : whether the sampling of cohort shares is part of the uncertainty
    moments : the design's, where they are already known
    """
    by_unit = design.cluster_columns[0] == design.panel.unit
    plain = not leave_one_out or (design.weights is None and by_unit)
    if not design.covariates and plain:
        moments = moments or moments_of(design)
    if moments is not None and not design.covariates and plain:
        return _impute_moments(
            design, cells, moments, squared_weights, leave_one_out, sampled_shares
        )
    return _impute_rows(design, cells, squared_weights, leave_one_out, sampled_shares)


def _impute_moments(
    design: Design,
    cells: Cells,
    moments: GroupMoments,
    squared_weights: bool,
    leave_one_out: bool,
    sampled_shares: bool,
) -> ImputedCells:
    n_cohorts, found = len(design.cohort_values), moments.moments
    members = (moments.cohort[:, None] == cells.cohort) & moments.seen[:, cells.period]
    imputed = impute_moments(
        found,
        moments.used(untreated_periods(design)),
        members,
        cells.period,
        squared_weights=squared_weights,
        leave_one_out=leave_one_out,
    )
    shares = np.eye(n_cohorts + 1, n_cohorts)[moments.cohort] - cohort_shares(design)
    total = found.size.sum()
    linear = _with_means(imputed.linear, shares * sampled_shares / total)

    def of_rows(weights: Floats) -> Uncertainty:
        every = _with_means(linear, members / total)
        chosen = LinearCells(weights @ every.slopes, every.intercepts @ weights.T)
        return linear_uncertainty(design, chosen, found)

    return ImputedCells(
        imputed.means,
        linear_uncertainty(design, linear, found),
        _lone(design, cells, moments),
        of_rows,
    )


def _impute_rows(
    design: Design,
    cells: Cells,
    squared_weights: bool,
    leave_one_out: bool,
    sampled_shares: bool,
) -> ImputedCells:
    outcomes, codes, weights = design.outcomes, design.cohort_codes, design.unit_weights
    clusters, n_cohorts = cluster_codes(design), len(design.cohort_values)
    fit = fit_rows(
        np.where(untreated_periods(design)[codes], outcomes, np.nan),
        codes,
        period_dummies(design),
        design.covariate_array() if design.covariates else None,
        weights,
    )
    rows = impute_rows(
        fit,
        outcomes,
        weights,
        cells.cohort,
        cells.period,
        clusters,
        squared_weights=squared_weights,
        leave_one_out=leave_one_out,
    )
    own = np.ones(len(codes)) if weights is None else weights
    member = codes[:, None] == np.arange(n_cohorts)
    psi = own[:, None] * (member - cohort_shares(design)) * sampled_shares / own.sum()
    psi = summed_by_cluster(psi, clusters, design.n_clusters)

    scores = Scores(np.concatenate((rows.contributions, psi), axis=1))

    def of_rows(weights: Floats) -> Uncertainty:
        held = (codes[:, None] == cells.cohort) & ~np.isnan(outcomes)[:, cells.period]
        mass = summed_by_cluster(held * own[:, None], clusters, design.n_clusters) / own.sum()
        return Scores(np.concatenate((scores.psi, mass), axis=1) @ weights.T)

    return ImputedCells(rows.means, scores, rows.largest_share >= 1, of_rows)


def _lone(design: Design, cells: Cells, moments: GroupMoments) -> Booleans:
    """Tell which cells one unit, or in a table with gaps one cluster, is all of, shape (K,)."""
    shape = (len(design.cohort_values) + 1, len(design.periods))
    table = design.table
    if table is None or table.is_balanced or table.roles.cluster is None:
        groups, cohorts = moments.moments.units[:, None] * moments.seen, moments.cohort
    else:
        rows = table.pattern_means
        pairs = rows.clusters * shape[0] + moments.cohort[rows.codes]
        kept, places = np.unique(pairs, return_inverse=True)
        groups = np.zeros((len(kept), shape[1]), dtype=np.int64)
        np.maximum.at(groups, places, moments.seen[rows.codes].astype(np.int64))
        cohorts = kept % shape[0]
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, cohorts, groups)
    return np.asarray(counts[cells.cohort, cells.period] == 1)


def _with_means(linear: LinearCells, own: Floats) -> LinearCells:
    """Append means over units of what is alike within groups, (P, m)."""
    slopes = np.zeros((len(own), own.shape[1], linear.slopes.shape[2]))
    return LinearCells(
        np.concatenate((linear.slopes, slopes), axis=1),
        np.concatenate((linear.intercepts, own), axis=1),
    )
