"""Estimates that would give away an effect of few units, by adding and subtracting those shown.

An effect that rests on few units is hidden. Averages that hold it beside effects that are shown
give it back: the average of two waves less that of the large one is the small one. Everything shown
is therefore taken as a linear combination of cells with weights that a reader knows, and estimates
are hidden until no combination of those left is of one small group's cells alone.

Source
------
Hundepool et al. (2012), Statistical Disclosure Control, Wiley, section 4.4 (linear dependence among
published values).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["hidden_estimates"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_ZERO = 1e-9  # weights, and what is left of them, below this share of one are rounding


def hidden_estimates(weights: Floats, groups: Integers, reluctance: Floats) -> Booleans:
    """Mark the estimates to hide so that none of a small group can be told from those left.

    Parameters
    ----------
    weights : array, shape (J, K), each estimate as a combination of K cells
    groups : array, shape (K,), of cells that rest on too few units, which group of units they are
        of; -1 for other cells
    reluctance : array, shape (J,); of the estimates that would protect a cell, the one with the
        lowest is hidden

    Returns
    -------
    array, shape (J,), bool

    Notes
    -----
    Estimates that are one number, such as the effect of the only wave and their average, are hidden
    together.

    Example
    -------
    >>> shown = np.array([[0.0, 1.0], [0.2, 0.8]])  # a large wave, and the average with a small one
    >>> hidden_estimates(shown, np.array([0, -1]), np.array([1.0, 2.0]))
    array([ True, False])
    """
    scaled = weights / np.maximum(np.abs(weights).max(axis=1, keepdims=True), _ZERO)
    distinct, which = np.unique(np.round(scaled, 9), axis=0, return_inverse=True)
    which = which.ravel()
    cost = np.full(len(distinct), -np.inf)
    np.maximum.at(cost, which, reluctance)
    hidden: Booleans = np.abs(distinct).max(axis=1) == 0
    for group in np.unique(groups[groups >= 0]):
        own = groups == group
        while (found := _telling(distinct, own, ~hidden)).any():
            places = np.flatnonzero(found)
            hidden[places[np.argmin(cost[places])]] = True
    return np.asarray(hidden[which] & weights.any(axis=1))


def _telling(weights: Floats, own: Booleans, shown: Booleans) -> Booleans:
    """Mark the estimates shown whose combinations tell of a group's cells alone, shape (J,)."""
    places = np.flatnonzero(shown)
    found = np.zeros(len(shown), dtype=bool)
    if not len(places) or not own.any():
        return found
    left, sizes, _ = np.linalg.svd(weights[places][:, ~own], full_matrices=True)
    rank = int((sizes > _ZERO * max(sizes.max(initial=0.0), 1.0)).sum())
    free = left[:, rank:]
    directions, told, _ = np.linalg.svd(free.T @ weights[places][:, own], full_matrices=False)
    telling = free @ directions[:, told > _ZERO]
    found[places] = (np.abs(telling) > _ZERO).any(axis=1)
    return found
