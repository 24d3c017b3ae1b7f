"""Two-period difference-in-differences conditional on covariates, with influence functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.kernels.propensity import (
    Propensity,
    comparison_regression,
    independent_columns,
    propensity,
)

__all__ = ["ConditionalDiD", "Method", "conditional_did", "conditional_did_sections"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Method = Literal[
    "doubly_robust", "improved", "regression", "inverse_probability", "horvitz_thompson"
]


@dataclass(frozen=True, eq=False)
class ConditionalDiD:
    """Effects of m outcome changes and the contribution of each row.

    Attributes
    ----------
    estimates : array, shape (m,)
    psi : array, shape (n, m), contributions to estimate minus truth
    fault : why there is no estimate, in words; empty if there is one
    n_trimmed : comparison rows left out because their propensity exceeds the limit
    logit : coefficients of the propensity, shape (k,), where it was fitted
    n_redundant : covariates left out because the others determine them
    """

    estimates: Floats
    psi: Floats
    fault: str = ""
    n_trimmed: int = 0
    logit: Floats | None = None
    n_redundant: int = 0


def conditional_did(
    change: Floats,
    treated: Booleans,
    X: Floats,
    weights: Floats,
    method: Method,
    trim: float = 0.995,
    *,
    start: Floats | None = None,
) -> ConditionalDiD:
    """Compare the change of treated units with that of comparison units alike in X.

    With D treated, C comparison, p the logit propensity, m(X) least squares of the change
    among C, r = change - m(X), w1 = w D and w0 = w C p / (1 - p):

    - "regression": mean of r over D
    - "inverse_probability": mean of the change with weights w1 less that with weights w0
    - "horvitz_thompson": the same, both sums divided by that of w1
    - "doubly_robust": mean of r with weights w1 less that with weights w0
    - "improved": the same with p tilted to balance X exactly and m(X) weighted by w0, which
      stays consistent, with correct standard errors, if either model is wrong

    Parameters
    ----------
    change : array, shape (n, m), outcome after less outcome before, m periods at once
    treated : array, shape (n,)
    X : array, shape (n, k), covariates with an intercept first
    weights : array, shape (n,)
    trim : comparison units with a propensity of at least this much are left out
    start : array, shape (k,), coefficients the logit starts from

    Notes
    -----
    Covariates that others determine are left out, which changes no fitted value.

    Source
    ------
    Sant'Anna and Zhao (2020), Journal of Econometrics 219(1), for the estimators and
    their influence functions; Abadie (2005) for "horvitz_thompson", in Hajek form for
    "inverse_probability"; Heckman, Ichimura and Todd (1997) for "regression".
    """
    kept = independent_columns(X)
    if len(kept) < X.shape[1]:
        found = conditional_did(change, treated, X[:, kept], weights, method, trim)
        return replace(found, logit=None, n_redundant=X.shape[1] - len(kept))
    n, m = change.shape
    comparison = weights * ~treated
    n_comparison = int((~treated).sum())
    if n_comparison < X.shape[1]:
        return _no_estimate(n, m, _too_few(n_comparison, X.shape[1]))
    fit = None
    if method != "regression":
        fit = propensity(X, treated, weights, trim, calibrated=method == "improved", start=start)
        if fit.fault:
            return _no_estimate(n, m, fit.fault)
    w1 = weights * treated
    total = w1.sum()
    if fit is not None and method == "horvitz_thompson":
        return _horvitz_thompson(change, w1, fit, X)
    pull = w1 / total
    mean_x = w1 @ X / total
    if fit is not None:
        w0 = fit.odds / fit.odds.sum()
        mean_x = mean_x - w0 @ X
        pull = pull - w0
    coefficients = np.zeros((X.shape[1], m))
    if method != "inverse_probability":
        own = fit.odds if fit is not None and method == "improved" else comparison
        regression = comparison_regression(change, X, own)
        if regression is None:
            return _no_estimate(n, m, "covariates are collinear among comparison units")
        coefficients = regression.coefficients
        if method != "improved":
            pull = pull - regression.pull(X, mean_x)
    # Contributions are pull * residual less what these rows times their loads add to it; residuals
    # of m changes are never laid out.
    tau1 = (w1 @ change - (w1 @ X) @ coefficients) / total
    rows, loads = [pull * X.T, w1[None, :] / total], [coefficients, tau1[None, :]]
    if fit is None:
        return ConditionalDiD(tau1, _contributions(pull, change, rows, loads))
    tau0 = w0 @ change - (w0 @ X) @ coefficients
    rows.append(w0[None, :])
    loads.append(-tau0[None, :])
    if method != "improved":
        weighted = w0 * X.T
        slope = weighted @ change - (weighted @ X) @ coefficients
        slope -= np.outer(weighted.sum(axis=1), tau0)
        rows.append(fit.score * X.T)
        loads.append(fit.inverse @ slope)
    psi = _contributions(pull, change, rows, loads)
    return ConditionalDiD(tau1 - tau0, psi, n_trimmed=fit.n_trimmed, logit=fit.coefficients)


def _contributions(pull: Floats, change: Floats, rows: list[Floats], loads: list[Floats]) -> Floats:
    """Return pull * change less the rows (r, n) by their loads (r, m), shape (n, m)."""
    psi = pull * change.T
    psi -= np.concatenate(loads).T @ np.concatenate(rows)
    return psi.T


def _horvitz_thompson(change: Floats, w1: Floats, fit: Propensity, X: Floats) -> ConditionalDiD:
    """Divide both weighted sums of the change by the treated's weight."""
    total = w1.sum()
    contrast = (w1 - fit.odds) / total
    estimates = contrast @ change
    slope = X.T @ (fit.odds[:, None] * change) / total
    psi = contrast[:, None] * change - (w1 / total)[:, None] * estimates
    psi -= fit.score[:, None] * (X @ (fit.inverse @ slope))
    return ConditionalDiD(estimates, psi, n_trimmed=fit.n_trimmed, logit=fit.coefficients)


