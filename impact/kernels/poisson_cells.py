"""Poisson regression on cohort and period effects, from cell means alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.cell_regression import Solution, solve_normal

__all__ = ["PoissonCells", "fit_poisson_cells"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

STEPS = 100
SETTLED = 1e-12
"""Change of the logarithm of any fitted mean at which the fit has settled."""


@dataclass(frozen=True, eq=False)
class PoissonCells:
    """A fitted table log mu = cohort effect + period effect.

    Attributes
    ----------
    regressors : array, shape (C, T, P), the indicators
    means : array, shape (C, T), fitted mean in every cell, used or not
    solution : normal equations at the solution, weighted by fitted means
    """

    regressors: Floats
    means: Floats
    solution: Solution


def fit_poisson_cells(means: Floats, sizes: Floats, used: Booleans) -> PoissonCells:
    """Fit cohort and period effects to cell means by maximum likelihood.

    Parameters
    ----------
    means : array, shape (C, T), mean outcome of each cell, not negative
    sizes : array, shape (C, T), rows, or weight, in each cell
    used : array, shape (C, T), cells the effects are fitted to; the means of each cohort and
        each period among them must not all be zero

    Raises
    ------
    EstimationError : the iteration does not settle
    """
    n_cohorts, n_periods = means.shape
    D = np.zeros((n_cohorts, n_periods, n_cohorts + n_periods))
    D[np.arange(n_cohorts), :, np.arange(n_cohorts)] = 1.0
    D[:, np.arange(n_periods), n_cohorts + np.arange(n_periods)] = 1.0
    weight = np.where(used, sizes, 0.0)
    y = np.where(used, means, 0.0)
    X, w, target = D.reshape(-1, D.shape[2]), weight.ravel(), y.ravel()
    average = float((w @ target) / w.sum())
    fitted = np.where(w > 0, (target + average) / 2, 1.0)
    linear = np.where(w > 0, np.log(fitted), 0.0)
    for _ in range(STEPS):
        working = np.log(fitted) + (target - fitted) / fitted
        mass = w * fitted
        solution = solve_normal((X * mass[:, None]).T @ X, X.T @ (mass * working))
        before, linear = linear, np.where(w > 0, X @ solution.coefficients, 0.0)
        fitted = np.exp(linear)
        if np.abs(linear - before).max() <= SETTLED * (1 + np.abs(linear).max()):
            mass = w * fitted
            settled = solve_normal((X * mass[:, None]).T @ X, X.T @ (mass * linear))
            table = np.exp(np.clip(D @ solution.coefficients, -700, 700))
            return PoissonCells(D, table, settled)
    raise EstimationError(
        f"the Poisson regression does not settle in {STEPS} steps; some cohort or period has "
        "almost no positive outcome before treatment. Merge such cohorts or leave out such periods."
    )
