"""Any number of further effects through a sparse incidence matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.groups import Groups
from impact.kernels.level_systems import DENSE_SYSTEM, RANK_CUT, Factor, components, factorise
from impact.kernels.unit_block import UnitBlock

__all__ = ["SparseLevels", "sparse_levels"]

Floats = NDArray[np.float64]

SWEEPS = 8
"""Most sweeps of the sparse route; one does unless the system is ill-conditioned."""

SETTLED = 1e-14
"""What effects may still explain, relative to the column's own margins, to count as settled."""

UNSETTLED = 1e-11
"""What effects may still explain at most when sweeps run out."""

CG_GAIN = 1e-24
"""Squared gain asked of one run of conjugate gradients; sweeps repeat it where needed."""


@dataclass(frozen=True, eq=False)
class SparseLevels:
    """Any number of further effects through a sparse incidence matrix.

    ``incidence`` is sparse of shape (n, R) with a one for each row and effect; ``factor`` is None
    when R is too large for a dense system, which is then solved by conjugate gradients with
    the system's ``diagonal`` as preconditioner.
    """

    block: UnitBlock
    incidence: Any
    weights: Floats | None
    diagonal: Floats
    factor: Factor | None
    rank: int

    def room(self) -> Floats:
        """Make no working space; none is needed."""
        return np.empty(0)

    def sweep_into(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Write what units and levels leave of a column, shape (n,), into ``swept``."""
        swept[:] = self.sweep(column)

    def sweep(self, column: Floats) -> Floats:
        """Take units and levels off a column, shape (n,)."""
        return self.settle(column)[0]

    def settle(self, column: Floats) -> tuple[Floats, Floats]:
        """Return what units and levels leave of a column, (n,), and a solution of levels, (R,)."""
        left, effect = self.block.sweep(column), np.zeros(len(self.diagonal))
        scale = float(self._margins(np.abs(column)).max()) or 1.0
        for _ in range(SWEEPS):
            right = self._margins(left)
            unexplained = float(np.abs(right).max()) / scale
            if unexplained <= SETTLED:
                return left, effect
            step = self._solve(right)
            effect += step
            left = self.block.sweep(left - self.incidence @ step)
        unexplained = float(np.abs(self._margins(left)).max()) / scale
        if unexplained > UNSETTLED:
            raise EstimationError(
                f"the fixed effects do not settle: after {SWEEPS} sweeps they still explain "
                f"{unexplained:.1e} of a column. Some of the {len(self.diagonal):,} levels are "
                "linked to the rest by very few rows; merge small levels, or drop an effect."
            )
        return left, effect

    def leverage(self) -> Floats:
        """Return the part of the leverage that levels add to the unit block's, shape (n,)."""
        if self.factor is None:
            raise EstimationError(
                f"leverages are not computed with {len(self.diagonal):,} levels beside the largest "
                f"effect; at most {DENSE_SYSTEM:,} are. Use clustered standard errors instead."
            )
        swept = np.stack([self.block.sweep(row) for row in self.incidence.toarray().T])
        own: Floats = np.einsum("rn,rn->n", swept, self.factor.solve(swept))
        return own if self.weights is None else own * self.weights

    def _margins(self, column: Floats) -> Floats:
        """Sum a column, times weights, over each level, shape (R,)."""
        weighted = column if self.weights is None else column * self.weights
        return np.asarray(self.incidence.T @ weighted)

    def _solve(self, right: Floats) -> Floats:
        if self.factor is not None:
            return self.factor.solve(right)
        return _conjugate_gradient(
            lambda effect: self._margins(self.block.sweep(self.incidence @ effect)),
            right,
            self.diagonal,
        )


def sparse_levels(
    block: UnitBlock, groups: Sequence[Groups], weights: Floats | None, plain: bool
) -> SparseLevels:
    """Stack the levels of the other effects and build their Schur complement."""
    from scipy.sparse import csr_array

    n = len(block.units.codes)
    offsets = np.concatenate(([0], np.cumsum([group.size for group in groups])))
    columns = np.stack([g.codes + o for g, o in zip(groups, offsets, strict=False)], axis=1)
    rows = np.arange(0, columns.size + 1, len(groups))
    size = int(offsets[-1])
    incidence = csr_array((np.ones(columns.size), columns.ravel(), rows), shape=(n, size))
    weight = np.ones(n) if weights is None else weights
    margins = np.asarray(incidence.T @ weight)
    by_unit = [
        csr_array((row, (block.units.codes, np.arange(n))), shape=(block.units.size, n)) @ incidence
        for row in block.weighted
    ]
    alone = len(groups) == 1 and plain
    known = size - 1 - int(components(block.units, groups[0]).max()) if alone else None
    if size > DENSE_SYSTEM:
        diagonal = margins - sum(np.asarray((m * m).sum(axis=0)).ravel() for m in by_unit)
        diagonal = np.where(diagonal > RANK_CUT * margins, diagonal, margins)
        rank = known if known is not None else size - len(groups)
        return SparseLevels(block, incidence, weights, diagonal, None, rank)
    weighted_incidence = incidence * weight[:, None]
    system = (incidence.T @ weighted_incidence).toarray()
    for crossing in by_unit:
        system -= (crossing.T @ crossing).toarray()
    factor = factorise(system, float(margins.max()), known)
    return SparseLevels(block, incidence, weights, np.diag(system), factor, factor.rank)


def _conjugate_gradient(
    times: Callable[[Floats], Floats], right: Floats, diagonal: Floats
) -> Floats:
    """Solve a consistent semi-definite system to the last digits, whatever its scale."""
    solution = np.zeros_like(right)
    left = right.copy()
    scaled = left / diagonal
    direction = scaled
    product = float(left @ scaled)
    target = product * CG_GAIN
    for _ in range(10 * len(right)):
        if product <= target:
            break
        image = times(direction)
        curvature = float(direction @ image)
        if curvature <= 0:
            break
        step = product / curvature
        solution += step * direction
        left -= step * image
        scaled = left / diagonal
        previous, product = product, float(left @ scaled)
        direction = scaled + (product / previous) * direction
    return solution
