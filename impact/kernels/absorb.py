"""Sweep fixed effects out of columns exactly, whatever the gaps, weights and scale.

The largest effect (the units) is eliminated group by group. What the other effects still
explain solves one small system, the Schur complement of the unit block, which is factorised
once: no alternating iteration, no tolerance that depends on the unit of measurement.

Columns travel as rows of a (k, n) array, one variable a row, so that each is contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impact.kernels.dense_levels import DenseLevels, dense_levels, lay_out
from impact.kernels.groups import Groups, as_groups, is_nested
from impact.kernels.parallel import for_each, get_threads
from impact.kernels.sparse_levels import SparseLevels, sparse_levels
from impact.kernels.unit_block import UnitBlock, unit_block

__all__ = ["Absorber", "absorb"]

Floats = NDArray[np.float64]


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
    levels: DenseLevels | SparseLevels | None
    others: tuple[Groups, ...] = ()

    def reweight(self, weights: Floats) -> Absorber:
        """Return the same effects with other weights, shape (n,); slopes are not carried over."""
        block = unit_block(self.block.units, weights, None)
        if isinstance(self.levels, DenseLevels):
            dense = dense_levels(self.levels.layout, block, weights, True)
            return Absorber(block, dense, self.others)
        if self.levels is None:
            return Absorber(block, None)
        return Absorber(block, sparse_levels(block, self.others, weights, True), self.others)

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
    further: Sequence[tuple[Groups, Floats]] = (),
) -> Absorber:
    r"""Prepare effects to be swept out exactly.

    Minimises
    :math:`\sum_r w_r (v_r - \alpha_{i(r)} - z_r'\gamma_{i(r)} - \lambda_{j(r)} - \dots)^2`.

    Parameters
    ----------
    effects : groups, or an array of codes or labels, of shape (n,), an effect
    weights : positive weights, shape (n,)
    slopes : shape (q, n), variables whose slope differs between the groups of the first effect
    further : other effects with the variables, (q, n), whose slopes differ between their groups

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
    block = unit_block(units, weights, slopes)
    if not groups and not further:
        return Absorber(block, None)
    layout = lay_out(units, groups[0]) if len(groups) == 1 and not further else None
    if layout is None or not layout.is_one_to_one:
        sparse = sparse_levels(block, groups, weights, slopes is None, further)
        return Absorber(block, sparse, tuple(groups))
    dense = dense_levels(layout, block, weights, slopes is None)
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
