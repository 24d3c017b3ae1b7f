"""The mean at the edge of a regressor's range, and whether the range reaches zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoundaryMean", "boundary_mean", "reaches_zero_test"]

Floats = NDArray[np.float64]

# Of the leading bias and variance of a local line at an edge, Epanechnikov kernel.
_BIAS, _VARIANCE = -0.1158, 4.4980


@dataclass(frozen=True, eq=False)
class BoundaryMean:
    """An estimate of E[y | d = 0]: value, contributions (n,), bandwidth, rows within it."""

    value: float
    psi: Floats
    bandwidth: float
    n_local: int


def boundary_mean(
    y: Floats, d: Floats, bandwidth: float | None = None, weights: Floats | None = None
) -> BoundaryMean:
    """Estimate E[y | d -> 0] from d > 0 by a bias-corrected local line.

    A local line with the bandwidth that minimises its mean squared error, its leading bias
    removed with the same bandwidth: this is a local quadratic, whose own errors are robust to
    the correction.

    Parameters
    ----------
    y, d : arrays, shape (n,), d positive
    bandwidth : chosen from a quartic fitted to all rows if None
    weights : array, shape (n,), of mean one; equal if None

    Source
    ------
    Calonico, Cattaneo and Farrell (2018), Journal of the American Statistical Association
    113(522) (robust bias correction with equal bandwidths); Fan and Gijbels (1996) for the
    pilot.
    """
    w = np.ones(len(y)) if weights is None else weights
    h = _pilot_bandwidth(y, d, w) if bandwidth is None else bandwidth
    local = np.flatnonzero(d < h)
    u = d[local] / h
    kernel = 0.75 * (1 - u**2) * w[local]
    X = np.stack((np.ones(len(u)), u, u**2), axis=1)
    inverse = np.linalg.pinv(X.T @ (X * kernel[:, None]))
    b = inverse @ (X.T @ (kernel * y[local]))
    pull = kernel * (X @ inverse[0])
    residual = y[local] - X @ b
    # HC3: few rows are local, and each moves the fit.
    leverage = kernel * np.einsum("nk,kl,nl->n", X, inverse, X)
    psi = np.zeros(len(y))
    psi[local] = pull * residual / np.maximum(1 - leverage, 0.1)
    return BoundaryMean(float(b[0]), psi, float(h), len(local))


def _pilot_bandwidth(y: Floats, d: Floats, w: Floats) -> float:
    """Balance squared bias and variance of a local line with curvature from a quartic."""
    scale = d.max()
    X = np.vander(d / scale, 5, increasing=True)
    root = np.sqrt(w)
    b, *_ = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)
    residual = y - X @ b
    curvature = 2 * b[2] / scale**2
    variance = residual @ (w * residual) / (len(y) - 5)
    near = np.quantile(d, 0.2)
    density = w[d <= near].sum() / w.sum() / near
    # Unequal weights leave the information of (sum w)^2 / sum w^2 rows.
    n = w.sum() ** 2 / (w @ w)
    least = np.sort(d)[min(len(d), 20) - 1]
    if curvature == 0:
        return float(scale)
    h = (_VARIANCE * variance / (n * density * (_BIAS * curvature) ** 2)) ** 0.2
    return float(np.clip(h, least, scale))


def reaches_zero_test(d: Floats) -> tuple[float, float]:
    """Test that the lower end of a dose's support is zero; return statistic and p-value.

    T = d_(1) / (d_(2) - d_(1)) of the two smallest doses; under the null P(T > t) -> 1/(1 + t).

    Source
    ------
    de Chaisemartin, Ciccia, D'Haultfoeuille and Knau (2024), arXiv 2405.04465:
    their test of quasi-untreated units.
    """
    first, second = np.partition(d, 1)[:2]
    if second == first:
        return np.inf, 0.0
    statistic = float(first / (second - first))
    return statistic, 1 / (1 + statistic)
