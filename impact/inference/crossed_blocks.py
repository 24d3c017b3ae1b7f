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
    """Return the blocks of a fit with a dummy for each level of crossing effects.

    With x and e swept of all effects, D the dummies and W the weights, the blocks of cluster g are

        x_g'W x_g,  x_g'W D_g,  D_g'W D_g - sum_i m_i m_i' / n_i,  x_g'W e_g,  D_g'W e_g

    where m_i is unit i's weight by level and n_i all of it, for units i that lie in g and were
    swept out. Without weights they count rows.

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
    weights = fit.weights
    own = _own_blocks(fit, clusters)
    k, sizes = len(fit.kept), [effect.size for effect in crossing]
    width = k + sum(sizes)
    gram, cross = np.zeros((clusters.size, width, width)), np.zeros((clusters.size, width))
    gram[:, :k, :k], cross[:, :k] = own.gram, own.cross
    for effect, stop in zip(crossing, np.cumsum([k, *sizes])[1:], strict=True):
        levels = slice(stop - effect.size, stop)
        cells = clusters.codes * effect.size + effect.codes
        for j, column in enumerate(fit.regressors):
            gram[:, j, levels] = _by_cell(cells, _weigh(column, weights), clusters, effect)
            gram[:, levels, j] = gram[:, j, levels]
        cross[:, levels] = _by_cell(cells, fit.weighted_residuals, clusters, effect)
    gram[:, k:, k:] = _level_products(nested, crossing, clusters, weights)
    kept = _kept_columns(gram.sum(axis=0), k, crossing, weights)
    gram, cross = gram[:, kept[:, None], kept], cross[:, kept]
    explained = gram[:, :, :k] @ fit.coefficients
    total = own.total + (2 * cross[:, :k] + explained[:, :k]) @ fit.coefficients
    return ClusterBlocks(gram, cross + explained, total)


def _weigh(values: Floats, weights: Floats | None) -> Floats:
    return values if weights is None else values * weights


def _mass(codes: Integers, size: int, weights: Floats | None) -> Floats:
    """Sum weights by code, or count rows, shape (size,)."""
    return np.asarray(np.bincount(codes, weights, size), np.float64)


def _own_blocks(fit: LeastSquares, clusters: Groups) -> ClusterBlocks:
    """Sum products of regressors and residuals by cluster, the residuals as outcome."""
    x, e, weights = fit.regressors, fit.weighted_residuals, fit.weights
    k, size = len(x), clusters.size
    if k > FEW:
        return cluster_blocks(fit.residuals, x, clusters.codes, size, weights)
    gram, cross = np.empty((size, k, k)), np.empty((size, k))
    for i in range(k):
        weighted = _weigh(x[i], weights)
        cross[:, i] = clusters.total(x[i] * e)
        for j in range(i + 1):
            gram[:, i, j] = gram[:, j, i] = clusters.total(weighted * x[j])
    return ClusterBlocks(gram, cross, clusters.total(fit.residuals * e))


def _by_cell(cells: Integers, values: Floats, clusters: Groups, effect: Groups) -> Floats:
    return _mass(cells, clusters.size * effect.size, values).reshape(clusters.size, effect.size)


def _kept_columns(
    gram: Floats, k: int, crossing: Sequence[Groups], weights: Floats | None
) -> Integers:
    """Return positions of the columns left when redundant levels are dropped."""
    before = [_mass(effect.codes, effect.size, weights) for effect in crossing]
    dropped = {r.column for r in find_redundant(gram, np.concatenate((np.zeros(k), *before)))}
    return np.array([j for j in range(len(gram)) if j not in dropped], dtype=np.int64)


def _level_products(
    nested: Groups | None, crossing: Sequence[Groups], clusters: Groups, weights: Floats | None
) -> Floats:
    """Return products of the dummies, swept of units, by cluster, shape (G, L, L)."""
    starts = np.cumsum([0, *(effect.size for effect in crossing)])
    products = np.zeros((clusters.size, starts[-1], starts[-1]))
    for a, one in enumerate(crossing):
        left = clusters.codes * one.size + one.codes
        rows = slice(starts[a], starts[a + 1])
        mass = _mass(left, clusters.size * one.size, weights)
        levels = np.arange(starts[a], starts[a + 1])
        products[:, levels, levels] = mass.reshape(clusters.size, one.size)
        for b in range(a):
            other = crossing[b]
            pairs = _mass(left * other.size + other.codes, len(mass) * other.size, weights).reshape(
                clusters.size, one.size, other.size
            )
            columns = slice(starts[b], starts[b + 1])
            products[:, rows, columns] = pairs
            products[:, columns, rows] = pairs.transpose(0, 2, 1)
    if nested is not None and len(crossing):
        _take_out_units(products, nested, crossing, clusters, weights)
    return products


def _take_out_units(
    products: Floats,
    nested: Groups,
    crossing: Sequence[Groups],
    clusters: Groups,
    weights: Floats | None,
) -> None:
    """Subtract sum_i m_i m_i' / n_i over the units of each cluster, in place."""
    total = _mass(clusters.codes, clusters.size, weights)[:, None, None]
    if nested.size == clusters.size:
        levels = np.diagonal(products, axis1=1, axis2=2).copy()
        products -= levels[:, :, None] * levels[:, None, :] / total
        return
    if _is_complete(nested, crossing) and _is_fixed(nested, weights):
        products -= total / crossing[0].size ** 2
        return
    shifts = np.cumsum([0, *(effect.size for effect in crossing[:-1])])
    levels = np.stack([e.codes + s for e, s in zip(crossing, shifts, strict=True)])
    order = np.argsort(clusters.codes, kind="stable")
    for g, rows in enumerate(np.split(order, np.cumsum(clusters.counts)[:-1])):
        present, columns = np.unique(levels[:, rows], return_inverse=True)
        names, units = np.unique(nested.codes[rows], return_inverse=True)
        own = None if weights is None else weights[rows]
        cells = (units * len(present) + columns.reshape(len(crossing), -1)).ravel()
        repeated = None if own is None else np.tile(own, len(crossing))
        mass = _mass(cells, len(names) * len(present), repeated).reshape(len(names), -1)
        by_unit = _mass(units, len(names), own)
        products[g][np.ix_(present, present)] -= (mass / by_unit[:, None]).T @ mass


def _is_fixed(nested: Groups, weights: Floats | None) -> bool:
    """Tell whether weights do not vary within units."""
    if weights is None:
        return True
    first = np.empty(nested.size)
    first[nested.codes] = weights
    return bool(np.array_equal(first[nested.codes], weights))


def _is_complete(nested: Groups, crossing: Sequence[Groups]) -> bool:
    """Tell whether every unit is observed once at every level of the only crossing effect."""
    levels = crossing[0]
    if len(crossing) > 1 or len(levels.codes) != nested.size * levels.size:
        return False
    seen = np.zeros(len(levels.codes), dtype=np.bool_)
    seen[nested.codes * levels.size + levels.codes] = True
    return bool(seen.all())
