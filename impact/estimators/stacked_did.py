"""Stacked difference in differences of Wing, Freedman and Hollingsworth (2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing
from impact.estimators.base import COHORTS, Estimator, Requirement, covariates_by_unit
from impact.estimators.parts.cells import (
    BASE_NOTE,
    GroupMoments,
    clusters_of_groups,
    linear_uncertainty,
    moments_of,
    moving_covariates,
    time_step,
)
from impact.estimators.parts.reporting import cells_without_cohorts, result_of
from impact.inference.linear import small_sample_factor
from impact.inference.scores import Scores, Uncertainty
from impact.kernels.cell_regression import Solution, fit_moments, fit_rows
from impact.kernels.moments import CohortMoments, LinearCells
from impact.result import Result

__all__ = ["StackedDiD"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class StackedDiD(Estimator):
    r"""Estimate an event study on a stack of one clean experiment for each cohort.

    Cohort a's experiment holds its units and the units not treated until ``post`` periods
    after it, from ``pre`` periods before to ``post`` after. On the stack,

    .. math:: Y = \alpha_{\text{treated}} + \lambda_e + \sum_{e \ne -1} \tau_e
              \text{treated} \times 1\{e\} + u,

    and with the weights tau_e is the average of the cohorts' effects weighted by their size.

    Parameters
    ----------
    pre, post : how long before and after the start of treatment each experiment spans, in units
        of time; the same cohorts then make up every point of the event study. In a panel of every
        other year it holds the even event times
    weighting : "treated" weighs comparison units by their experiment's share of treated units
        over its share of comparison units, which makes tau_e an average effect on the treated;
        "none" leaves the regression to weigh experiments by size and variance
    effects : "pooled" has one effect of being treated and one of each event time; "stack" one
        of each unit and each period in each experiment
    unbalanced : in a panel with gaps, "complete_units" are the units observed throughout an
        experiment's window; "rows" takes whatever rows the window holds and weighs comparison
        rows by event time, with the shares of rows observed then

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated period, nobody to compare with
    EstimationError : no cohort has its window inside the panel and clean comparison units

    Notes
    -----
    ``extra["stack"]`` counts the treated and comparison units of each experiment, those left out
    because they are not observed throughout its window, and gives the comparison units' weight;
    the notes count them too and say which cohorts were left out and why. With gaps and
    ``unbalanced="rows"``, ``extra["comparison_weights"]`` has the weights by event time. Who is
    observed then changes between event times, and with ``effects="pooled"`` levels of those who
    come and go enter the effects; ``effects="stack"`` takes them off.

    Covariates enter linearly. A unit may serve in several experiments, which clustering allows
    for: G/(G-1) (n-1)/(n-K) over rows of the stack and t(G-1), with all levels of the period
    effects counted, as fixest does. Weights are taken as given. With ``effects="pooled"``, the
    published form, shocks common to all units in a year are part of the residuals of
    experiments, so that standard errors, not estimates, depend on them; with
    ``effects="stack"`` nothing does.

    Source
    ------
    Wing, Freedman and Hollingsworth (2024), NBER working paper 32054, equations 5-8; Cengiz,
    Dube, Lindner and Zipperer (2019), QJE 134(3), for ``weighting="none", effects="stack"``.
    """

    pre: int = 3
    post: int = 2
    weighting: Literal["treated", "none"] = "treated"
    effects: Literal["pooled", "stack"] = "pooled"
    unbalanced: Literal["complete_units", "rows"] = "complete_units"

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "effects by event time, over cohorts seen throughout"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pre < 1 or self.post < 0:
            raise DesignError(
                "StackedDiD needs pre of at least 1 and post of at least 0 periods; they were "
                f"pre={self.pre!r} and post={self.post!r}."
            )

    def _refuse_design(self, design: Design) -> None:
        step = time_step(design)
        least = (design.anticipation // step + 1) * step
        if self.pre < least:
            raise DesignError(
                f"pre={self.pre} leaves no period before anticipation={design.anticipation} begins "
                f"to measure from; set pre to {least} or more."
            )

    def _needs_rows(self, design: Design) -> str | None:
        if self.unbalanced == "rows" and not design.is_balanced:
            return "unbalanced='rows' weighs the rows of units period by period"
        return covariates_by_unit(design)

    def _estimate(self, design: Design) -> Result:
        moments = None if design.covariates else moments_of(design)
        step = time_step(design)
        event_time = np.arange(-(self.pre // step) * step, self.post + 1, step)
        stack = _build(self, design, moments, event_time)
        base = int(np.flatnonzero(event_time < -design.anticipation)[-1])
        free = np.delete(np.arange(len(event_time)), base)
        by_unit = self.effects == "stack"
        regressors = _regressors(len(stack.table), len(event_time), free, self.effects)
        codes = 2 * stack.experiment + stack.treated if by_unit else stack.treated
        fit = (
            _fit_rows(design, stack, codes, regressors, by_unit)
            if moments is None
            else _fit_moments(design, moments, stack, regressors[codes], by_unit)
        )
        n_own = regressors.shape[2]
        functionals = np.zeros((len(event_time), len(fit.solution.scale)))
        functionals[free, n_own - len(free) + np.arange(len(free))] = 1.0
        known = fit.solution.estimable(functionals)
        functionals[~known] = 0.0
        nested = len(stack.table) if by_unit else 0
        factor = small_sample_factor(fit.n_clusters, fit.n_rows, fit.solution.rank + nested)
        estimates = np.where(known, functionals @ fit.solution.coefficients, np.nan)
        notes = np.where(known, "", "not identified beside the other regressors").astype(object)
        notes[base] = BASE_NOTE
        return _report(
            self,
            design,
            stack,
            event_time,
            estimates,
            [str(note) for note in notes],
            fit.uncertainty(functionals, factor),
            fit.n_rows,
        )


@dataclass(frozen=True, eq=False)
class _Stack:
    """Members of the experiments, M units or groups of units alike, and what they are there.

    Attributes
    ----------
    member : array, shape (M,), position of the unit, or of the group among the moments'
    at : array, shape (S, E), positions of each experiment's periods
    experiment, treated : arrays, shape (M,)
    weights : array, shape (S, E), what an experiment multiplies its comparison units' weight by
    rows : array, shape (2, E), treated and comparison rows observed at each event time
    """

    member: Integers
    at: Integers
    experiment: Integers
    treated: Integers
    weights: Floats
    rows: Integers
    table: pd.DataFrame
    left_out: dict[float, str]

    @property
    def member_weights(self) -> Floats:
        """What each member's own weight is multiplied by at each event time, shape (M, E)."""
        return np.where(self.treated[:, None] == 1, 1.0, self.weights[self.experiment])


