"""Logistic regression by Newton's method, for propensity scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

__all__ = ["LogitFit", "fit_calibrated", "fit_logit"]

Floats = NDArray[np.float64]

_MAX_STEPS = 100
# Newton's error squares with each step: after a step of 1e-8 what is left is rounding.
_LAST_STEP = 1e-8
_SEPARATED = 40.0


@dataclass(frozen=True, eq=False)
class LogitFit:
    """Fitted probabilities, shape (n,), and the inverse information, shape (k, k).

    ``converged`` is False where the likelihood has no finite maximum (separation).
    """

    coefficients: Floats
    probabilities: Floats
    inverse_information: Floats
    converged: bool


def fit_logit(
    X: Floats, treated: NDArray[np.bool_], weights: Floats, start: Floats | None = None
) -> LogitFit:
    """Maximise sum_i w_i [D_i x_i'b - log(1 + exp(x_i'b))].

    Parameters
    ----------
    X : array, shape (n, k), of full rank
    treated : array, shape (n,)
    weights : array, shape (n,), positive
    start : array, shape (k,), coefficients to start from; zero if None
    """
    beta = np.zeros(X.shape[1]) if start is None else start
    index = X @ beta
    target = treated.astype(np.float64)
    converged = False
    for _ in range(_MAX_STEPS):
        p = special.expit(index)
        step = _newton_step(X, weights * p * (1 - p), weights * (target - p))
        if step is None:
            break
        beta = beta + step
        index = X @ beta
        if not np.abs(index).max() <= _SEPARATED:
            break
        if np.abs(step).max() <= _LAST_STEP * max(1.0, np.abs(beta).max()):
            converged = True
            break
    if not converged and start is not None:
        return fit_logit(X, treated, weights)
    p = special.expit(index)
    information = X.T @ (X * (weights * p * (1 - p))[:, None])
    inverse = linalg.pinvh(information) if np.isfinite(information).all() else information * np.nan
    return LogitFit(beta, p, np.asarray(inverse), converged)


def fit_calibrated(X: Floats, treated: NDArray[np.bool_], weights: Floats) -> LogitFit:
    """Fit logit propensities whose odds balance X exactly: inverse probability tilting.

    Maximises sum_i w_i [D_i x_i'b - (1 - D_i) exp(x_i'b)], so that comparison units weighted
    by their odds have the covariate sums of the treated.

    Source
    ------
    Graham, Pinto and Egel (2012), Review of Economic Studies 79(3); Sant'Anna and Zhao (2020).
    """
    first = fit_logit(X, treated, weights)
    beta, converged = first.coefficients, False
    if not first.converged:
        return first

    def objective(index: Floats) -> float:
        return float(weights @ np.where(treated, index, -np.exp(np.minimum(index, 700.0))))

    index = X @ beta
    value = objective(index)
    for _ in range(_MAX_STEPS):
        odds = np.where(treated, 0.0, weights * np.exp(index))
        step = _newton_step(X, odds, weights * treated - odds)
        if step is None:
            break
        length = 1.0
        while not objective(index + length * (X @ step)) >= value and length > 1e-4:
            length /= 2
        beta, index = beta + length * step, index + length * (X @ step)
        value = objective(index)
        if np.abs(index).max() > _SEPARATED:
            break
        if np.abs(step).max() <= _LAST_STEP * max(1.0, np.abs(beta).max()):
            converged = True
            break
    return LogitFit(beta, special.expit(index), first.inverse_information, converged)


def _newton_step(X: Floats, curvature: Floats, pull: Floats) -> Floats | None:
    """Solve (X' diag(curvature) X) step = X' pull; None if the matrix is not positive."""
    try:
        factor = linalg.cho_factor(X.T @ (X * curvature[:, None]), check_finite=False)
    except linalg.LinAlgError:
        return None
    return np.asarray(linalg.cho_solve(factor, X.T @ pull, check_finite=False))
