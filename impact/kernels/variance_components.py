"""Variances of errors, unit effects and period effects of any panel, gaps or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError, plural
from impact.kernels.absorb import Absorber, absorb
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares, least_squares

__all__ = ["Components", "Method", "variance_components"]

Floats = NDArray[np.float64]
Method = Literal["swamy_arora", "amemiya", "wallace_hussain", "nerlove"]


@dataclass(frozen=True)
class Components:
    """Estimated variances; one that came out negative is set to zero and kept in ``negative``."""

    error: float
    unit: float
    time: float = 0.0
    negative: tuple[str, ...] = ()


def variance_components(
    outcome: Floats,
    regressors: Floats,
    effects: Sequence[Groups],
    method: Method,
    *,
    unbiased: bool | None = None,
) -> Components:
    r"""Estimate the variances of errors and effects from quadratic forms of residuals.

    The forms are sums of squares of residuals within all effects and of their means by each
    effect's groups. They are set equal to their expectations, which are linear in the variances
    whatever rows are missing.

    Parameters
    ----------
    outcome : shape (n,)
    regressors : shape (k, n), without the constant
    effects : the units, or the units and the periods; a unit has at most one row a period
    method : "swamy_arora" takes the residuals of the regressions within and between each effect's
        groups, "amemiya" those of the regression within, "wallace_hussain" pooled ones;
        "nerlove" the spread of the effects estimated within, by rows
    unbiased : False takes the residuals of "amemiya" and "wallace_hussain" for errors, so that
        sums of squares are divided by (N-1)(T-1), N and T; balanced panels only. None does so where
        the panel is balanced

    Raises
    ------
    EstimationError : no degrees of freedom within or between, or no correction on an unbalanced
        panel

    Source
    ------
    Baltagi (2021), Econometric Analysis of Panel Data, sections 2.4, 3.3, 9.2 and 9.4.1;
    Baltagi and Chang (1994), Journal of Econometrics 62(2), for one-way effects with gaps;
    Wansbeek and Kapteyn (1989), Journal of Econometrics 41(3), eq. (3.4)-(3.8) ("amemiya");
    Nerlove (1971), Econometrica 39(2), who states "nerlove" for balanced panels; how rows count on
    others is R plm's choice.
    """
    if min(own.size for own in effects) < 2:
        raise EstimationError(
            "one unit, or one period, does not tell how units or periods differ, so the variance "
            "of their effects is unknown. Use PooledOLS or FixedEffects."
        )
    absorber = absorb(list(effects))
    within = least_squares(outcome, regressors, sweep=absorber.sweep, n_effects=absorber.rank)
    if within.df_residual <= 0:
        raise EstimationError(_nothing_within(effects, len(outcome), len(within.kept)))
    if method == "nerlove":
        return _from_effects(outcome, regressors, effects, within)
    if method == "swamy_arora":
        return _from_regressions_between(outcome, regressors, effects, within.sigma2)
    if unbiased is None:
        unbiased = any(np.ptp(own.counts) > 0 for own in effects)
    if not unbiased:
        return _uncorrected(outcome, regressors, effects, within, absorber, method)
    if method == "amemiya":
        return _from_within_residuals(outcome, regressors, effects, within)
    return _from_pooled_residuals(outcome, regressors, effects, absorber)


def _nothing_within(effects: Sequence[Groups], n: int, k: int) -> str:
    """Say that the error variance is unknown."""
    units, *times = effects
    where = f" in {times[0].size} periods leave no variation within both" if times else (
        " leave no variation within units"
    )  # fmt: skip
    return (
        f"{n} rows of {units.size} units{where} beside {plural(k, 'coefficient')}; the error "
        "variance is unknown. More rows or fewer regressors are needed."
    )


def _from_regressions_between(
    outcome: Floats, regressors: Floats, effects: Sequence[Groups], error: float
) -> Components:
    """Swamy and Arora: a regression between groups also holds another effect unless balanced."""
    constant = _with_constant(regressors)
    left = np.empty(len(effects))
    system = np.empty((len(effects), len(effects)))
    for j, own in enumerate(effects):
        fit = least_squares(own.spread(_means(own, outcome)), own.spread(_means(own, constant)))
        freedom = own.size - len(fit.kept)
        if freedom <= 0:
            raise EstimationError(
                f"{own.size} {'periods' if j else 'units'} leave no degrees of freedom between "
                f"them beside {len(fit.kept)} coefficients, so their variance is unknown. Use "
                'fewer regressors, method "wallace_hussain" or FixedEffects.'
            )
        left[j] = fit.rss - freedom * error
        for k, other in enumerate(effects):
            whole = len(outcome) if k == j else own.size
            system[j, k] = whole - _trace(fit.bread, other.total(fit.regressors))
    return _components(error, np.linalg.solve(system, left))


def _from_within_residuals(
    outcome: Floats, regressors: Floats, effects: Sequence[Groups], within: LeastSquares
) -> Components:
    """Amemiya, Wansbeek and Kapteyn: spread of group means of centred within residuals."""
    n, error = len(outcome), within.sigma2
    x = regressors[within.kept]
    x = x - x.mean(axis=1, keepdims=True)
    residuals = _centred_within_residuals(outcome, regressors, within)
    left = np.empty(len(effects))
    system = np.empty((len(effects), len(effects)))
    for j, own in enumerate(effects):
        between = own.total(x) / np.sqrt(own.counts)
        noise = own.size - 1 + _trace(within.bread, between)
        left[j] = _between(own, residuals) - noise * error
        for k, other in enumerate(effects):
            system[j, k] = (n if k == j else own.size) - np.sum(other.counts**2) / n
    return _components(error, np.linalg.solve(system, left))


def _from_pooled_residuals(
    outcome: Floats, regressors: Floats, effects: Sequence[Groups], absorber: Absorber
) -> Components:
    """Wallace and Hussain: pooled residuals within all effects and between each one's groups."""
    n = len(outcome)
    fit = least_squares(outcome, _with_constant(regressors))
    x, e = fit.regressors, fit.residuals
    projections = [_Projection(absorber.sweep(x), n - absorber.rank, (0.0,) * len(effects))]
    for j, own in enumerate(effects):
        alone = tuple(float(n if k == j else own.size) for k in range(len(effects)))
        projections.append(_Projection(own.spread(_means(own, x)), own.size, alone))
    system = np.array([p.expectations(x, fit.bread, effects) for p in projections])
    left = [float(np.sum(absorber.sweep(e) ** 2)), *(_between(own, e) for own in effects)]
    error, *variances = np.linalg.solve(system, left)
    return _components(error, variances)


