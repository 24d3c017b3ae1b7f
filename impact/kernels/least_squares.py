"""Least squares after effects are swept out, refusing nothing that can be said exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.kernels.products import inner, weighted_rows

__all__ = ["LeastSquares", "Redundancy", "find_redundant", "least_squares"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ABSORBED = 1e-20
"""Share of a column's sum of squares left after sweeping below which it counts as absorbed."""

COLLINEAR = 1e-10
"""One minus R-squared on the columns before it below which a column counts as collinear."""

ROUNDING = 1e-15
"""Error of a cross-product of standardised columns; large slopes multiply it."""

PARTNER = 1e-6
"""Standardised slope above which a column is named among those that explain another."""


@dataclass(frozen=True)
class Redundancy:
    """A column that others explain exactly.

    ``column`` is its position; ``partners`` those of the columns that explain it, empty where
    the effects do.
    """

    column: int
    partners: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """A weighted least-squares fit of K columns of which k are kept.

    Parameters
    ----------
    kept : shape (k,), positions of the columns that have a coefficient
    coefficients : shape (k,)
    bread : shape (k, k), inverse of X'WX after sweeping
    regressors : shape (k, n), swept
    residuals : shape (n,)
    outcome_variation : weighted sum of squares of the swept outcome
    weights : shape (n,), or None
    n_effects : rank of what was swept out
    redundant : columns without a coefficient, and why
    leverage_of_effects : returns the diagonal of the projection on what was swept out, (n,)
    """

    kept: Integers
    coefficients: Floats
    bread: Floats
    regressors: Floats
    residuals: Floats
    outcome_variation: float
    weights: Floats | None
    n_effects: int
    redundant: tuple[Redundancy, ...]
    leverage_of_effects: Callable[[], Floats] | None

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return len(self.residuals)

    @property
    def df_residual(self) -> int:
        """Rows less coefficients less effects."""
        return self.n_rows - len(self.kept) - self.n_effects

    @cached_property
    def rss(self) -> float:
        """Weighted sum of squared residuals."""
        return float(np.einsum("n,n->", self.weighted_residuals, self.residuals))

    @property
    def sigma2(self) -> float:
        """Residual variance, NaN without degrees of freedom."""
        return self.rss / self.df_residual if self.df_residual > 0 else np.nan

    @property
    def r_squared_within(self) -> float:
        """Share of the swept outcome's variation that the regressors explain."""
        return 1 - self.rss / self.outcome_variation if self.outcome_variation > 0 else np.nan

    @cached_property
    def weighted_residuals(self) -> Floats:
        """Residuals times weights, shape (n,)."""
        return self.residuals if self.weights is None else self.residuals * self.weights

    def row_scores(self) -> Floats:
        """Return regressor times weight times residual of each row, shape (k, n)."""
        return self.regressors * self.weighted_residuals

    @cached_property
    def leverages(self) -> Floats:
        """Diagonal of the whole projection, effects included, shape (n,)."""
        own: Floats = np.einsum(
            "kn,kl,ln->n", self.regressors, self.bread, self.regressors, optimize=True
        )
        if self.weights is not None:
            own = own * self.weights
        return own if self.leverage_of_effects is None else own + self.leverage_of_effects()


def least_squares(
    outcome: Floats,
    regressors: Floats,
    weights: Floats | None = None,
    *,
    sweep: Callable[[Sequence[Floats]], Floats] | None = None,
    n_effects: int = 0,
    leverage_of_effects: Callable[[], Floats] | None = None,
) -> LeastSquares:
    """Regress an outcome on columns after sweeping effects out of both.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (K, n)
    weights : positive, shape (n,)
    sweep : takes effects out of k columns of shape (n,), such as `Absorber.sweep`
    n_effects : rank of those effects

    Notes
    -----
    Redundant columns are left out from right to left, so the first of a collinear set keeps its
    coefficient, and each is reported with what explains it.
    """
    y, x = outcome, regressors
    if sweep is not None:
        swept = sweep([outcome, *regressors])
        y, x = swept[0], swept[1:]
    weighted = x if weights is None else x * weights
    gram, cross = inner(weighted, x), inner(weighted, y[None, :])[:, 0]
    before = np.einsum(
        "kn,kn->k", regressors, regressors if weights is None else regressors * weights
    )
    redundant = find_redundant(gram, before)
    dropped = {r.column for r in redundant}
    kept = np.array([j for j in range(len(x)) if j not in dropped], dtype=np.int64)
    x = x if len(kept) == len(x) else x[kept]
    kept_gram = gram[np.ix_(kept, kept)]
    scale = np.sqrt(np.diagonal(kept_gram))
    factor = (
        scipy.linalg.cho_factor(kept_gram / np.outer(scale, scale), lower=True)
        if len(kept)
        else None
    )
    coefficients = np.zeros(0)
    bread = np.zeros((0, 0))
    variation = float(np.einsum("n,n->", y, y if weights is None else y * weights))
    residuals = y
    if factor is not None:
        bread = scipy.linalg.cho_solve(factor, np.eye(len(kept))) / np.outer(scale, scale)
        coefficients = scipy.linalg.cho_solve(factor, cross[kept] / scale) / scale
        # What sweeping returned is nobody else's and becomes the residuals in place.
        residuals = np.subtract(y, weighted_rows(coefficients, x), out=None if sweep is None else y)
        # One step of refinement: the normal equations square the condition number.
        left = residuals if weights is None else residuals * weights
        right = inner(x, left[None, :])[:, 0]
        correction = scipy.linalg.cho_solve(factor, right / scale) / scale
        coefficients = coefficients + correction
        residuals -= weighted_rows(correction, x)
    return LeastSquares(
        kept,
        coefficients,
        bread,
        x,
        residuals,
        variation,
        weights,
        n_effects,
        redundant,
        leverage_of_effects,
    )


def find_redundant(gram: Floats, before: Floats) -> tuple[Redundancy, ...]:
    """List columns that effects absorb or that columns before them explain exactly.

    Parameters
    ----------
    gram : shape (K, K), cross-products after sweeping
    before : shape (K,), sums of squares before sweeping
    """
    found: list[Redundancy] = []
    basis: list[int] = []
    norms = np.diagonal(gram).copy()
    alive = norms > ABSORBED * before
    root = np.sqrt(np.where(alive, norms, 1.0))
    correlation = gram / np.outer(root, root)
    lower = np.zeros_like(correlation)
    for j in range(len(gram)):
        if not alive[j]:
            found.append(Redundancy(j, ()))
            continue
        size = len(basis)
        right = correlation[j, basis]
        row = (
            scipy.linalg.solve_triangular(lower[:size, :size], right, lower=True)
            if basis
            else right
        )
        pivot = 1 - row @ row
        slopes = (
            scipy.linalg.solve_triangular(lower[:size, :size].T, row, lower=False)
            if basis
            else right
        )
        if pivot <= max(COLLINEAR, ROUNDING * (1 + np.abs(slopes).sum()) ** 2):
            partners = tuple(b for b, s in zip(basis, slopes, strict=True) if abs(s) > PARTNER)
            found.append(Redundancy(j, partners))
            continue
        lower[size, :size] = row
        lower[size, size] = np.sqrt(pivot)
        basis.append(j)
    return tuple(found)
