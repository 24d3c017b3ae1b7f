"""Two-period comparisons of rows not followed: tilted propensities, and Abadie's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from impact.kernels.doubly_robust import ConditionalDiD
from impact.kernels.propensity import (
    Propensity,
    comparison_regression,
    independent_columns,
    propensity,
)

__all__ = ["abadie_sections", "improved_sections"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
_Compare = Callable[[Floats, Booleans, Booleans, Floats, Floats, Propensity], ConditionalDiD]


def improved_sections(
    outcome: Floats,
    treated: Booleans,
    after: Booleans,
    X: Floats,
    weights: Floats,
    trim: float = 0.995,
) -> ConditionalDiD:
    """Compare by a propensity tilted to balance X and regressions weighted by its odds.

    The mean over all treated of (m_11 - m_01) - (m_10 - m_00), with m_1s(X) least squares of the
    outcome among treated rows of section s (1 after, 0 before) and m_0s(X) among comparison rows
    weighted by their odds.

    Parameters
    ----------
    outcome : array, shape (n,)
    treated, after : arrays, shape (n,)
    X : array, shape (n, k), covariates with an intercept first
    weights : array, shape (n,)
    trim : comparison rows with a propensity of at least this much are left out

    Notes
    -----
    Fitted so, the propensity and the regressions add nothing to the variance in large samples,
    whichever of them is right. Assumes no change of who is sampled.

    Source
    ------
    Sant'Anna and Zhao (2020), Journal of Econometrics 219(1), section 3.2 for cross-sections.
    """
    return _fit(_improved, outcome, treated, after, X, weights, trim, calibrated=True)


def abadie_sections(
    outcome: Floats,
    treated: Booleans,
    after: Booleans,
    X: Floats,
    weights: Floats,
    trim: float = 0.995,
) -> ConditionalDiD:
    """Compare by the sum of outcomes times (w D - odds) / (E[D] P(s)) after less before.

    P(s) is the share of rows in section s. Arguments as of ``improved_sections``.

    Notes
    -----
    The weights of an arm and section do not sum to one, so that the estimate moves with the
    level of the outcome where the arms are not sampled alike; without covariates too.

    Source
    ------
    Abadie (2005), Review of Economic Studies 72(1), section 3.2.2.
    """
    return _fit(_abadie, outcome, treated, after, X, weights, trim, calibrated=False)


def _fit(
    compare: _Compare,
    outcome: Floats,
    treated: Booleans,
    after: Booleans,
    X: Floats,
    weights: Floats,
    trim: float,
    *,
    calibrated: bool,
) -> ConditionalDiD:
    """Leave out repeated covariates, fit the propensity on both sections and compare."""
    kept = independent_columns(X)
    X, n_redundant = X[:, kept], X.shape[1] - len(kept)
    fit = propensity(X, treated, weights, trim, calibrated=calibrated)
    if fit.fault:
        return _no_estimate(len(outcome), fit.fault)
    found = compare(outcome, treated, after, X, weights, fit)
    return replace(found, n_trimmed=fit.n_trimmed, n_redundant=n_redundant)


def _improved(
    outcome: Floats, treated: Booleans, after: Booleans, X: Floats, weights: Floats, fit: Propensity
) -> ConditionalDiD:
    n = len(outcome)
    psi, gap = np.zeros(n), np.zeros(n)
    for sign, section in ((1.0, after), (-1.0, ~after)):
        for arm, mass in ((1.0, weights * (treated & section)), (-1.0, fit.odds * section)):
            who = "treated" if arm > 0 else "comparison"
            if np.count_nonzero(mass) < X.shape[1]:
                return _no_estimate(n, f"too few {who} rows for {X.shape[1]} coefficients")
            line = comparison_regression(outcome[:, None], X, mass)
            if line is None:
                return _no_estimate(n, f"covariates are collinear among {who} units")
            fitted = X @ line.coefficients[:, 0]
            gap += sign * arm * fitted
            psi += sign * arm * mass * (outcome - fitted) / mass.sum()
    own = weights * treated / (weights @ treated)
    estimate = float(own @ gap)
    psi += own * (gap - estimate)
    return ConditionalDiD(np.array([estimate]), psi[:, None])


def _abadie(
    outcome: Floats, treated: Booleans, after: Booleans, X: Floats, weights: Floats, fit: Propensity
) -> ConditionalDiD:
    own = weights * treated / (weights @ treated)
    odds = fit.odds / (weights @ treated)
    estimate, psi, slope = 0.0, np.zeros(len(outcome)), np.zeros(X.shape[1])
    for sign, section in ((1.0, after), (-1.0, ~after)):
        among = weights * section / (weights @ section)
        scale = sign * weights.sum() / (weights @ section)
        terms = scale * (own - odds) * section * outcome
        part = float(terms.sum())
        estimate += part
        psi += terms + part * (weights / weights.sum() - own - among)
        slope += scale * ((odds * section * outcome) @ X)
    psi -= fit.score * (X @ (fit.inverse @ slope))
    return ConditionalDiD(np.array([estimate]), psi[:, None])


def _no_estimate(n: int, reason: str) -> ConditionalDiD:
    return ConditionalDiD(np.array([np.nan]), np.zeros((n, 1)), fault=reason)
