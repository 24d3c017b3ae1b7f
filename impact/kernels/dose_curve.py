"""A smooth curve of outcome changes in the dose, with what each unit contributes to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

__all__ = ["DoseCurve", "SplineBasis", "dose_curve"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """B-splines of a degree with interior knots, on [low, high]; they sum to one everywhere."""

    degree: int
    knots: Floats
    low: float
    high: float

    @property
    def size(self) -> int:
        """Number of splines."""
        return self.degree + 1 + len(self.knots)

    def _spline(self) -> BSpline:
        ends = [self.low] * (self.degree + 1), [self.high] * (self.degree + 1)
        return BSpline(
            np.concatenate((ends[0], self.knots, ends[1])), np.eye(self.size), self.degree
        )

    def values(self, doses: Floats) -> Floats:
        """Return the splines at doses in [low, high], shape (n, size)."""
        return np.asarray(self._spline()(doses))

    def slopes(self, doses: Floats) -> Floats:
        """Return their derivatives, shape (n, size)."""
        return np.asarray(self._spline().derivative()(doses))


@dataclass(frozen=True, eq=False)
class DoseCurve:
    """Average over treated doses followed by J points of the curve, with contributions.

    Attributes
    ----------
    estimates : array, shape (1 + J,)
    psi : array, shape (n, 1 + J), contributions to estimate minus truth
    rank : dimension of the treated units' splines; the curve needs all of them
    """

    estimates: Floats
    psi: Floats
    rank: int


def dose_curve(
    change: Floats,
    treated: Booleans,
    doses: Floats,
    weights: Floats,
    basis: SplineBasis,
    grid: Floats,
    *,
    slope: bool,
) -> DoseCurve:
    """Regress treated units' changes, less the comparison's mean change, on splines in dose.

    ATT(d) = B(d)'b - mean change of comparison units, ACRT(d) = B'(d)'b with b least squares
    of the change on B among treated; the first estimate averages the curve over treated doses.

    Parameters
    ----------
    change, treated, doses, weights : arrays, shape (n,)
    grid : array, shape (J,), within the basis
    slope : ACRT instead of ATT

    Source
    ------
    Callaway, Goodman-Bacon and Sant'Anna (2024), NBER working paper 32117.
    """
    own = np.flatnonzero(treated)
    w1 = weights[own] / weights[own].sum()
    X = basis.values(doses[own])
    gram = X.T @ (X * w1[:, None])
    values, vectors = np.linalg.eigh(gram)
    live = values > _RANK_TOLERANCE * values[-1]
    inverse = (vectors[:, live] / values[live]) @ vectors[:, live].T
    b = inverse @ (X.T @ (w1 * change[own]))
    shape = basis.slopes if slope else basis.values
    at_own, at_grid = shape(doses[own]), shape(grid)
    points = np.concatenate(((w1 @ at_own)[None, :], at_grid))
    estimates = points @ b
    psi = np.zeros((len(change), 1 + len(grid)))
    psi[own] = ((w1 * (change[own] - X @ b))[:, None] * X) @ (inverse @ points.T)
    psi[own, 0] += w1 * (at_own @ b - estimates[0])
    if not slope:
        w0 = weights * ~treated / weights[~treated].sum()
        level = float(w0 @ change)
        estimates = estimates - level
        psi -= (w0 * (change - level))[:, None]
    return DoseCurve(estimates, psi, int(live.sum()))
