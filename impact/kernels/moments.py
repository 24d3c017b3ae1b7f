"""Cohort moments: what difference-in-differences needs of a balanced panel, and no more.

For each cohort c: its size n_c, mean path mu_c (T) and the cross-products of its units'
deviations. Any estimator linear in cohort means, with its joint covariance, follows in
closed form; the matrix of units by cells is never built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.kernels.parallel import for_each

__all__ = ["CohortMoments", "LinearCells", "cohort_moments"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCK_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class CohortMoments:
    """Sizes, mean paths and second moments of C cohorts over T periods.

    Attributes
    ----------
    units : array, shape (C,), units in each cohort
    size : array, shape (C,), sum of their weights (the units' number without weights)
    mean : array, shape (C, T), weighted mean path
    second : array, shape (C, T + 1, T + 1), sum over units of z z' with
        z = weight * (Y_i - mean, 1); its last row and column carry the weights' own squares
    """

    units: Integers
    size: Floats
    mean: Floats
    second: Floats

    @property
    def share(self) -> Floats:
        """Each cohort's share of the total size, shape (C,)."""
        return np.asarray(self.size / self.size.sum())

    @property
    def covariance(self) -> Floats:
        """Covariance of paths in each cohort, dividing by its units, shape (C, T, T)."""
        n = np.maximum(self.units, 1)[:, None, None]
        return np.asarray(self.second[:, :-1, :-1] / n)


def cohort_moments(
    outcomes: Floats, codes: Integers, n_cohorts: int, weights: Floats | None = None
) -> CohortMoments:
    """Accumulate the moments of each cohort in one pass over its rows.

    Parameters
    ----------
    outcomes : array, shape (N, T), without missing values
    codes : array, shape (N,), cohort of each unit in 0..n_cohorts-1
    weights : array, shape (N,), positive; equal if None
    """
    n_periods = outcomes.shape[1]
    units = np.bincount(codes, minlength=n_cohorts)
    size = np.zeros(n_cohorts)
    mean = np.zeros((n_cohorts, n_periods))
    second = np.zeros((n_cohorts, n_periods + 1, n_periods + 1))
    order = np.argsort(codes.astype(np.min_scalar_type(n_cohorts)), kind="stable")
    starts = np.concatenate(([0], np.cumsum(units)))

    def accumulate(cohort: int) -> None:
        rows = order[starts[cohort] : starts[cohort + 1]]
        own = None if weights is None else weights[rows]
        size[cohort], mean[cohort], second[cohort] = _one_cohort(outcomes, rows, own)

    for_each(accumulate, np.flatnonzero(units).tolist(), outcomes.size // n_cohorts)
    return CohortMoments(units, size, mean, second)


def _one_cohort(
    outcomes: Floats, rows: Integers, weights: Floats | None
) -> tuple[float, Floats, Floats]:
    """Return size, mean path and second moments of the given rows, block by block.

    Deviations are taken from the first unit's path, then re-centred exactly, so that a large
    level common to all units costs no digits.
    """
    n_periods = outcomes.shape[1]
    origin = outcomes[rows[0]]
    total = np.zeros((n_periods + 1, n_periods + 1))
    first = np.zeros(n_periods + 1)
    n_block = min(len(rows), _BLOCK_ROWS)
    # One long row of origins: subtracting short rows one by one takes several times as long.
    origins, block = np.tile(origin, (n_block, 1)), np.empty((n_block, n_periods))
    ones = np.ones(n_block)
    for start in range(0, len(rows), n_block):
        some = rows[start : start + n_block]
        deviations, own = block[: len(some)], ones[: len(some)]
        # The rows are known to exist; raising would fill the block by way of a copy.
        outcomes.take(some, axis=0, out=deviations, mode="clip")
        deviations -= origins[: len(some)]
        if weights is None:
            sums = own @ deviations
        else:
            own = weights[start : start + n_block]
            sums = own @ deviations
            deviations *= own[:, None]
        first[:-1] += sums
        first[-1] += own.sum()
        total[:-1, :-1] += deviations.T @ deviations
        total[-1, :-1] += sums if weights is None else own @ deviations
        total[-1, -1] += own @ own
    total[:-1, -1] = total[-1, :-1]
    size = float(first[-1])
    shift = first[:-1] / size
    centring = np.eye(n_periods + 1)
    centring[:-1, -1] = -shift
    return size, origin + shift, centring @ total @ centring.T


@dataclass(frozen=True, eq=False)
class LinearCells:
    """K estimates whose contribution from unit i of cohort c is w_i (A_c (Y_i - mu_c) + B_c).

    Attributes
    ----------
    slopes : array, shape (C, K, T), A_c
    intercepts : array, shape (C, K), B_c
    """

    slopes: Floats
    intercepts: Floats

    def covariance(self, moments: CohortMoments) -> Floats:
        """Sum the outer products of all units' contributions, shape (K, K)."""
        stacked = np.concatenate((self.slopes, self.intercepts[:, :, None]), axis=2)
        return np.asarray(
            np.einsum("ckt,cts,cls->kl", stacked, moments.second, stacked, optimize=True)
        )

    def contributions(
        self,
        outcomes: Floats,
        codes: Integers,
        moments: CohortMoments,
        weights: Floats | None = None,
        clusters: Integers | None = None,
    ) -> Floats:
        """Return contributions summed by cluster, shape (G, K); by unit if no clusters given.

        Sums by cluster and cohort come first, so that no unit x cell matrix is built when
        clusters are coarser than units.
        """
        own = np.ones(len(codes)) if weights is None else weights
        n_cohorts = len(moments.size)
        if clusters is None:
            deviations = outcomes - moments.mean[codes]
            result = np.empty((len(codes), self.intercepts.shape[1]))
            order = np.argsort(codes.astype(np.min_scalar_type(n_cohorts)), kind="stable")
            starts = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=n_cohorts))))
            for cohort in range(n_cohorts):
                rows = order[starts[cohort] : starts[cohort + 1]]
                result[rows] = deviations[rows] @ self.slopes[cohort].T + self.intercepts[cohort]
            return result * own[:, None]
        n_clusters = int(clusters.max()) + 1
        keys = clusters * n_cohorts + codes
        sums = cluster_sums(outcomes - moments.mean[codes], own, keys, n_clusters * n_cohorts)
        sums = sums.reshape(n_clusters, n_cohorts, -1)
        stacked = np.concatenate((self.slopes, self.intercepts[:, :, None]), axis=2)
        return np.asarray(np.einsum("gct,ckt->gk", sums, stacked, optimize=True))


def cluster_sums(deviations: Floats, weights: Floats, keys: Integers, n_keys: int) -> Floats:
    """Sum weight * (deviation, 1) by key, shape (n_keys, T + 1)."""
    columns = [np.bincount(keys, weights * column, n_keys) for column in deviations.T]
    columns.append(np.bincount(keys, weights, n_keys))
    return np.stack(columns, axis=1)
