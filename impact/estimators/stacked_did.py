"""Stacked difference in differences of Wing, Freedman and Hollingsworth (2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.estimators.parts.cells import BASE_NOTE, moving_covariates
from impact.inference.linear import small_sample_factor
from impact.inference.scores import Scores
from impact.kernels.cell_regression import RowFit, fit_rows
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
    pre, post : periods before and after the start of treatment that each experiment spans; the
        same cohorts then make up every point of the event study
    weighting : "treated" weighs comparison units by their experiment's share of treated units
        over its share of comparison units, which makes tau_e an average effect on the treated;
        "none" leaves the regression to weigh experiments by size and variance
    effects : "pooled" has one effect of being treated and one of each event time; "stack" one
        of each unit and each period in each experiment

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated period, nobody to compare with
    EstimationError : no cohort has its window inside the panel and clean comparison units

    Notes
    -----
    Only units observed throughout an experiment's window take part in it; ``extra["stack"]``
    counts treated and comparison units of each experiment, with the comparison units' weight,
    and says which cohorts were left out and why. Covariates enter linearly. A unit may serve in
    several experiments, which clustering allows for: G/(G-1) (n-1)/(n-K) over rows of the
    stack and t(G-1), with all levels of the period effects counted, as fixest does. Weights
    are taken as given. With ``effects="pooled"``, the published form, shocks common to all
    units in a year are part of the residuals of experiments, so that standard errors, not
    estimates, depend on them; with ``effects="stack"`` nothing does.

    Source
    ------
    Wing, Freedman and Hollingsworth (2024), NBER working paper 32054, equations 5-8; Cengiz,
    Dube, Lindner and Zipperer (2019), QJE 134(3), for ``weighting="none", effects="stack"``.
    """

    pre: int = 3
    post: int = 2
    weighting: Literal["treated", "none"] = "treated"
    effects: Literal["pooled", "stack"] = "pooled"

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
        if self.pre < design.anticipation + 1:
            raise DesignError(
                f"pre={self.pre} leaves no period before anticipation={design.anticipation} begins "
                f"to measure from; set pre to {design.anticipation + 1} or more."
            )

    def _estimate(self, design: Design) -> Result:
        stack = _build(self, design)
        event_time = np.arange(-self.pre, self.post + 1)
        base = int(self.pre - 1 - design.anticipation)
        free = np.delete(np.arange(len(event_time)), base)
        regressors = _regressors(len(stack.table), len(event_time), free, self.effects)
        by_unit = self.effects == "stack"
        fit = fit_rows(
            stack.outcomes,
            2 * stack.experiment + stack.treated if by_unit else stack.treated,
            regressors,
            stack.covariates,
            stack.weights,
            unit_effects=by_unit,
        )
        n_own = regressors.shape[2]
        functionals = np.zeros((len(event_time), len(fit.solution.scale)))
        functionals[free, n_own - len(free) + np.arange(len(free))] = 1.0
        known = fit.solution.estimable(functionals)
        functionals[~known] = 0.0
        present = len(np.unique(stack.clusters))
        nested = len(stack.table) if by_unit else 0
        factor = small_sample_factor(present, fit.n_rows, fit.solution.rank + nested)
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
            Scores(_by_cluster(fit, functionals, stack, design), factor, float(present - 1)),
        )


@dataclass(frozen=True, eq=False)
class _Stack:
    """Members of the experiments: outcomes (M, E), and by member what they are."""

    outcomes: Floats
    covariates: Floats
    experiment: Integers
    treated: Integers
    weights: Floats
    clusters: Integers
    table: pd.DataFrame
    left_out: dict[float, str]


