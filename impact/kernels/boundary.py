"""The mean at the edge of a regressor's range, and tests that go with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoundaryMean", "boundary_mean", "reaches_zero_test", "yatchew_test"]

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


def boundary_mean(y: Floats, d: Floats, bandwidth: float | None = None) -> BoundaryMean:
    """Estimate E[y | d -> 0] from d > 0 by a bias-corrected local line.

    A local line with the bandwidth that minimises its mean squared error, its leading bias
    removed with the same bandwidth: this is a local quadratic, whose own errors are robust to
    the correction.

    Parameters
    ----------
    y, d : arrays, shape (n,), d positive
    bandwidth : chosen from a quartic fitted to all rows if None

    Source
    ------
    Calonico, Cattaneo and Farrell (2018), Journal of the American Statistical Association
    113(522) (robust bias correction with equal bandwidths); Fan and Gijbels (1996) for the
    pilot.
    """
    h = _pilot_bandwidth(y, d) if bandwidth is None else bandwidth
    local = np.flatnonzero(d < h)
    u = d[local] / h
    kernel = 0.75 * (1 - u**2)
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


def _pilot_bandwidth(y: Floats, d: Floats) -> float:
    """Balance squared bias and variance of a local line with curvature from a quartic."""
    scale = d.max()
    X = np.vander(d / scale, 5, increasing=True)
    b, *_ = np.linalg.lstsq(X, y, rcond=None)
    residual = y - X @ b
    curvature = 2 * b[2] / scale**2
    variance = residual @ residual / (len(y) - 5)
    near = np.quantile(d, 0.2)
    density = 0.2 / near
    least = np.sort(d)[min(len(d), 20) - 1]
    if curvature == 0:
        return float(scale)
    h = (_VARIANCE * variance / (len(y) * density * (_BIAS * curvature) ** 2)) ** 0.2
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


def yatchew_test(y: Floats, d: Floats) -> tuple[float, float]:
    """Test that E[y | d] is a line, whatever the residuals' variance; statistic and p-value.

    T = sqrt(n) (s_line - s_near) / s with s_line the mean squared residual of the line, s_near
    half the mean squared difference of y between neighbours in d, and s^2 the mean product of
    neighbours' squared residuals; one-sided normal.

    Source
    ------
    de Chaisemartin et al. (2024), robust to heteroskedasticity; Yatchew (1997),
    Economics Letters 57(2).
    """
    from scipy import special

    order = np.argsort(d, kind="stable")
    y, d = y[order], d[order]
    X = np.stack((np.ones(len(d)), d), axis=1)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    line = residual @ residual / len(y)
    near = np.sum(np.diff(y) ** 2) / (2 * len(y))
    spread = np.sqrt(np.mean(residual[1:] ** 2 * residual[:-1] ** 2))
    statistic = float(np.sqrt(len(y)) * (line - near) / spread)
    return statistic, float(special.ndtr(-statistic))
