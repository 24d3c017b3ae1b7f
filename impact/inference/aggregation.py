"""Averages of cells weighted by estimated cohort shares, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShareAverage", "share_average"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ShareAverage:
    """A averages of K cells and their derivatives.

    Attributes
    ----------
    estimates : array, shape (A,); NaN where no cell contributes
    weights : array, shape (A, K), derivative by the cells; rows sum to one
    share_slopes : array, shape (A, C), derivative by the cohort shares
    """

    estimates: Floats
    weights: Floats
    share_slopes: Floats

    def jacobian(self) -> Floats:
        """Map (cells, shares) to (averages, shares), shape (A + C, K + C)."""
        n_shares = self.share_slopes.shape[1]
        kept = np.concatenate(
            (np.zeros((n_shares, self.weights.shape[1])), np.eye(n_shares)), axis=1
        )
        averages = np.concatenate((self.weights, self.share_slopes), axis=1)
        return np.nan_to_num(np.concatenate((averages, kept)))


def share_average(
    cells: Floats, incidence: Floats, cohort_index: Integers, shares: Floats
) -> ShareAverage:
    """Average cells with weights incidence * share of the cell's cohort.

    theta_a = sum_k s_ak p_g(k) cell_k / sum_k s_ak p_g(k), with derivative by the share p_c
    of sum over the cells k of cohort c of s_ak (cell_k - theta_a) / sum_k s_ak p_g(k).

    Parameters
    ----------
    cells : array, shape (K,); NaN cells are left out of every average
    incidence : array, shape (A, K), fixed non-negative multipliers s_ak
    cohort_index : array, shape (K,), position of each cell's cohort in ``shares``
    shares : array, shape (C,)

    Source
    ------
    Callaway and Sant'Anna (2021), section 3.1 and corollary 2.
    """
    known = ~np.isnan(cells)
    mass = np.where(known, incidence, 0.0) * shares[cohort_index]
    total = mass.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(total > 0, mass / total, np.nan)
        estimates = weights @ np.where(known, cells, 0.0)
        slopes = (
            np.where(known, incidence, 0.0)
            * (np.where(known, cells, 0.0) - estimates[:, None])
            / total
        )
    by_cohort = np.zeros((len(cells), len(shares)))
    by_cohort[np.arange(len(cells)), cohort_index] = 1.0
    return ShareAverage(estimates, weights, slopes @ by_cohort)
