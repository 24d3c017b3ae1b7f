"""Variances of unit effects, period effects and errors, and the rows they transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.absorb import Groups, absorb
from impact.kernels.least_squares import LeastSquares, least_squares

__all__ = ["Components", "Method", "one_way_components", "quasi_demean", "two_way_components"]

Floats = NDArray[np.float64]
Method = Literal["swamy_arora", "amemiya", "wallace_hussain", "nerlove"]


@dataclass(frozen=True)
class Components:
    """Estimated variances; one that came out negative is set to zero and kept in ``negative``."""

    error: float
    unit: float
    time: float = 0.0
    negative: tuple[str, ...] = ()


def one_way_components(
    outcome: Floats, regressors: Floats, units: Groups, method: Method
) -> Components:
    """Estimate the variances of error and unit effect.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (k, n), without the constant
    units : the groups
    method : how

    Notes
    -----
    "swamy_arora" combines residuals of the within and the between regression, with Baltagi and
    Chang's traces where units have different numbers of rows; the others use residuals of the
    within regression ("amemiya", "nerlove") or of pooled least squares ("wallace_hussain") and
    the mean number of rows a unit.

    Raises
    ------
    EstimationError : no degrees of freedom within or between units

    Source
    ------
    Baltagi (2021), Econometric Analysis of Panel Data, section 2.4, eq. (2.25)-(2.31); Baltagi and
    Chang (1994), Journal of Econometrics 62(2), for Swamy and Arora's on unbalanced panels.
    """
    n, size = len(outcome), units.size
    absorber = absorb([units])
    within = least_squares(outcome, regressors, sweep=absorber.sweep, n_effects=size)
    if within.df_residual <= 0:
        raise EstimationError(
            f"{n} rows of {size} units leave no variation within units beside "
            f"{len(within.kept)} coefficients; the error variance is unknown. More periods or "
            "fewer regressors are needed."
        )
    constant = np.concatenate((np.ones((1, n)), regressors))
    if method == "swamy_arora":
        error = within.rss / within.df_residual
        averages = units.spread(units.total(constant) / units.counts)
        between = least_squares(units.spread(units.total(outcome) / units.counts), averages)
        x = averages[between.kept]
        totals = units.total(x)
        shared = float(np.trace(between.bread @ totals @ totals.T))
        if size <= len(between.kept):
            raise EstimationError(
                f"{size} units leave no degrees of freedom between units beside "
                f"{len(between.kept)} coefficients. Use fewer regressors or FixedEffects."
            )
        unit = (between.rss - (size - len(between.kept)) * error) / (n - shared)
        return _components(error, unit)
    if method == "nerlove":
        effects = _unit_effects(outcome, regressors, within, units)
        spread = float(np.sum((effects - effects.mean()) ** 2))
        return _components(within.rss / n, spread / (size - 1))
    if method == "amemiya":
        slopes = np.zeros(len(regressors))
        slopes[within.kept] = within.coefficients
        residuals = outcome - slopes @ regressors
        residuals = residuals - residuals.mean()
    else:
        residuals = least_squares(outcome, constant).residuals
    inside = float(np.sum(absorber.sweep(residuals) ** 2))
    between_sum = float(residuals @ residuals) - inside
    error = inside / (n - size)
    return _components(error, (between_sum / size - error) / (n / size))


def two_way_components(
    outcome: Floats, regressors: Floats, units: Groups, times: Groups
) -> Components:
    """Estimate the variances of error, unit and period effect of a balanced panel.

    Source
    ------
    Swamy and Arora (1972), Econometrica 40(2); Baltagi (2021), section 3.3, eq. (3.16)-(3.21).
    """
    absorber = absorb([units, times])
    within = least_squares(outcome, regressors, sweep=absorber.sweep, n_effects=absorber.rank)
    error = within.sigma2
    found = []
    for groups, rows in ((units, times.size), (times, units.size)):
        columns = np.concatenate((np.ones((1, groups.size)), groups.total(regressors) / rows))
        between = least_squares(groups.total(outcome) / rows, columns)
        if between.df_residual <= 0:
            raise EstimationError(
                f"{groups.size} groups leave no degrees of freedom between them beside "
                f"{len(between.kept)} coefficients, so their variance is unknown. Use one-way "
                'effects, or method "wallace_hussain".'
            )
        found.append(between.sigma2 - error / rows)
    return _components(error, *found)


def _unit_effects(
    outcome: Floats, regressors: Floats, within: LeastSquares, units: Groups
) -> Floats:
    left = outcome - within.coefficients @ regressors[within.kept]
    return units.total(left) / units.counts


def _components(error: float, unit: float, time: float = 0.0) -> Components:
    named = {"unit": unit, "time": time}
    negative = tuple(name for name, value in named.items() if value < 0)
    return Components(error, max(unit, 0.0), max(time, 0.0), negative)


def quasi_demean(
    rows: Floats, components: Components, units: Groups, times: Groups | None = None
) -> Floats:
    r"""Transform rows so that errors with these components become uncorrelated.

    One-way: :math:`v_{it} - \theta_i \bar v_i` with
    :math:`\theta_i = 1 - \sqrt{\sigma^2/(\sigma^2 + T_i\sigma^2_\mu)}`; two-way (balanced):
    :math:`v_{it} - \theta_1\bar v_{i.} - \theta_2\bar v_{.t} + \theta_3\bar v`.

    Parameters
    ----------
    rows : shape (k, n)

    Source
    ------
    Baltagi (2021), section 2.4, eq. (2.20), section 3.3, eq. (3.10).
    """
    error = components.error
    counts = units.counts
    theta = 1 - np.sqrt(error / (error + counts * components.unit))
    unit_part = rows - units.spread(theta * units.total(rows) / counts)
    if times is None:
        return np.asarray(unit_part)
    by_time = error + times.counts * components.time
    both = by_time + counts[0] * components.unit
    theta_time = 1 - np.sqrt(error / by_time[0])
    theta_both = theta[0] + theta_time + np.sqrt(error / both[0]) - 1
    mean = rows.mean(axis=1, keepdims=True)
    by_period = times.spread(times.total(rows) / times.counts)
    return np.asarray(unit_part - theta_time * by_period + theta_both * mean)
