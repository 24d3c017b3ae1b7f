"""Simplex weights by the stopped Frank-Wolfe iteration of R synthdid, to repeat its digits."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

__all__ = ["frank_wolfe_weights"]

FIRST_STEPS, STEPS = 100, 10_000


def frank_wolfe_weights(
    columns: Floats, target: Floats, *, ridge: float, tolerance: float
) -> Floats:
    """Approach min ||columns @ w - target||^2 + ridge ||w||^2 over the simplex, and stop early.

    Parameters
    ----------
    columns : shape (m, n); target : shape (m,)
    ridge : in squared units of the target
    tolerance : the iteration stops when the objective over m falls by less than its square

    Returns
    -------
    array, shape (n,), weights near the optimum but not at it

    Notes
    -----
    From equal weights at most 100 steps are taken, weights up to a quarter of the largest are
    set to zero, and the iteration goes on from there. The stop leaves estimates off the
    optimum by up to a percent of a standard error or more: use ``simplex_least_squares`` unless
    numbers of R synthdid are to be met.

    Source
    ------
    Frank and Wolfe (1956); Arkhangelsky et al. (2021), supplement; conventions of synthdid 0.0.9.
    """
    start = np.full(columns.shape[1], 1.0 / columns.shape[1])
    weights = _iterate(columns, target, ridge, tolerance, start, FIRST_STEPS)
    weights = np.where(weights <= weights.max() / 4.0, 0.0, weights)
    return _iterate(columns, target, ridge, tolerance, weights / weights.sum(), STEPS)


def _iterate(
    columns: Floats, target: Floats, ridge: float, tolerance: float, weights: Floats, steps: int
) -> Floats:
    """Move towards the vertex of steepest descent with exact line search."""
    previous = np.inf
    for step in range(steps):
        gap = columns @ weights - target
        gradient = gap @ columns + ridge * weights
        vertex = int(np.argmin(gradient))
        direction = -weights
        direction[vertex] += 1.0
        if not direction.any():
            break
        change = columns @ direction
        curvature = change @ change + ridge * (direction @ direction)
        length = min(1.0, max(0.0, float(-(gradient @ direction) / curvature)))
        weights = weights + length * direction
        gap = columns @ weights - target
        value = float(gap @ gap + ridge * (weights @ weights)) / len(target)
        if step > 0 and previous - value <= tolerance**2:
            break
        previous = value
    return weights
