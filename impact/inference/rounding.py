"""Estimates that are zero, or have no error, but for the rounding of sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from impact.kernels.absorb import absorb

__all__ = ["EXACT", "is_additive", "is_constant", "is_rounding", "rounding_rows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_ROUNDING = 1e-13
"""Share of the largest outcome below which variation is rounding."""
_GLANCE = 1_000
"""Rows looked at first."""
_SUSPECT = 1e-7
"""Share of it below which an estimate and its error are looked into."""
EXACT = 1e-8
"""Share of an estimate below which its standard error, the root of a variance, is rounding."""
_NO_CELL_ERROR = 1e-14
"""Share of the largest standard error below which that of one cell is rounding."""


def is_constant(outcome: Floats) -> bool:
    """Tell whether an outcome, shape (n,), is the same in all rows."""
    start = outcome[:_GLANCE]
    # What varies at the start by more than rounding of the start varies.
    if np.ptp(start) > 2 * _ROUNDING * _largest(start):
        return False
    return is_rounding(float(np.ptp(outcome)), outcome)


def is_rounding(gap: float, outcome: Floats) -> bool:
    """Tell whether a gap is rounding of outcomes of this size."""
    return bool(gap <= _ROUNDING * _largest(outcome))


def is_additive(outcome: Floats, units: Integers, times: Integers) -> bool:
    """Tell whether an outcome is a unit's constant plus a period's but for rounding, all (n,)."""
    rest = absorb([units, times]).sweep(outcome[None, :].copy())
    return is_rounding(float(np.abs(rest).max()), outcome)


def rounding_rows(
    estimates: Floats,
    variances: Floats,
    outcome: Floats,
    additive: Callable[[], bool],
    comparable: Booleans | None = None,
) -> tuple[Booleans, Booleans]:
    """Mark estimates that are rounding alone, and those whose standard error is, both (K,).

    An estimate is rounding where it and its standard error are below 1e-7 of the largest outcome
    and the outcome is a unit's constant plus a period's, to 1e-13 of that; or where its standard
    error is below 1e-14 of the largest comparable one and itself no larger. A standard error is
    rounding where its estimate is, and where it is below 1e-8 of the estimate: the model fits
    without error. What is exactly zero, such as the period compared with, is left as it is.

    Parameters
    ----------
    estimates, variances : arrays, shape (K,)
    outcome : array, shape (n,), or its lowest and highest value
    additive : tells whether the outcome is a unit's constant plus a period's, asked only where
        estimates are so small
    comparable : array, shape (K,), marks estimates in one unit of measurement; all if None. A
        covariate's coefficient is in units of its own and may be any number of times smaller
    """
    size = np.abs(estimates)
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(variances)
        alike = np.ones(len(size), dtype=bool) if comparable is None else comparable
        largest = np.nanmax(errors, where=alike, initial=0.0)
        noise = (errors <= _NO_CELL_ERROR * largest) & (size <= 10 * _NO_CELL_ERROR * largest)
        noise &= alike
        suspect = np.fmax(size, errors) <= _SUSPECT * _largest(outcome)
        exact = (errors <= EXACT * size) & (errors > 0)
        live = (size > 0) | (errors > 0)
    suspect &= live
    if suspect.any() and additive():
        noise = noise | suspect
    noise = noise & live
    return noise, noise | exact


def _largest(values: Floats) -> float:
    """Return the largest absolute value without a copy."""
    return float(max(values.max(), -values.min()))
