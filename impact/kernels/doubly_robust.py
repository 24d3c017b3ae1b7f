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
    empty = ConditionalDiD(np.full(m, np.nan), np.zeros((n, m)))
    w_treated = weights * treated
    w_comparison = weights * ~treated
    n_comparison = int((~treated).sum())
    if n_comparison < X.shape[1]:
        return _fault(
            empty, f"{n_comparison} comparison units cannot carry {X.shape[1]} coefficients"
        )
    residual, ols = change, None
    if method != "inverse_probability":
        ols = _comparison_regression(change, X, w_comparison)
        if ols is None:
            return _fault(empty, "covariates are collinear among comparison units")
        residual = change - X @ ols[0]
    if method == "regression":
        odds, n_trimmed, logit = None, 0, None
    else:
        logit = fit_logit(X, treated, weights)
        if not logit.converged:
            return _fault(
                empty, "covariates separate treated from comparison units, so they do not overlap"
            )
        keep = ~treated & (logit.probabilities < trim)
        n_trimmed = n_comparison - int(keep.sum())
        p = np.minimum(logit.probabilities, 1 - 1e-6)
        odds = np.where(keep, weights * p / (1 - p), 0.0)
        if not odds.sum() > 0:
            return _fault(empty, f"no comparison unit has a propensity below {trim:g}")
    estimates, psi = _assemble(residual, change, X, w_treated, w_comparison, odds, ols, logit,
                               treated, weights)  # fmt: skip
    return ConditionalDiD(estimates, psi, n_trimmed=n_trimmed)


def _fault(empty: ConditionalDiD, reason: str) -> ConditionalDiD:
    return ConditionalDiD(empty.estimates, empty.psi, fault=reason)


def _comparison_regression(
    change: Floats, X: Floats, w_comparison: Floats
) -> tuple[Floats, Floats] | None:
    """Return coefficients (k, m) and the inverse Gram (k, k) among comparison units."""
    weighted = X * w_comparison[:, None]
    gram = X.T @ weighted
    scale = np.sqrt(np.maximum(np.diagonal(gram), np.finfo(float).tiny))
    values = linalg.eigvalsh(gram / np.outer(scale, scale))
    if values[0] < _RANK_TOLERANCE * values[-1]:
        return None
    inverse = linalg.inv(gram / np.outer(scale, scale)) / np.outer(scale, scale)
    return inverse @ (weighted.T @ change), inverse


def _assemble(residual, change, X, w1, w_comparison, odds, ols, logit, treated, weights):  # type: ignore[no-untyped-def]
    """Form the estimate and its influence function from their parts."""
    total1 = w1.sum()
    tau1 = w1 @ residual / total1
    psi = w1[:, None] * (residual - tau1) / total1
    mean_x = w1 @ X / total1
    estimates = tau1
    if odds is not None:
        total0 = odds.sum()
        tau0 = odds @ residual / total0
        estimates = tau1 - tau0
        centred = odds[:, None] * (residual - tau0) / total0
        psi -= centred
        score = (weights * (treated - logit.probabilities))[:, None] * X
        psi -= score @ (logit.inverse_information @ (X.T @ centred))
        mean_x = mean_x - odds @ X / total0
    if ols is not None:
        leverage = (X * w_comparison[:, None]) @ (ols[1] @ mean_x)
        psi -= leverage[:, None] * residual
    return estimates, psi
