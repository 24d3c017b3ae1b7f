"""Any number of further effects, and slopes of theirs, through a sparse incidence matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.groups import Groups
from impact.kernels.level_systems import DENSE_SYSTEM, RANK_CUT, Factor, components, factorise
from impact.kernels.unit_block import UnitBlock, unit_block

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

    ``incidence`` is sparse of shape (n, R) with a one for each row and effect, and the values of
    slopes; ``factor`` is None when R is too large for a dense system, which is then solved by
    conjugate gradients with the system's ``diagonal`` as preconditioner.
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
        scale = float((self._sizes.T @ np.abs(self._weighted(column))).max()) or 1.0
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
        return np.asarray(self.incidence.T @ self._weighted(column))

    def _weighted(self, column: Floats) -> Floats:
        return column if self.weights is None else column * self.weights

    @cached_property
    def _sizes(self) -> Any:
        return self.incidence if self.incidence.data.min() >= 0 else abs(self.incidence)

    def _solve(self, right: Floats) -> Floats:
        if self.factor is not None:
            return self.factor.solve(right)
        return _conjugate_gradient(
            lambda effect: self._margins(self.block.sweep(self.incidence @ effect)),
            right,
            self.diagonal,
        )


def sparse_levels(
    block: UnitBlock,
    groups: Sequence[Groups],
    weights: Floats | None,
    plain: bool,
    slopes: Sequence[tuple[Groups, Floats]] = (),
) -> SparseLevels:
    """Stack the levels of the other effects and build their Schur complement.

    Parameters
    ----------
    block : the effect eliminated first
    groups : the other effects
    plain : whether ``block`` has no slopes
    slopes : partitions with variables, (q, n), whose slope differs between their groups

    Raises
    ------
    EstimationError : slopes beside more than 3,000 levels
    """
    from scipy.sparse import csr_array

    n = len(block.units.codes)
    parts = [(group, np.ones(n)) for group in groups]
    parts += [part for group, variables in slopes for part in _bases(group, variables, weights)]
    offsets = np.concatenate(([0], np.cumsum([group.size for group, _ in parts])))
    columns = np.stack([g.codes + o for (g, _), o in zip(parts, offsets, strict=False)], axis=1)
    values = np.stack([own for _, own in parts], axis=1)
    rows = np.arange(0, columns.size + 1, len(parts))
    size = int(offsets[-1])
    incidence = csr_array((values.ravel(), columns.ravel(), rows), shape=(n, size))
    weight = np.ones(n) if weights is None else weights
    squares = incidence if not slopes else incidence * incidence
    margins = np.asarray(squares.T @ weight)
    by_unit = [
        csr_array((row, (block.units.codes, np.arange(n))), shape=(block.units.size, n)) @ incidence
        for row in block.weighted
    ]
    alone = len(parts) == len(groups) == 1 and plain
    known = size - 1 - int(components(block.units, groups[0]).max()) if alone else None
    if size > DENSE_SYSTEM and slopes:
        raise EstimationError(
            f"slopes of several effects are solved for up to {DENSE_SYSTEM:,} levels and slopes "
            f"beside those of the largest effect; here are {size:,}. Leave some out, or give "
            "slopes to one effect only."
        )
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


def _bases(group: Groups, variables: Floats, weights: Floats | None) -> list[tuple[Groups, Floats]]:
    """Return variables centred and apart within groups, as large there as the intercepts."""
    own = unit_block(group, weights, variables)
    scale = group.spread(np.sqrt(own.sizes))
    return [(group, basis * scale) for basis in own.slopes]


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