def _uncorrected(
    outcome: Floats,
    regressors: Floats,
    effects: Sequence[Groups],
    within: LeastSquares,
    absorber: Absorber,
    method: Method,
) -> Components:
    """Take residuals for errors on a balanced panel."""
    n = len(outcome)
    gaps = [own for own in effects if np.ptp(own.counts) > 0]
    if gaps:
        raise EstimationError(
            "variance components without correction for estimated coefficients (unbiased=False) "
            f"are defined for balanced panels; here groups have from {gaps[0].counts.min()} to "
            f"{gaps[0].counts.max()} rows. Leave unbiased=None."
        )
    residuals = (
        _centred_within_residuals(outcome, regressors, within)
        if method == "amemiya"
        else least_squares(outcome, _with_constant(regressors)).residuals
    )
    error = float(np.sum(absorber.sweep(residuals) ** 2)) / (n - absorber.rank)
    each = [(_between(own, residuals) / own.size - error) * own.size / n for own in effects]
    return _components(error, each)


def _from_effects(
    outcome: Floats, regressors: Floats, effects: Sequence[Groups], within: LeastSquares
) -> Components:
    """Nerlove: spread of the estimated effects, each row counting once."""
    n = len(outcome)
    left = outcome - within.coefficients @ regressors[within.kept]
    estimated = [_means(effects[0], left)]
    if len(effects) == 2:
        estimated = list(_two_effects(left, *effects))
    variances = []
    for own, values in zip(effects, estimated, strict=True):
        shares = own.counts / n
        spread = float(shares @ (values - shares @ values) ** 2)
        variances.append(spread * own.size / (own.size - 1))
    return _components(within.rss / n, variances)


def _two_effects(values: Floats, units: Groups, times: Groups) -> tuple[Floats, Floats]:
    """Regress values, shape (n,), on unit and period dummies."""
    seen = np.zeros((units.size, times.size))
    seen[units.codes, times.codes] = 1.0
    shares = seen / units.counts[:, None]
    crossing = np.diag(times.counts.astype(np.float64)) - seen.T @ shares
    left = times.total(values) - shares.T @ units.total(values)
    of_times = np.linalg.lstsq(crossing, left, rcond=None)[0].astype(np.float64)
    return _means(units, values) - shares @ of_times, of_times


@dataclass(frozen=True, eq=False)
class _Projection:
    """A projection A of rows: A applied to regressors, tr A, tr A DD' for the D of each effect."""

    applied: Floats
    trace: float
    of_effects: tuple[float, ...]

    def expectations(self, x: Floats, bread: Floats, effects: Sequence[Groups]) -> Floats:
        """Return the weights of error and effects in E[e'Ae] for residuals of x."""
        inner = bread @ (self.applied @ x.T)
        weights = [self.trace - float(np.trace(inner))]
        for groups, alone in zip(effects, self.of_effects, strict=True):
            totals = groups.total(x)
            crossed = bread @ (groups.total(self.applied) @ totals.T)
            spread = inner @ bread @ (totals @ totals.T)
            weights.append(alone - 2 * float(np.trace(crossed)) + float(np.trace(spread)))
        return np.array(weights)


def _components(error: float, effects: Iterable[float]) -> Components:
    """Set estimates that came out negative to zero and name them."""
    named = dict(zip(("unit", "time"), map(float, effects), strict=False))
    negative = tuple(name for name, value in named.items() if value < 0)
    kept = {name: max(value, 0.0) for name, value in named.items()}
    return Components(float(error), **kept, negative=negative)


def _centred_within_residuals(outcome: Floats, regressors: Floats, within: LeastSquares) -> Floats:
    """Return what slopes estimated within leave of the outcome, less its mean."""
    left = outcome - within.coefficients @ regressors[within.kept]
    return np.asarray(left - left.mean())


def _with_constant(regressors: Floats) -> Floats:
    return np.concatenate((np.ones((1, regressors.shape[1])), regressors))


def _means(groups: Groups, values: Floats) -> Floats:
    """Mean of each group: (..., n) to (..., size)."""
    return groups.total(values) / groups.counts


def _between(groups: Groups, values: Floats) -> float:
    """Sum of squares of the rows' group means."""
    return float(np.sum(groups.total(values) ** 2 / groups.counts))


def _trace(bread: Floats, totals: Floats) -> float:
    """Trace of bread times totals totals'."""
    return float(np.sum(bread * (totals @ totals.T)))
