"""Tests and confidence sets for a linear target under moment inequalities with nuisances.

The parameter vector is ``beta = delta + (0, tau)``, estimated without bias with a known
covariance; ``delta`` obeys ``A delta <= d`` and the question is ``theta = l' tau``. Projecting
the inequalities on theta once, by the extreme rays of ``{g >= 0 : g' A_post N = 0}`` with N a
basis of the null space of ``l'``, turns every linear programme of Andrews, Roth and Pakes into
the maximum of a short list of linear functions, so tests at many theta are matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from impact.errors import InferenceError

__all__ = [
    "FirstStage",
    "ProjectedMoments",
    "accepted_range",
    "accepts",
    "elimination_rays",
    "extreme_rays",
    "identified_range",
    "least_favourable_value",
    "project",
]

Floats = NDArray[np.float64]

ROUND_OFF = 1e-10
"""Relative size below which a sum of products counts as zero."""

MOST_RAYS = 12_000
"""Rays beyond which enumeration would take minutes."""


@dataclass(frozen=True)
class ProjectedMoments:
    """Inequalities ``level - slope * theta <= 0`` in expectation, free of nuisances.

    Attributes
    ----------
    level : array, shape (J,)
    slope : array, shape (J,)
    root : array, shape (J, K); ``root @ root.T`` is the covariance of ``level``
    """

    level: Floats
    slope: Floats
    root: Floats


@dataclass(frozen=True)
class FirstStage:
    """What a hybrid test asks first, at the level ``size``.

    Attributes
    ----------
    size : share of the test's level spent here
    critical : largest moment that passes; infinite if the first stage is an interval
    centre, half_length : an interval for theta that must cover; half_length infinite if none
    covariance : array, shape (J,), of the interval's centre with every projected moment
    """

    size: float = 0.0
    critical: float = np.inf
    centre: float = 0.0
    half_length: float = np.inf
    covariance: Floats | None = None


def extreme_rays(equalities: Floats, most: int = MOST_RAYS) -> Floats:
    """List the extreme rays of ``{g >= 0 : g' E = 0}`` by double description.

    Parameters
    ----------
    equalities : array E, shape (m, k)
    most : number of rays, final or intermediate, beyond which to refuse

    Returns
    -------
    array, shape (J, m), rows non-negative and summing to one

    Raises
    ------
    InferenceError : more than ``most`` rays

    Source
    ------
    Motzkin, Raiffa, Thompson & Thrall (1953); two rays are adjacent when no third ray's support
    lies within the union of theirs (Fukuda & Prodon 1996, Proposition 7).
    """
    rays = np.eye(len(equalities))
    waiting = list(range(equalities.shape[1]))
    for done in range(1, len(waiting) + 1):
        values = rays @ equalities[:, waiting]
        values[np.abs(values) <= ROUND_OFF * (rays @ np.abs(equalities[:, waiting]))] = 0.0
        cheapest = int(np.argmin((values > 0).sum(0) * (values < 0).sum(0)))
        rays = _impose(rays, values[:, cheapest], largest_support=done + 1)
        waiting.pop(cheapest)
        if len(rays) > most:
            raise InferenceError(
                f"eliminating the other {equalities.shape[1]} effects from these restrictions "
                f"leaves more than {most:,} inequalities; the test would take minutes a point. "
                "Target fewer post-treatment periods, or drop the restriction on sign or shape."
            )
    return rays


def _impose(rays: Floats, value: Floats, largest_support: int) -> Floats:
    """Keep rays on the hyperplane and join adjacent rays from its two sides."""
    support = rays > 0
    below, below_value, below_support = rays[value < 0], -value[value < 0], support[value < 0]
    kept = [rays[value == 0]]
    for ray, height, own in zip(rays[value > 0], value[value > 0], support[value > 0], strict=True):
        union = own | below_support
        small = np.flatnonzero(union.sum(1) <= largest_support)
        others = (~union[small]).astype(np.float32) @ support.T.astype(np.float32)
        adjacent = small[(others == 0).sum(1) == 2]
        joined = ray / height + below[adjacent] / below_value[adjacent, None]
        kept.append(joined / joined.sum(1, keepdims=True))
    return np.concatenate(kept)


def elimination_rays(post: Floats, target: Floats) -> Floats:
    """Return the rays that eliminate every effect but the target from ``post @ tau``.

    Parameters
    ----------
    post : array, shape (m, T), the restrictions' coefficients on post-treatment effects
    target : array l, shape (T,), not all zero

    Returns
    -------
    array, shape (J, m): combinations of restrictions that depend on tau through ``l' tau`` only
    """
    used = np.flatnonzero(target)
    basis = np.eye(len(target))[:, target == 0]
    steps = np.zeros((len(target), len(used) - 1))
    for column, (first, second) in enumerate(pairwise(used)):
        steps[first, column], steps[second, column] = -target[second], target[first]
    return extreme_rays(post @ np.hstack([basis, steps]))


def project(
    rays: Floats,
    restrictions: Floats,
    limits: Floats,
    estimate: Floats,
    factor: Floats,
    target: Floats,
) -> ProjectedMoments:
    """Project ``restrictions @ delta <= limits`` on the target.

    Parameters
    ----------
    rays : array, shape (J, m), from :func:`elimination_rays`
    restrictions : array A, shape (m, K), pre-treatment columns first
    limits : array d, shape (m,)
    estimate : array, shape (K,)
    factor : array, shape (K, K), with ``factor @ factor.T`` the covariance of the estimate
    target : array l, shape (T,)

    Returns
    -------
    ProjectedMoments : each a combination of restrictions scaled by its summed standard errors
    """
    scale = np.sqrt(((restrictions @ factor) ** 2).sum(1))
    weights = rays / (rays @ scale)[:, None]
    combined = weights @ restrictions
    direction = target / (target @ target)
    return ProjectedMoments(
        level=combined @ estimate - weights @ limits,
        slope=combined[:, -len(target) :] @ direction,
        root=combined @ factor,
    )


def least_favourable_value(root: Floats, size: float, normals: Floats) -> float:
    """Return the (1 - size) quantile of the largest moment when all of them bind.

    Parameters
    ----------
    root : array, shape (J, K)
    size : level
    normals : array, shape (K, draws), standard normal

    Source
    ------
    Andrews, Roth & Pakes (2023), Section 3, least favourable critical value.
    """
    chunk = max(1, 4_000_000 // len(root))
    largest = [
        (root @ normals[:, start : start + chunk]).max(0)
        for start in range(0, normals.shape[1], chunk)
    ]
    return float(np.quantile(np.concatenate(largest), 1.0 - size))


def accepts(
    moments: ProjectedMoments, theta: Floats, size: float, first: FirstStage | None = None
) -> NDArray[np.bool_]:
    """Test each theta by the conditional or, with a first stage, the hybrid test.

    Parameters
    ----------
    moments : ProjectedMoments
    theta : array, shape (n,)
    size : level of the whole test
    first : first stage of a hybrid test; None for the conditional test

    Returns
    -------
    array of bool, shape (n,): not rejected

    Notes
    -----
    Given the binding ray and everything independent of its moment, that moment is a normal
    truncated to where the ray stays binding. The first stage truncates further, and the second
    stage runs at ``(size - first.size) / (1 - first.size)``.

    Source
    ------
    Andrews, Roth & Pakes (2023), Sections 4 and 5; Rambachan & Roth (2023), Section 3 and
    Appendix A for the hybrid with a fixed-length interval.
    """
    first = first or FirstStage()
    values = moments.level - theta[:, None] * moments.slope
    binding = values.argmax(1)
    rows = np.arange(len(theta))
    largest = values[rows, binding]
    covariance = moments.root[binding] @ moments.root.T
    variance = covariance[rows, binding]
    random = variance > ROUND_OFF**2
    safe = np.where(random, variance, 1.0)

    ratio = covariance / safe[:, None]
    gap = 1.0 - ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        meeting = (values - ratio * largest[:, None]) / gap
    lower = np.where(gap > ROUND_OFF, meeting, -np.inf).max(1)
    upper = np.where(gap < -ROUND_OFF, meeting, np.inf).min(1)
    upper = np.minimum(upper, first.critical)
    passed = largest <= first.critical
    if first.covariance is not None:
        distance = first.centre - theta
        passed &= np.abs(distance) <= first.half_length
        slope = first.covariance[binding] / safe
        covers_from, covers_to = _covering_range(largest, distance, slope, first.half_length)
        lower, upper = np.maximum(lower, covers_from), np.minimum(upper, covers_to)

    deviation = np.sqrt(safe)
    share = _truncated_share(lower / deviation, largest / deviation, upper / deviation)
    second_size = (size - first.size) / (1.0 - first.size)
    exceeds = largest > np.where(random, 0.0, ROUND_OFF)
    rejected = exceeds & (~random | (share > 1.0 - second_size))
    return np.asarray(passed & ~rejected)


def _covering_range(
    largest: Floats, distance: Floats, slope: Floats, half_length: float
) -> tuple[Floats, Floats]:
    """Values of the binding moment at which the first-stage interval still covers theta."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = largest + (np.array([[-1.0], [1.0]]) * half_length - distance) / slope
    moves = slope != 0.0
    return np.where(moves, ends.min(0), -np.inf), np.where(moves, ends.max(0), np.inf)


def _truncated_share(lower: Floats, value: Floats, upper: Floats) -> Floats:
    """Distribution function at ``value`` of a standard normal truncated to (lower, upper).

    Written in logarithms of the upper tail, exact far out in it; one where nothing is left.
    """
    value = np.clip(value, lower, upper)
    at_lower, at_value, at_upper = log_ndtr(-lower), log_ndtr(-value), log_ndtr(-upper)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        share = np.expm1(at_value - at_lower) / np.expm1(at_upper - at_lower)
    return np.where(np.isnan(share), 1.0, share)


def identified_range(moments: ProjectedMoments, slack: float = 0.0) -> tuple[float, float]:
    """Return the theta at which no projected moment exceeds ``slack``; NaN if there is none.

    With ``slack`` 0 this is the identified set at the estimate; with a least favourable value
    it bounds the hybrid test's confidence set.
    """
    flat = ROUND_OFF * np.abs(moments.slope).max()
    rises, falls = moments.slope < -flat, moments.slope > flat
    still = ~rises & ~falls
    if (moments.level[still] > slack + ROUND_OFF).any():
        return np.nan, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (moments.level - slack) / moments.slope
    low = ends[falls].max(initial=-np.inf)
    high = ends[rises].min(initial=np.inf)
    return (float(low), float(high)) if low <= high else (np.nan, np.nan)


def accepted_range(
    cases: list[tuple[ProjectedMoments, FirstStage | None]],
    brackets: list[tuple[float, float]],
    size: float,
    precision: float,
    points: int = 128,
) -> tuple[float, float]:
    """Return the smallest and the largest theta that any of the cases accepts.

    Parameters
    ----------
    cases : the polyhedra whose union is the restriction, each with its first stage
    brackets : for each case, a range outside of which it rejects
    size : level
    precision : how exactly the ends are wanted, in units of theta
    points : number of theta in the scan of each bracket, and of each refinement

    Returns
    -------
    low, high : NaN if every theta is rejected
    """
    low, high = np.inf, -np.inf
    for (moments, first), bracket in zip(cases, brackets, strict=True):
        if np.isnan(bracket[0]):
            continue
        grid = np.linspace(*bracket, points)
        inside = np.flatnonzero(accepts(moments, grid, size, first))
        if not len(inside):
            continue
        left, right = int(inside[0]), int(inside[-1])
        for edge, step in ((left, -1), (right, 1)):
            beyond = min(max(edge + step, 0), points - 1)
            outer, inner = grid[beyond], grid[edge]
            if low <= min(outer, inner) and max(outer, inner) <= high:
                continue
            while abs(outer - inner) > precision:
                finer = np.linspace(inner, outer, points)
                last = np.flatnonzero(accepts(moments, finer, size, first))[-1]
                if last == points - 1:
                    inner = outer
                    break
                inner, outer = finer[last], finer[last + 1]
            low, high = min(low, inner), max(high, inner)
    return (low, high) if low <= high else (np.nan, np.nan)
