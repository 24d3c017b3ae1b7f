"""Cohorts in order, and each unit's position among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CodedCohorts", "code_cohorts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Cohorts are counted over the periods they span unless these are far more than the units.
PERIODS_PER_UNIT = 4


@dataclass(frozen=True, eq=False)
class CodedCohorts:
    """Cohorts in order (C,), each unit's position among them (N,), C if never, units (C + 1,)."""

    values: Floats
    codes: Integers
    units: Integers


def code_cohorts(cohorts: Floats) -> CodedCohorts:
    """Code first treated periods, whole numbers or NaN, shape (N,)."""
    low, high = np.fmin.reduce(cohorts), np.fmax.reduce(cohorts)
    if np.isnan(low):
        nobody = np.zeros(len(cohorts), dtype=np.int64)
        return CodedCohorts(np.zeros(0), nobody, np.array([len(cohorts)]))
    if high - low > PERIODS_PER_UNIT * len(cohorts) + 1024:
        values, codes = np.unique(np.fmin(cohorts, high + 1), return_inverse=True)
        values = values[values <= high]
        return CodedCohorts(values, codes, np.bincount(codes, minlength=len(values) + 1))
    # Less the first, with the never treated after the last.
    steps = (np.fmin(cohorts, high + 1) - low).astype(np.int64)
    counts = np.bincount(steps, minlength=int(high - low) + 2)
    found = np.flatnonzero(counts[:-1])
    table = np.cumsum(counts > 0) - 1
    table[-1] = len(found)
    units = np.append(counts[found], counts[-1])
    return CodedCohorts(found + low, table.take(steps), units)
