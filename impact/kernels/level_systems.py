"""Small systems of levels: which are linked, how many are free, and their solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.kernels.groups import Groups

__all__ = [
    "DENSE_SYSTEM",
    "RANK_CUT",
    "Factor",
    "any_level",
    "components",
    "count_components",
    "factorise",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DENSE_SYSTEM = 3_000
"""Most levels beside the largest effect that are solved by a dense factorisation."""

WEAK = 1e-7
"""Ratio of smallest to largest pivot below which a solution is refined by a second sweep."""

RANK_CUT = 1e-13
"""Pivot, relative to size times the largest weight margin, below which a level is redundant."""


@dataclass(frozen=True, eq=False)
class Factor:
    """A pivoted Cholesky factor of a positive semi-definite system and its basic solution."""

    cholesky: Floats
    pivots: Integers
    size: int
    rank: int

    @property
    def is_weak(self) -> bool:
        """Whether the system is so ill-conditioned that a solution wants refinement."""
        diagonal = np.diag(self.cholesky)[: self.rank]
        return bool(self.rank and diagonal.min() ** 2 < WEAK * diagonal.max() ** 2)

    def solve(self, right: Floats) -> Floats:
        """Solve with zeros for the levels outside the basis: (size,) or (size, m)."""
        solution = np.zeros_like(right)
        if self.rank:
            basis = self.pivots[: self.rank]
            lower = self.cholesky[: self.rank, : self.rank]
            solution[basis] = scipy.linalg.cho_solve((lower, True), right[basis])
        return solution


def factorise(system: Floats, scale: float, rank: int | None = None) -> Factor:
    """Factorise with complete pivoting; the rank is found at this scale unless it is known."""
    size = len(system)
    threshold = RANK_CUT * size * scale if rank is None else 0.0
    factor, pivots, found, _ = scipy.linalg.lapack.dpstrf(system, lower=1, tol=threshold)
    known = int(found) if rank is None else min(int(found), rank)
    return Factor(np.tril(factor), pivots.astype(np.int64) - 1, size, known)


def any_level(units: Groups, levels: Groups) -> Integers:
    """Name one level at which each unit is observed, shape (units,)."""
    anchor = np.empty(units.size, dtype=np.int64)
    anchor[units.codes] = levels.codes
    return anchor


def components(units: Groups, levels: Groups) -> Integers:
    """Number the connected components of the levels, linked by units, shape (levels,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    anchor = units.spread(any_level(units, levels))
    size = levels.size
    if size <= DENSE_SYSTEM:
        linked = np.zeros((size, size), dtype=np.bool_)
        linked[anchor, levels.codes] = True
        edges = np.nonzero(linked)
    else:
        edges = (anchor, levels.codes)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def count_components(system: Floats) -> int:
    """Count the components of levels linked by units: a Schur complement is zero between them."""
    if system.all():
        return 1
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(csr_array(system), directed=False)[0])
