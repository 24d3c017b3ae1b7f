"""Group-time average treatment effects of Callaway and Sant'Anna (2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, plural
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.inference.scores import CovarianceScores, Scores, Uncertainty
from impact.kernels.doubly_robust import Method, conditional_did
from impact.kernels.moments import CohortMoments, LinearCells, cohort_moments
from impact.result import Result

__all__ = ["CallawaySantAnna"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Comparison = Literal["not_yet_treated", "never_treated"]
BasePeriod = Literal["universal", "varying"]

BASE_NOTE = "base period: zero by construction"


@dataclass(frozen=True)
class CallawaySantAnna(Estimator):
    """Estimate the effect on each cohort in each period, ATT(g, t).

    ATT(g, t) = E[Y_t - Y_b | G = g] - E[Y_t - Y_b | comparison], with b the base period of
    cohort g, and with covariates the comparison made at equal covariates.

    Parameters
    ----------
    comparison : "not_yet_treated" compares with units never treated and units first treated
        after both periods; "never_treated" with units never treated only
    method : with covariates, "doubly_robust", "regression" or "inverse_probability"; without
        covariates all three are the difference in mean changes
    base_period : "universal" measures every cell from the last period before treatment (less
        anticipation); "varying" measures cells before treatment from the period before each
    trim : comparison units whose propensity is at least this much are left out

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated period, nobody to compare with,
        or ``comparison="never_treated"`` where all units are treated in the end
    EstimationError : no cell can be estimated

    Notes
    -----
    Assumes parallel trends between each cohort and its comparison units (given covariates),
    and no effect earlier than ``anticipation`` periods before treatment. Covariates enter at
    the earlier of the two periods compared; with ``inverse_probability`` and
    ``doubly_robust`` the propensity is a logit.

    A balanced panel without covariates is estimated from cohort moments, in closed form. In
    an unbalanced panel each cell uses the units observed in both of its periods. Weights are
    sampling weights and must not change within a unit; effects are then those of the
    weighted population. A cell that cannot be estimated is NaN with its reason in ``note``.
    Standard errors are those of the influence functions, summed within clusters, with no
    small-sample factor (as in R did).

    Source
    ------
    Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), equations 2.4-2.9, and
    theorem 2 for the influence functions; R did 2.1.2 for the conventions.

    Example
    -------
    >>> result = CallawaySantAnna().fit(design)                       # doctest: +SKIP
    >>> result.event_study().plot()                                   # doctest: +SKIP
    """

    comparison: Comparison = "not_yet_treated"
    method: Method = "doubly_robust"
    base_period: BasePeriod = "universal"
    trim: float = 0.995

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "group-time average effects on the treated"

    def _estimate(self, design: Design) -> Result:
        if self.comparison == "never_treated" and not np.isnan(design.cohorts).any():
            raise EstimationError(
                f"comparison='never_treated' needs units that are never treated; all "
                f"{plural(design.n_units, 'unit')} of this design are treated in the end. Use "
                "comparison='not_yet_treated', which compares with units treated later."
            )
        plan = _plan_cells(design, self.comparison, self.base_period)
        if design.is_balanced and not design.covariates:
            fitted = _from_moments(design, plan)
        else:
            fitted = _from_units(design, plan, self.method, self.trim)
        return _report(self, design, plan, fitted)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Cells to estimate: positions of cohort, period and base (K,), and who compares (K, C+1).

    ``base`` equals ``period`` in the base period's own cell and is -1 where a cohort has no
    base; column C of ``compares`` stands for the never treated.
    """

    cohort: Integers
    period: Integers
    base: Integers
    compares: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Estimates (K,), their uncertainty joint with the C shares, shares, counts and notes."""

    estimates: Floats
    uncertainty: Uncertainty
    shares: Floats
    n_treated: Integers
    n_comparison: Integers
    notes: list[str]


def _plan_cells(design: Design, comparison: Comparison, base_period: BasePeriod) -> _Plan:
    periods, cohorts = design.periods, design.cohort_values
    rows = list(_cells(periods, cohorts, design.anticipation, base_period))
    cohort, period, base = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    compares = np.zeros((len(rows), len(cohorts) + 1), dtype=bool)
    compares[:, -1] = np.isnan(design.cohorts).any()
    if comparison == "not_yet_treated":
        last = np.maximum(periods[period], periods[np.maximum(base, 0)])
        later = cohorts[None, :] > (last + design.anticipation)[:, None]
        compares[:, :-1] = later & (np.arange(len(cohorts))[None, :] != cohort[:, None])
    return _Plan(cohort, period, base, compares)


def _cells(
    periods: Integers, cohorts: Floats, anticipation: int, base_period: BasePeriod
) -> Iterator[tuple[int, int, int]]:
    """Yield (cohort, period, base) positions of every cell, base -1 where there is none."""
    for c, cohort in enumerate(cohorts):
        before = np.flatnonzero(periods < cohort - anticipation)
        last = int(before[-1]) if len(before) else -1
        for t, period in enumerate(periods):
            if base_period == "universal" or period >= cohort - anticipation:
                yield c, t, last
            elif t > 0:
                yield c, t, t - 1


def _from_moments(design: Design, plan: _Plan) -> _Fitted:
    """Estimate all cells of a balanced panel without covariates from cohort moments."""
    outcomes, codes, weights = design.outcomes, design.cohort_codes, design.unit_weights
    n_cohorts, n_cells = len(design.cohort_values), len(plan.cohort)
    moments = cohort_moments(outcomes, codes, n_cohorts + 1, weights)
    cell = np.arange(n_cells)
    known = (plan.base >= 0) & plan.compares.any(axis=1)
    sizes = moments.size * plan.compares
    pool = sizes.sum(axis=1)
    path = np.zeros((n_cells, outcomes.shape[1]))
    path[cell, plan.period] += 1.0
    path[cell, plan.base] -= 1.0
    path[~known] = 0.0
    change = path @ moments.mean.T
    pooled = np.divide((sizes * change).sum(axis=1), pool, out=np.zeros(n_cells), where=known)
    estimates = change[cell, plan.cohort] - pooled

    width = n_cells + n_cohorts
    role = np.zeros((n_cohorts + 1, n_cells))
    role[:, known] = -(plan.compares[known] / pool[known, None]).T
    role[plan.cohort[known], cell[known]] = 1.0 / moments.size[plan.cohort[known]]
    slopes = np.zeros((n_cohorts + 1, width, outcomes.shape[1]))
    slopes[:, :n_cells] = role[:, :, None] * path[None, :, :]
    intercepts = np.zeros((n_cohorts + 1, width))
    compared = np.minimum(role, 0.0)
    intercepts[:, :n_cells] = compared * (change.T - pooled)
    intercepts[:, n_cells:] = (
        np.eye(n_cohorts + 1, n_cohorts) - moments.share[:-1]
    ) / moments.size.sum()
    linear = LinearCells(slopes, intercepts)
    return _Fitted(
        estimates=np.where(known, estimates, np.nan),
        uncertainty=_uncertainty(design, linear, moments, weights),
        shares=moments.share[:-1],
        n_treated=moments.units[plan.cohort],
        n_comparison=(plan.compares * moments.units).sum(axis=1),
        notes=[_absence(plan, k) for k in range(n_cells)],
    )


def _uncertainty(
    design: Design, linear: LinearCells, moments: CohortMoments, weights: Floats | None
) -> Uncertainty:
    outcomes, codes = design.outcomes, design.cohort_codes
    if design.cluster_columns[0] == design.panel.unit:
        return CovarianceScores(
            linear.covariance(moments),
            lambda: linear.contributions(outcomes, codes, moments, weights),
            design.n_units,
        )
    return Scores(linear.contributions(outcomes, codes, moments, weights, design.cluster_codes))


def _absence(plan: _Plan, k: int) -> str:
    """Say why a cell has no comparison, or that it is the base period's own."""
    if plan.base[k] < 0:
        return "no period before treatment to measure from"
    if not plan.compares[k].any():
        return "no unit left to compare with"
    return BASE_NOTE if plan.base[k] == plan.period[k] else ""


