"""What each cluster contributes to a regression: enough for every cluster-robust covariance.

From the cross-products of each cluster alone follow the coefficients, CR1, CR2 with
Satterthwaite degrees of freedom, CR3, leave-one-cluster-out estimates and leverages,
without another pass over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, listing, plural
from impact.kernels.working_model import WorkingModel

__all__ = ["ClusterBlocks", "cluster_blocks", "weighted_adjustment"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FULL_LEVERAGE = 1e-9
"""Distance of a cluster's leverage from one below which it alone identifies a coefficient."""


@dataclass(frozen=True, eq=False)
class ClusterBlocks:
    r"""Cross-products of a weighted regression by cluster.

    Parameters
    ----------
    gram : shape (G, k, k), :math:`A_g = X_g'W_gX_g`
    cross : shape (G, k), :math:`b_g = X_g'W_gy_g`
    total : shape (G,), :math:`c_g = y_g'W_gy_g`

    Notes
    -----
    Columns may have had effects swept out beforehand provided every group of those effects
    lies within one cluster; effects that cross clusters (periods) must be columns, or
    leave-one-out quantities are wrong. All formulas hold without weights, or with weights
    that are inverse variances.
    """

    gram: Floats
    cross: Floats
    total: Floats

    @property
    def n_clusters(self) -> int:
        """Number of clusters G."""
        return len(self.gram)

    @cached_property
    def bread(self) -> Floats:
        """Inverse of the sum of grams, shape (k, k)."""
        return np.asarray(np.linalg.inv(self.gram.sum(axis=0)))

    @cached_property
    def coefficients(self) -> Floats:
        """Least-squares coefficients, shape (k,)."""
        return np.asarray(np.linalg.solve(self.gram.sum(axis=0), self.cross.sum(axis=0)))

    @cached_property
    def scores(self) -> Floats:
        """Sum over each cluster of regressor times weight times residual, shape (G, k)."""
        return self.scores_at(self.coefficients)

    def scores_at(self, coefficients: Floats) -> Floats:
        """Return the scores at given coefficients, such as restricted ones, shape (G, k)."""
        return self.cross - self.gram @ coefficients

    @cached_property
    def _hat_values(self) -> tuple[Floats, Floats, Floats]:
        """Eigen-decomposition of L'A_gL with LL' the bread: L (k, k), vectors, values (G, k)."""
        root = np.linalg.cholesky(self.bread)
        values, vectors = np.linalg.eigh(root.T @ self.gram @ root)
        return np.asarray(root), np.asarray(vectors), np.asarray(values)

    def adjusted_scores(self, power: float) -> Floats:
        """Return (I - A_g A^-1)^power s_g, shape (G, k): -1/2 for CR2, -1 for CR3.

        Raises
        ------
        InferenceError : a cluster alone identifies a coefficient and ``power`` is -1

        Notes
        -----
        For CR2 a direction in which a cluster has leverage one is left out (the
        Moore-Penrose inverse), as Pustejovsky and Tipton (2018) do.

        Source
        ------
        Bell and McCaffrey (2002), "Bias reduction in standard errors for linear regression";
        MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38(5), eq. (20).
        """
        if power <= -1:
            self.refuse_full_leverage()
        root, vectors, values = self._hat_values
        left = 1 - values
        scale = np.where(left > FULL_LEVERAGE, np.abs(left), 1.0) ** power
        scale = np.where(left > FULL_LEVERAGE, scale, 0.0)
        rotated = np.einsum("gij,gi->gj", vectors, self.scores @ root)
        adjusted = np.einsum("gij,gj->gi", vectors, rotated * scale)
        return np.asarray(np.linalg.solve(root.T, adjusted.T).T)

    def leave_one_out(self) -> Floats:
        """Return the coefficients without each cluster in turn, shape (G, k).

        Raises
        ------
        InferenceError : a cluster alone identifies a coefficient
        """
        return self.coefficients - self.adjusted_scores(-1.0) @ self.bread

    def leverages(self) -> Floats:
        """Return each cluster's trace of A_g A^-1, shape (G,); they sum to k."""
        return np.asarray(self._hat_values[2].sum(axis=1))

    def largest_leverages(self) -> Floats:
        """Return each cluster's largest eigenvalue of A_g A^-1, shape (G,); one is degenerate."""
        return self._hat_values[2][:, -1]

    def partial_leverages(self, contrast: Floats) -> Floats:
        """Return each cluster's share in the information on a contrast, shape (G,).

        The share is c'A^-1 A_g A^-1 c / c'A^-1 c; shares sum to one.
        """
        direction = self.bread @ contrast
        shares = np.einsum("k,gkl,l->g", direction, self.gram, direction)
        return np.asarray(shares / (contrast @ direction))

    def effective_clusters(self, contrast: Floats) -> float:
        """Return the effective number of clusters for a contrast: G / (1 + squared variation).

        Source
        ------
        Carter, Schnepel and Steigerwald (2017), Review of Economics and Statistics 99(4),
        with independence within clusters as the working model (rho = 0).
        """
        shares = self.partial_leverages(contrast)
        return float(1 / np.sum(shares**2))

    def satterthwaite(self, contrasts: Floats) -> Floats:
        """Return the degrees of freedom of CR2 t statistics, shape (A,).

        Parameters
        ----------
        contrasts : shape (A, k)

        Notes
        -----
        The working model is independence with variance one over the weight.

        Source
        ------
        Bell and McCaffrey (2002); Imbens and Kolesar (2016), Review of Economics and
        Statistics 98(4), section III.
        """
        freedoms = np.full(len(contrasts), np.nan)
        for a, contrast in enumerate(contrasts):
            if contrast.any():
                freedoms[a] = self.working_model(contrast[None, :]).freedoms()[0]
        return freedoms

    def working_model(self, contrasts: Floats) -> WorkingModel:
        """Return how CR2's contributions to contrasts, shape (A, k), covary under its model."""
        root, vectors, values = self._hat_values
        left = 1 - values
        live = left > FULL_LEVERAGE
        scale = np.where(live, 1 / np.sqrt(np.where(live, left, 1)), 0)
        rotated = np.einsum("gij,il,al->gaj", vectors, root.T, contrasts, optimize=True)
        rotated *= scale[:, None, :]
        weighted = rotated * values[:, None, :]
        own = np.einsum("gaj,gbj->gab", weighted, rotated)
        shifted = np.einsum("gij,gaj->gai", vectors, weighted)
        return WorkingModel(own, shifted, shifted)

    def refuse_full_leverage(self) -> None:
        """Raise if leaving out some cluster leaves a coefficient without identification."""
        alone = np.flatnonzero(self.largest_leverages() > 1 - FULL_LEVERAGE)
        if len(alone):
            raise InferenceError(
                f"{plural(len(alone), 'cluster')} (number {listing(alone)}, counting from 0) alone "
                "identify a coefficient, so it has no estimate without them and CR3 and the "
                "jackknife do not exist. Use CR2, or drop the regressor that only they vary."
            )


