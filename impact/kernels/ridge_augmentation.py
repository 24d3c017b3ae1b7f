"""Ridge regression on top of synthetic control: extrapolation for what the weights leave over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.kernels.simplex import simplex_least_squares

Floats: TypeAlias = NDArray[np.float64]

__all__ = ["RidgeChoice", "augmented_weights", "choose_ridge"]

# The grid of ridges: this many steps, down to this share of the largest squared singular value.
GRID_STEPS, GRID_RANGE = 20, 1e-8
# Errors this small against the target's size are rounding and decide nothing.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class RidgeChoice:
    """A ridge chosen by cross-validation, with what it was chosen from.

    Attributes
    ----------
    ridge : the largest one whose error is within one standard error of the smallest
    grid : shape (m,), ridges tried, from large to small
    errors, std_errors : shape (m,), mean squared prediction error and its standard error
    """

    ridge: float
    grid: Floats
    errors: Floats
    std_errors: Floats


def augmented_weights(donors: Floats, target: Floats, base: Floats, ridge: float) -> Floats:
    """Add to weights the ridge regression's answer to the imbalance they leave.

    omega = base + X (X'X + ridge I)^{-1} (x - X' base), with X of shape (n, T0).

    Parameters
    ----------
    donors : shape (n, T0); target : shape (T0,)
    base : shape (n,), weights to start from; the sum of the result is theirs
    ridge : positive, in squared outcome units

    Notes
    -----
    Paths are centred at the donors' mean of each period, so the addition sums to zero.

    Source
    ------
    Ben-Michael, Feller and Rothstein (2021), Journal of the American Statistical Association
    116(536), eqs. (9) and (12), lemma 1.
    """
    centre = donors.mean(axis=0)
    X, imbalance = donors - centre, target - centre
    return np.asarray(base + _additions(X, imbalance - base @ X, np.array([ridge]))[0])


def _additions(X: Floats, imbalance: Floats, ridges: Floats) -> Floats:
    """Return the added weights at each ridge, shape (m, n)."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    shrunk = s / (s**2 + ridges[:, None]) * (Vt @ imbalance)
    return np.asarray(shrunk @ U.T)


def choose_ridge(donors: Floats, target: Floats) -> RidgeChoice:
    """Choose the ridge by leaving out one pre-period at a time.

    Each period's outcome is predicted with weights from the other periods; the largest ridge
    whose mean squared error is within one standard error of the smallest is taken.

    Parameters
    ----------
    donors : shape (n, T0); target : shape (T0,)

    Source
    ------
    Ben-Michael, Feller and Rothstein (2021), section 5.3; grid as in R augsynth 0.2.0.
    """
    centre = donors.mean(axis=0)
    X, x = donors - centre, target - centre
    largest = np.linalg.norm(X, 2) ** 2
    grid = largest * GRID_RANGE ** (np.arange(GRID_STEPS + 1) / GRID_STEPS)
    n_periods = len(x)
    squared = np.empty((n_periods, len(grid)))
    start: Floats | None = None
    for t in range(n_periods):
        kept = np.arange(n_periods) != t
        start = simplex_least_squares(X[:, kept].T, x[kept], start=start).weights
        imbalance = x[kept] - start @ X[:, kept]
        weights = start + _additions(X[:, kept], imbalance, grid)
        squared[t] = (x[t] - weights @ X[:, t]) ** 2
    errors = squared.mean(axis=0)
    std_errors = squared.std(axis=0, ddof=1) / np.sqrt(n_periods)
    best = int(np.argmin(errors))
    within = errors <= errors[best] + std_errors[best] + ROUNDING * float(np.mean(x**2))
    return RidgeChoice(float(grid[within].max()), grid, errors, std_errors)
