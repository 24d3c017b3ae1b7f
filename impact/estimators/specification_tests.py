"""Tests that choose between pooled, random and fixed effects."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.design import Design
from impact.errors import DesignError, EstimationError, check_choice, listing
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.generalised import averages_test, fit_random_effects, with_unit_means
from impact.estimators.parts.regression import regress
from impact.estimators.parts.variables import design_variables
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares
from impact.result import JointTest

__all__ = ["breusch_pagan_test", "hausman_test", "honda_test", "poolability_test"]

Floats = NDArray[np.float64]

EXACT = 1e-25
"""Share of the outcome's sum of squares that rounding leaves in residuals."""


def hausman_test(design: Design, *others: object, robust: bool = True) -> JointTest:
    """Test that unit effects do not correlate with the regressors.

    Parameters
    ----------
    others : nothing; two results, as Stata's ``hausman`` takes them, are refused in words
    robust : test the unit averages in a Mundlak regression with the design's clusters (valid
        under heteroskedasticity and serial correlation); False gives Hausman's own statistic
        from classical covariances of fixed and random effects

    Raises
    ------
    DesignError : results in place of the design
    EstimationError : no regressor varies within units

    Notes
    -----
    Hausman's own covariance difference need not be positive definite; its Moore-Penrose inverse
    is used and the restrictions are its rank.

    Source
    ------
    Hausman (1978), Econometrica 46(6), eq. (2.12); Wooldridge (2010), section 10.7.3.
    """
    if others or not isinstance(design, Design):
        given = listing(type(each).__name__ for each in (design, *others))
        raise DesignError(
            f"hausman_test takes one design and fits fixed and random effects itself; it was given "
            f"{given}. Write hausman_test(design), valid under clustering, or "
            "hausman_test(design, robust=False) for the statistic of Stata's hausman; "
            "a result has its design as .design."
        )
    variables = design_variables(design)
    if robust:
        averages = with_unit_means(design, variables)
        return averages_test(fit_random_effects(design, averages, covariance="CR1")[0])
    units = effect_groups(design, variables.rows, ["unit"])
    fixed = regress(design, variables, effects=units, covariance="classical")
    _require_errors(fixed.fit, variables.outcome)
    random, _ = fit_random_effects(design, variables)
    keep = np.flatnonzero(~np.isnan(fixed.coefficients))
    apart = fixed.coefficients[keep] - random.coefficients[keep]
    within, gls = (r.uncertainty.covariance()[np.ix_(keep, keep)] for r in (fixed, random))
    scale = np.sqrt(np.diag(within))
    difference = (within - gls) / np.outer(scale, scale)
    statistic = float(apart / scale @ np.linalg.pinv(difference, hermitian=True) @ (apart / scale))
    rank = int(np.linalg.matrix_rank(difference, hermitian=True))
    return JointTest(
        "Unit effects do not correlate with the regressors",
        statistic,
        rank,
        float(special.chdtrc(rank, statistic)) if statistic >= 0 else np.nan,
    )


def poolability_test(design: Design) -> JointTest:
    """Test that all units have the same intercept, by the F test of unit effects.

    ``statistic`` is F; ``restrictions`` and ``df`` its degrees of freedom.

    Source
    ------
    Baltagi (2021), section 2.2, eq. (2.12).
    """
    variables = design_variables(design)
    units = effect_groups(design, variables.rows, ["unit"])
    fixed = regress(design, variables, effects=units).fit
    pooled = regress(design, variables.with_constant()).fit
    _require_errors(fixed, variables.outcome)
    restrictions = pooled.df_residual - fixed.df_residual
    statistic = (pooled.rss - fixed.rss) / restrictions / fixed.sigma2
    p_value = float(special.fdtrc(restrictions, fixed.df_residual, statistic))
    return JointTest(
        "All units have the same intercept",
        float(statistic),
        int(restrictions),
        p_value,
        float(fixed.df_residual),
    )


def breusch_pagan_test(
    design: Design, effects: Literal["unit", "time", "two_way"] = "unit"
) -> JointTest:
    """Test by Breusch and Pagan's Lagrange multiplier that effects have no variance.

    Source
    ------
    Breusch and Pagan (1980), Review of Economic Studies 47(1); Baltagi and Li (1990),
    Economics Letters 34(2), for unbalanced panels.
    """
    check_choice("effects", effects, ("unit", "time", "two_way"))
    roots = _multiplier_roots(design)
    chosen = {"unit": [0], "time": [1], "two_way": [0, 1]}[effects]
    _require_pairs(roots[chosen])
    statistic = float(sum(roots[j] ** 2 for j in chosen))
    return JointTest(
        f"{effects.replace('_', '-')} effects have no variance".capitalize(),
        statistic,
        len(chosen),
        float(special.chdtrc(len(chosen), statistic)),
    )


def honda_test(design: Design, effects: Literal["unit", "time"] = "unit") -> JointTest:
    """Test against positive variance of effects alone; ``statistic`` is standard normal.

    Source
    ------
    Honda (1985), Review of Economic Studies 52(4).
    """
    check_choice("effects", effects, ("unit", "time"))
    root = float(_multiplier_roots(design)[0 if effects == "unit" else 1])
    _require_pairs(np.array([root]))
    return JointTest(
        f"{effects} effects have no variance".capitalize(), root, 1, float(special.ndtr(-root))
    )


def _require_errors(fixed: LeastSquares, outcome: Floats) -> None:
    """Refuse regressions within units that leave no error to compare with."""
    left = float(fixed.residuals @ fixed.residuals)
    if fixed.df_residual <= 0 or left <= EXACT * float(outcome @ outcome):
        raise EstimationError(
            "the regression within units leaves no error, so there is nothing to measure "
            "differences between units against. More rows or fewer regressors are needed, or an "
            "outcome that changes within units."
        )


def _require_pairs(roots: Floats) -> None:
    """Refuse tests without two rows that share a unit, or a period, or without errors."""
    if np.isnan(roots).any():
        raise EstimationError(
            "no two rows share a unit (or, for period effects, a period), or pooled least squares "
            "fits exactly, so nothing tells whether their errors go together. Test the other "
            "effect, or use a panel in which units are seen more than once."
        )


def _multiplier_roots(design: Design) -> Floats:
    """Return the signed roots of the multipliers for unit and period effects, shape (2,)."""
    if design.weights is not None:
        raise DesignError(
            "the Lagrange multiplier tests are defined without weights. Use a design without them."
        )
    fit = regress(design, design_variables(design).with_constant()).fit
    sample = design.sample
    size = float(np.sum(design.sample.numeric(design.outcome) ** 2))
    roots = []
    for groups in (
        Groups(sample.unit_codes, sample.n_units),
        Groups(sample.time_codes, sample.n_periods),
    ):
        excess = float(np.sum(groups.total(fit.residuals) ** 2)) / fit.rss - 1
        pairs = float(np.sum(groups.counts**2)) - fit.n_rows
        if not pairs or float(fit.residuals @ fit.residuals) <= EXACT * size:
            roots.append(np.nan)
            continue
        roots.append(fit.n_rows / np.sqrt(2 * pairs) * excess)
    return np.array(roots)
