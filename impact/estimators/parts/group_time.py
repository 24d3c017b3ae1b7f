"""Group-time effects: which cells there are, who compares, and the three ways to fit them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import plural
from impact.estimators.parts.cells import (
    BASE_NOTE,
    balanced_moments,
    cluster_codes,
    linear_uncertainty,
)
from impact.estimators.parts.contributions import unit_weights
from impact.inference.scores import CovarianceScores, Uncertainty
from impact.kernels.doubly_robust import (
    ConditionalDiD,
    Method,
    conditional_did,
    conditional_did_sections,
)
from impact.kernels.moments import LinearCells

__all__ = [
    "BasePeriod",
    "Comparison",
    "GroupTimeFit",
    "GroupTimePlan",
    "UnitCovariates",
    "fit_moments",
    "fit_observations",
    "fit_pairs",
    "plan_cells",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Comparison = Literal["not_yet_treated", "never_treated"]
BasePeriod = Literal["universal", "varying"]

NO_BASE = "no period before treatment to measure from"
NO_COMPARISON = "no unit left to compare with"

_UNUSED, _COMPARED, _TREATED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class GroupTimePlan:
    """Cells to estimate: positions of cohort, period and base (K,), and who compares (K, C+1).

    ``base`` equals ``period`` in the base period's own cell and is -1 where a cohort has no
    base; column C of ``compares`` stands for the never treated.
    """

    cohort: Integers
    period: Integers
    base: Integers
    compares: Booleans

    def __len__(self) -> int:
        return len(self.cohort)

    def absence(self, k: int) -> str:
        """Say why a cell has no comparison, or that it is the base period's own."""
        if self.base[k] < 0:
            return NO_BASE
        if not self.compares[k].any():
            return NO_COMPARISON
        return BASE_NOTE if self.base[k] == self.period[k] else ""

    def roles(self, k: int) -> NDArray[np.int8]:
        """Return the part each cohort plays in a cell, shape (C + 1,)."""
        roles = np.where(self.compares[k], _COMPARED, _UNUSED).astype(np.int8)
        roles[self.cohort[k]] = _TREATED
        return roles


@dataclass(frozen=True, eq=False)
class GroupTimeFit:
    """Estimates (K,), their uncertainty joint with the C shares, shares, counts and notes."""

    estimates: Floats
    uncertainty: Uncertainty
    shares: Floats
    n_treated: Integers
    n_comparison: Integers
    notes: list[str]

    @property
    def has_effects(self) -> bool:
        """Whether any cell but the base period's own was estimated."""
        return not np.isnan(self.estimates[[note != BASE_NOTE for note in self.notes]]).all()

    def table(self, design: Design, plan: GroupTimePlan, symbol: str = "att") -> pd.DataFrame:
        """Return the cells of a Result, one row a cell of the plan."""
        cohorts, times = design.cohort_values[plan.cohort], design.periods[plan.period]
        return pd.DataFrame(
            {
                "term": [f"{symbol}({g:g}, {t})" for g, t in zip(cohorts, times, strict=True)],
                "cohort": cohorts,
                "time": times,
                "event_time": times - cohorts,
                "estimate": self.estimates,
                "weight": self.shares[plan.cohort],
                "note": self.notes,
                "n_treated": self.n_treated,
                "n_comparison": self.n_comparison,
            }
        )

    def cohort_shares(self, design: Design) -> pd.Series:
        """Return the shares of a Result, indexed by cohort."""
        return pd.Series(self.shares, index=pd.Index(design.cohort_values, name="cohort"))


def plan_cells(design: Design, comparison: Comparison, base_period: BasePeriod) -> GroupTimePlan:
    """List a design's cells with their bases and comparison cohorts.

    Without never-treated units the cohort treated last stands for them: others are compared with
    it, and its own cells, which add nothing to theirs, are compared with nobody, as in R did.
    """
    periods, cohorts = design.periods, design.cohort_values
    rows = list(_cells(periods, cohorts, design.anticipation, base_period))
    cohort, period, base = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    compares = np.zeros((len(rows), len(cohorts) + 1), dtype=bool)
    compares[:, -1] = design.has_never_treated
    if comparison == "not_yet_treated":
        last = np.maximum(periods[period], periods[np.maximum(base, 0)])
        later = cohorts[None, :] > (last + design.anticipation)[:, None]
        compares[:, :-1] = later & (np.arange(len(cohorts))[None, :] != cohort[:, None])
        if not design.has_never_treated:
            compares[cohort == len(cohorts) - 1] = False
    return GroupTimePlan(cohort, period, base, compares)


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


