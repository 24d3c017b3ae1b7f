"""Linear panel GMM by sums over units: one step, two steps, and their tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import special

from impact.kernels.products import cross_gram

__all__ = ["LinearMoments", "MomentFit", "SerialTest", "symmetric_inverse"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def symmetric_inverse(matrix: Floats) -> Floats:
    """Invert a positive semi-definite matrix, by Moore and Penrose where it is singular."""
    scale = np.sqrt(np.diagonal(matrix))
    scale = np.where(scale > 0, scale, 1.0)
    inverse = scipy.linalg.pinvh(matrix / np.outer(scale, scale), rtol=1e-11)
    return np.asarray(inverse / np.outer(scale, scale))


@dataclass(frozen=True)
class SerialTest:
    """Arellano and Bond's test for serial correlation of an order; standard normal."""

    order: int
    statistic: float
    p_value: float


@dataclass(frozen=True, eq=False)
class LinearMoments:
    """Stacked equations of all units on a common grid of E rows a unit.

    Parameters
    ----------
    outcome : shape (N, E), zero where an equation is not used
    regressors : shape (N, E, k), zero likewise
    instruments : shape (N, E, L), zero likewise
    used : shape (N, E)
    clusters : shape (N,), codes 0 to G - 1 of independent groups of units
    structure : shape (E, E), covariance of a unit's errors up to scale in the first step
    labels : L names, the group each instrument belongs to
    """

    outcome: Floats
    regressors: Floats
    instruments: Floats
    used: NDArray[np.bool_]
    clusters: Integers
    structure: Floats
    labels: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Number of equations used."""
        return int(self.used.sum())

    @property
    def n_instruments(self) -> int:
        """Number of instruments L."""
        return int(self.instruments.shape[2])

    def _flat(self, array: Floats) -> Floats:
        return array.reshape(-1, array.shape[2])

    @cached_property
    def cross(self) -> Floats:
        """Z'X, shape (L, k)."""
        return cross_gram(self._flat(self.instruments), self._flat(self.regressors))

    @cached_property
    def response(self) -> Floats:
        """Z'y, shape (L,)."""
        return cross_gram(self._flat(self.instruments), self.outcome.reshape(-1, 1))[:, 0]

    @cached_property
    def first_weight(self) -> Floats:
        """Inverse of the sum of Z_i'HZ_i, shape (L, L)."""
        # Rows that are not used hold zeros, so that H may be applied to all of them.
        shaped = np.matmul(self.structure, self.instruments)
        return symmetric_inverse(cross_gram(self._flat(self.instruments), self._flat(shaped)))

    def unit_moments(self, residuals: Floats) -> Floats:
        """Return Z_i'e_i summed over each cluster, shape (G, L)."""
        moments = np.matmul(residuals[:, None, :], self.instruments)[:, 0, :]
        return self.by_cluster(moments)

    def by_cluster(self, values: Floats) -> Floats:
        """Sum rows of units, shape (N, m), over clusters, shape (G, m)."""
        n_clusters = int(self.clusters.max()) + 1
        if n_clusters == len(self.clusters):
            return values
        summed = np.zeros((n_clusters, values.shape[1]))
        np.add.at(summed, self.clusters, values)
        return summed

    def residuals(self, coefficients: Floats) -> Floats:
        """Return outcome less fit on the rows used, shape (N, E)."""
        return (self.outcome - self.regressors @ coefficients) * self.used

    def solve(self, weight: Floats) -> MomentFit:
        """Minimise the moments' weighted norm."""
        projection = self.cross.T @ weight
        bread = symmetric_inverse(projection @ self.cross)
        coefficients = bread @ (projection @ self.response)
        return MomentFit(self, weight, bread, coefficients)


