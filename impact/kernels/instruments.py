"""Instrumental variables: two-stage least squares and limited information maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.least_squares import LeastSquares

__all__ = ["KClass", "ProjectedFit", "efficient_minimum", "k_class", "quadratic_set"]

Floats = NDArray[np.float64]

EXACT = 1e-14
"""Share of a standardised variance that instruments leave below which LIML has no root."""


@dataclass(frozen=True, eq=False)
class ProjectedFit(LeastSquares):
    """A k-class fit whose row scores are its regressors' projections times residuals.

    ``projections``, shape (k, n), are :math:`P_ZX`: the moments that instruments give, whatever
    kappa, as in Stata's ivregress and linearmodels.
    """

    projections: Floats

    def row_scores(self) -> Floats:
        """Return projection times weight times residual of each row, shape (k, n)."""
        return self.projections * self.weighted_residuals


@dataclass(frozen=True, eq=False)
class KClass:
    r"""A k-class fit in the form of a regression on fitted regressors.

    Parameters
    ----------
    fit : coefficients, bread and structural residuals; ``regressors`` are
        :math:`(I - \kappa M_Z)X`, as if the outcome were regressed on them
    kappa : 1 for two-stage least squares; the smallest root for LIML
    """

    fit: ProjectedFit
    kappa: float


def k_class(
    outcome: Floats,
    endogenous: Floats,
    exogenous: Floats,
    instruments: Floats,
    weights: Floats | None,
    *,
    liml: bool,
    n_effects: int,
) -> KClass:
    r"""Estimate :math:`\hat\beta = (X'(I - \kappa M_Z)X)^{-1} X'(I - \kappa M_Z)y`.

    Parameters
    ----------
    outcome : shape (n,), swept
    endogenous, exogenous, instruments : shape (m, n), (p, n), (q, n), swept, none redundant
    weights : shape (n,), or None
    n_effects : rank of what was swept out

    Raises
    ------
    EstimationError : LIML where instruments leave no error

    Source
    ------
    Davidson and MacKinnon (1993), Estimation and Inference in Econometrics, section 18.5;
    Anderson and Rubin (1949) for LIML's root.
    """
    root = np.ones_like(outcome) if weights is None else np.sqrt(weights)
    x = np.concatenate((endogenous, exogenous)) * root
    z = np.concatenate((instruments, exogenous)) * root
    y = outcome * root
    basis = np.linalg.qr(z.T)[0]
    kappa = 1.0
    if liml:
        both = np.concatenate((y[None, :], endogenous * root))
        inner = both
        if len(exogenous):
            plane = np.linalg.qr((exogenous * root).T)[0]
            inner = both - (both @ plane) @ plane.T
        outer = both - (both @ basis) @ basis.T
        size = np.sqrt(np.einsum("kn,kn->k", both, both))
        left = (outer @ outer.T) / np.outer(size, size)
        if np.linalg.eigvalsh(left)[0] < EXACT:
            raise EstimationError(
                "the instruments explain the outcome, an endogenous regressor or a combination of "
                'them exactly, so LIML has no root. Use method="2sls".'
            )
        kappa = float(
            scipy.linalg.eigh((inner @ inner.T) / np.outer(size, size), left, eigvals_only=True)[0]
        )
    projections = (x @ basis) @ basis.T
    fitted = (1 - kappa) * x + kappa * projections
    scale = np.sqrt(np.einsum("kn,kn->k", x, x))
    bread = np.linalg.inv(fitted @ x.T / np.outer(scale, scale)) / np.outer(scale, scale)
    bread = (bread + bread.T) / 2
    coefficients = bread @ (fitted @ y)
    residuals = (y - coefficients @ x) / root
    fit = ProjectedFit(
        np.arange(len(x)),
        coefficients,
        bread,
        fitted / root,
        residuals,
        float(y @ y),
        weights,
        n_effects,
        (),
        None,
        projections / root,
    )
    return KClass(fit, kappa)


def efficient_minimum(cross: Floats, response: Floats, spread: Floats) -> float:
    r"""Return Hansen's J: the least :math:`(Z'y - Z'Xb)'S^{-1}(Z'y - Z'Xb)` over b.

    Parameters
    ----------
    cross, response : Z'WX, shape (q, k), and Z'Wy, shape (q,)
    spread : S, covariance of the moments at consistent estimates, shape (q, q)

    Source
    ------
    Hansen (1982), Econometrica 50(4), lemma 4.2.
    """
    root = np.linalg.cholesky(spread)
    left = scipy.linalg.solve_triangular(root, np.column_stack((response, cross)), lower=True)
    plane = np.linalg.qr(left[:, 1:])[0]
    rest = left[:, 0] - plane @ (plane.T @ left[:, 0])
    return float(rest @ rest)


def quadratic_set(
    statistic: Callable[[float], float],
    degree: int,
    centre: float,
    scale: float,
    critical: float,
    determinant: Callable[[float], float],
) -> list[tuple[float, float]]:
    """Find where a ratio of polynomials stays at or below a critical value.

    Parameters
    ----------
    statistic : the ratio as a function of the hypothesised value
    degree : of the numerator and of the denominator
    centre, scale : of the values that matter, for a well-conditioned interpolation
    determinant : the (positive) denominator

    Returns
    -------
    list of intervals, ends may be infinite; empty if no value is accepted
    """
    points = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)) * 3
    values = [
        (statistic(centre + scale * p) - critical) * determinant(centre + scale * p) for p in points
    ]
    polynomial = np.polynomial.Polynomial.fit(points, values, degree, domain=[-3, 3])
    roots = polynomial.roots()
    ends = np.sort(roots[np.abs(roots.imag) < 1e-7 * (1 + np.abs(roots))].real)
    bounds = np.concatenate(([-np.inf], centre + scale * ends, [np.inf]))
    accepted: list[tuple[float, float]] = []
    for low, high in pairwise(bounds):
        inside = _between(low, high, scale)
        if statistic(inside) <= critical:
            if accepted and accepted[-1][1] == low:
                accepted[-1] = (accepted[-1][0], float(high))
            else:
                accepted.append((float(low), float(high)))
    return accepted


def _between(low: float, high: float, scale: float) -> float:
    if np.isinf(low) and np.isinf(high):
        return 0.0
    if np.isinf(low):
        return high - 10 * scale
    return low + 10 * scale if np.isinf(high) else (low + high) / 2
