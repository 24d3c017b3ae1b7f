"""Variances of unit effects, period effects and errors of any two-way panel, gaps or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares, least_squares
from impact.kernels.variance_components import Components, Method, estimated_components

__all__ = ["two_way_components"]

Floats = NDArray[np.float64]


def two_way_components(
    outcome: Floats, regressors: Floats, units: Groups, times: Groups, method: Method
) -> Components:
    r"""Estimate the variances of error, unit and period effect, each without bias.

    Quadratic forms of residuals are set equal to their expectations, which are linear in the three
    variances whatever rows are missing.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (k, n), without the constant
    units, times : the groups; a unit has at most one row a period
    method : "swamy_arora" takes the residuals of the regressions within, between units and between
        periods, "amemiya" those of the regression within, "wallace_hussain" pooled ones

    Notes
    -----
    On balanced panels these are the textbook's estimators with exact degrees of freedom.

    Raises
    ------
    EstimationError : no degrees of freedom within or between, or "nerlove"

    Source
    ------
    Wansbeek and Kapteyn (1989), Journal of Econometrics 41(3), eq. (3.4)-(3.8) ("amemiya");
    Baltagi (2021), Econometric Analysis of Panel Data, section 9.4.1, for all three.
    """
    if method == "nerlove":
        raise EstimationError(
            'the method "nerlove" is defined for unit effects alone. Use "swamy_arora", "amemiya" '
            'or "wallace_hussain" for two-way random effects.'
        )
    absorber = absorb([units, times])
    within = least_squares(outcome, regressors, sweep=absorber.sweep, n_effects=absorber.rank)
    if within.df_residual <= 0:
        raise EstimationError(
            f"{len(outcome)} rows of {units.size} units in {times.size} periods leave no variation "
            f"within both beside {len(within.kept)} coefficients; the error variance is unknown. "
            "More rows or fewer regressors are needed."
        )
    if method == "swamy_arora":
        return _from_three_regressions(outcome, regressors, units, times, within.sigma2)
    if method == "amemiya":
        return _from_within_residuals(outcome, regressors, units, times, within)
    return _from_pooled_residuals(outcome, regressors, units, times, absorber.sweep, absorber.rank)


def _from_three_regressions(
    outcome: Floats, regressors: Floats, units: Groups, times: Groups, error: float
) -> Components:
    """Swamy and Arora: each between regression also holds the other effect unless balanced."""
    constant = np.concatenate((np.ones((1, len(outcome))), regressors))
    system, left = np.empty((2, 2)), np.empty(2)
    for j, (own, other) in enumerate(((units, times), (times, units))):
        fit = least_squares(own.spread(_means(own, outcome)), own.spread(_means(own, constant)))
        x = fit.regressors
        freedom = own.size - len(fit.kept)
        if freedom <= 0:
            raise EstimationError(
                f"{own.size} groups leave no degrees of freedom between them beside "
                f"{len(fit.kept)} coefficients, so their variance is unknown. Use one-way "
                'effects, or method "wallace_hussain".'
            )
        left[j] = fit.rss - freedom * error
        system[j, j] = len(outcome) - _trace(fit.bread, own.total(x))
        system[j, 1 - j] = own.size - _trace(fit.bread, other.total(x))
    return estimated_components(error, *np.linalg.solve(system, left))


def _from_within_residuals(
    outcome: Floats, regressors: Floats, units: Groups, times: Groups, within: LeastSquares
) -> Components:
    """Wansbeek and Kapteyn: spread of the unit and period means of centred within residuals."""
    n, error = len(outcome), within.sigma2
    x = regressors[within.kept]
    x = x - x.mean(axis=1, keepdims=True)
    residuals = outcome - within.coefficients @ x
    residuals = residuals - residuals.mean()
    system, left = np.empty((2, 2)), np.empty(2)
    for j, (own, other) in enumerate(((units, times), (times, units))):
        between = own.total(x) / np.sqrt(own.counts)
        noise = own.size - 1 + float(np.sum(within.bread * (between @ between.T)))
        left[j] = np.sum(own.total(residuals) ** 2 / own.counts) - noise * error
        system[j, j] = n - np.sum(own.counts**2) / n
        system[j, 1 - j] = own.size - np.sum(other.counts**2) / n
    return estimated_components(error, *np.linalg.solve(system, left))


def _from_pooled_residuals(
    outcome: Floats,
    regressors: Floats,
    units: Groups,
    times: Groups,
    sweep: Callable[[Floats], Floats],
    rank: int,
) -> Components:
    """Wallace and Hussain: pooled residuals within, between units and between periods."""
    n = len(outcome)
    fit = least_squares(outcome, np.concatenate((np.ones((1, n)), regressors)))
    x, e, both = fit.regressors, fit.residuals, (units, times)
    projections = [
        _Projection(sweep(x), n - rank, (0.0, 0.0)),
        _Projection(units.spread(_means(units, x)), units.size, (n, units.size)),
        _Projection(times.spread(_means(times, x)), times.size, (times.size, n)),
    ]
    system = np.array([p.expectations(x, fit.bread, both) for p in projections])
    left = [
        float(np.sum(sweep(e) ** 2)),
        *(float(np.sum(groups.total(e) ** 2 / groups.counts)) for groups in both),
    ]
    return estimated_components(*np.linalg.solve(system, left))


@dataclass(frozen=True, eq=False)
class _Projection:
    """A projection A of rows: A applied to regressors, tr A, tr A DD' for unit and period D."""

    applied: Floats
    trace: float
    of_effects: tuple[float, float]

    def expectations(self, x: Floats, bread: Floats, effects: tuple[Groups, Groups]) -> Floats:
        """Return the weights of (error, unit, time) in E[e'Ae] for residuals of x, shape (3,)."""
        inner = bread @ (self.applied @ x.T)
        weights = [self.trace - float(np.trace(inner))]
        for groups, alone in zip(effects, self.of_effects, strict=True):
            totals = groups.total(x)
            crossed = bread @ (groups.total(self.applied) @ totals.T)
            spread = inner @ bread @ (totals @ totals.T)
            weights.append(alone - 2 * float(np.trace(crossed)) + float(np.trace(spread)))
        return np.array(weights)


def _means(groups: Groups, values: Floats) -> Floats:
    """Mean of each group: (..., n) to (..., size)."""
    return groups.total(values) / groups.counts


def _trace(bread: Floats, totals: Floats) -> float:
    """Trace of bread times totals totals'."""
    return float(np.sum(bread * (totals @ totals.T)))