@dataclass(frozen=True, eq=False)
class _Fit:
    """The stacked regression, and the uncertainty of combinations of its coefficients."""

    solution: Solution
    n_rows: int
    n_clusters: int
    uncertainty: Callable[[Floats, float], Uncertainty]


def _build(
    estimator: StackedDiD, design: Design, moments: GroupMoments | None, event_time: Integers
) -> _Stack:
    """Stack the experiments of the cohorts that have one, of groups where moments are known."""
    if moments is None:
        codes, seen = design.cohort_codes, ~np.isnan(design.outcomes)
        units = np.ones(len(codes), dtype=np.int64)
        size = np.ones(len(codes)) if design.unit_weights is None else design.unit_weights
    else:
        codes, seen = moments.cohort, moments.seen
        units, size = moments.moments.units, moments.moments.size
    onset = np.append(design.cohort_values, np.inf)[codes] - design.anticipation
    by_rows = estimator.unbalanced == "rows"
    members, columns, treated, counts, masses, held = [], [], [], [], [], []
    left_out: dict[float, str] = {}
    for position, cohort in enumerate(design.cohort_values):
        window = cohort + event_time
        at = np.searchsorted(design.periods, window)
        if not np.isin(window, design.periods).all():
            left_out[float(cohort)] = "the panel lacks periods of its window"
            continue
        there = seen[:, at] & (units > 0)[:, None]
        taken = there.any(axis=1) if by_rows else there.all(axis=1)
        arms = [codes == position, onset > window[-1]]
        groups = [np.flatnonzero(taken & arm) for arm in arms]
        rows = np.stack([units[group] @ there[group] for group in groups])
        if not rows.all():
            who = "comparison" if rows[0].all() else "treated"
            when = "in some period of" if by_rows else "throughout"
            left_out[float(cohort)] = f"no {who} unit is seen {when} its window"
            continue
        members.append(np.concatenate(groups))
        treated.append(np.repeat([1, 0], [len(group) for group in groups]))
        columns.append(at)
        partly = [int(units[arm & there.any(axis=1) & ~taken].sum()) for arm in arms]
        counts.append((cohort, *(units[group].sum() for group in groups), sum(partly)))
        masses.append(np.stack([size[group] @ there[group] for group in groups]))
        held.append(rows)
    if not counts:
        reasons = listing(f"{g:g}: {why}" for g, why in left_out.items())
        raise EstimationError(
            f"no cohort can be stacked with pre={estimator.pre} and post={estimator.post} "
            f"({reasons}). Shorten the window with a smaller pre or post, or, where periods are "
            "unevenly spaced, number them 1, 2, 3, ..."
        )
    mass = np.stack(masses)
    shares = mass / mass.sum(axis=0)
    weights = shares[:, 0] / shares[:, 1]
    return _Stack(
        member=np.concatenate(members),
        at=np.stack(columns),
        experiment=np.repeat(np.arange(len(counts)), [len(m) for m in members]),
        treated=np.concatenate(treated),
        weights=weights if estimator.weighting == "treated" else np.ones(weights.shape),
        rows=np.sum(held, axis=0),
        table=pd.DataFrame(counts, columns=["cohort", "n_treated", "n_comparison", "n_incomplete"]),
        left_out=left_out,
    )