def fit_moments(design: Design, plan: GroupTimePlan) -> GroupTimeFit:
    """Estimate all cells of a balanced panel without covariates from cohort moments."""
    n_cohorts, n_cells = len(design.cohort_values), len(plan)
    moments = balanced_moments(design)
    cell = np.arange(n_cells)
    known = (plan.base >= 0) & plan.compares.any(axis=1)
    sizes = moments.size * plan.compares
    pool = sizes.sum(axis=1)
    path = np.zeros((n_cells, len(design.periods)))
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
    slopes = np.zeros((n_cohorts + 1, width, len(design.periods)))
    slopes[:, :n_cells] = role[:, :, None] * path[None, :, :]
    intercepts = np.zeros((n_cohorts + 1, width))
    compared = np.minimum(role, 0.0)
    intercepts[:, :n_cells] = compared * (change.T - pooled)
    intercepts[:, n_cells:] = (
        np.eye(n_cohorts + 1, n_cohorts) - moments.share[:-1]
    ) / moments.size.sum()
    linear = LinearCells(slopes, intercepts)
    return GroupTimeFit(
        estimates=np.where(known, estimates, np.nan),
        uncertainty=linear_uncertainty(design, linear, moments),
        shares=moments.share[:-1],
        n_treated=moments.units[plan.cohort],
        n_comparison=(plan.compares * moments.units).sum(axis=1),
        notes=[plan.absence(k) for k in range(n_cells)],
    )


@dataclass(eq=False)
class _Tally:
    """What is known of the cells so far; contributions are kept one row a cell, (K + C, G)."""

    plan: GroupTimePlan
    estimates: Floats
    psi: Floats
    n_treated: Integers
    n_comparison: Integers
    notes: list[str]

    @classmethod
    def empty(cls, plan: GroupTimePlan, n_cohorts: int, width: int) -> _Tally:
        notes = [plan.absence(k) for k in range(len(plan))]
        estimates = np.where([note == BASE_NOTE for note in notes], 0.0, np.nan)
        psi = np.zeros((len(plan) + n_cohorts, width))
        zeros = np.zeros(len(plan), np.int64)
        return cls(plan, estimates, psi, zeros, zeros.copy(), notes)

    def count(self, cells: Integers, treated: Booleans) -> None:
        self.n_treated[cells] = treated.sum()
        self.n_comparison[cells] = len(treated) - treated.sum()

    def note(self, cells: Integers, text: str) -> None:
        for k in cells:
            self.notes[k] = text

    def take(self, cells: Integers, fitted: ConditionalDiD) -> bool:
        """Store estimates, or the reason there are none; tell whether there are."""
        if fitted.fault:
            self.note(cells, fitted.fault)
            return False
        said = []
        if fitted.n_trimmed:
            said.append(f"{fitted.n_trimmed} comparison units trimmed")
        if fitted.n_redundant:
            said.append(f"{plural(fitted.n_redundant, 'covariate')} left out, set by the others")
        if said:
            self.note(cells, "; ".join(said))
        self.estimates[cells] = fitted.estimates
        return True

    def finish(self, psi: Floats, shares: Floats) -> GroupTimeFit:
        """Return what is known; averages then combine covariances, not contributions."""
        uncertainty = CovarianceScores(psi @ psi.T, lambda: psi.T, psi.shape[1])
        return GroupTimeFit(
            self.estimates, uncertainty, shares, self.n_treated, self.n_comparison, self.notes
        )


def fit_pairs(design: Design, plan: GroupTimePlan, method: Method, trim: float) -> GroupTimeFit:
    """Estimate each cell from the units observed in both of its periods.

    Cells of one cohort with the same comparison units and covariates are fitted at once: one
    propensity, one factorisation, one right-hand side a cell.
    """
    codes, weights = design.cohort_codes, unit_weights(design)
    outcomes = np.ascontiguousarray(design.outcomes.T)
    gaps = None if design.is_balanced else np.isnan(outcomes)
    covariates = UnitCovariates(design)
    tally = _Tally.empty(plan, len(design.cohort_values), len(codes))
    logits: dict[tuple[int, int | None], Floats] = {}
    for group in _alike(plan, gaps, covariates.constant):
        k = group[0]
        roles = plan.roles(k).take(codes)
        if gaps is not None:
            roles[gaps[plan.base[k]] | gaps[plan.period[k]]] = _UNUSED
        rows = np.flatnonzero(roles)
        treated = roles.take(rows) == _TREATED
        tally.count(group, treated)
        if not treated.any() or treated.all():
            who = "treated" if not treated.any() else "comparison"
            tally.note(group, f"no {who} unit is observed in both periods")
            continue
        change = _changes(outcomes, rows, plan.period[group], plan.base[group])
        earlier = min(plan.period[k], plan.base[k])
        X = covariates.at(earlier, rows)
        key = (int(plan.cohort[k]), None if covariates.constant else int(earlier))
        own: Method = method if X.shape[1] > 1 else "regression"
        fitted = conditional_did(
            change.T, treated, X, weights.take(rows), own, trim, start=logits.get(key)
        )
        if tally.take(group, fitted):
            for cell, column in zip(group, fitted.psi.T, strict=True):
                tally.psi[cell, rows] = column
            if fitted.logit is not None:
                logits[key] = fitted.logit
    shares = _shares(tally, codes, weights)
    clusters = cluster_codes(design)
    psi = tally.psi
    if clusters is not None:
        psi = np.stack([np.bincount(clusters, row, clusters.max() + 1) for row in psi])
    return tally.finish(psi, shares)


