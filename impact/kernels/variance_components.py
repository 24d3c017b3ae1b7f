"""Variances of unit effects and errors, and the rows that components transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares, least_squares

__all__ = [
    "Components",
    "Method",
    "estimated_components",
    "one_way_components",
    "quasi_demean",
]

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
        return estimated_components(error, unit)
    if method == "nerlove":
        effects = _unit_effects(outcome, regressors, within, units)
        spread = float(np.sum((effects - effects.mean()) ** 2))
        return estimated_components(within.rss / n, spread / (size - 1))
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
    return estimated_components(error, (between_sum / size - error) / (n / size))


def _unit_effects(
    outcome: Floats, regressors: Floats, within: LeastSquares, units: Groups
) -> Floats:
    left = outcome - within.coefficients @ regressors[within.kept]
    return units.total(left) / units.counts


def estimated_components(error: float, unit: float, time: float = 0.0) -> Components:
    """Set estimates that came out negative to zero and name them."""
    named = {"unit": unit, "time": time}
    negative = tuple(name for name, value in named.items() if value < 0)
    return Components(float(error), max(float(unit), 0.0), max(float(time), 0.0), negative)


def quasi_demean(
    rows: Floats, components: Components, units: Groups, times: Groups | None = None
) -> Floats:
    r"""Transform rows so that errors with these components become uncorrelated.

    One-way: :math:`v_{it} - \theta_i \bar v_i` with
    :math:`\theta_i = 1 - \sqrt{\sigma^2/(\sigma^2 + T_i\sigma^2_\mu)}`. Two-way: the same, then
    the inverse root of :math:`I + (\sigma^2_\lambda/\sigma^2) ZZ'`, Z the transformed period
    dummies, which takes one T x T eigendecomposition. On balanced panels this is
    :math:`v_{it} - \theta_1\bar v_{i.} - \theta_2\bar v_{.t} + \theta_3\bar v`.

    Parameters
    ----------
    rows : shape (k, n)

    Source
    ------
    Baltagi (2021), section 2.4, eq. (2.20), section 3.3, eq. (3.10); Wansbeek and Kapteyn (1989),
    Journal of Econometrics 41(3), for the unbalanced two-way inverse.
    """
    error = components.error
    theta = 1 - np.sqrt(error / (error + units.counts * components.unit))

    def by_unit(values: Floats) -> Floats:
        return np.asarray(values - units.spread(theta * units.total(values) / units.counts))

    one_way = by_unit(rows)
    if times is None or not components.time:
        return one_way
    seen = np.zeros((units.size, times.size))
    seen[units.codes, times.codes] = 1.0
    share = components.unit / (error + units.counts * components.unit)
    crossing = np.diag(times.counts.astype(np.float64)) - seen.T @ (share[:, None] * seen)
    values, vectors = np.linalg.eigh(crossing)
    live = values > 1e-12 * values[-1]
    shrink = (1 - 1 / np.sqrt(1 + components.time / error * values[live])) / values[live]
    kept = (times.total(by_unit(one_way)) @ vectors[:, live] * shrink) @ vectors[:, live].T
    return one_way - by_unit(times.spread(kept))
