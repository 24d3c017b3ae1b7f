"""Power: what effect a design could have found, from formulas and from its own panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import InferenceError
from impact.inference.sets import significance

__all__ = [
    "PanelVariance",
    "cluster_std_error",
    "clusters_needed",
    "individual_std_error",
    "minimum_detectable_effect",
    "panel_variance",
    "placebo_minimum_detectable_effect",
    "placebo_power",
    "power_curve",
    "proportions_power",
    "t_test_effect",
    "t_test_power",
    "t_test_sample_size",
]

Floats = NDArray[np.float64]

_MIN_PLACEBOS = 20
_CERTAIN = 6.0


def minimum_detectable_effect(
    std_error: Floats | float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    df: Floats | float | None = None,
) -> Floats:
    """Return the smallest true effects found with the given power.

    MDE = (q(1 - alpha/2) + q(power)) * std_error, q of the t distribution (normal if ``df`` is
    None).

    Parameters
    ----------
    std_error : in the outcome's units, any shape
    power : chance of rejecting no effect when the true one is the MDE
    level : 1 - alpha of the two-sided test

    Source
    ------
    Bloom (1995), Evaluation Review 19(5); Duflo, Glennerster and Kremer (2007), eq. (6).
    """
    _check_share("power", power)
    _check_share("level", level)
    return np.asarray((_quantile(0.5 + level / 2, df) + _quantile(power, df)) * std_error)


def power_curve(
    effects: Floats,
    std_error: float,
    *,
    level: float = 0.95,
    df: float | None = None,
) -> Floats:
    """Return the chance of a two-sided rejection at each true effect, shape of ``effects``.

    The statistic is noncentral t (normal if ``df`` is None) around effect / std_error.
    """
    _check_share("level", level)
    critical, shift = float(_quantile(0.5 + level / 2, df)), np.asarray(effects) / std_error
    if df is None:
        return np.asarray(special.ndtr(shift - critical) + special.ndtr(-shift - critical))
    shift = np.abs(shift)
    power = 1 - special.nctdtr(df, shift, critical) + special.nctdtr(df, shift, -critical)
    # scipy's noncentral t is not a number far out, where rejection is certain.
    return np.asarray(np.where(np.isnan(power) & (shift > critical + _CERTAIN), 1.0, power))


def individual_std_error(n: float, *, share: float = 0.5, r_squared: float = 0.0) -> float:
    """Return the standard error of a difference of two arms, in standard deviations.

    sqrt((1 - R^2) / (P (1 - P) n)), with P the share treated and R^2 what covariates explain.

    Source
    ------
    Bloom (1995), Evaluation Review 19(5).
    """
    _check_share("share", share)
    return float(np.sqrt((1 - r_squared) / (share * (1 - share) * n)))


def cluster_std_error(clusters: float, size: float, *, icc: float, share: float = 0.5) -> float:
    """Return the standard error when whole clusters are treated, in standard deviations.

    sqrt((rho + (1 - rho) / m) / (P (1 - P) J)), with J clusters of m units and intra-cluster
    correlation rho. Use df = J - 2 with it.

    Source
    ------
    Duflo, Glennerster and Kremer (2007), Handbook of Development Economics 4, eq. (11).
    """
    _check_share("share", share)
    return float(np.sqrt((icc + (1 - icc) / size) / (share * (1 - share) * clusters)))


@dataclass(frozen=True)
class PanelVariance:
    """Variance of three estimators of one effect, relative to one comparison after treatment."""

    post: float
    difference: float
    ancova: float


def panel_variance(before: int, after: int, autocorrelation: float) -> PanelVariance:
    """Return how repeated measurement changes the variance of the estimated effect.

    With m rounds before, r after and constant autocorrelation rho: post (1 + (r-1) rho) / r;
    difference-in-differences (1 - rho)(1/r + 1/m); ANCOVA post - m rho^2 / (1 + (m-1) rho).

    Source
    ------
    McKenzie (2012), Journal of Development Economics 99(2), eq. (1) to (3).
    """
    if before < 1 or after < 1:
        raise InferenceError(
            f"panel_variance needs at least one round before and after; it was given {before} and "
            f"{after}. Without a round before only the comparison after treatment exists."
        )
    rho, m, r = autocorrelation, before, after
    post = (1 + (r - 1) * rho) / r
    return PanelVariance(
        post=post,
        difference=(1 - rho) * (1 / r + 1 / m),
        ancova=post - m * rho**2 / (1 + (m - 1) * rho),
    )


def t_test_power(effect: float, first: float, second: float, *, level: float = 0.95) -> float:
    """Return the power of a two-sample t test, effect in standard deviations.

    As R's power.t.test, the chance of rejecting in the effect's own direction.
    """
    df = first + second - 2
    critical = _quantile(0.5 + level / 2, df)
    shift = abs(effect) / np.sqrt(1 / first + 1 / second)
    return float(1 - special.nctdtr(df, shift, critical))


def t_test_effect(first: float, second: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """Return the effect, in standard deviations, that a two-sample t test finds with a power."""
    _check_share("power", power)
    scale = np.sqrt(1 / first + 1 / second)
    return _root(
        lambda effect: t_test_power(effect, first, second, level=level) - power, 0.0, 20 * scale
    )


def t_test_sample_size(effect: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """Return the number in each arm with which a t test finds an effect; not rounded up."""
    _check_share("power", power)
    return _root(lambda n: t_test_power(effect, n, n, level=level) - power, 2.0, 1e7)


def proportions_power(p1: float, p2: float, n: float, *, level: float = 0.95) -> float:
    """Return the power of comparing two proportions with n in each arm (arcsine effect size).

    Source
    ------
    Cohen (1988), Statistical Power Analysis, chapter 6: h = 2 asin sqrt p1 - 2 asin sqrt p2.
    """
    _check_share("p1", p1)
    _check_share("p2", p2)
    h = 2 * np.arcsin(np.sqrt(p1)) - 2 * np.arcsin(np.sqrt(p2))
    return float(power_curve(np.asarray(h), float(np.sqrt(2 / n)), level=level))


def clusters_needed(
    effect: float,
    std_error: float,
    n_clusters: int,
    *,
    power: float = 0.8,
    level: float = 0.95,
) -> int:
    """Return how many clusters would find an effect, from a pilot with the same design.

    The pilot's standard error shrinks with the root of the number of clusters, treated and
    untreated in the pilot's proportion; critical values are t(G - 2).

    Parameters
    ----------
    effect : true effect to be found, in the outcome's units
    std_error, n_clusters : of the pilot
    """
    if effect == 0:
        raise InferenceError(
            "No number of clusters finds an effect of exactly zero. Give the smallest effect of "
            "interest."
        )

    def shortfall(count: float) -> float:
        error = std_error * np.sqrt(n_clusters / count)
        return abs(effect) - float(
            minimum_detectable_effect(error, power=power, level=level, df=count - 2)
        )

    if shortfall(3.0) >= 0:
        return 3
    return int(np.ceil(_root(shortfall, 3.0, 1e9) - 1e-9))


def placebo_power(placebos: Floats, effects: Floats, *, level: float = 0.95) -> Floats:
    """Return the power at each effect when estimates err as placebo estimates do.

    Placebo estimates come from the very panel with treatment paths reassigned, so that its
    serial and spatial correlation, sizes and gaps are kept. A placebo rejects when its
    magnitude is among the share 1 - level of the largest.

    Parameters
    ----------
    placebos : array, shape (B,), estimates where the true effect is zero
    effects : array, shape (A,)

    Raises
    ------
    InferenceError : fewer than 20 placebos, whose quantiles say nothing

    Source
    ------
    Bertrand, Duflo and Mullainathan (2004), Quarterly Journal of Economics 119(1), section 3,
    for placebo laws; Black, Hollingsworth, Nunes and Simon (2022), Journal of Public Economics
    213, for simulated power on the panel at hand.
    """
    critical = _placebo_critical_value(placebos, level)
    shifted = np.abs(placebos + np.asarray(effects)[:, None])
    return np.asarray(np.mean(shifted >= critical, axis=1))


def placebo_minimum_detectable_effect(
    placebos: Floats, *, power: float = 0.8, level: float = 0.95
) -> float:
    """Return the smallest effect, positive or negative, found with the given power.

    The larger of the two directions is returned where placebos are not symmetric.
    """
    _check_share("power", power)
    critical = _placebo_critical_value(placebos, level)
    up, down = (critical - np.quantile(side * placebos, 1 - power) for side in (1, -1))
    return float(max(up, down, 0.0))


def _placebo_critical_value(placebos: Floats, level: float) -> float:
    _check_share("level", level)
    if len(placebos) < _MIN_PLACEBOS:
        raise InferenceError(
            f"{len(placebos)} placebo estimates do not show their own spread; at least "
            f"{_MIN_PLACEBOS} are needed. Allow more reassignments, or use the analytic MDE."
        )
    rank = int(np.floor(significance(level) * len(placebos) + 1e-9))
    return float(np.sort(np.abs(placebos))[::-1][max(rank - 1, 0)])


def _quantile(share: float, df: Floats | float | None) -> Floats:
    if df is None:
        return np.asarray(special.ndtri(share))
    return np.asarray(special.stdtrit(np.asarray(df, dtype=np.float64), share))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-12, rtol=1e-14))


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise InferenceError(f"{name} is a share between 0 and 1; it was {value!r}.")