def _from_units(design: Design, plan: _Plan, method: Method, trim: float) -> _Fitted:
    """Estimate the cells unit by unit: covariates, or panels with gaps."""
    outcomes, codes = design.outcomes, design.cohort_codes
    n_units, n_cells = len(codes), len(plan.cohort)
    weights = np.ones(n_units) if design.unit_weights is None else design.unit_weights
    covariates = _standardise(design.covariate_array())
    n_cohorts = len(design.cohort_values)
    psi = np.zeros((n_units, n_cells + n_cohorts))
    estimates = np.full(n_cells, np.nan)
    n_treated, n_comparison = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
    notes = [_absence(plan, k) for k in range(n_cells)]
    estimates[[note == BASE_NOTE for note in notes]] = 0.0
    for group in _alike(plan, outcomes, covariates, codes):
        k = group[0]
        used = (codes == plan.cohort[k]) | plan.compares[k][codes]
        columns = np.append(plan.period[group], plan.base[k])
        used &= ~np.isnan(outcomes[:, columns]).any(axis=1)
        rows = np.flatnonzero(used)
        treated = codes[rows] == plan.cohort[k]
        n_treated[group], n_comparison[group] = treated.sum(), (~treated).sum()
        if not treated.any() or treated.all():
            who = "treated" if not treated.any() else "comparison"
            _annotate(notes, group, f"no {who} unit is observed in both periods")
            continue
        change = outcomes[np.ix_(rows, plan.period[group])] - outcomes[rows, plan.base[k], None]
        earlier = min(plan.period[k], plan.base[k])
        X = np.concatenate((np.ones((len(rows), 1)), covariates[rows, earlier]), axis=1)
        own: Method = method if X.shape[1] > 1 else "regression"
        fitted = conditional_did(change, treated, X, weights[rows], own, trim)
        if fitted.fault:
            _annotate(notes, group, fitted.fault)
            continue
        if fitted.n_trimmed:
            _annotate(notes, group, f"{fitted.n_trimmed} comparison units trimmed")
        estimates[group] = fitted.estimates
        psi[np.ix_(rows, group)] = fitted.psi
    shares = np.bincount(codes, weights, n_cohorts + 1) / weights.sum()
    member = codes[:, None] == np.arange(n_cohorts)
    psi[:, n_cells:] = weights[:, None] * (member - shares[:-1]) / weights.sum()
    return _Fitted(estimates, _clustered(design, psi), shares[:-1], n_treated, n_comparison, notes)


