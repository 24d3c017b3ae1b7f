"""A second effect laid out as a dense groups x levels table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impact.kernels.groups import Groups
from impact.kernels.level_systems import (
    Factor,
    any_level,
    components,
    count_components,
    factorise,
)
from impact.kernels.products import column_gram
from impact.kernels.unit_block import UnitBlock

__all__ = ["DenseLevels", "Layout", "dense_levels", "lay_out"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DENSE_FILL = 4
"""A groups x levels layout is used when it has at most this many cells a row of data."""


SLAB = 262_144
"""Cells of the part of a table that is swept at a time."""

WHOLE = slice(None)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each row stands in a groups x levels table made of blocks that share no level."""

    cells: Integers
    shape: tuple[int, int]
    blocks: list[tuple[slice, int]]

    @cached_property
    def in_order(self) -> bool:
        """Whether rows come in the order of the table's cells, no two in the same."""
        return bool((self.cells[1:] > self.cells[:-1]).all())

    @property
    def is_one_to_one(self) -> bool:
        """Whether no two rows share a cell."""
        return self.in_order or int(np.bincount(self.cells).max()) <= 1

    @cached_property
    def slab(self) -> int:
        """Groups whose part of the table fits a processor's cache; 0 if rows are not in order."""
        if len(self.blocks) > 1 or not self.in_order:
            return 0
        return min(self.shape[0], max(1, SLAB // self.shape[1]))

    @cached_property
    def slabs(self) -> list[tuple[slice, slice]]:
        """Groups and rows of each slab."""
        starts = np.arange(0, self.shape[0], self.slab)
        at = np.append(np.searchsorted(self.cells, starts * self.shape[1]), len(self.cells))
        stops = np.append(starts[1:], self.shape[0])
        return [
            (slice(int(g), int(h)), slice(int(a), int(b)))
            for g, h, a, b in zip(starts, stops, at[:-1], at[1:], strict=True)
        ]

    def fill(
        self, table: Floats, values: Floats, rows: slice = WHOLE, groups: slice = WHOLE
    ) -> None:
        """Write values of rows into the table of groups, zeros where nothing is observed."""
        table[:] = 0.0
        table.ravel()[self._places(rows, groups)] = values

    def read(
        self, table: Floats, values: Floats, rows: slice = WHOLE, groups: slice = WHOLE
    ) -> None:
        """Write the cells of rows from the table of groups into ``values``."""
        np.take(table.ravel(), self._places(rows, groups), out=values, mode="clip")

    def _places(self, rows: slice, groups: slice) -> Integers:
        first = (groups.start or 0) * self.shape[1]
        return self.cells[rows] - first if first else self.cells[rows]

    def table(self, rows: Floats | float) -> Floats:
        """Lay row values, shape (n,), out as a table with zeros where nothing is observed."""
        table = np.zeros(self.shape)
        table.ravel()[self.cells] = rows
        return table


def lay_out(units: Groups, levels: Groups) -> Layout | None:
    """Lay rows out as a dense table, by connected components if that saves room."""
    n = len(units.codes)
    if units.size * levels.size <= DENSE_FILL * n:
        cells = units.codes * levels.size + levels.codes
        whole = [(slice(0, units.size), levels.size)]
        return Layout(cells, (units.size, levels.size), whole)
    block_of_level = components(units, levels)
    n_blocks = int(block_of_level.max()) + 1
    widths = np.bincount(block_of_level)
    width = int(widths.max())
    if units.size * width > DENSE_FILL * n:
        return None
    by_block = np.argsort(block_of_level, kind="stable")
    local = np.empty(levels.size, dtype=np.int64)
    local[by_block] = np.arange(levels.size) - np.repeat(np.cumsum(widths) - widths, widths)
    block_of_unit = block_of_level[any_level(units, levels)]
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
    return Layout(cells, (units.size, width), blocks)


@dataclass(frozen=True, eq=False)
class DenseLevels:
    """The second effect in a dense groups x levels layout.

    ``weights`` (groups, width) is zero where nothing is observed, ``sizes`` (groups,) its row sums;
    ``slopes`` and ``weighted_slopes`` have shape (q, groups, width); ``factors`` is one a block.
    """

    layout: Layout
    weights: Floats
    sizes: Floats
    slopes: Floats
    weighted_slopes: Floats
    factors: list[Factor]
    is_weighted: bool

    @property
    def rank(self) -> int:
        """Number of parameters beyond the unit block."""
        return sum(factor.rank for factor in self.factors)

    def room(self) -> Floats:
        """Make working space for one column."""
        shape = (self.layout.slab, self.layout.shape[1]) if self.layout.slab else self.layout.shape
        return np.empty(shape)

    def sweep_into(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Write what units and levels leave of a column, shape (n,), into ``swept``."""
        if self.layout.slab:
            self._sweep_slabs(column, swept, room)
            if self.factors[0].is_weak:
                self._sweep_slabs(swept, swept, room)
            return
        self.layout.fill(room, column)
        self._sweep_blocks(room)
        if any(factor.is_weak for factor in self.factors):
            room[self.weights == 0] = 0
            self._sweep_blocks(room)
        self.layout.read(room, swept)

    def _sweep_slabs(self, column: Floats, swept: Floats, room: Floats) -> None:
        """Sweep one block whose rows come in the table's order, a cache's worth at a time."""
        projections, right = [], np.zeros(self.layout.shape[1])
        for groups, rows in self.layout.slabs:
            table = room[: groups.stop - groups.start]
            self.layout.fill(table, column[rows], rows, groups)
            projections.append(self._project(table, groups, len(right), right))
        effect = self.factors[0].solve(right)
        for (groups, rows), parts in zip(self.layout.slabs, projections, strict=True):
            table = room[: groups.stop - groups.start]
            if len(projections) > 1:
                self.layout.fill(table, column[rows], rows, groups)
            self._subtract(table, groups, effect, parts)
            self.layout.read(table, swept[rows], rows, groups)

    def _sweep_blocks(self, table: Floats) -> None:
        """Sweep a whole table, one block of levels after another."""
        for (groups, width), factor in zip(self.layout.blocks, self.factors, strict=True):
            block, right = table[groups, :width], np.zeros(width)
            parts = self._project(block, groups, width, right)
            self._subtract(block, groups, factor.solve(right), parts)

    def _project(self, block: Floats, groups: slice, width: int, right: Floats) -> list[Floats]:
        """Return each group's mean and slopes; add what levels then explain to ``right``."""
        weights, sizes = self.weights[groups, :width], self.sizes[groups]
        if self.is_weighted:
            mean = np.einsum("nl,nl->n", block, weights) / sizes
            right += np.einsum("nl,nl->l", block, weights)
        else:
            mean = np.einsum("nl->n", block) / sizes
            right += block.sum(axis=0)
        right -= np.einsum("n,nl->l", mean, weights)
        parts = [mean]
        for crossing in self.weighted_slopes[:, groups, :width]:
            parts.append(np.einsum("nl,nl->n", crossing, block))
            right -= np.einsum("n,nl->l", parts[-1], crossing)
        return parts

    def _subtract(self, block: Floats, groups: slice, effect: Floats, parts: list[Floats]) -> None:
        """Take the groups' parts, less what the levels' effect holds of them, off a table."""
        width = len(effect)
        weights, sizes = self.weights[groups, :width], self.sizes[groups]
        block -= (parts[0] - np.einsum("nl,l->n", weights, effect) / sizes)[:, None]
        block -= effect
        for part, crossing, slope in zip(
            parts[1:],
            self.weighted_slopes[:, groups, :width],
            self.slopes[:, groups, :width],
            strict=True,
        ):
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


def dense_levels(
    layout: Layout, block: UnitBlock, weights: Floats | None, plain: bool
) -> DenseLevels:
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
        rank = width - (count_components(system) if len(layout.blocks) == 1 else 1)
        for crossing in weighted_slopes[:, rows, :width]:
            system -= column_gram(crossing)
        factors.append(factorise(system, float(margin.max()), rank if plain else None))
    return DenseLevels(layout, laid, sizes, slopes, weighted_slopes, factors, weights is not None)
