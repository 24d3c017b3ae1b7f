"""Random building blocks shared by the simulations."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def autoregressive(
    rng: np.random.Generator, shape: tuple[int, int], *, correlation: float, sd: float
) -> Array:
    """Draw rows of a stationary first-order autoregression, shape (n_series, n_periods)."""
    draws = rng.standard_normal(shape)
    path = np.empty(shape)
    path[:, 0] = draws[:, 0]
    innovation = np.sqrt(1.0 - correlation**2)
    for period in range(1, shape[1]):
        path[:, period] = correlation * path[:, period - 1] + innovation * draws[:, period]
    return sd * path


def apportion(total: int, shares: Array) -> NDArray[np.int64]:
    """Split a whole number by shares that sum to one, largest remainders first."""
    exact = total * shares
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts
