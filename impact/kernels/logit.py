"""Logistic regression by Newton's method, for propensity scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

__all__ = ["LogitFit", "fit_logit"]

Floats = NDArray[np.float64]

_MAX_STEPS = 100
_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class LogitFit:
    """Fitted probabilities, shape (n,), and the inverse information, shape (k, k).

    ``converged`` is False where the likelihood has no finite maximum (separation).
    """

    coefficients: Floats
    probabilities: Floats
    inverse_information: Floats
    converged: bool


def fit_logit(X: Floats, treated: NDArray[np.bool_], weights: Floats) -> LogitFit:
    """Maximise sum_i w_i [D_i x_i'b - log(1 + exp(x_i'b))].

    Parameters
    ----------
    X : array, shape (n, k), of full rank
    treated : array, shape (n,)
    weights : array, shape (n,), positive
    """
    beta = np.zeros(X.shape[1])
    target = treated.astype(np.float64)
    converged = False
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_MAX_STEPS):
            p = special.expit(X @ beta)
            information = X.T @ (X * (weights * p * (1 - p))[:, None])
            try:
                factor = linalg.cho_factor(information)
            except linalg.LinAlgError:
                break
            step = linalg.cho_solve(factor, X.T @ (weights * (target - p)))
            beta = beta + step
            if not np.isfinite(beta).all() or np.abs(X @ beta).max() > 40:
                break
            if np.abs(step).max() <= _TOLERANCE * max(1.0, np.abs(beta).max()):
                converged = True
                break
    p = special.expit(X @ beta)
    information = X.T @ (X * (weights * p * (1 - p))[:, None])
    inverse = linalg.pinvh(information) if np.isfinite(information).all() else information * np.nan
    return LogitFit(beta, p, np.asarray(inverse), converged)