def _fit_rows(
    design: Design, stack: _Stack, codes: Integers, regressors: Floats, by_unit: bool
) -> _Fit:
    """Regress unit by unit, with covariates or gaps."""
    own = np.ones(design.n_units) if design.unit_weights is None else design.unit_weights
    unit, period = stack.member[:, None], stack.at[stack.experiment]
    fit = fit_rows(
        design.outcomes[unit, period],
        codes,
        regressors,
        design.covariate_array()[unit, period],
        stack.member_weights * own[stack.member, None],
        unit_effects=by_unit,
    )
    clusters = design.cluster_codes[stack.member]
    n_clusters = len(np.unique(clusters))

    def uncertainty(functionals: Floats, factor: float) -> Uncertainty:
        psi = np.zeros((design.n_clusters, len(functionals)))
        found = fit.contributions(functionals, clusters)
        psi[: len(found)] = found
        return Scores(psi, factor, float(n_clusters - 1))

    return _Fit(fit.solution, fit.n_rows, n_clusters, uncertainty)


def _fit_moments(
    design: Design, groups: GroupMoments, stack: _Stack, regressors: Floats, by_unit: bool
) -> _Fit:
    """Regress on the moments of groups, a unit's parts in all experiments brought together.

    In each experiment a unit adds something linear in its outcomes there, so that its sum over
    experiments is linear in all its outcomes.
    """
    moments, at = groups.moments, stack.at[stack.experiment]
    weights = stack.member_weights[:, 0]
    own = CohortMoments(
        moments.units[stack.member],
        moments.size[stack.member] * weights,
        moments.mean[stack.member[:, None], at],
        np.zeros(0),
    )
    fit = fit_moments(own, regressors, unit_effects=by_unit)
    member = np.zeros(len(moments.units), dtype=bool)
    member[stack.member] = True
    n_clusters = clusters_of_groups(design, member)

    def uncertainty(functionals: Floats, factor: float) -> Uncertainty:
        parts = fit.linear(functionals)
        slopes = np.zeros((len(member), len(functionals), moments.mean.shape[1]))
        intercepts = np.zeros((len(member), len(functionals)))
        every = np.arange(len(functionals))
        for m, group in enumerate(stack.member):
            slopes[group][np.ix_(every, at[m])] += weights[m] * parts.slopes[m]
            intercepts[group] += weights[m] * parts.intercepts[m]
        linear, df = LinearCells(slopes, intercepts), float(n_clusters - 1)
        return linear_uncertainty(design, linear, moments, factor=factor, df=df)

    return _Fit(fit.solution, fit.n_rows, n_clusters, uncertainty)


