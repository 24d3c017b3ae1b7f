"""Sweep fixed effects out of columns exactly, whatever the gaps, weights and scale.

The largest effect (the units) is eliminated group by group. What the other effects still
explain solves one small system, the Schur complement of the unit block, which is factorised
once: no alternating iteration, no tolerance that depends on the unit of measurement.

Columns travel as rows of a (k, n) array, one variable a row, so that each is contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.parallel import for_each, get_threads
from impact.kernels.products import column_gram

__all__ = [
    "Absorber",
    "Groups",
    "UnitBlock",
    "absorb",
    "as_groups",
    "compact",
    "is_nested",
    "lone_rows",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

DENSE_SYSTEM = 3_000
"""Most levels beside the largest effect that are solved by a dense factorisation."""

DENSE_FILL = 4
"""A groups x levels layout is used when it has at most this many cells a row of data."""

NO_VARIATION = 1e-20
"""Squared norm, relative to what it was, at which a slope within a group counts as constant."""

WEAK = 1e-7
"""Ratio of smallest to largest pivot below which a solution is refined by a second sweep."""

RANK_CUT = 1e-13
"""Pivot, relative to size times the largest weight margin, below which a level is redundant."""

SWEEPS = 8
"""Most sweeps of the sparse route; one does unless the system is ill-conditioned."""

SETTLED = 1e-14
"""What effects may still explain, relative to the column's own margins, to count as settled."""

UNSETTLED = 1e-11
"""What effects may still explain at most when sweeps run out."""

