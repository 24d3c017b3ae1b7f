"""Regressions unit by unit, and whether their slopes are all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.kernels.absorb import Absorber
from impact.kernels.blocks import cluster_blocks
from impact.kernels.groups import Groups

__all__ = ["Homogeneity", "UnitSlopes", "unit_slopes"]

Floats = NDArray[np.float64]

SINGULAR = 1e-10
"""Smallest eigenvalue of a unit's correlations at which its slopes count as identified."""

CONSTANT = 1e-20
"""Share of a column's sum of squares left within a unit at which it counts as constant there."""


@dataclass(frozen=True, eq=False)
class UnitSlopes:
    """Slopes of each unit's own regression.

    Parameters
    ----------
    slopes : shape (N, k), NaN for units that do not identify all of them
    gram, cross, total : shapes (N, k, k), (N, k), (N,), of the swept rows of each unit
    freedom : shape (N,), rows less what was swept
    """

    slopes: Floats
    gram: Floats
    cross: Floats
    total: Floats
    freedom: Floats

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether each unit has slopes, shape (N,)."""
        return np.asarray(~np.isnan(self.slopes).any(axis=1))

    def homogeneity(self) -> Homogeneity:
        """Test that all units share one slope vector.

        Notes
        -----
        Each unit's squared distance from the weighted common slope, in units of its own error
        variance under equality, has mean k and variance 2k(r - k)/(r + 2) with r = T_i less what
        was swept; standardised distances are averaged over units with r > k + 1.

        Source
        ------
        Pesaran and Yamagata (2008), Journal of Econometrics 142(1), eq. (27) and (29).
        """
        k = self.slopes.shape[1]
        use = self.is_known & (self.freedom > k + 1)
        if use.sum() < 2:
            return Homogeneity(np.nan, int(use.sum()), np.nan)
        gram, cross, total, r = (
            part[use] for part in (self.gram, self.cross, self.total, self.freedom)
        )
        pooled = np.linalg.solve(gram.sum(axis=0), cross.sum(axis=0))
        left = total - 2 * cross @ pooled + np.einsum("k,nkl,l->n", pooled, gram, pooled)
        variance = left / r
        if not (variance > 1e-28 * np.maximum(total, 1e-300)).all():
            return Homogeneity(np.nan, int(use.sum()), np.nan)
        common = np.linalg.solve(
            np.einsum("nkl,n->kl", gram, 1 / variance), np.einsum("nk,n->k", cross, 1 / variance)
        )
        apart = self.slopes[use] - common
        distance = np.einsum("nk,nkl,nl->n", apart, gram, apart) / variance
        standard = (distance - k) / np.sqrt(2 * k * (r - k) / (r + 2))
        statistic = float(standard.sum() / np.sqrt(len(r)))
        return Homogeneity(statistic, int(use.sum()), float(2 * special.ndtr(-abs(statistic))))


@dataclass(frozen=True)
class Homogeneity:
    """Adjusted delta: standard normal if all units have the same slopes; n_units used."""

    statistic: float
    n_units: int
    p_value: float


def unit_slopes(
    outcome: Floats, regressors: Floats, units: Groups, absorber: Absorber
) -> UnitSlopes:
    """Regress unit by unit on columns after sweeping out what each unit has of its own.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (k, n)
    units : the groups
    absorber : of the units' intercepts and, perhaps, slopes
    """
    swept = absorber.sweep([outcome, *regressors])
    blocks = cluster_blocks(swept[0], swept[1:], units.codes, units.size)
    raw = units.total(regressors**2).T
    squares = np.einsum("nkk->nk", blocks.gram)
    varies = squares > CONSTANT * raw
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, squares, 1.0)), 0.0)
    correlation = blocks.gram * scale[:, :, None] * scale[:, None, :]
    own = np.einsum("qn,qn->n", absorber.block.bases, absorber.block.bases)
    freedom = units.counts - np.round(units.total(own))
    k = len(regressors)
    good = np.linalg.eigvalsh(correlation)[:, 0] > SINGULAR
    good &= freedom >= k
    slopes = np.full((units.size, k), np.nan)
    right = (blocks.cross[good] * scale[good])[:, :, None]
    slopes[good] = np.linalg.solve(correlation[good], right)[:, :, 0] * scale[good]
    return UnitSlopes(slopes, blocks.gram, blocks.cross, blocks.total, freedom)
