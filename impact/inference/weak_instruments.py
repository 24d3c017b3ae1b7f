"""How strong instruments are, whatever the errors' covariance, and how strong they must be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.inference.bands import joint_wald

__all__ = ["critical_effective_f", "effective_f", "full_rank_wald"]

Floats = NDArray[np.float64]

LEVEL = 0.95
"""One minus the chance that instruments too weak pass for strong."""


def full_rank_wald(estimates: Floats, covariance: Floats) -> float:
    """Return b'V^-1 b, NaN where V, shape (q, q), lacks rank: clusters too few for q estimates.

    It is infinite where V is zero, as in fits without error.
    """
    if not np.isfinite(covariance).all():
        return np.nan
    if not covariance.any():
        return np.inf
    statistic, rank, _ = joint_wald(estimates, covariance)
    return statistic if rank == len(estimates) else np.nan


def effective_f(slopes: Floats, covariance: Floats, information: Floats) -> float:
    r"""Return :math:`\hat\pi'Z'Z\hat\pi / \mathrm{tr}(\hat V Z'Z)`.

    Parameters
    ----------
    slopes : shape (q,), of one endogenous regressor on the instruments
    covariance : V of the slopes, shape (q, q)
    information : Z'WZ, exogenous regressors and effects swept out, shape (q, q)

    Source
    ------
    Montiel Olea and Pflueger (2013), Journal of Business and Economic Statistics 31(3), eq. (6).
    """
    noise = float(np.trace(covariance @ information))
    return float(slopes @ information @ slopes) / noise if noise > 0 else np.inf


def critical_effective_f(covariance: Floats, information: Floats, bias: float = 0.1) -> float:
    r"""Return the effective F above which the bias is below a share of the worst case.

    It is the quantile of a non-central chi-square with
    :math:`K = \mathrm{tr}(W)^2(1 + 2x) / (\mathrm{tr}(W^2) + 2x\,\mathrm{tr}(W)\max\mathrm{eig}W)`
    degrees of freedom and non-centrality Kx, divided by K, where :math:`x = 1/\mathrm{bias}` and
    W is the covariance of standardised slopes: the simplified procedure, for two-stage least
    squares, whose values are never too low.

    Parameters
    ----------
    covariance, information : as in `effective_f`; NaN where the covariance is zero
    bias : of two-stage least squares (Nagar's), as a share of its worst case

    Source
    ------
    Montiel Olea and Pflueger (2013), the simplified procedure.
    """
    root = np.linalg.cholesky(information)
    values = np.linalg.eigvalsh(root.T @ covariance @ root)
    x, total = 1 / bias, values.sum()
    if not total > 0:
        return np.nan
    freedom = total**2 * (1 + 2 * x) / (values @ values + 2 * x * total * values.max())
    return float(special.chndtrix(LEVEL, freedom, freedom * x) / freedom)
