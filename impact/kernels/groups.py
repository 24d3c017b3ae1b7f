"""Partitions of rows, and sums over their groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "as_groups", "compact", "is_nested", "lone_rows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


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
        totals = np.empty((len(values), self.size))
        for row, total in zip(values, totals, strict=True):
            total[:] = self.total(row)
        return totals

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
