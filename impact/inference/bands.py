"""Critical values: pointwise, simultaneous, and the multiplier bootstrap."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import InferenceError, check_choice

__all__ = [
    "joint_wald",
    "multiplier_draws",
    "pointwise_critical_value",
    "simultaneous_critical_value",
    "two_sided_p_values",
]

Floats = NDArray[np.float64]
Multiplier = Literal["rademacher", "mammen", "webb", "gaussian"]

_BLOCK = 4096


def pointwise_critical_value(level: float, df: float | NDArray[np.float64] | None) -> Floats:
    """Return the two-sided critical value of the t distribution, normal if ``df`` is None.

    Raises
    ------
    InferenceError : the level is not between 0 and 1
    """
    check_level(level)
    tail = 0.5 + level / 2
    if df is None:
        return np.asarray(special.ndtri(tail))
    freedoms = np.asarray(df, dtype=np.float64)
    return np.where(np.isinf(freedoms), special.ndtri(tail), special.stdtrit(freedoms, tail))


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        raise InferenceError(
            f"level is a share between 0 and 1, such as 0.95 for 95 %; it was {level!r}."
        )


def two_sided_p_values(statistics: Floats, df: float | Floats | None) -> Floats:
    """Return P(|t| >= |statistic|) under the t distribution, normal if ``df`` is None."""
    magnitude = np.abs(statistics)
    if df is None:
        return np.asarray(2 * special.ndtr(-magnitude))
    freedoms = np.asarray(df, dtype=np.float64)
    tails = np.where(
        np.isinf(freedoms), special.ndtr(-magnitude), special.stdtr(freedoms, -magnitude)
    )
    return np.asarray(2 * tails)


def simultaneous_critical_value(
    covariance: Floats,
    level: float = 0.95,
    *,
    df: float | None = None,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """Return the sup-t critical value c with P(max_k |t_k| <= c) = level.

    Parameters
    ----------
    covariance : array, shape (K, K), of the estimates; a singular one is allowed
    level : joint coverage
    df : degrees of freedom shared by all K statistics; None for the normal limit
    draws, seed : size and seed of the simulation of max |t|

    Notes
    -----
    Draws Z ~ N(0, R) with R the correlation, by its eigenvalues, and takes the quantile of
    max |Z|; with ``df`` each draw is divided by the root of one chi-square over df. A
    Gaussian multiplier bootstrap of the influence functions has exactly this law.
    Estimates with variance zero (a base period) are left out.

    Source
    ------
    Montiel Olea and Plagborg-Moller (2019), Journal of Applied Econometrics 34(1),
    algorithm 1 (plug-in sup-t); Callaway and Sant'Anna (2021), algorithm 1.
    """
    check_level(level)
    variances = np.diagonal(covariance)
    # The threshold drops exact zeros and the rounding left by a difference with itself.
    live = np.isfinite(variances) & (variances > 1e-14 * np.nanmax(variances, initial=0.0))
    if live.sum() <= 1:
        return float(pointwise_critical_value(level, df))
    root = correlation_root(covariance[np.ix_(live, live)])
    rng = np.random.default_rng(seed)
    maxima = np.empty(draws)
    for start in range(0, draws, _BLOCK):
        stop = min(start + _BLOCK, draws)
        z = rng.standard_normal((stop - start, root.shape[1])) @ root.T
        maxima[start:stop] = np.abs(z).max(axis=1)
    if df is not None:
        maxima /= np.sqrt(rng.chisquare(df, draws) / df)
    return max(float(np.quantile(maxima, level)), float(pointwise_critical_value(level, df)))


def correlation_root(covariance: Floats) -> Floats:
    """Return the symmetric L with L L the correlation matrix, shape (K, K).

    Unlike eigenvectors, whose signs and order within ties are rounding's choice, it moves no more
    than the covariance does, so that the same draws give the same band on any machine.
    """
    scale = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = np.where(values > 1e-12 * values[-1], values, 0.0)
    return np.asarray((vectors * np.sqrt(kept)) @ vectors.T)


def multiplier_draws(
    contributions: Floats,
    draws: int,
    *,
    kind: Multiplier = "mammen",
    seed: int = 0,
) -> Floats:
    """Return multiplier-bootstrap draws of estimate minus truth, shape (draws, K).

    Each draw is sum_g v_g psi_g with independent v of mean zero and variance one.

    Parameters
    ----------
    contributions : array, shape (G, K), psi of each cluster
    kind : "mammen" (two points, third moment one), "rademacher" (+1, -1), "webb" (six
        points), or "gaussian"

    Source
    ------
    Callaway and Sant'Anna (2021), algorithm 1; Mammen (1993); Webb (2023).
    """
    check_choice("kind", kind, ("rademacher", "mammen", "webb", "gaussian"), InferenceError)
    rng = np.random.default_rng(seed)
    n_clusters, width = contributions.shape
    result = np.empty((draws, width))
    block = max(1, min(draws, 20_000_000 // max(n_clusters, 1)))
    for start in range(0, draws, block):
        stop = min(start + block, draws)
        result[start:stop] = _multipliers(rng, kind, (stop - start, n_clusters)) @ contributions
    return result


def _multipliers(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Floats:
    if kind == "gaussian":
        return rng.standard_normal(shape)
    if kind == "rademacher":
        return np.asarray(rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0)
    if kind == "webb":
        points = np.sqrt([0.5, 1.0, 1.5])
        six = np.concatenate((-points, points))
        return np.asarray(six[rng.integers(0, 6, shape, dtype=np.int8)], dtype=np.float64)
    golden = np.sqrt(5.0)
    low = rng.random(shape) < (golden + 1) / (2 * golden)
    return np.asarray(np.where(low, (1 - golden) / 2, (1 + golden) / 2))


def joint_wald(
    estimates: Floats, covariance: Floats, *, df: float | None = None
) -> tuple[float, int, float]:
    """Test that all estimates are zero; return statistic, restrictions and p-value.

    The statistic is b' V^+ b with V^+ the inverse on V's own range; its reference is
    chi-square with rank(V) degrees of freedom, or rank * F(rank, df) when ``df`` is given.
    """
    scale = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    live = scale > 0
    if not live.any():
        return np.nan, 0, np.nan
    standard = estimates[live] / scale[live]
    values, vectors = np.linalg.eigh(
        covariance[np.ix_(live, live)] / np.outer(scale[live], scale[live])
    )
    keep = values > 1e-10 * values[-1]
    rotated = vectors[:, keep].T @ standard
    statistic, rank = float(np.sum(rotated**2 / values[keep])), int(keep.sum())
    if df is None:
        return statistic, rank, float(special.chdtrc(rank, statistic))
    return statistic, rank, float(special.fdtrc(rank, df, statistic / rank))
