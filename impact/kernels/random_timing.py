"""Efficient estimation when the timing of treatment is as good as random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adjusted", "adjust_efficiently", "variance_lower_bound"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Adjusted:
    """K estimates that are linear in cohort means.

    Attributes
    ----------
    estimates : array, shape (K,)
    loadings : array, shape (K, C, T), weight of each cohort mean
    coefficients : array, shape (K, M), of the differences before treatment
    """

    estimates: Floats
    loadings: Floats
    coefficients: Floats


def adjust_efficiently(
    means: Floats, covariances: Floats, sizes: Integers, targets: Floats, differences: Floats
) -> Adjusted:
    """Subtract differences before treatment with the coefficients of least variance.

    estimate_k = theta_k - x_k' b_k, b_k = Var(x_k)^+ Cov(x_k, theta_k), theta_k and x_k linear
    in cohort means.

    Parameters
    ----------
    means : array, shape (C, T)
    covariances : array, shape (C, T, T), of units' paths within cohorts, dividing by n_c - 1
    sizes : array, shape (C,)
    targets : array, shape (K, C, T), loadings of theta
    differences : array, shape (K, M, C, T), loadings of x, whose expectation is zero

    Source
    ------
    Roth and Sant'Anna (2023), equations 5 and 10.
    """
    spread = covariances / np.maximum(sizes, 1)[:, None, None]
    moved = np.einsum("kmct,cts->kmcs", differences, spread, optimize=True)
    variance = np.einsum("kmcs,kncs->kmn", moved, differences, optimize=True)
    shared = np.einsum("kmcs,kcs->km", moved, targets)
    inverse = np.linalg.pinv(variance, rcond=1e-10, hermitian=True)
    coefficients = np.einsum("kmn,kn->km", inverse, shared)
    loadings = targets - np.einsum("km,kmct->kct", coefficients, differences)
    relative = means - means[:1]
    return Adjusted(np.einsum("kct,ct->k", loadings, relative), loadings, coefficients)


def variance_lower_bound(covariances: Floats, targets: Floats, before: Booleans) -> Floats:
    """Return the part of the variance of unit effects that outcomes before treatment show.

    With b_c the coefficients of A_c Y on outcomes before anyone is treated, effects vary
    between units by at least (sum_c b_c)' S (sum_c b_c), shape (K, K), S the covariance of
    those outcomes, averaged over cohorts.

    Parameters
    ----------
    covariances : array, shape (C, T, T)
    targets : array, shape (K, C, T)
    before : array, shape (T,), periods before the first cohort's treatment

    Source
    ------
    Roth and Sant'Anna (2023), lemma 2.
    """
    early = covariances[:, before][:, :, before]
    crossed = np.einsum("cmt,kct->cmk", covariances[:, before], targets)
    slopes = np.einsum("cmn,cnk->mk", np.linalg.pinv(early, rcond=1e-10, hermitian=True), crossed)
    return np.asarray(slopes.T @ early.mean(axis=0) @ slopes)
