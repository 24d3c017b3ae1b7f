"""Trends of units yet to change that follow covariates, taken off before switchers are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.kernels.switchers import SwitchPaths

__all__ = ["CovariateTrends", "covariate_trends"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class CovariateTrends:
    """Slopes of changes of the outcome in changes of covariates, by baseline treatment.

    Attributes
    ----------
    adjusted : array, shape (N, T), outcomes less the covariates times their baseline's slopes
    covariates : array, shape (k, N, T), NaN where the outcome is
    baseline : array, shape (N,)
    influence : array, shape (N, k), contributions of each unit to the slopes of its baseline
    without : baselines at which a covariate does not vary among units yet to change
    """

    adjusted: Floats
    covariates: Floats
    baseline: Floats
    influence: Floats
    without: tuple[float, ...]

    def carried(self, total: Callable[[Floats, Booleans], float]) -> Floats:
        """Return what the slopes' own error adds to contributions of units, shape (N,).

        ``total`` sums an effect on a variable (N, T) over the switchers of a mask (N,).
        """
        psi = np.zeros(len(self.baseline))
        for baseline in np.unique(self.baseline):
            own = self.baseline == baseline
            for k, covariate in enumerate(self.covariates):
                psi[own] -= total(covariate, own) * self.influence[own, k]
        return psi


def covariate_trends(
    outcomes: Floats,
    covariates: Floats,
    paths: SwitchPaths,
    weights: Floats,
    clusters: Integers | None = None,
) -> CovariateTrends:
    """Regress changes of the outcome on those of covariates among units yet to change.

    Within a baseline treatment, over periods t before a unit's own change,
    Y_t - Y_{t-1} = lambda_{s,t} + (X_t - X_{t-1})' theta + u, with s the unit's stratum.

    Parameters
    ----------
    outcomes : array, shape (N, T); NaN where unobserved
    covariates : array, shape (k, N, T)
    weights : array, shape (N,)
    clusters : array, shape (N,), codes that contributions will be summed by; units if None

    Notes
    -----
    Residuals are widened by sqrt(n / (n - 1)), n the clusters of the baseline yet to change in
    the period. A covariate that does not vary there has slope zero.

    Source
    ------
    de Chaisemartin and D'Haultfoeuille (2024), web appendix 1.2.
    """
    n, n_periods = outcomes.shape
    cluster = np.arange(n) if clusters is None else clusters
    seen = np.where(np.isnan(outcomes), np.nan, covariates)
    change, moves = np.diff(outcomes), np.diff(seen)
    yet = (np.arange(1, n_periods) < paths.steady[:, None]) & ~np.isnan(change)
    adjusted, influence, without = outcomes.copy(), np.zeros((n, len(covariates))), []
    for baseline in np.unique(paths.baseline):
        own = paths.baseline == baseline
        unit, time = np.nonzero(yet & own[:, None])
        cell = np.unique(paths.stratum[unit] * n_periods + time, return_inverse=True)[1]
        y = _less_means(change[unit, time], cell, weights[unit])
        x = np.stack([_less_means(m[unit, time], cell, weights[unit]) for m in moves], axis=1)
        gram = (x * weights[unit, None]).T @ x
        size = np.sqrt(np.square(np.nan_to_num(moves[:, own])).sum(axis=(1, 2)))
        known = np.sqrt(np.diagonal(gram)) > _RANK_TOLERANCE * size
        if not known.all():
            without.append(float(baseline))
        scale = np.where(known, np.sqrt(np.diagonal(gram)), 1.0)
        scaled = gram / np.outer(scale, scale) * np.outer(known, known)
        inverse = np.linalg.pinv(scaled, rcond=_RANK_TOLERANCE) / np.outer(scale, scale)
        slopes = inverse @ ((x * weights[unit, None]).T @ y)
        adjusted[own] -= np.tensordot(slopes, seen[:, own], axes=1)
        pull = weights[unit, None] * (x @ inverse)
        residual = (y - x @ slopes) * _widening(cluster[unit], time, n_periods)
        for k in range(len(covariates)):
            influence[:, k] += np.bincount(unit, pull[:, k] * residual, n)
    return CovariateTrends(adjusted, seen, paths.baseline, influence, tuple(without))


def _less_means(values: Floats, cell: Integers, weights: Floats) -> Floats:
    """Return values less their weighted mean by cell."""
    means = np.bincount(cell, weights * values) / np.bincount(cell, weights)
    return np.asarray(values - means[cell])


def _widening(cluster: Integers, time: Integers, n_periods: int) -> Floats:
    """Return sqrt(n / (n - 1)) with n the clusters seen in each row's period, shape (n,)."""
    pairs = np.unique(cluster * n_periods + time)
    count = np.bincount(pairs % n_periods, minlength=n_periods).astype(float)
    factor = np.sqrt(count / np.maximum(count - 1.0, 1.0))
    return np.asarray(factor[time])
