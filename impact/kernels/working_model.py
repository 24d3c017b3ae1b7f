"""How precise a cluster-robust covariance is when errors follow its working model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["WorkingModel"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WorkingModel:
    r"""Covariances between clusters' contributions to A combinations under the working model.

    Cluster g adds :math:`p_{ga}'e` to combination a, and the covariance estimate of (a, b) is
    :math:`\sum_g p_{ga}'e\, p_{gb}'e`. With e of covariance I,
    :math:`p_{ga}'p_{hb} = 1[g = h]\, own_{gab} - left_{ga}'right_{hb}`.

    Parameters
    ----------
    own : shape (G, A, A)
    left, right : shape (G, A, m)
    """

    own: Floats
    left: Floats
    right: Floats

    def combine(self, weights: Floats) -> WorkingModel:
        """Return the model of other combinations, ``weights`` of shape (Q, A) of these."""
        return WorkingModel(
            weights @ self.own @ weights.T, weights @ self.left, weights @ self.right
        )

    def expectation(self) -> Floats:
        """Return the expected covariance estimate of the combinations, shape (A, A)."""
        return np.asarray(self.own.sum(axis=0) - np.einsum("gam,gbm->ab", self.left, self.right))

    def freedoms(self) -> Floats:
        """Return Satterthwaite's degrees of freedom of each combination, shape (A,).

        Source
        ------
        Bell and McCaffrey (2002); Imbens and Kolesar (2016), Review of Economics and
        Statistics 98(4), section III.
        """
        one = np.eye(self.own.shape[1])[:, None, :]
        found = np.full(len(one), np.nan)
        for a, pick in enumerate(one):
            alone = self.combine(pick)
            spread = alone._spread() / 2
            if spread > 0:
                found[a] = alone.expectation()[0, 0] ** 2 / spread
        return found

    def hotelling(self) -> float:
        """Return the degrees of freedom of the covariance estimate taken for a Wishart matrix.

        The combinations must be such that ``expectation`` is the identity; the Wishart matrix
        has the same total variance of its entries.

        Source
        ------
        Pustejovsky and Tipton (2018), Journal of Business and Economic Statistics 36(4),
        section 3.2 (the test they call AHT, HTZ in their software).
        """
        q = self.own.shape[1]
        spread = self._spread()
        return q * (q + 1) / spread if spread > 0 else np.nan

    def _spread(self) -> float:
        """Total variance of the entries of the covariance estimate, errors being normal."""
        n_clusters = len(self.own)
        product = np.einsum("gam,gbm->gab", self.left, self.right)
        traces, crossed = (np.einsum("gaa->g", part) for part in (self.own, product))
        flat = (self.left.reshape(n_clusters, -1), self.right.reshape(n_clusters, -1))
        first = traces @ traces - 2 * traces @ crossed
        first += np.sum((flat[0].T @ flat[0]) * (flat[1].T @ flat[1]))
        second = np.sum(self.own**2) - 2 * np.sum(self.own * product)
        second += np.einsum(
            "gai,gbj,hbi,haj->", self.left, self.left, self.right, self.right, optimize=True
        )
        return float(first + second)
