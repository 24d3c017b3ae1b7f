"""Prediction intervals of a synthetic control: what its weights and its errors leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from impact.errors import InferenceError, plural
from impact.inference.bands import check_level
from impact.kernels.weight_region import WeightRegion, region_extremes

Floats: TypeAlias = NDArray[np.float64]
Errors: TypeAlias = Literal["location_scale", "subgaussian", "quantile"]
Moments: TypeAlias = Literal["constant", "linear"]
Dependence: TypeAlias = Literal["none", "any"]

__all__ = ["Dependence", "Errors", "Moments", "PredictionBounds", "prediction_bounds"]

# Weights below the threshold count as zero; it never exceeds this.
LARGEST_THRESHOLD = 0.2
# Periods beyond the coefficients that moments linear in donors' outcomes need.
SPARE_PERIODS = 10
# Residuals below this share of the outcome's size are rounding.
EXACT = 1e-10
FEWEST_DRAWS = 20
# Quantiles of the errors' law that are combined with each draw of the weights.
LAW = 199


@dataclass(frozen=True, eq=False)
class PredictionBounds:
    """What may be added to an estimated effect, by period after treatment.

    Attributes
    ----------
    total : shape (T1, 2), lower and upper
    weights : shape (T1, 2), the part that the uncertainty of the weights has by itself
    threshold : weights no larger were taken as zero
    """

    total: Floats
    weights: Floats
    threshold: float


def prediction_bounds(
    treated: Floats,
    donors: Floats,
    donors_after: Floats,
    omega: Floats,
    *,
    level: float,
    intercept: bool = False,
    dependence: Dependence = "none",
    errors: Errors = "location_scale",
    moments: Moments = "constant",
    draws: int = 200,
    seed: int = 0,
) -> PredictionBounds:
    """Bound what weights and errors may add to the effect of each period after treatment.

    effect_t = estimate_t + p_t'(omega - omega_0) - e_t, p_t the donors' outcomes. The noise in
    the weights' problem is simulated with the size residuals show, weights below a threshold
    held from falling; the errors' law comes from the residuals.

    Parameters
    ----------
    treated : shape (T0,); donors : shape (n, T0), outcomes before treatment
    donors_after : shape (n, T1), p
    omega : shape (n,), weights on the simplex that fit treated to donors
    intercept : whether a constant was chosen beside the weights
    dependence : between errors after treatment and the noise before it. "none" convolves their
        laws; "any" spends half of 1 - level on each, as the paper does
    errors : "location_scale" takes Student's law for scaled residuals; with "any" also
        "subgaussian", a bound for tails no heavier than normal ones, and "quantile", those of the
        residuals themselves
    moments : whether mean and scale of the errors are "constant" or "linear" (the scale
        log-linear) in the outcomes of donors with weight

    Raises
    ------
    InferenceError : a level that is no share, too few draws, residuals of zero, too few periods
        for the errors' moments or quantiles, or errors that cannot be convolved

    Notes
    -----
    A draw of noise leaves a region of weights that could all have come from it; the bound is the
    region's extreme, so intervals cover at least at the level: simulated, a nominal 90 % is 95 to
    97 % with "none" and 98 % and more with "any". Given donors' outcomes, noise
    before treatment is taken as uncorrelated over time. Scales from log residuals are multiplied
    by what makes scaled residuals of unit variance (Harvey 1976).

    Source
    ------
    Cattaneo, Feng and Titiunik (2021), Journal of the American Statistical Association
    116(536), sections 3-5; Cattaneo, Feng, Palomba and Titiunik (2025), Journal of Statistical
    Software 113(1), for threshold and variances.
    """
    check_level(level)
    if draws < FEWEST_DRAWS:
        raise InferenceError(
            f"draws is a number of simulations, {FEWEST_DRAWS} or more, whose quantiles become "
            f"bounds; it was {draws!r}. 200 are usual."
        )
    gaps = treated - omega @ donors
    if intercept:
        gaps = gaps - gaps.mean()
    n_periods, n_used = len(gaps), int(np.sum(omega > 0.0))
    _check(treated, gaps, n_used, dependence, errors)
    threshold = _threshold(gaps, donors)
    kept = omega > min(threshold, float(omega.max()) * (1.0 - EXACT))
    design, after = (_design(outcomes, moments) for outcomes in (donors[kept], donors_after[kept]))
    if moments == "linear" and n_periods < design.shape[1] + SPARE_PERIODS:
        raise InferenceError(
            f'moments="linear" takes {design.shape[1]} coefficients and {SPARE_PERIODS} periods '
            f'more; there are {n_periods} before treatment. Use moments="constant".'
        )
    slope = np.linalg.lstsq(design, gaps)[0]
    noise = np.abs(gaps - design @ slope)
    noise = noise * np.sqrt(n_periods / (n_periods - n_used + 1 - int(intercept)))
    region = WeightRegion(donors.T, np.where(kept, omega, 0.0), intercept)
    simulated = np.random.default_rng(seed).standard_normal((draws, n_periods)) * noise
    reached = region_extremes(region, simulated, donors_after.T)
    law = _error_law(gaps, design, after, n_used)
    alpha = (1.0 - level) / 2.0
    if dependence == "none":
        weights = _tails(reached, alpha)
        probabilities = (np.arange(LAW) + 0.5) / LAW
        error = law.middle[:, None] + law.scale[:, None] * stdtrit(law.freedom, probabilities)
        sums = reached[:, None] - error.T[None, :, :, None]
        return PredictionBounds(
            _tails(sums.reshape(-1, *sums.shape[2:]), alpha), weights, threshold
        )
    weights = _tails(reached, alpha / 2.0)
    error = _error_bounds(gaps, design, after, law, errors, alpha / 2.0)
    return PredictionBounds(weights - error[:, ::-1], weights, threshold)


def _tails(extremes: Floats, tail: float) -> Floats:
    """Return the low quantile of least and the high one of greatest values, (B, T, 2) to (T, 2)."""
    low = np.quantile(extremes[:, :, 0], tail, axis=0)
    return np.stack([low, np.quantile(extremes[:, :, 1], 1.0 - tail, axis=0)], axis=1)


def _check(
    treated: Floats, gaps: Floats, n_used: int, dependence: Dependence, errors: Errors
) -> None:
    """Refuse residuals that show nothing, and errors that cannot be convolved."""
    spread = max(float(np.abs(treated - treated.mean()).max()), np.finfo(float).tiny)
    if len(gaps) <= n_used or np.abs(gaps).max() <= EXACT * spread:
        raise InferenceError(
            f"the weights of {plural(n_used, 'donor')} leave no residual in "
            f"{plural(len(gaps), 'period')} before treatment, so nothing shows how far a "
            "prediction errs. Use placebos, or more periods before treatment."
        )
    if dependence == "none" and errors != "location_scale":
        raise InferenceError(
            f'errors="{errors}" gives bounds and no law, which dependence="none" needs. Use '
            'dependence="any", or errors="location_scale".'
        )


def _threshold(gaps: Floats, donors: Floats) -> float:
    """Return the weight that noise of this size can feign."""
    n_periods = len(gaps)
    least = float(donors.std(axis=1, ddof=1).min())
    if least == 0.0:
        return LARGEST_THRESHOLD
    ratio = float(gaps.std()) / least
    return min(ratio * float(np.log(n_periods) / np.sqrt(n_periods)), LARGEST_THRESHOLD)


def _design(outcomes: Floats, moments: Moments) -> Floats:
    """Return what moments of errors depend on, shape (T, k)."""
    ones = np.ones((outcomes.shape[1], 1))
    return ones if moments == "constant" else np.hstack([ones, outcomes.T])


@dataclass(frozen=True, eq=False)
class _Law:
    """Student's law of the errors after treatment: middle and scale (T1,), with its freedom."""

    middle: Floats
    scale: Floats
    freedom: int


