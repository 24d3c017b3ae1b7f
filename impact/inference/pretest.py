"""What a test of pre-trends can see, and what it does to the estimates that pass it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from impact.errors import InferenceError

__all__ = ["Box", "box_probability", "detectable_slope"]

Floats = NDArray[np.float64]

POINTS, GENERATOR = 65_521, 913
"""Korobov lattice: of 600 generators the best by the P2 criterion in four to ten dimensions;
probabilities are then right to about 2e-5 in four dimensions and 1e-4 in ten."""


@dataclass(frozen=True, eq=False)
class Box:
    """A normal vector held inside a box around zero.

    ``probability`` that it lies there, and its ``mean``, shape (P,), given that it does.
    """

    probability: float
    mean: Floats


def box_probability(mean: Floats, covariance: Floats, limits: Floats) -> Box:
    """Return P(|x_j| <= limit_j for all j) and E[x | that] for x ~ N(mean, covariance).

    Parameters
    ----------
    mean : array, shape (P,)
    covariance : array, shape (P, P), positive definite
    limits : array, shape (P,), positive

    Notes
    -----
    Each coordinate is drawn within its limits given those before, on a lattice folded at its
    middle; no randomness, and smooth in the mean.

    Source
    ------
    Genz (1992), Journal of Computational and Graphical Statistics 1(2), section 3.
    """
    size = len(mean)
    root = np.linalg.cholesky(covariance)
    points = _lattice(size)
    drawn = np.zeros((size, POINTS))
    weight = np.ones(POINTS)
    for j in range(size):
        centre = mean[j] + root[j, :j] @ drawn[:j]
        side = np.where(centre > 0, -1.0, 1.0)
        low = (-limits[j] - side * centre) / root[j, j]
        high = (limits[j] - side * centre) / root[j, j]
        above_low, above_high = ndtr(-low), ndtr(-high)
        mass = above_low - above_high
        weight = weight * mass
        drawn[j] = -side * ndtri(np.clip(above_high + points[j] * mass, 1e-300, 1.0 - 1e-16))
    probability = float(weight.mean())
    if probability <= 0:
        return Box(0.0, np.full(size, np.nan))
    return Box(probability, mean + root @ (drawn @ weight) / weight.sum())


def _lattice(size: int) -> Floats:
    """Points of the rank-one lattice folded at its middle, shape (size, POINTS)."""
    steps = [pow(GENERATOR, j, POINTS) for j in range(size)]
    points = (np.outer(steps, np.arange(POINTS)) % POINTS + 0.5) / POINTS
    return np.asarray(np.abs(2.0 * points - 1.0))


def detectable_slope(covariance: Floats, distances: Floats, limits: Floats, power: float) -> float:
    """Return the slope of a linear trend that the test of pre-trends finds with that power.

    The test rejects when any coefficient exceeds its limit in absolute value.

    Parameters
    ----------
    covariance : array, shape (P, P), of the pre-treatment coefficients
    distances : array, shape (P,), event time less the reference period
    limits : array, shape (P,)
    power : probability of rejection, above the test's size

    Raises
    ------
    InferenceError : the power asked for is below the test's size without a trend, or not below one

    Source
    ------
    Roth (2022), American Economic Review: Insights 4(3), section II.
    """
    size = 1.0 - box_probability(np.zeros(len(limits)), covariance, limits).probability
    if not size < power < 1.0:
        raise InferenceError(
            f"power must lie between the test's size without any trend, {size:.3f}, and 1; it was "
            f"{power:g}. The test of several periods rejects that often by chance."
        )
    from scipy.optimize import brentq

    def shortfall(slope: float) -> float:
        passed = box_probability(slope * distances, covariance, limits).probability
        return power - (1.0 - passed)

    high = float((limits / np.abs(distances)).min())
    while shortfall(high) > 0:
        high *= 2.0
    return float(brentq(shortfall, 0.0, high, xtol=1e-9 * high))