def _annotate(notes: list[str], group: Integers, text: str) -> None:
    for k in group:
        notes[k] = text


def _standardise(covariates: Floats) -> Floats:
    """Centre and scale each covariate, which changes no estimate and conditions the solves."""
    if not covariates.shape[2]:
        return covariates
    centre = np.nanmean(covariates, axis=(0, 1))
    scale = np.nanstd(covariates, axis=(0, 1))
    return np.asarray((covariates - centre) / np.where(scale > 0, scale, 1.0))


def _alike(plan: _Plan, outcomes: Floats, covariates: Floats, codes: Integers) -> list[Integers]:
    """Group cells that share cohort, comparison units, base and covariates, to fit them at once."""
    gaps = np.isnan(outcomes)
    pattern = {t: gaps[:, t].tobytes() for t in range(outcomes.shape[1])} if gaps.any() else {}
    constant = not covariates.shape[2] or bool(
        np.nanmax(np.abs(covariates - covariates[:, :1]), initial=0.0) == 0.0
    )
    groups: dict[tuple[object, ...], list[int]] = {}
    for k in range(len(plan.cohort)):
        if _absence(plan, k):
            continue
        period, base = int(plan.period[k]), int(plan.base[k])
        key = (
            int(plan.cohort[k]),
            base,
            plan.compares[k].tobytes(),
            None if constant else min(period, base),
            pattern.get(period),
        )
        groups.setdefault(key, []).append(k)
    return [np.array(group) for group in groups.values()]


def _clustered(design: Design, psi: Floats) -> Scores:
    if design.cluster_columns[0] == design.panel.unit:
        return Scores(psi)
    codes = design.cluster_codes
    sums = [np.bincount(codes, column, codes.max() + 1) for column in psi.T]
    return Scores(np.stack(sums, axis=1))


def _report(estimator: CallawaySantAnna, design: Design, plan: _Plan, fitted: _Fitted) -> Result:
    if np.isnan(fitted.estimates[[note != BASE_NOTE for note in fitted.notes]]).all():
        raise EstimationError(
            "no group-time effect can be estimated: "
            + "; ".join(sorted({note for note in fitted.notes if note != BASE_NOTE}))
            + ". Use fewer covariates, another comparison, or a longer panel."
        )
    cohorts, times = design.cohort_values[plan.cohort], design.periods[plan.period]
    cells = pd.DataFrame(
        {
            "term": [f"att({g:g}, {t})" for g, t in zip(cohorts, times, strict=True)],
            "cohort": cohorts,
            "time": times,
            "event_time": times - cohorts,
            "estimate": fitted.estimates,
            "weight": fitted.shares[plan.cohort],
            "note": fitted.notes,
            "n_treated": fitted.n_treated,
            "n_comparison": fitted.n_comparison,
        }
    )
    return Result(
        estimator=estimator.name,
        design=design,
        cells=cells,
        uncertainty=fitted.uncertainty,
        estimand=estimator.estimand,
        shares=pd.Series(fitted.shares, index=pd.Index(design.cohort_values, name="cohort")),
        settings=estimator.settings(),
        notes=_notes(estimator, design, fitted),
    )


def _notes(estimator: CallawaySantAnna, design: Design, fitted: _Fitted) -> tuple[str, ...]:
    who = {
        "not_yet_treated": "units not yet or never treated",
        "never_treated": "units never treated",
    }[estimator.comparison]
    notes = [f"Compared with {who}; base period {estimator.base_period}."]
    if design.covariates:
        notes.append(
            f"At equal {', '.join(design.covariates)} ({estimator.method.replace('_', ' ')})."
        )
    if not design.is_balanced:
        notes.append("Unbalanced: each cell uses the units observed in both of its periods.")
    lost = int(np.isnan(fitted.estimates).sum())
    if lost:
        notes.append(f"{plural(lost, 'cell')} could not be estimated; the column note says why.")
    return tuple(notes)