@dataclass(frozen=True, eq=False)
class MomentFit:
    """Coefficients that minimise Z'e in a weight's norm.

    Parameters
    ----------
    moments : the problem
    weight : shape (L, L)
    bread : shape (k, k), inverse of X'ZWZ'X
    coefficients : shape (k,)
    """

    moments: LinearMoments
    weight: Floats
    bread: Floats
    coefficients: Floats

    @cached_property
    def residuals(self) -> Floats:
        """Residuals of the rows used, shape (N, E)."""
        return self.moments.residuals(self.coefficients)

    @cached_property
    def unit_moments(self) -> Floats:
        """Z_i'e_i by cluster, shape (G, L)."""
        return self.moments.unit_moments(self.residuals)

    @cached_property
    def spread(self) -> Floats:
        """Sum of outer products of the clusters' moments, shape (L, L)."""
        return cross_gram(self.unit_moments, self.unit_moments)

    @property
    def gain(self) -> Floats:
        """Map from moments to coefficients, shape (k, L)."""
        return np.asarray(self.bread @ self.moments.cross.T @ self.weight)

    def contributions(self) -> Floats:
        """Return each cluster's contribution to estimate minus truth, shape (G, k)."""
        return np.asarray(self.unit_moments @ self.gain.T)

    def robust_covariance(self) -> Floats:
        """Return the sandwich without small-sample factor, shape (k, k)."""
        psi = self.contributions()
        return np.asarray(psi.T @ psi)

    def error_variance(self, rows: slice, lost: int = 0) -> float:
        """Return the errors' variance from differenced rows: half the mean squared residual.

        ``lost`` degrees of freedom are taken off the number of rows.
        """
        part = self.residuals[:, rows]
        n = int(self.moments.used[:, rows].sum())
        return float(np.sum(part**2)) / (n - lost) / 2

    def second_step(self) -> MomentFit:
        """Solve again with the efficient weight at these residuals."""
        return self.moments.solve(symmetric_inverse(self.spread))

    def windmeijer(self, first: MomentFit) -> Floats:
        """Return the two-step covariance corrected for the estimated weight, shape (k, k).

        Source
        ------
        Windmeijer (2005), Journal of Econometrics 126(1), eq. (3.6).
        """
        moments = self.moments
        mean = self.weight @ (moments.response - moments.cross @ self.coefficients)
        slopes = np.empty((len(self.coefficients), len(self.coefficients)))
        for j in range(len(self.coefficients)):
            regressor = moments.unit_moments(moments.regressors[:, :, j] * moments.used)
            change = cross_gram(regressor, first.unit_moments)
            slopes[:, j] = self.gain @ (change + change.T) @ mean
        return np.asarray(
            self.bread
            + slopes @ self.bread
            + self.bread @ slopes.T
            + slopes @ first.robust_covariance() @ slopes.T
        )

    def hansen(self) -> float:
        """Return the minimised form under the efficient weight at these residuals."""
        return self.second_step().minimum()

    def hansen_without(self, label: str) -> tuple[float, int]:
        """Return Hansen's statistic, and its instruments, without one group of instruments."""
        kept = np.array([own != label for own in self.moments.labels])
        weight = np.zeros_like(self.weight)
        weight[np.ix_(kept, kept)] = symmetric_inverse(self.spread[np.ix_(kept, kept)])
        return self.moments.solve(weight).minimum(), int(kept.sum())

    def minimum(self) -> float:
        """Return the minimised quadratic form of the moments."""
        total = self.moments.response - self.moments.cross @ self.coefficients
        return float(total @ self.weight @ total)

    def serial_test(self, order: int, rows: slice, covariance: Floats) -> SerialTest:
        """Test the differenced residuals for serial correlation, robustly.

        Parameters
        ----------
        order : lag
        rows : the differenced equations, consecutive in time
        covariance : of the coefficients

        Source
        ------
        Arellano and Bond (1991), Review of Economic Studies 58(2), eq. (8)-(9).
        """
        errors = self.residuals[:, rows]
        used = self.moments.used[:, rows]
        lagged = np.zeros_like(errors)
        lagged[:, order:] = errors[:, :-order] * used[:, order:]
        own = self.moments.by_cluster(np.sum(lagged * errors, axis=1)[:, None])[:, 0]
        reach = np.einsum("ne,nek->k", lagged, self.moments.regressors[:, rows], optimize=True)
        total = float(own.sum())
        variance = float(
            own @ own
            - 2 * reach @ self.gain @ (self.unit_moments.T @ own)
            + reach @ covariance @ reach
        )
        if not variance > 0:
            return SerialTest(order, np.nan, np.nan)
        statistic = total / np.sqrt(variance)
        return SerialTest(order, statistic, float(2 * special.ndtr(-abs(statistic))))
