"""Cluster blocks with crossing effects written out, from sums over cells of clusters and levels.

The regressors and residuals of a fit are free of all effects already. In place of the columns as
they came these span the same regression, so that only their sums over the cells of cluster and
level are taken from the rows, and the dummies themselves, one number a row and level, are never
made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from impact.kernels.blocks import ClusterBlocks, cluster_blocks
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares, find_redundant

__all__ = ["crossed_blocks"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEW = 3
"""Regressors up to which products are summed pair by pair instead of sorting the rows."""


def crossed_blocks(
    fit: LeastSquares, nested: Groups | None, crossing: Sequence[Groups], clusters: Groups
) -> ClusterBlocks:
    """Return the blocks of an unweighted fit with a dummy for each level of crossing effects.

    With x and e swept of all effects and D the dummies, the blocks of cluster g are

        x_g'x_g,  x_g'D_g,  D_g'D_g - sum_i m_i m_i' / n_i,  x_g'e_g,  D_g'e_g

    where m_i counts unit i's n_i rows by level, for units i that lie in g and were swept out.

    Parameters
    ----------
    fit : of k regressors, free of all effects
    nested : units swept out, each within one cluster; None if there are none
    crossing : the other effects
    clusters : partition that is clustered on

    Returns
    -------
    ClusterBlocks : the fit's k columns first, then the levels that are not redundant
    """
    own = _own_blocks(fit, clusters)
    k, sizes = len(fit.kept), [effect.size for effect in crossing]
    width = k + sum(sizes)
    gram, cross = np.zeros((clusters.size, width, width)), np.zeros((clusters.size, width))
    gram[:, :k, :k], cross[:, :k] = own.gram, own.cross
    for effect, stop in zip(crossing, np.cumsum([k, *sizes])[1:], strict=True):
        levels = slice(stop - effect.size, stop)
        cells = clusters.codes * effect.size + effect.codes
        for j, column in enumerate(fit.regressors):
            gram[:, j, levels] = _by_cell(cells, column, clusters, effect)
            gram[:, levels, j] = gram[:, j, levels]
        cross[:, levels] = _by_cell(cells, fit.residuals, clusters, effect)
    gram[:, k:, k:] = _level_products(nested, crossing, clusters)
    kept = _kept_columns(gram.sum(axis=0), k, crossing)
    gram, cross = gram[:, kept[:, None], kept], cross[:, kept]
    explained = gram[:, :, :k] @ fit.coefficients
    total = own.total + (2 * cross[:, :k] + explained[:, :k]) @ fit.coefficients
    return ClusterBlocks(gram, cross + explained, total)


def _own_blocks(fit: LeastSquares, clusters: Groups) -> ClusterBlocks:
    """Sum products of regressors and residuals by cluster, the residuals as outcome."""
    x, e = fit.regressors, fit.residuals
    k, size = len(x), clusters.size
    if k > FEW:
        return cluster_blocks(e, x, clusters.codes, size)
    gram, cross = np.empty((size, k, k)), np.empty((size, k))
    for i in range(k):
        cross[:, i] = clusters.total(x[i] * e)
        for j in range(i + 1):
            gram[:, i, j] = gram[:, j, i] = clusters.total(x[i] * x[j])
    return ClusterBlocks(gram, cross, clusters.total(e * e))


def _by_cell(cells: Integers, values: Floats, clusters: Groups, effect: Groups) -> Floats:
    shape = (clusters.size, effect.size)
    return np.asarray(np.bincount(cells, values, shape[0] * shape[1]), np.float64).reshape(shape)


def _kept_columns(gram: Floats, k: int, crossing: Sequence[Groups]) -> Integers:
    """Return positions of the columns left when redundant levels are dropped."""
    counts = [effect.counts.astype(np.float64) for effect in crossing]
    dropped = {r.column for r in find_redundant(gram, np.concatenate((np.zeros(k), *counts)))}
    return np.array([j for j in range(len(gram)) if j not in dropped], dtype=np.int64)


def _level_products(nested: Groups | None, crossing: Sequence[Groups], clusters: Groups) -> Floats:
    """Return products of the dummies, swept of units, by cluster, shape (G, L, L)."""
    starts = np.cumsum([0, *(effect.size for effect in crossing)])
    products = np.zeros((clusters.size, starts[-1], starts[-1]))
    for a, one in enumerate(crossing):
        left = clusters.codes * one.size + one.codes
        rows = slice(starts[a], starts[a + 1])
        counts = np.bincount(left, minlength=clusters.size * one.size)
        levels = np.arange(starts[a], starts[a + 1])
        products[:, levels, levels] = counts.reshape(clusters.size, one.size)
        for b in range(a):
            other = crossing[b]
            pairs = np.bincount(
                left * other.size + other.codes, minlength=len(counts) * other.size
            ).reshape(clusters.size, one.size, other.size)
            columns = slice(starts[b], starts[b + 1])
            products[:, rows, columns] = pairs
            products[:, columns, rows] = pairs.transpose(0, 2, 1)
    if nested is not None and len(crossing):
        _take_out_units(products, nested, crossing, clusters)
    return products


def _take_out_units(
    products: Floats, nested: Groups, crossing: Sequence[Groups], clusters: Groups
) -> None:
    """Subtract sum_i m_i m_i' / n_i over the units of each cluster, in place."""
    if nested.size == clusters.size:
        counts = np.diagonal(products, axis1=1, axis2=2).copy()
        products -= counts[:, :, None] * counts[:, None, :] / clusters.counts[:, None, None]
        return
    if _is_complete(nested, crossing):
        products -= clusters.counts[:, None, None] / crossing[0].size ** 2
        return
    shifts = np.cumsum([0, *(effect.size for effect in crossing[:-1])])
    levels = np.stack([e.codes + s for e, s in zip(crossing, shifts, strict=True)])
    order = np.argsort(clusters.codes, kind="stable")
    for g, rows in enumerate(np.split(order, np.cumsum(clusters.counts)[:-1])):
        present, columns = np.unique(levels[:, rows], return_inverse=True)
        _, units, sizes = np.unique(nested.codes[rows], return_inverse=True, return_counts=True)
        cells = (units * len(present) + columns.reshape(len(crossing), -1)).ravel()
        shape = (len(sizes), len(present))
        mass: Floats = np.bincount(cells, minlength=shape[0] * shape[1]).astype(np.float64)
        mass = mass.reshape(shape)
        products[g][np.ix_(present, present)] -= (mass / sizes[:, None]).T @ mass


def _is_complete(nested: Groups, crossing: Sequence[Groups]) -> bool:
    """Tell whether every unit is observed once at every level of the only crossing effect."""
    levels = crossing[0]
    if len(crossing) > 1 or len(levels.codes) != nested.size * levels.size:
        return False
    seen = np.zeros(len(levels.codes), dtype=np.bool_)
    seen[nested.codes * levels.size + levels.codes] = True
    return bool(seen.all())