def _build(estimator: StackedDiD, design: Design) -> _Stack:
    """Stack the experiments of the cohorts that have one."""
    own = np.ones(design.n_units) if design.unit_weights is None else design.unit_weights
    onset = np.where(np.isnan(design.cohorts), np.inf, design.cohorts) - design.anticipation
    covariates = design.covariate_array()
    members, columns, treated, rows = [], [], [], []
    left_out: dict[float, str] = {}
    for cohort in design.cohort_values:
        window = cohort + np.arange(-estimator.pre, estimator.post + 1)
        at = np.searchsorted(design.periods, window)
        if not np.isin(window, design.periods).all():
            left_out[float(cohort)] = "the panel lacks periods of its window"
            continue
        seen = ~np.isnan(design.outcomes[:, at]).any(axis=1)
        inside = np.flatnonzero(seen & (design.cohorts == cohort))
        outside = np.flatnonzero(seen & (onset > window[-1]))
        if not len(inside) or not len(outside):
            who = "comparison" if len(inside) else "treated"
            left_out[float(cohort)] = f"no {who} unit is seen throughout its window"
            continue
        members.append(np.concatenate((inside, outside)))
        treated.append(np.repeat([1, 0], [len(inside), len(outside)]))
        columns.append(at)
        rows.append((cohort, len(inside), len(outside), own[inside].sum(), own[outside].sum()))
    if not rows:
        reasons = listing(f"{g:g}: {why}" for g, why in left_out.items())
        raise EstimationError(
            f"no cohort can be stacked with pre={estimator.pre} and post={estimator.post} "
            f"({reasons}). Shorten the window with a smaller pre or post."
        )
    table = pd.DataFrame(
        rows, columns=["cohort", "n_treated", "n_comparison", "treated_mass", "comparison_mass"]
    )
    mass, compared = table.pop("treated_mass"), table.pop("comparison_mass")
    shares = (mass / mass.sum()) / (compared / compared.sum())
    table["comparison_weight"] = shares if estimator.weighting == "treated" else 1.0
    experiment = np.repeat(np.arange(len(rows)), [len(m) for m in members])
    unit, is_treated = np.concatenate(members), np.concatenate(treated)
    weight = np.where(is_treated == 1, 1.0, table["comparison_weight"].to_numpy()[experiment])
    period = np.stack(columns)[experiment]
    return _Stack(
        outcomes=design.outcomes[unit[:, None], period],
        covariates=covariates[unit[:, None], period],
        experiment=experiment,
        treated=is_treated,
        weights=weight * own[unit],
        clusters=design.cluster_codes[unit],
        table=table,
        left_out=left_out,
    )


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


def _by_cluster(fit: RowFit, functionals: Floats, stack: _Stack, design: Design) -> Floats:
    """Sum contributions over a cluster's members in all experiments, shape (G, J)."""
    psi = np.zeros((design.n_clusters, len(functionals)))
    found = fit.contributions(functionals, stack.clusters)
    psi[: len(found)] = found
    return psi


def _report(
    estimator: StackedDiD,
    design: Design,
    stack: _Stack,
    event_time: Integers,
    estimates: Floats,
    cell_notes: list[str],
    uncertainty: Scores,
) -> Result:
    frame = pd.DataFrame(
        {
            "term": [f"event_time {e}" for e in event_time],
            "cohort": np.nan,
            "time": np.nan,
            "event_time": event_time.astype(np.float64),
            "estimate": estimates,
            "weight": 1.0,
            "note": cell_notes,
            "n_treated": int(stack.table["n_treated"].sum()),
            "n_comparison": int(stack.table["n_comparison"].sum()),
        }
    )
    who = listing((f"{g:g}" for g in stack.table["cohort"]), 8)
    notes = [f"Experiments of cohorts {who}, {stack.outcomes.size:,} rows stacked."]
    if stack.left_out:
        why = listing((f"{g:g} ({reason})" for g, reason in stack.left_out.items()), 8)
        notes.append(f"Left out: cohort {why}.")
    notes += moving_covariates(design)
    if estimator.weighting == "none":
        notes.append("Unweighted: effects are weighted by size and variance, not those of an ATT.")
    return Result(
        estimator=estimator.name,
        design=design,
        cells=frame,
        uncertainty=uncertainty,
        estimand=estimator.estimand,
        settings=estimator.settings(),
        notes=tuple(notes),
        extra={"stack": stack.table},
    )
