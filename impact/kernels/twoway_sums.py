"""Two-way fixed effects from sums: units' means by presence, deviations from them, period sums.

Unit effects are swept out within units; period effects then solve the T x T system
S = D_T - M' D_N^{-1} M, whose entries depend only on which periods units are observed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError
from impact.kernels.blocks import ClusterBlocks
from impact.kernels.cell_regression import solve_normal
from impact.kernels.least_squares import LeastSquares, find_redundant

__all__ = ["PeriodEffects", "SummedFit", "fit_sums", "sum_blocks", "sweep_periods"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

EXPLAINED = 1e-10
"""Share of a column's variation within units left by period effects at which it has none."""


@dataclass(frozen=True, eq=False)
class PeriodEffects:
    """m columns swept of unit and period effects.

    Attributes
    ----------
    gram : array, shape (m, m), cross-products after sweeping
    shifts : array, shape (T, m), period effects of each column
    rank : independent period effects beside those of units
    """

    gram: Floats
    shifts: Floats
    rank: int


def period_system(presence: Booleans, mass: Floats) -> Floats:
    """Return S, shape (T, T), from who is observed when (P, T) and the units' weights (P,)."""
    seen = presence.astype(np.float64)
    per_row = mass / np.maximum(seen.sum(axis=1), 1.0)
    return np.asarray(np.diag(mass @ seen) - (seen * per_row[:, None]).T @ seen)


def sweep_periods(
    presence: Booleans, mass: Floats, means: Floats, cross: Floats, sums: Floats
) -> PeriodEffects:
    """Sweep period effects out of columns known by their sums.

    Parameters
    ----------
    presence : shape (P, T), periods in which units of each kind are observed
    mass : shape (P,), their weights
    means : shape (P, m), sums over units of weight times the unit's mean
    cross : shape (m, m), sum over rows of products of deviations from unit means
    sums : shape (T, m), sums over rows by period

    Source
    ------
    The two-way within transform for unbalanced panels: Wansbeek and Kapteyn (1989), Journal of
    Econometrics 41(3), section 3.
    """
    system = period_system(presence, mass)
    right = sums - presence.T.astype(np.float64) @ means
    solved = solve_normal(system, right[:, 0])
    shifts = solved.inverse @ right
    shifts += solved.inverse @ (right - system @ shifts)
    gram = cross - right.T @ shifts
    return PeriodEffects((gram + gram.T) / 2, shifts, solved.rank)


@dataclass(frozen=True, eq=False)
class SummedFit(LeastSquares):
    """A least-squares fit whose rows were never in memory; ``weights`` is empty if there are any.

    Parameters
    ----------
    scores : shape (G, k), sums of regressor times residual by cluster; None if not kept
    meat : shape (k, k), sum over clusters of products of their scores
    squares : weighted sum of squared residuals
    rows : number of rows
    """

    scores: Floats | None = field(kw_only=True)
    meat: Floats = field(kw_only=True)
    squares: float = field(kw_only=True)
    rows: int = field(kw_only=True)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.rows

    @property
    def rss(self) -> float:
        """Weighted sum of squared residuals."""
        return self.squares

    def row_scores(self) -> NoReturn:
        """Refuse: only sums by cluster are known."""
        raise InferenceError(
            "covariances by row (HC0 to HC3, Driscoll-Kraay, Newey-West, Conley) need rows in "
            "memory, and this regression was fitted where its table lies. Use CR1, or draw units "
            "with design.collect(share=...)."
        )


def fit_sums(swept: PeriodEffects, before: Floats, n_units: int, n_rows: int) -> SummedFit:
    """Regress the first swept column on the others.

    Parameters
    ----------
    before : shape (k,), sums of squares of the regressors, zero for those that units explain,
        before period effects were swept out
    """
    gram, cross = swept.gram[1:, 1:].copy(), swept.gram[1:, 0]
    explained = np.diagonal(gram) <= EXPLAINED * before
    gram[explained, :] = gram[:, explained] = 0.0
    redundant = find_redundant(gram, before)
    dropped = {r.column for r in redundant}
    kept = np.array([j for j in range(len(gram)) if j not in dropped], dtype=np.int64)
    own = gram[np.ix_(kept, kept)]
    scale = np.sqrt(np.diagonal(own))
    bread = np.linalg.inv(own / np.outer(scale, scale)) / np.outer(scale, scale)
    k = len(kept)
    return SummedFit(
        kept=kept,
        coefficients=bread @ cross[kept],
        bread=bread,
        regressors=np.zeros((k, 0)),
        residuals=np.zeros(0),
        outcome_variation=float(swept.gram[0, 0]),
        weights=None,
        n_effects=n_units + swept.rank,
        redundant=redundant,
        leverage_of_effects=None,
        scores=None,
        meat=np.zeros((k, k)),
        squares=np.nan,
        rows=n_rows,
    )


def sum_blocks(
    presence: Booleans,
    mass: Floats,
    means: Floats,
    cross: Floats,
    clusters: Integers,
    sums: Floats,
    squares: Floats,
) -> ClusterBlocks:
    """Return the blocks by cluster of a regression with period indicators as columns.

    Parameters
    ----------
    presence, mass, means : shapes (P, T), (P,), (P, m), as in `sweep_periods`, by cluster
    cross : shape (P, m, m)
    clusters : shape (P,), the cluster of each row
    sums : shape (G, T, m), by cluster and period; the outcome is the first column
    squares : shape (m,), sums of squares of the columns as they are
    """
    n_clusters, n_periods, m = sums.shape
    product = np.zeros((n_clusters, m + n_periods, m + n_periods))
    np.add.at(product[:, :m, :m], clusters, cross)
    spread = np.zeros_like(sums)
    np.add.at(spread, clusters, presence[:, :, None] * means[:, None, :])
    product[:, m:, :m] = sums - spread
    product[:, :m, m:] = np.swapaxes(product[:, m:, :m], 1, 2)
    for g in range(n_clusters):
        own = clusters == g
        product[g, m:, m:] = period_system(presence[own], mass[own])
    gram = product[:, 1:, 1:].sum(axis=0)
    before = np.concatenate((squares[1:], mass @ presence))
    dropped = {r.column for r in find_redundant(gram, before)}
    kept = 1 + np.array([j for j in range(len(gram)) if j not in dropped], dtype=np.int64)
    blocks = product[:, kept[:, None], kept[None, :]]
    return ClusterBlocks(blocks, product[:, kept, 0], product[:, 0, 0])