CG_GAIN = 1e-24
"""Squared gain asked of one run of conjugate gradients; sweeps repeat it where needed."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of rows.

    Parameters
    ----------
    codes : shape (n,), the group of each row, 0 to size - 1, every group present
    size : number of groups
    """

    codes: Integers
    size: int

    @cached_property
    def starts(self) -> Integers | None:
        """First row of each group where rows come sorted by group, else None."""
        if (self.codes[1:] < self.codes[:-1]).any():
            return None
        return np.concatenate(([0], np.flatnonzero(self.codes[1:] > self.codes[:-1]) + 1))

    @cached_property
    def counts(self) -> Integers:
        """Number of rows of each group, shape (size,)."""
        if self.starts is not None:
            return np.diff(self.starts, append=len(self.codes))
        return np.bincount(self.codes, minlength=self.size).astype(np.int64, copy=False)

    def total(self, values: Floats) -> Floats:
        """Sum over each group: (..., n) to (..., size)."""
        if self.starts is not None:
            return np.asarray(np.add.reduceat(values, self.starts, axis=-1))
        if values.ndim == 1:
            return np.bincount(self.codes, weights=values, minlength=self.size).astype(np.float64)
        return np.stack([self.total(row) for row in values])

    def spread(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Give each row the value of its group: (..., size) to (..., n)."""
        if self.starts is not None:
            return np.repeat(values, self.counts, axis=-1)
        return np.take(values, self.codes, axis=-1)


def compact(codes: NDArray[Any]) -> Groups:
    """Number the levels of a column of codes or labels 0, 1, ... in sorted order."""
    if np.issubdtype(codes.dtype, np.integer) and len(codes):
        low, high = int(codes.min()), int(codes.max())
        if high - low <= 4 * len(codes) + 1_000:
            present = np.zeros(high - low + 1, dtype=np.bool_)
            present[codes - low] = True
            if low == 0 and present.all():
                return Groups(codes.astype(np.int64, copy=False), high + 1)
            return Groups((np.cumsum(present) - 1)[codes - low], int(present.sum()))
    levels, inverse = np.unique(codes, return_inverse=True)
    return Groups(inverse.reshape(codes.shape).astype(np.int64, copy=False), len(levels))


def as_groups(effect: NDArray[Any] | Groups) -> Groups:
    """Return groups as they are, and codes or labels numbered."""
    return effect if isinstance(effect, Groups) else compact(np.asarray(effect))


def is_nested(inner: Groups, outer: Groups) -> bool:
    """Tell whether each group of ``inner`` lies within one group of ``outer``."""
    if inner is outer:
        return True
    if outer.size > inner.size:
        return False
    sample = slice(0, 4_096)
    home = np.empty(inner.size, dtype=np.int64)
    home[inner.codes[sample]] = outer.codes[sample]
    if (home[inner.codes[sample]] != outer.codes[sample]).any():
        return False
    home[inner.codes] = outer.codes
    return bool((home[inner.codes] == outer.codes).all())


def lone_rows(effects: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Mark rows that some effect fits perfectly because they are alone at one of its levels.

    Rows are marked in rounds until every level left holds two rows or none.

    Parameters
    ----------
    effects : one array of codes an effect, each shape (n,)

    Returns
    -------
    array of bool, shape (n,) : True for singletons
    """
    lone = np.zeros(len(effects[0]), dtype=np.bool_)
    groups = [compact(codes) for codes in effects]
    while True:
        before = int(lone.sum())
        for group in groups:
            left = np.bincount(group.codes[~lone], minlength=group.size)
            lone |= left[group.codes] == 1
        if int(lone.sum()) == before:
            return lone


@dataclass(frozen=True, eq=False)
class UnitBlock:
    """The effect eliminated group by group: an intercept, perhaps slopes, a unit.

    Parameters
    ----------
    units : the groups
    sizes : shape (units.size,), rows, or sum of weights, of each unit
    slopes : shape (q, n), within each unit orthonormal in the weights and to the intercept, zero
        where a unit has no such direction
    weights : shape (n,), or None
    rank : number of parameters
    """

    units: Groups
    sizes: Floats
    slopes: Floats
    weights: Floats | None
    rank: int

    @cached_property
    def bases(self) -> Floats:
        """Orthonormal intercept and slopes, shape (1 + q, n)."""
        return np.concatenate((self.units.spread(1 / np.sqrt(self.sizes))[None, :], self.slopes))

    @cached_property
    def weighted(self) -> Floats:
        """Bases times weights, shape (1 + q, n)."""
        return self.bases if self.weights is None else self.bases * self.weights

    def room(self) -> Floats:
        """Make no working space; none is needed."""
        return np.empty(0)

    def sweep_into(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Write what units leave of a column, shape (n,), into ``swept``."""
        swept[:] = self.sweep(column)

    def sweep(self, column: Floats) -> Floats:
        """Take each unit's projection off a column, shape (n,)."""
        total = self.units.total(column if self.weights is None else column * self.weights)
        left = column - self.units.spread(total / self.sizes)
        for slope in self.slopes:
            product = slope * left if self.weights is None else slope * left * self.weights
            left -= slope * self.units.spread(self.units.total(product))
        return left


@dataclass(frozen=True, eq=False)
class Absorber:
    """Effects ready to be swept out of any number of columns; made by `absorb`.

    Parameters
    ----------
    block : the effect eliminated first
    levels : what the other effects still explain, or None with one effect
    others : the effects behind ``levels``
    """

    block: UnitBlock
    levels: _DenseLevels | _SparseLevels | None
    others: tuple[Groups, ...] = ()

    def reweight(self, weights: Floats) -> Absorber:
        """Return the same effects with other weights, shape (n,); slopes are not carried over."""
        block = _unit_block(self.block.units, weights, None)
        if isinstance(self.levels, _DenseLevels):
            dense = _dense_levels(self.levels.layout, block, weights, True)
            return Absorber(block, dense, self.others)
        if self.levels is None:
            return Absorber(block, None)
        return Absorber(block, _sparse_levels(block, self.others, weights, True), self.others)

    @property
    def rank(self) -> int:
        """Number of parameters that all effects together use up."""
        return self.block.rank + (self.levels.rank if self.levels is not None else 0)

    def sweep(self, values: Floats | Sequence[Floats]) -> Floats:
        """Return what the effects leave of each column.

        Parameters
        ----------
        values : shape (k, n), k columns of shape (n,), or one column

        Returns
        -------
        array of the same shape: residuals of the weighted projection on the effects

        Raises
        ------
        EstimationError : more than 3,000 levels beside the largest effect are linked so weakly
            that the iterative solution does not settle
        """
        columns = [values] if isinstance(values, np.ndarray) and values.ndim == 1 else values
        part = self.block if self.levels is None else self.levels
        n = len(self.block.units.codes)
        swept = np.empty((len(columns), n))
        rooms: SimpleQueue[Floats] = SimpleQueue()
        for _ in range(min(get_threads(), len(columns))):
            rooms.put(part.room())

        def sweep_one(j: int) -> None:
            room = rooms.get()
            part.sweep_into(columns[j], swept[j], room)
            rooms.put(room)

        for_each(sweep_one, range(len(columns)), n)
        return swept if columns is values else swept[0]

    def leverage(self) -> Floats:
        """Return the diagonal of the weighted projection on the effects, shape (n,)."""
        own: Floats = np.einsum("qn,qn->n", self.block.bases, self.block.weighted)
        return own if self.levels is None else own + self.levels.leverage()


def absorb(
    effects: Sequence[NDArray[Any] | Groups],
    weights: Floats | None = None,
    slopes: Floats | None = None,
) -> Absorber:
    r"""Prepare effects to be swept out exactly.

    Minimises
    :math:`\sum_r w_r (v_r - \alpha_{i(r)} - z_r'\gamma_{i(r)} - \lambda_{j(r)} - \dots)^2`.

    Parameters
    ----------
    effects : groups, or an array of codes or labels, of shape (n,), an effect
    weights : positive weights, shape (n,)
    slopes : shape (q, n), variables whose slope differs between the groups of the first effect

    Returns
    -------
    Absorber

    Notes
    -----
    An effect that is constant within the groups of another adds nothing and is left out: year
    effects beside province x year effects. The largest effect is eliminated by groups (the
    first one if it has slopes). Two effects are laid out as a dense groups x levels table,
    one block a connected component where that saves room, as long as no two rows share a cell
    and the table is not much larger than the data; otherwise the system is built from sparse
    incidence matrices.

    The rank is levels less connected components for two effects, numerical (pivoted Cholesky)
    beyond; with three or more effects and over 3,000 levels beside the largest it assumes one
    redundant level an effect, as fixest does.

    Source
    ------
    Frisch-Waugh-Lovell by blocks; Abowd, Creecy and Kramarz (2002), "Computing person and firm
    effects using linked longitudinal employer-employee data", for the rank by components.
    """
    groups = _without_nested([as_groups(effect) for effect in effects], slopes is not None)
    first = 0 if slopes is not None else int(np.argmax([group.size for group in groups]))
    units = groups.pop(first)
    block = _unit_block(units, weights, slopes)
    if not groups:
        return Absorber(block, None)
    layout = _layout(units, groups[0]) if len(groups) == 1 else None
    if layout is None or not layout.is_one_to_one:
        sparse = _sparse_levels(block, groups, weights, slopes is None)
        return Absorber(block, sparse, tuple(groups))
    dense = _dense_levels(layout, block, weights, slopes is None)
    return Absorber(block, dense, tuple(groups))


def _without_nested(groups: list[Groups], keep_first: bool) -> list[Groups]:
    """Drop effects that are constant within the groups of another one."""
    order = sorted(range(len(groups)), key=lambda j: (-groups[j].size, j))
    if keep_first:
        order.remove(0)
        order.insert(0, 0)
    kept: list[Groups] = []
    for j in order:
        if not any(is_nested(other, groups[j]) for other in kept):
            kept.append(groups[j])
    return kept


def _unit_block(units: Groups, weights: Floats | None, slopes: Floats | None) -> UnitBlock:
    """Orthonormalise slopes within each unit; count those that vary."""
    sizes = units.counts.astype(np.float64) if weights is None else units.total(weights)
    n = len(units.codes)
    block = UnitBlock(units, sizes, np.zeros((0, n)), weights, units.size)
    for variable in () if slopes is None else slopes:
        left = block.sweep(block.sweep(variable))
        norms, scale = (
            units.total(part * part if weights is None else part * part * weights)
            for part in (left, variable)
        )
        varies = norms > NO_VARIATION * scale
        inverse = np.where(varies, 1 / np.sqrt(np.where(varies, norms, 1.0)), 0.0)
        basis = (left * units.spread(inverse))[None, :]
        rank = block.rank + int(varies.sum())
        block = UnitBlock(units, sizes, np.concatenate((block.slopes, basis)), weights, rank)
    return block


@dataclass(frozen=True, eq=False)
class _Factor:
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


def _factorise(system: Floats, scale: float, rank: int | None = None) -> _Factor:
    """Factorise with complete pivoting; the rank is found at this scale unless it is known."""
    size = len(system)
    threshold = RANK_CUT * size * scale if rank is None else 0.0
    factor, pivots, found, _ = scipy.linalg.lapack.dpstrf(system, lower=1, tol=threshold)
    known = int(found) if rank is None else min(int(found), rank)
    return _Factor(np.tril(factor), pivots.astype(np.int64) - 1, size, known)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where each row stands in a groups x levels table made of blocks that share no level."""

    cells: Integers
    shape: tuple[int, int]
    blocks: list[tuple[slice, int]]

    @property
    def is_one_to_one(self) -> bool:
        """Whether no two rows share a cell."""
        if bool((self.cells[1:] > self.cells[:-1]).all()):
            return True
        return int(np.bincount(self.cells).max()) <= 1

    def table(self, rows: Floats | float) -> Floats:
        """Write row values, shape (n,), into a table with zeros where nothing is observed."""
        table = np.zeros(self.shape)
        table.ravel()[self.cells] = rows
        return table


def _layout(units: Groups, levels: Groups) -> _Layout | None:
    """Lay rows out as a dense table, by connected components if that saves room."""
    n = len(units.codes)
    if units.size * levels.size <= DENSE_FILL * n:
        cells = units.codes * levels.size + levels.codes
        whole = [(slice(0, units.size), levels.size)]
        return _Layout(cells, (units.size, levels.size), whole)
    block_of_level = _components(units, levels)
    n_blocks = int(block_of_level.max()) + 1
    widths = np.bincount(block_of_level)
    width = int(widths.max())
    if units.size * width > DENSE_FILL * n:
        return None
    by_block = np.argsort(block_of_level, kind="stable")
    local = np.empty(levels.size, dtype=np.int64)
    local[by_block] = np.arange(levels.size) - np.repeat(np.cumsum(widths) - widths, widths)
    block_of_unit = block_of_level[_any_level(units, levels)]
    position = np.empty(units.size, dtype=np.int64)
    position[np.argsort(block_of_unit, kind="stable")] = np.arange(units.size)
    ends = np.cumsum(np.bincount(block_of_unit, minlength=n_blocks))
    blocks = [
        (slice(int(end - count), int(end)), int(w))
        for end, count, w in zip(
            ends, np.bincount(block_of_unit, minlength=n_blocks), widths, strict=True
        )
    ]
    cells = position[units.codes] * width + local[levels.codes]
    return _Layout(cells, (units.size, width), blocks)


def _any_level(units: Groups, levels: Groups) -> Integers:
    """Name one level at which each unit is observed, shape (units,)."""
    anchor = np.empty(units.size, dtype=np.int64)
    anchor[units.codes] = levels.codes
    return anchor


def _components(units: Groups, levels: Groups) -> Integers:
    """Number the connected components of the levels, linked by units, shape (levels,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    anchor = units.spread(_any_level(units, levels))
    size = levels.size
    if size <= DENSE_SYSTEM:
        linked = np.zeros((size, size), dtype=np.bool_)
        linked[anchor, levels.codes] = True
        edges = np.nonzero(linked)
    else:
        edges = (anchor, levels.codes)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _DenseLevels:
    """The second effect in a dense groups x levels layout.

    ``weights`` (groups, width) is zero where nothing is observed, ``sizes`` (groups,) its row sums;
    ``slopes`` and ``weighted_slopes`` have shape (q, groups, width); ``factors`` is one a block.
    """

    layout: _Layout
    weights: Floats
    sizes: Floats
    slopes: Floats
    weighted_slopes: Floats
    factors: list[_Factor]
    is_weighted: bool

    @property
    def rank(self) -> int:
        """Number of parameters beyond the unit block."""
        return sum(factor.rank for factor in self.factors)

    def room(self) -> Floats:
        """Make working space for one column: a groups x levels table."""
        return np.empty(self.layout.shape)

    def sweep_into(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Write what units and levels leave of a column, shape (n,), into ``swept``."""
        room[:] = 0.0
        room.ravel()[self.layout.cells] = column
        self._sweep_table(room)
        if any(factor.is_weak for factor in self.factors):
            room[self.weights == 0] = 0
            self._sweep_table(room)
        np.take(room.ravel(), self.layout.cells, out=swept, mode="clip")

    def _sweep_table(self, table: Floats) -> None:
        for (rows, width), factor in zip(self.layout.blocks, self.factors, strict=True):
            block, weights, sizes = (
                table[rows, :width],
                self.weights[rows, :width],
                self.sizes[rows],
            )
            if self.is_weighted:
                mean = np.einsum("nl,nl->n", block, weights) / sizes
                right = np.einsum("nl,nl->l", block, weights)
            else:
                mean, right = np.einsum("nl->n", block) / sizes, block.sum(axis=0)
            right -= np.einsum("n,nl->l", mean, weights)
            slopes = self.slopes[:, rows, :width]
            crossings = self.weighted_slopes[:, rows, :width]
            parts = [np.einsum("nl,nl->n", crossing, block) for crossing in crossings]
            for part, crossing in zip(parts, crossings, strict=True):
                right -= np.einsum("n,nl->l", part, crossing)
            effect = factor.solve(right)
            block -= (mean - np.einsum("nl,l->n", weights, effect) / sizes)[:, None]
            block -= effect
            for part, crossing, slope in zip(parts, crossings, slopes, strict=True):
                block -= slope * (part - np.einsum("nl,l->n", crossing, effect))[:, None]

    def leverage(self) -> Floats:
        """Return the part of the leverage that levels add to the unit block's, shape (n,)."""
        table = np.zeros(self.layout.shape)
        for (rows, width), factor in zip(self.layout.blocks, self.factors, strict=True):
            inverse = factor.solve(np.eye(width))
            root = np.sqrt(self.sizes[rows])[:, None]
            weights = self.weights[rows, :width]
            crossings = [weights / root, *self.weighted_slopes[:, rows, :width]]
            bases = [np.ones_like(weights) / root, *self.slopes[:, rows, :width]]
            own = np.tile(np.diag(inverse), (len(weights), 1))
            for basis, crossing in zip(bases, crossings, strict=True):
                reach = crossing @ inverse
                own -= 2 * basis * reach
                for other, second in zip(bases, crossings, strict=True):
                    own += basis * other * np.einsum("nl,nl->n", reach, second)[:, None]
            table[rows, :width] = own * weights
        return table.ravel()[self.layout.cells]


def _dense_levels(
    layout: _Layout, block: UnitBlock, weights: Floats | None, plain: bool
) -> _DenseLevels:
    """Lay weights and slopes out densely and factorise each block's Schur complement."""
    laid = layout.table(1.0 if weights is None else weights)
    sizes = np.einsum("nl->n", laid)
    shape = (len(block.slopes), *layout.shape)
    slopes = np.array([layout.table(row) for row in block.slopes]).reshape(shape)
    weighted_slopes = slopes if weights is None else slopes * laid
    factors = []
    for rows, width in layout.blocks:
        part = laid[rows, :width]
        margin = part.sum(axis=0)
        system = np.diag(margin) - column_gram(part, 1 / np.sqrt(sizes[rows]))
        rank = width - (_count_components(system) if len(layout.blocks) == 1 else 1)
        for crossing in weighted_slopes[:, rows, :width]:
            system -= column_gram(crossing)
        factors.append(_factorise(system, float(margin.max()), rank if plain else None))
    return _DenseLevels(layout, laid, sizes, slopes, weighted_slopes, factors, weights is not None)


def _count_components(system: Floats) -> int:
    """Count the components of levels linked by units: a Schur complement is zero between them."""
    if system.all():
        return 1
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(csr_array(system), directed=False)[0])


@dataclass(frozen=True, eq=False)
class _SparseLevels:
    """Any number of further effects through a sparse incidence matrix.

    ``incidence`` is sparse of shape (n, R) with a one for each row and effect; ``factor`` is None
    when R is too large for a dense system, which is then solved by conjugate gradients with
    the system's ``diagonal`` as preconditioner.
    """

    block: UnitBlock
    incidence: Any
    weights: Floats | None
    diagonal: Floats
    factor: _Factor | None
    rank: int

    def room(self) -> Floats:
        """Make no working space; none is needed."""
        return np.empty(0)

    def sweep_into(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Write what units and levels leave of a column, shape (n,), into ``swept``."""
        swept[:] = self.sweep(column)

    def sweep(self, column: Floats) -> Floats:
        """Take units and levels off a column, shape (n,)."""
        left = self.block.sweep(column)
        scale = float(self._margins(np.abs(column)).max()) or 1.0
        for _ in range(SWEEPS):
            right = self._margins(left)
            unexplained = float(np.abs(right).max()) / scale
            if unexplained <= SETTLED:
                return left
            left = self.block.sweep(left - self.incidence @ self._solve(right))
        unexplained = float(np.abs(self._margins(left)).max()) / scale
        if unexplained > UNSETTLED:
            raise EstimationError(
                f"the fixed effects do not settle: after {SWEEPS} sweeps they still explain "
                f"{unexplained:.1e} of a column. Some of the {len(self.diagonal):,} levels are "
                "linked to the rest by very few rows; merge small levels, or drop an effect."
            )
        return left

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


def _sparse_levels(
    block: UnitBlock, groups: Sequence[Groups], weights: Floats | None, plain: bool
) -> _SparseLevels:
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
    components = int(_components(block.units, groups[0]).max()) + 1 if len(groups) == 1 else None
    known = size - components if components is not None and plain else None
    if size > DENSE_SYSTEM:
        diagonal = margins - sum(np.asarray((m * m).sum(axis=0)).ravel() for m in by_unit)
        diagonal = np.where(diagonal > RANK_CUT * margins, diagonal, margins)
        rank = known if known is not None else size - len(groups)
        return _SparseLevels(block, incidence, weights, diagonal, None, rank)
    weighted_incidence = incidence * weight[:, None]
    system = (incidence.T @ weighted_incidence).toarray()
    for crossing in by_unit:
        system -= (crossing.T @ crossing).toarray()
    factor = _factorise(system, float(margins.max()), known)
    return _SparseLevels(block, incidence, weights, np.diag(system), factor, factor.rank)


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
