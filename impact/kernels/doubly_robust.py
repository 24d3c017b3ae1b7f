"""Two-period difference-in-differences conditional on covariates, with influence functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from impact.kernels.logit import fit_logit

__all__ = ["ConditionalDiD", "Method", "conditional_did"]

Floats = NDArray[np.float64]
Method = Literal["doubly_robust", "regression", "inverse_probability"]

_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class ConditionalDiD:
    """Effects of m outcome changes and the contribution of each unit.

    Attributes
    ----------
    estimates : array, shape (m,)
    psi : array, shape (n, m), contributions to estimate minus truth
    fault : why there is no estimate, in words; empty if there is one
    n_trimmed : comparison units left out because their propensity exceeds the limit
    """

    estimates: Floats
    psi: Floats
    fault: str = ""
    n_trimmed: int = 0


def conditional_did(
    change: Floats,
    treated: NDArray[np.bool_],
    X: Floats,
    weights: Floats,
    method: Method,
    trim: float = 0.995,
) -> ConditionalDiD:
    """Compare the change of treated units with that of comparison units alike in X.

    With D treated, C comparison, p the logit propensity, m(X) least squares of the change
    among C, r = change - m(X), w1 = w D and w0 = w C p / (1 - p):

    - "regression": mean of r over D
    - "inverse_probability": mean of the change with weights w1 less that with weights w0
    - "doubly_robust": mean of r with weights w1 less that with weights w0

    Parameters
    ----------
    change : array, shape (n, m), outcome after less outcome before, m periods at once
    treated : array, shape (n,)
    X : array, shape (n, k), covariates with an intercept first
    weights : array, shape (n,)
    trim : comparison units with a propensity of at least this much are left out

    Source
    ------
    Sant'Anna and Zhao (2020), Journal of Econometrics 219(1), sections 2-3 (the estimator
    with logit maximum likelihood and least squares); Abadie (2005) in Hajek form;
    Heckman, Ichimura and Todd (1997).
    """
    n, m = change.shape
    w1 = weights * treated
    n_comparison = int((~treated).sum())
    if n_comparison < X.shape[1]:
        return _no_estimate(
            n, m, f"{n_comparison} comparison units cannot carry {X.shape[1]} coefficients"
        )
    residual, mean_x = change, w1 @ X / w1.sum()
    regression = propensity = None
    if method != "inverse_probability":
        regression = _comparison_regression(change, X, weights * ~treated)
        if regression is None:
            return _no_estimate(n, m, "covariates are collinear among comparison units")
        residual = change - X @ regression.coefficients
    if method != "regression":
        propensity = _propensity(X, treated, weights, trim)
        if propensity.fault:
            return _no_estimate(n, m, propensity.fault)

    estimates = w1 @ residual / w1.sum()
    psi = w1[:, None] * (residual - estimates) / w1.sum()
    if propensity is not None:
        w0 = propensity.odds
        tau0 = w0 @ residual / w0.sum()
        estimates = estimates - tau0
        compared = w0[:, None] * (residual - tau0) / w0.sum()
        psi -= compared + propensity.influence @ (X.T @ compared)
        mean_x = mean_x - w0 @ X / w0.sum()
    if regression is not None:
        psi -= (regression.influence @ mean_x)[:, None] * residual
    return ConditionalDiD(estimates, psi, n_trimmed=propensity.n_trimmed if propensity else 0)


def _no_estimate(n: int, m: int, reason: str) -> ConditionalDiD:
    return ConditionalDiD(np.full(m, np.nan), np.zeros((n, m)), fault=reason)


@dataclass(frozen=True, eq=False)
class _Regression:
    """Coefficients (k, m); influence (n, k): times the residual, each unit's pull on them."""

    coefficients: Floats
    influence: Floats


def _comparison_regression(change: Floats, X: Floats, w_comparison: Floats) -> _Regression | None:
    """Regress the change on X among comparison units; None if X is collinear there."""
    weighted = X * w_comparison[:, None]
    gram = X.T @ weighted
    scale = np.sqrt(np.maximum(np.diagonal(gram), np.finfo(float).tiny))
    scaled = gram / np.outer(scale, scale)
    values = linalg.eigvalsh(scaled)
    if values[0] < _RANK_TOLERANCE * values[-1]:
        return None
    inverse = linalg.inv(scaled) / np.outer(scale, scale)
    return _Regression(inverse @ (weighted.T @ change), weighted @ inverse)


@dataclass(frozen=True, eq=False)
class _Propensity:
    """Weights w p/(1-p) of comparison units (n,); influence (n, k) of units on the logit."""

    odds: Floats
    influence: Floats
    n_trimmed: int
    fault: str = ""


def _propensity(X: Floats, treated: NDArray[np.bool_], weights: Floats, trim: float) -> _Propensity:
    """Fit the logit and weigh comparison units by their odds, trimmed where overlap ends."""
    logit = fit_logit(X, treated, weights)
    fault = ""
    if not logit.converged:
        fault = "covariates separate treated from comparison units, so they do not overlap"
    keep = ~treated & (logit.probabilities < trim)
    p = np.minimum(logit.probabilities, 1 - 1e-6)
    odds = np.where(keep, weights * p / (1 - p), 0.0)
    if not fault and not odds.sum() > 0:
        fault = f"no comparison unit has a propensity below {trim:g}"
    score = (weights * (treated - logit.probabilities))[:, None] * X
    n_trimmed = int((~treated).sum() - keep.sum())
    return _Propensity(odds, score @ logit.inverse_information, n_trimmed, fault)
