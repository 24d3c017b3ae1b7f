"""The values of fixed effects that were swept out, and which sums of them the rows determine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.kernels.absorb import Absorber
from impact.kernels.groups import Groups
from impact.kernels.level_systems import components
from impact.kernels.sparse_levels import sparse_levels
from impact.kernels.unit_block import UnitBlock

__all__ = ["Recovered", "linked_parts", "recover"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recovered:
    """Values of the levels of several effects, some of them free.

    Parameters
    ----------
    intercepts : one array an effect, shape (levels,)
    slopes : shape (q, levels of the first effect), or (0, 0); NaN, as its intercept, where a
        group's rows do not tell them apart
    """

    intercepts: tuple[Floats, ...]
    slopes: Floats

    def at(self, codes: Sequence[Integers], variables: Floats) -> Floats:
        """Sum the effects of rows: codes, each (n,), and variables with slopes, (q, n)."""
        total = np.zeros(len(codes[0]))
        for values, own in zip(self.intercepts, codes, strict=True):
            total += values[own]
        for slope, variable in zip(self.slopes, variables, strict=True):
            total += slope[codes[0]] * variable
        return total


def recover(
    column: Floats, effects: Sequence[Groups], absorber: Absorber, slopes: Floats | None
) -> Recovered:
    """Write a column that effects explain exactly as a sum of them.

    Parameters
    ----------
    column : shape (n,)
    effects : in the order of ``absorber``'s making, the first with ``slopes``
    absorber : of those effects; any weights
    slopes : shape (q, n), or None

    Notes
    -----
    Effects are determined up to what other effects can make up for; the solution is one of many
    and its free levels are zero. An effect constant within the groups of another is all zero.
    """
    block, weights = absorber.block, absorber.block.weights
    others = list(absorber.others)
    by_level = np.zeros(0)
    if others:
        levels = sparse_levels(block, others, weights, slopes is None)
        by_level = levels.settle(column)[1]
        column = column - levels.incidence @ by_level
    sizes = [group.size for group in others]
    parts = dict(zip(map(id, others), np.split(by_level, np.cumsum(sizes)[:-1]), strict=False))
    intercept, by_group = _within(column, block, slopes)
    parts[id(block.units)] = intercept
    found = tuple(parts.pop(id(effect), np.zeros(effect.size)) for effect in effects)
    return Recovered(found, by_group)


def linked_parts(first: Groups, second: Groups) -> Integers:
    """Number the parts that two effects fall into, linked by rows, for each level of the second."""
    return components(first, second)


def _within(column: Floats, block: UnitBlock, slopes: Floats | None) -> tuple[Floats, Floats]:
    """Solve for each group's intercept and slopes, NaN where its variables do not vary apart."""
    units = block.units
    if slopes is None:
        return units.total(_weighted(column, block)) / block.sizes, np.zeros((0, 0))
    means = units.total(_weighted(slopes, block)) / block.sizes
    centred = slopes - units.spread(means)
    q = len(slopes)
    gram = np.empty((units.size, q, q))
    for j, row in enumerate(_weighted(centred, block)):
        gram[:, j] = units.total(row * centred).T
    right = units.total(_weighted(centred, block) * column).T
    root = np.sqrt(np.maximum(np.einsum("gqq->gq", gram), 0.0))
    told = np.asarray(np.min([units.total(b * b) for b in block.slopes], axis=0) > 0)
    root = np.where(told[:, None], root, 1.0)
    scaled = gram / (root[:, :, None] * root[:, None, :])
    scaled[~told] = np.eye(q)
    solved = np.linalg.solve(scaled, (right / root)[:, :, None])[:, :, 0] / root
    by_group = np.where(told[:, None], solved, np.nan).T
    level = units.total(_weighted(column, block)) / block.sizes
    return level - np.einsum("qg,qg->g", by_group, means), by_group


def _weighted(rows: Floats, block: UnitBlock) -> Floats:
    return rows if block.weights is None else rows * block.weights
