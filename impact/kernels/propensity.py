"""What estimators conditional on covariates share: propensities and comparison regressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from impact.kernels.logit import fit_calibrated, fit_logit

__all__ = [
    "ComparisonRegression",
    "Propensity",
    "comparison_regression",
    "independent_columns",
    "propensity",
]

Floats = NDArray[np.float64]

_RANK_TOLERANCE = 1e-10


def independent_columns(X: Floats) -> NDArray[np.int64]:
    """Return positions of columns that span X (n, k), in order: all, unless some repeat others."""
    gram = X.T @ X
    size = np.sqrt(np.diagonal(gram))
    scale = np.where(size > 0, size, 1.0)
    _, pivots, rank, _ = linalg.lapack.dpstrf(gram / np.outer(scale, scale), tol=_RANK_TOLERANCE)
    return np.sort(pivots[:rank] - 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class ComparisonRegression:
    """Least squares among some rows.

    Attributes
    ----------
    coefficients : array, shape (k, m)
    inverse : array, shape (k, k), of the weighted cross-products of X
    weights : array, shape (n,), zero in rows that do not enter
    """

    coefficients: Floats
    inverse: Floats
    weights: Floats

    def pull(self, X: Floats, at: Floats) -> Floats:
        """Return what a unit residual in each row moves the fitted value at ``at``, (n,)."""
        return np.asarray(self.weights * (X @ (self.inverse @ at)))


def comparison_regression(
    outcome: Floats, X: Floats, weights: Floats
) -> ComparisonRegression | None:
    """Regress outcomes (n, m) on X (n, k) by weight; None if X is collinear where it counts."""
    weighted = X * weights[:, None]
    gram = X.T @ weighted
    scale = np.sqrt(np.maximum(np.diagonal(gram), np.finfo(float).tiny))
    scaled = gram / np.outer(scale, scale)
    values = linalg.eigvalsh(scaled)
    if values[0] < _RANK_TOLERANCE * values[-1]:
        return None
    inverse = linalg.inv(scaled) / np.outer(scale, scale)
    return ComparisonRegression(inverse @ (weighted.T @ outcome), inverse, weights)


@dataclass(frozen=True, eq=False)
class Propensity:
    """Propensities of treatment and what they weigh comparison rows by.

    Attributes
    ----------
    coefficients : array, shape (k,), of the logit
    odds : array, shape (n,), w p / (1 - p) in comparison rows, zero where treated or trimmed
    score : array, shape (n,), w (D - p): times x and ``inverse``, a row's pull on the logit
    inverse : array, shape (k, k), inverse information
    n_trimmed : comparison rows left out
    fault : why it cannot be had, in words; empty if it can
    """

    coefficients: Floats
    odds: Floats
    score: Floats
    inverse: Floats
    n_trimmed: int
    fault: str = ""


def propensity(
    X: Floats,
    treated: NDArray[np.bool_],
    weights: Floats,
    trim: float,
    *,
    calibrated: bool = False,
    start: Floats | None = None,
) -> Propensity:
    """Fit the logit and weigh comparison rows by their odds, trimmed where overlap ends."""
    fit = fit_logit(X, treated, weights, start)
    if calibrated and fit.converged:
        fit = fit_calibrated(X, treated, weights)
    fault, n_treated = "", int(np.count_nonzero(treated))
    n_comparison = len(treated) - n_treated
    if not fit.converged:
        fault = (
            f"covariates separate {n_treated:,} treated from {n_comparison:,} comparison units, "
            "so they do not overlap"
        )
    keep = ~treated & (fit.probabilities < trim)
    p = np.minimum(fit.probabilities, 1 - 1e-6)
    odds = np.where(keep, weights * p / (1 - p), 0.0)
    if not fault and not odds.sum() > 0:
        fault = f"none of {n_comparison:,} comparison units has a propensity below {trim:g}"
    return Propensity(
        fit.coefficients,
        odds,
        weights * (treated - fit.probabilities),
        fit.inverse_information,
        int((~treated).sum() - keep.sum()),
        fault,
    )
