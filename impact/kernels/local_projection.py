"""Long differences at one horizon, regressed on entry into treatment with period effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.kernels.cell_regression import fit_rows, group_sums

__all__ = ["Horizon", "fit_horizon"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Horizon:
    """An effect at one horizon with contributions, (G,), and what its sample held.

    ``estimate`` is NaN where entrants and comparison rows do not meet in any period.
    """

    estimate: float
    contributions: Floats
    n_rows: int
    n_entrants: int
    n_parameters: int
    n_clusters: int


def fit_horizon(
    differences: Floats,
    entrants: Booleans,
    clean: Booleans,
    clusters: Integers,
    n_clusters: int,
    *,
    weights: Floats | None = None,
    covariates: Floats | None = None,
    equal_weights: bool = False,
) -> Horizon:
    """Estimate one horizon.

    Parameters
    ----------
    differences : array, shape (N, T), outcome at the horizon less outcome before, by the period
        of entry; NaN where unknown
    entrants, clean : arrays, shape (N, T), rows that enter treatment and rows to compare with
    clusters : array, shape (N,)
    weights : array, shape (N,); equal if None
    covariates : array, shape (N, T, k), dated before treatment
    equal_weights : weigh periods by their entrants, so that each entrant counts the same,
        instead of by the variance of entry; with covariates, by regression adjustment: what
        comparison rows predict is taken off the entrants
    """
    known = ~np.isnan(differences)
    if covariates is not None:
        known &= ~np.isnan(covariates).any(axis=2)
    mass = np.ones(len(differences)) if weights is None else weights
    entrants, clean = entrants & known, clean & known
    inside, outside = mass @ entrants, mass @ clean
    meets = (inside > 0) & (outside > 0)
    adjusted = equal_weights and covariates is not None
    entrants = entrants & meets
    clean = clean & (meets if equal_weights and not adjusted else outside > 0)
    used = entrants | clean
    n_used = len(np.unique(clusters[used.any(axis=1)]))
    if not meets.any():
        return Horizon(np.nan, np.zeros(n_clusters), int(used.sum()), 0, 0, n_used)
    row_weights = np.broadcast_to(mass[:, None], used.shape)
    if equal_weights and not adjusted:
        row_weights = row_weights * (1 + inside / np.where(outside > 0, outside, 1.0))
    if equal_weights and covariates is not None:
        estimate, psi, n_parameters = _adjusted(
            differences, entrants, clean, clusters, n_clusters, row_weights, covariates
        )
    else:
        estimate, psi, n_parameters = _regressed(
            differences, entrants, used, clusters, n_clusters, row_weights, covariates
        )
    return Horizon(estimate, psi, int(used.sum()), int(entrants.sum()), n_parameters, n_used)


def _dummies(n_periods: int) -> Floats:
    return np.eye(n_periods)[None]


def _regressed(
    differences: Floats,
    entrants: Booleans,
    used: Booleans,
    clusters: Integers,
    n_clusters: int,
    weights: Floats,
    covariates: Floats | None,
) -> tuple[float, Floats, int]:
    """Regress differences on entry, period effects and covariates."""
    n_units, n_periods = differences.shape
    entry = entrants[:, :, None].astype(np.float64)
    columns = entry if covariates is None else np.concatenate((entry, covariates), axis=2)
    fit = fit_rows(
        np.where(used, differences, np.nan),
        np.zeros(n_units, dtype=np.int64),
        _dummies(n_periods),
        columns,
        weights,
        unit_effects=False,
    )
    wanted = np.zeros((1, len(fit.solution.scale)))
    wanted[0, n_periods] = 1.0 / fit.covariate_scale[0]
    if not fit.solution.estimable(wanted)[0]:
        return np.nan, np.zeros(n_clusters), fit.solution.rank
    psi = group_sums(fit.contributions(wanted), clusters, n_clusters)[:, 0]
    return float(wanted[0] @ fit.solution.coefficients), psi, fit.solution.rank


def _adjusted(
    differences: Floats,
    entrants: Booleans,
    clean: Booleans,
    clusters: Integers,
    n_clusters: int,
    weights: Floats,
    covariates: Floats,
) -> tuple[float, Floats, int]:
    """Average entrants' differences less what comparison rows predict at their covariates."""
    n_units, n_periods = differences.shape
    fit = fit_rows(
        np.where(clean, differences, np.nan),
        np.zeros(n_units, dtype=np.int64),
        _dummies(n_periods),
        np.where((entrants | clean)[:, :, None], covariates, np.nan),
        weights,
        unit_effects=False,
    )
    own = entrants * weights
    size = own.sum()
    functional = np.concatenate((own.sum(axis=0), np.einsum("nt,ntk->k", own, fit.covariates)))
    functional = functional[None] / size
    if not fit.solution.estimable(functional)[0]:
        return np.nan, np.zeros(n_clusters), fit.solution.rank
    left = np.where(entrants, differences - fit.fitted, 0.0)
    estimate = float((own * left).sum() / size)
    psi = (own * (left - estimate)).sum(axis=1) / size - fit.contributions(functional)[:, 0]
    return estimate, group_sums(psi[:, None], clusters, n_clusters)[:, 0], fit.solution.rank + 1