def cluster_blocks(
    outcome: Floats,
    regressors: Floats,
    clusters: Integers,
    n_clusters: int,
    weights: Floats | None = None,
) -> ClusterBlocks:
    """Sum cross-products within clusters.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (k, n)
    clusters : shape (n,), codes 0 to n_clusters - 1
    weights : shape (n,)
    """
    k = len(regressors)
    order = None if (np.diff(clusters) >= 0).all() else np.argsort(clusters, kind="stable")
    rows = np.concatenate((regressors, outcome[None, :]))
    if order is not None:
        rows, clusters = rows[:, order], clusters[order]
        weights = None if weights is None else weights[order]
    sizes = np.bincount(clusters, minlength=n_clusters)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    product = np.empty((n_clusters, k + 1, k + 1))
    weighted = rows if weights is None else rows * weights
    if (sizes == sizes[0]).all():
        shape = (k + 1, n_clusters, int(sizes[0]))
        left = weighted.reshape(shape).transpose(1, 0, 2)
        np.matmul(left, rows.reshape(shape).transpose(1, 2, 0), out=product)
    else:
        for g in range(n_clusters):
            part = slice(starts[g], starts[g + 1])
            np.matmul(weighted[:, part], rows[:, part].T, out=product[g])
    return ClusterBlocks(product[:, :k, :k], product[:, :k, k], product[:, k, k])


def weighted_adjustment(
    regressors: Floats,
    residuals: Floats,
    weights: Floats,
    clusters: Integers,
    bread: Floats,
    contrasts: Floats,
    bases: Floats,
    units: Integers,
) -> tuple[Floats, WorkingModel]:
    """Adjust scores so that CR2 is unbiased under equal variances although rows are weighted.

    Parameters
    ----------
    regressors : shape (k, n), with effects nested in clusters swept out
    residuals, weights, clusters, units : shape (n,)
    bread : shape (k, k)
    contrasts : shape (A, k)
    bases : shape (q, n), of the swept effects, orthonormal in the weights; q may be 0

    Returns
    -------
    scores : shape (G, k)
    model : how the contrasts' contributions covary when errors have equal variances

    Source
    ------
    Pustejovsky and Tipton (2018), Journal of Business and Economic Statistics 36(4), eq. (4)
    to (7), with the target covariance the identity (the default of R clubSandwich).
    """
    n_clusters, k = int(clusters.max()) + 1, len(regressors)
    middle = bread @ ((regressors * weights**2) @ regressors.T) @ bread
    scores = np.zeros((n_clusters, k))
    own = np.zeros((n_clusters, len(contrasts), len(contrasts)))
    left, right = np.zeros((2, n_clusters, len(contrasts), k))
    order = np.argsort(clusters, kind="stable")
    for g, rows in enumerate(np.split(order, np.cumsum(np.bincount(clusters))[:-1])):
        x, w = regressors[:, rows].T, weights[rows]
        together = units[rows][:, None] == units[rows][None, :]
        annihilator = np.eye(len(rows)) - sum(
            (np.outer(basis, basis * w) * together for basis in bases[:, rows]),
            start=np.zeros((len(rows), len(rows))),
        )
        crossed = annihilator @ (w[:, None] * x) @ bread @ x.T
        variance = annihilator @ annihilator.T - crossed - crossed.T + x @ middle @ x.T
        values, vectors = np.linalg.eigh(variance)
        live = values > FULL_LEVERAGE
        root = (vectors[:, live] / np.sqrt(values[live])) @ vectors[:, live].T
        adjusted = root @ (w[:, None] * x)
        scores[g] = adjusted.T @ residuals[rows]
        direction = adjusted @ bread @ contrasts.T
        within = annihilator.T @ direction
        own[g] = within.T @ within
        left[g] = (w[:, None] * within).T @ x
        right[g] = direction.T @ x
    reach = (right @ bread, left @ bread, -right @ middle)
    model = WorkingModel(
        own, np.concatenate((left, right, right), axis=2), np.concatenate(reach, axis=2)
    )
    return scores, model
