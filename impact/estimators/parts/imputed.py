"""What imputation and the two-stage estimator share: the first stage and the cells it leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.estimators.parts.cells import (
    Cells,
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
from impact.kernels.moments import CohortMoments, LinearCells

__all__ = ["impute"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def impute(
    design: Design,
    cells: Cells,
    *,
    squared_weights: bool,
    leave_one_out: bool = False,
    sampled_shares: bool,
    moments: CohortMoments | None = None,
) -> tuple[Floats, Uncertainty, Booleans]:
    """Fit untreated rows, impute the cells, and say how sure their means are.

    Parameters
    ----------
    squared_weights, leave_one_out : where treated rows are measured from, see
        `impact.kernels.imputation.impute_moments`
    sampled_shares : whether the sampling of cohort shares is part of the uncertainty
    moments : the design's, where they are already known

    Returns
    -------
    means (K,), uncertainty of the K means and C shares, and whether one cluster is all of a
    cell (K,)
    """
    n_cohorts, untreated = len(design.cohort_values), untreated_periods(design)
    by_unit = design.cluster_columns[0] == design.panel.unit
    plain = not leave_one_out or (design.weights is None and by_unit)
    if not design.covariates and plain:
        moments = moments or moments_of(design)
    if moments is not None and not design.covariates and plain:
        imputed = impute_moments(
            moments,
            untreated,
            cells.cohort,
            cells.period,
            squared_weights=squared_weights,
            leave_one_out=leave_one_out,
        )
        shares = np.eye(n_cohorts + 1, n_cohorts) - moments.share[:-1]
        linear = _with_shares(imputed.linear, shares * sampled_shares / moments.size.sum())
        uncertainty = linear_uncertainty(design, linear, moments)
        return imputed.means, uncertainty, moments.units[cells.cohort] == 1

    outcomes, codes, weights = design.outcomes, design.cohort_codes, design.unit_weights
    clusters = cluster_codes(design)
    fit = fit_rows(
        np.where(untreated[codes], outcomes, np.nan),
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
    return rows.means, scores, rows.largest_share >= 1


def _with_shares(linear: LinearCells, shares: Floats) -> LinearCells:
    """Append what units contribute to the cohort shares, (C + 1, C)."""
    slopes = np.zeros((len(shares), shares.shape[1], linear.slopes.shape[2]))
    return LinearCells(
        np.concatenate((linear.slopes, slopes), axis=1),
        np.concatenate((linear.intercepts, shares), axis=1),
    )
