"""Weights of matched comparison units: nearest by Mahalanobis distance over lags."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

__all__ = ["lag_distances", "nearest_weights"]


def lag_distances(treated: Floats, candidates: Floats) -> Floats:
    """Average over lags the Mahalanobis distance of each treated unit to each candidate.

    Parameters
    ----------
    treated : shape (n1, L, k); candidates : shape (n0, L, k), variables at each of L lags

    Returns
    -------
    array, shape (n1, n0)

    Notes
    -----
    The covariance of a lag is that of treated and candidates together; directions without
    variation do not count.

    Source
    ------
    Imai, Kim and Wang (2023), American Journal of Political Science 67(3), eq. (14).
    """
    total = np.zeros((len(treated), len(candidates)))
    for lag in range(treated.shape[1]):
        both = np.vstack([treated[:, lag], candidates[:, lag]])
        centred = both - both.mean(axis=0)
        _, s, vt = np.linalg.svd(centred, full_matrices=False)
        live = s > 1e-10 * max(float(s.max(initial=0.0)), np.finfo(float).tiny)
        white = centred @ vt[live].T / s[live] * np.sqrt(len(both) - 1)
        one, two = white[: len(treated)], white[len(treated) :]
        squared = (one**2).sum(axis=1)[:, None] - 2.0 * one @ two.T + (two**2).sum(axis=1)
        total += np.sqrt(np.maximum(squared, 0.0))
    return np.asarray(total / treated.shape[1])


def nearest_weights(distances: Floats, allowed: Booleans, size: int) -> Floats:
    """Give the nearest allowed candidates of each treated unit equal weights that sum to one.

    Parameters
    ----------
    distances : shape (n1, n0); allowed : shape (n0,)
    size : candidates a treated unit is matched with at most; ties at the limit all enter

    Returns
    -------
    array, shape (n1, n0); rows of zeros where no candidate is allowed
    """
    if not allowed.any():
        return np.zeros_like(distances)
    open_to = np.where(allowed, distances, np.inf)
    rank = min(size, int(allowed.sum())) - 1
    limit = np.partition(open_to, rank, axis=1)[:, [rank]]
    chosen = open_to <= limit * (1.0 + 1e-9)
    chosen &= allowed
    return np.asarray(chosen / chosen.sum(axis=1, keepdims=True))