def _changes(outcomes: Floats, rows: Integers, after: Integers, before: Integers) -> Floats:
    """Return the outcome after less before of some units, (m, n), from outcomes (T, N)."""
    levels = {t: outcomes[t].take(rows) for t in {*after.tolist(), *before.tolist()}}
    changes = np.empty((len(after), len(rows)))
    for change, late, early in zip(changes, after.tolist(), before.tolist(), strict=True):
        np.subtract(levels[late], levels[early], out=change)
    return changes


def fit_observations(
    design: Design, plan: GroupTimePlan, method: Method, trim: float
) -> GroupTimeFit:
    """Estimate each cell from all rows of its two periods, units followed or not."""
    sample = design.sample
    units, times, outcome = (
        sample.unit_codes,
        sample.time_codes,
        sample.numeric(design.outcome),
    )
    weights = unit_weights(design)[units]
    clusters = design.cluster_codes
    n_clusters = int(clusters.max()) + 1
    columns = [_standardise(sample.numeric(name)) for name in design.covariates]
    covariates = np.stack([np.ones(len(units)), *columns], axis=1)
    tally = _Tally.empty(plan, len(design.cohort_values), n_clusters)
    for k in range(len(plan)):
        if tally.notes[k]:
            continue
        roles = plan.roles(k).take(design.cohort_codes).take(units)
        after = times == plan.period[k]
        roles[~(after | (times == plan.base[k]))] = _UNUSED
        rows = np.flatnonzero(roles)
        treated, late = roles.take(rows) == _TREATED, after.take(rows)
        cell = np.array([k])
        tally.count(cell, treated)
        empty = [
            f"no {who} unit is observed {when}"
            for who, arm in (("treated", treated), ("comparison", ~treated))
            for when, section in (("in this period", late), ("in the base period", ~late))
            if not (arm & section).any()
        ]
        if empty:
            tally.note(cell, empty[0])
            continue
        own: Method = method if len(columns) else "regression"
        fitted = conditional_did_sections(
            outcome.take(rows), treated, late, covariates.take(rows, axis=0), weights.take(rows),
            own, trim,
        )  # fmt: skip
        if tally.take(cell, fitted):
            tally.psi[k] = np.bincount(clusters[units.take(rows)], fitted.psi[:, 0], n_clusters)
    codes, own_weights = design.cohort_codes, unit_weights(design)
    by_unit = _Tally.empty(plan, len(design.cohort_values), len(codes))
    shares = _shares(by_unit, codes, own_weights)
    for c in range(len(plan), len(tally.psi)):
        tally.psi[c] = np.bincount(clusters, by_unit.psi[c], n_clusters)
    return tally.finish(tally.psi, shares)


def _shares(tally: _Tally, codes: Integers, weights: Floats) -> Floats:
    """Return each cohort's share (C,) and write its units' contributions below the cells'."""
    n_cells, total = len(tally.plan), weights.sum()
    n_cohorts = len(tally.psi) - n_cells
    shares = np.bincount(codes, weights, n_cohorts + 1)[:-1] / total
    for c in range(n_cohorts):
        tally.psi[n_cells + c] = weights * ((codes == c) - shares[c]) / total
    return np.asarray(shares)


def _standardise(values: Floats) -> Floats:
    """Centre and scale a column, which changes no estimate and conditions the solves."""
    scale = np.nanstd(values)
    return np.asarray((values - np.nanmean(values)) / (scale if scale > 0 else 1.0))


class UnitCovariates:
    """A design's covariates, standardised: one value a unit where they never change."""

    def __init__(self, design: Design) -> None:
        self._layers: list[Floats] = []
        self.constant = True
        for name in design.covariates:
            own = design.sample.repeated(name)
            self.constant &= own is not None
            values = design.sample.matrix(name) if own is None else own.to_numpy(dtype=np.float64)
            self._layers.append(_standardise(values))
        self._ones = np.ones(design.n_units)

    def at(self, period: int, rows: Integers) -> Floats:
        """Return an intercept and the covariates of some units in a period, shape (n, 1 + k)."""
        columns = [self._ones, *(v if v.ndim == 1 else v[:, period] for v in self._layers)]
        return np.stack([column.take(rows) for column in columns]).T


def _alike(plan: GroupTimePlan, gaps: Booleans | None, constant: bool) -> list[Integers]:
    """Group cells that share cohort, comparison units, gaps and covariates."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for k in range(len(plan)):
        if plan.absence(k):
            continue
        period, base = int(plan.period[k]), int(plan.base[k])
        key = (
            int(plan.cohort[k]),
            plan.compares[k].tobytes(),
            None if constant else min(period, base),
            None if gaps is None else (gaps[period] | gaps[base]).tobytes(),
        )
        groups.setdefault(key, []).append(k)
    return [np.array(group) for group in groups.values()]
