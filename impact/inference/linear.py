"""Joint uncertainty of estimates that are linear in outcomes, by unit or by cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.inference.scores import CovarianceScores, Scores, Uncertainty
from impact.kernels.moments import CohortMoments, LinearCells

__all__ = ["moment_uncertainty", "small_sample_factor"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def moment_uncertainty(
    linear: LinearCells,
    moments: CohortMoments,
    outcomes: Floats,
    codes: Integers,
    weights: Floats | None,
    clusters: Integers | None,
    *,
    factor: float = 1.0,
    df: float | None = None,
) -> Uncertainty:
    """Return the uncertainty of estimates linear in cohort means.

    Parameters
    ----------
    linear : what each unit contributes
    outcomes, codes, weights : what ``moments`` were made of
    clusters : array, shape (N,); None makes every unit its own, and the covariance comes from
        the moments alone
    factor : what the sum of squared contributions is multiplied by; contributions are without it
    df : degrees of freedom of critical values; None for the normal distribution
    """
    if clusters is not None:
        return Scores(linear.contributions(outcomes, codes, moments, weights, clusters), factor, df)
    return CovarianceScores(
        factor * linear.covariance(moments),
        lambda: linear.contributions(outcomes, codes, moments, weights),
        len(codes),
        df,
    )


def small_sample_factor(n_clusters: int, n_rows: int, n_parameters: int) -> float:
    """Return G/(G-1) * (n-1)/(n-K), the usual factor of clustered standard errors.

    Effects nested in the clusters count as one parameter, as in fixest.
    """
    return n_clusters / (n_clusters - 1) * (n_rows - 1) / max(n_rows - n_parameters, 1)