def conditional_did_sections(
    outcome: Floats,
    treated: Booleans,
    after: Booleans,
    X: Floats,
    weights: Floats,
    method: Method,
    trim: float = 0.995,
) -> ConditionalDiD:
    """Compare treated with comparison rows alike in X, before and after, units not followed.

    With m_ds(X) least squares of the outcome among rows of arm d (1 treated, 0 comparison) in
    section s (1 after, 0 before), p the logit propensity in both sections together, and
    w0_s = w C p / (1 - p) in section s:

    - "regression": mean outcome of the treated after less before, less the mean over all
      treated of m_01 - m_00
    - "inverse_probability": the same difference of means of the treated, less that of the
      comparison rows by w0
    - "doubly_robust": mean over all treated of (m_11 - m_01) - (m_10 - m_00), less the
      difference of the means of y - m_0s by w0_s; locally efficient

    Parameters
    ----------
    outcome : array, shape (n,)
    treated, after : arrays, shape (n,)
    X : array, shape (n, k), covariates with an intercept first
    weights : array, shape (n,)
    trim : comparison rows with a propensity of at least this much are left out

    Notes
    -----
    Assumes that who is in the two sections is alike (no change of composition).

    Source
    ------
    Sant'Anna and Zhao (2020). Rows of treated residuals
    sum to zero within a section, which leaves the form above. DRDID 1.2.3 adds the pull of the
    comparison regression before treatment on "doubly_robust" with the opposite sign, which moves
    its standard errors in the fifth digit where the propensity balances X.
    """
    kept = independent_columns(X)
    if len(kept) < X.shape[1]:
        found = conditional_did_sections(outcome, treated, after, X[:, kept], weights, method, trim)
        return replace(found, n_redundant=X.shape[1] - len(kept))
    n, k = X.shape
    total = weights @ treated
    mean_x = (weights * treated) @ X / total
    psi = np.zeros(n)
    estimate = 0.0
    fit = None
    if method != "regression":
        fit = propensity(X, treated, weights, trim)
        if fit.fault:
            return _no_estimate(n, 1, fit.fault)
    predicted = np.zeros(n)
    slope = np.zeros(k)
    for sign, section in ((1.0, after), (-1.0, ~after)):
        own, other = weights * (treated & section), weights * (~treated & section)
        n_own, n_other = int(np.count_nonzero(own)), int(np.count_nonzero(other))
        if min(n_own if method == "doubly_robust" else k, n_other) < k:
            return _no_estimate(n, 1, _too_few(min(n_own, n_other), k))
        residual, base = outcome, None
        if method != "inverse_probability":
            base = comparison_regression(outcome[:, None], X, other)
            if base is None:
                return _no_estimate(n, 1, "covariates are collinear among comparison units")
            fitted = X @ base.coefficients[:, 0]
            residual = outcome - fitted
            predicted -= sign * fitted
        at = mean_x
        if method == "doubly_robust":
            mine = comparison_regression(outcome[:, None], X, own)
            if mine is None:
                return _no_estimate(n, 1, "covariates are collinear among treated units")
            fitted = X @ mine.coefficients[:, 0]
            predicted += sign * fitted
            psi += sign * mine.pull(X, mean_x) * (outcome - fitted)
        else:
            level = float(own @ outcome / own.sum())
            estimate += sign * level
            psi += sign * own * (outcome - level) / own.sum()
        if fit is not None:
            w0 = fit.odds * section
            w0 = w0 / w0.sum()
            level = float(w0 @ residual)
            estimate -= sign * level
            psi -= sign * w0 * (residual - level)
            slope += sign * (X.T @ (w0 * (residual - level)))
            at = mean_x - w0 @ X
        if base is not None:
            psi -= sign * base.pull(X, at) * residual
    if method != "inverse_probability":
        level = float((weights * treated) @ predicted / total)
        estimate += level
        psi += weights * treated * (predicted - level) / total
    if fit is not None:
        psi -= fit.score * (X @ (fit.inverse @ slope))
    return ConditionalDiD(
        np.array([estimate]), psi[:, None], n_trimmed=0 if fit is None else fit.n_trimmed
    )


def _no_estimate(n: int, m: int, reason: str) -> ConditionalDiD:
    return ConditionalDiD(np.full(m, np.nan), np.zeros((n, m)), fault=reason)


def _too_few(n_rows: int, n_coefficients: int) -> str:
    return f"{n_rows} comparison units cannot carry {n_coefficients} coefficients"
