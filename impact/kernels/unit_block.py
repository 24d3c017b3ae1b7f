"""The effect that is eliminated group by group, with slopes of its own if it has some."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impact.kernels.groups import Groups

__all__ = ["UnitBlock", "unit_block"]

Floats = NDArray[np.float64]

NO_VARIATION = 1e-20
"""Squared norm, relative to what it was, at which a slope within a group counts as constant."""


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


def unit_block(units: Groups, weights: Floats | None, slopes: Floats | None) -> UnitBlock:
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