def _regressors(n_stacks: int, n_times: int, free: Integers, effects: str) -> Floats:
    """Return indicators by group of members and event time, effects of treatment last."""
    leads = np.eye(n_times)[:, free]
    if effects == "pooled":
        columns = np.zeros((2, n_times, n_times + 1 + len(free)))
        columns[:, :, :n_times] = np.eye(n_times)
        columns[1, :, n_times] = 1.0
        columns[1, :, n_times + 1 :] = leads
        return columns
    columns = np.zeros((2 * n_stacks, n_times, n_stacks * n_times + len(free)))
    for stack in range(n_stacks):
        own = slice(stack * n_times, (stack + 1) * n_times)
        columns[2 * stack : 2 * stack + 2, :, own] = np.eye(n_times)
        columns[2 * stack + 1, :, n_stacks * n_times :] = leads
    return columns


def _report(
    estimator: StackedDiD,
    design: Design,
    stack: _Stack,
    event_time: Integers,
    estimates: Floats,
    cell_notes: list[str],
    uncertainty: Uncertainty,
    n_rows: int,
) -> Result:
    cells = cells_without_cohorts(
        [f"event_time {e}" for e in event_time],
        estimates,
        cell_notes,
        event_time=event_time.astype(np.float64),
        n_treated=stack.rows[0],
        n_comparison=stack.rows[1],
    )
    who = listing((f"{g:g}" for g in stack.table["cohort"]), 8)
    notes = [f"Experiments of cohorts {who}, {n_rows:,} rows stacked."]
    if stack.left_out:
        why = listing((f"{g:g} ({reason})" for g, reason in stack.left_out.items()), 8)
        notes.append(f"Left out: cohort {why}.")
    notes += _gap_notes(estimator, design, stack)
    notes += moving_covariates(design)
    if estimator.weighting == "none":
        notes.append("Unweighted: effects are weighted by size and variance, not those of an ATT.")
    extra = _weights_shown(estimator, design, stack, event_time)
    return result_of(estimator, design, cells, uncertainty, notes=notes, extra=extra)


def _gap_notes(estimator: StackedDiD, design: Design, stack: _Stack) -> list[str]:
    """Say what became of units not observed throughout."""
    if design.is_balanced:
        return []
    if estimator.unbalanced == "complete_units":
        count, total = (
            int(stack.table["n_incomplete"].sum()),
            int(stack.table.iloc[:, 1:].sum().sum()),
        )
        if not count:
            return []
        return [
            f"Unbalanced: {count:,} of {total:,} parts that units take in experiments were left "
            "out, not being observed throughout the window; unbalanced='rows' keeps their rows."
        ]
    notes = ["Unbalanced: each experiment holds the rows observed, weighted by event time."]
    if estimator.effects == "pooled":
        notes.append(
            "Who is observed changes between event times and units have no effects of their own, "
            "so that levels of those who come and go enter; effects='stack' takes them off."
        )
    return notes


def _weights_shown(
    estimator: StackedDiD, design: Design, stack: _Stack, event_time: Integers
) -> dict[str, object]:
    """Return the table of experiments with their weights, by event time where they differ."""
    if estimator.unbalanced == "complete_units" or design.is_balanced:
        return {"stack": stack.table.assign(comparison_weight=stack.weights[:, 0])}
    cohorts = pd.Index(stack.table["cohort"], name="cohort")
    columns = pd.Index(event_time, name="event_time")
    weights = pd.DataFrame(stack.weights, index=cohorts, columns=columns)
    return {"stack": stack.table, "comparison_weights": weights}