def _error_law(gaps: Floats, design: Floats, after: Floats, n_used: int) -> _Law:
    """Estimate mean and scale of errors after treatment, the mean's own uncertainty included."""
    n_periods, k = design.shape
    slope = np.linalg.lstsq(design, gaps)[0]
    residuals = gaps - design @ slope
    log_squares = np.log(np.maximum(residuals**2, EXACT**2 * np.mean(gaps**2)))
    tilt = np.linalg.lstsq(design, log_squares)[0]
    freedom = n_periods - max(k, n_used)
    factor = np.sum(residuals**2 / np.exp(design @ tilt)) / freedom
    leverage = np.sum((after @ np.linalg.pinv(design)) ** 2, axis=1)
    return _Law(after @ slope, np.sqrt(factor * np.exp(after @ tilt) * (1.0 + leverage)), freedom)


def _error_bounds(
    gaps: Floats, design: Floats, after: Floats, law: _Law, errors: Errors, tail: float
) -> Floats:
    """Bound the errors of periods after treatment from residuals before it, shape (T1, 2)."""
    if errors == "quantile":
        slopes = [_quantile_slopes(gaps, design, q) for q in (tail, 1.0 - tail)]
        return np.stack([after @ slope for slope in slopes], axis=1)
    factor = float(stdtrit(law.freedom, 1.0 - tail))
    if errors == "subgaussian":
        factor = float(np.sqrt(2.0 * np.log(1.0 / tail)))
    return np.stack([law.middle - factor * law.scale, law.middle + factor * law.scale], axis=1)


def _quantile_slopes(gaps: Floats, design: Floats, q: float) -> Floats:
    """Fit a conditional quantile, widened to the next order statistic as few periods demand."""
    n_periods, k = design.shape
    rank = (n_periods + 1) * min(q, 1.0 - q)
    if rank < 1.0:
        raise InferenceError(
            f"{plural(n_periods, 'period')} before treatment do not show the {q:.4g} quantile of "
            f"the errors: {int(np.ceil(1.0 / min(q, 1.0 - q))) - 1} are needed. Ask for a lower "
            'level, or use errors="location_scale".'
        )
    if k == 1:
        ordered = np.sort(gaps)
        place = int(np.floor(rank + EXACT))
        return ordered[[place - 1 if q < 0.5 else n_periods - place]]
    from scipy.optimize import linprog

    eye = np.eye(n_periods)
    costs = np.concatenate([np.zeros(k), np.full(n_periods, q), np.full(n_periods, 1.0 - q)])
    limits = [(None, None)] * k + [(0.0, None)] * (2 * n_periods)
    found = linprog(costs, A_eq=np.hstack([design, eye, -eye]), b_eq=gaps, bounds=limits)
    return np.asarray(found.x)[:k]
