"""Group-time average treatment effects of Callaway and Sant'Anna (2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from impact.design import Design
from impact.errors import DesignError, EstimationError, plural
from impact.estimators.base import (
    PRE_SECTIONS,
    SECTIONS,
    Estimator,
    Requirement,
    covariates_by_unit,
)
from impact.estimators.parts.cells import BASE_NOTE
from impact.estimators.parts.group_time import (
    BasePeriod,
    Comparison,
    GroupTimeFit,
    GroupTimePlan,
    fit_moments,
    fit_observations,
    fit_pairs,
    plan_cells,
)
from impact.estimators.parts.reporting import result_of
from impact.result import Result

__all__ = ["CallawaySantAnna"]

Method = Literal["doubly_robust", "regression", "inverse_probability"]
Unbalanced = Literal["pairs", "observations", "complete_units"]


def _lacks_untreated_rows(design: Design) -> str | None:
    untreated = design.cohort_values - design.anticipation > design.periods[0]
    return None if untreated.all() else PRE_SECTIONS.fault(design)


SEEN_UNTREATED = Requirement(PRE_SECTIONS.text, _lacks_untreated_rows)


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
    unbalanced : in a panel with gaps, "pairs" estimates each cell from the units observed in
        both of its periods; "observations" from all rows of the two periods, as if units were
        not followed (did's ``allow_unbalanced_panel=TRUE``); "complete_units" from the units
        observed in every period

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
    repeated cross-sections, where each unit is observed once, a cell compares rows of its two
    periods, covariates as observed in the row, assuming that who is sampled does not change;
    errors are then those of independent rows unless clusters are named. Weights are
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
    unbalanced: Unbalanced = "pairs"

    requires: ClassVar[tuple[Requirement, ...]] = SECTIONS
    estimand: ClassVar[str] = "group-time average effects on the treated"

    def _needs_rows(self, design: Design) -> str | None:
        return covariates_by_unit(design)

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is needed: an untreated period of cohorts, not of units, unless these are paired."""
        if self.unbalanced == "pairs":
            return self.requires
        return tuple(SEEN_UNTREATED if r is PRE_SECTIONS else r for r in self.requires)

    def _refuse_design(self, design: Design) -> None:
        if self.comparison == "never_treated" and not design.has_never_treated:
            raise EstimationError(
                f"comparison='never_treated' needs units that are never treated; all "
                f"{plural(design.n_units, 'unit')} of this design are treated in the end. Use "
                "comparison='not_yet_treated', which compares with units treated later."
            )
        complete_units = self.unbalanced == "complete_units"
        if design.table is not None and not design.is_balanced and not complete_units:
            raise DesignError(
                f"units of this table are not all observed in all {len(design.periods)} periods, "
                f"and unbalanced={self.unbalanced!r} pairs their rows in memory. Use "
                "unbalanced='complete_units', or draw units with design.collect(share=...)."
            )

    def _estimate(self, design: Design) -> Result:
        if self.unbalanced == "complete_units" and not design.is_balanced:
            kept = _complete_units(design)
            result = replace(self, unbalanced="pairs").fit(kept)
            note = f"Units observed in every period: {kept.n_units:,} of {design.n_units:,}."
            return replace(result, settings=self.settings(), notes=(*result.notes, note))
        plan = plan_cells(design, self.comparison, self.base_period)
        if design.is_repeated_cross_section or (
            self.unbalanced == "observations" and not design.is_balanced
        ):
            fitted = fit_observations(design, plan, self.method, self.trim)
        elif design.is_balanced and not design.covariates:
            fitted = fit_moments(design, plan)
        else:
            fitted = fit_pairs(design, plan, self.method, self.trim)
        return _report(self, design, plan, fitted)


def _complete_units(design: Design) -> Design:
    """Restrict a design to the units observed in every period."""
    if design.table is not None:
        return replace(design, panel=design.table.complete())
    complete = np.asarray(~np.isnan(design.outcomes).any(axis=1))
    if design.is_repeated_cross_section or not complete.any():
        raise EstimationError(
            f"none of the {plural(design.n_units, 'unit')} is observed in all "
            f"{len(design.periods)} periods, so unbalanced='complete_units' leaves nobody. Use "
            "unbalanced='pairs', or drop sparse periods."
        )
    return replace(design, panel=design.sample.select(complete[design.sample.unit_codes]))


def _report(
    estimator: CallawaySantAnna, design: Design, plan: GroupTimePlan, fitted: GroupTimeFit
) -> Result:
    if not fitted.has_effects:
        raise EstimationError(
            "no group-time effect can be estimated: "
            + "; ".join(sorted({note for note in fitted.notes if note != BASE_NOTE}))
            + ". Use fewer covariates, another comparison, or a longer panel."
        )
    return result_of(
        estimator,
        design,
        fitted.table(design, plan),
        fitted.uncertainty,
        shares=fitted.cohort_shares(design),
        notes=_notes(estimator, design, fitted),
    )


def _notes(estimator: CallawaySantAnna, design: Design, fitted: GroupTimeFit) -> tuple[str, ...]:
    who = {
        "not_yet_treated": "units not yet or never treated",
        "never_treated": "units never treated",
    }[estimator.comparison]
    notes = [f"Compared with {who}; base period {estimator.base_period}."]
    if design.covariates:
        notes.append(
            f"At equal {', '.join(design.covariates)} ({estimator.method.replace('_', ' ')})."
        )
    if design.is_repeated_cross_section:
        notes.append("Repeated cross-sections: units are not followed.")
    elif not design.is_balanced and estimator.unbalanced == "observations":
        notes.append("Unbalanced: each cell uses all rows of its two periods.")
    elif not design.is_balanced:
        notes.append("Unbalanced: each cell uses the units observed in both of its periods.")
    lost = int(np.isnan(fitted.estimates).sum())
    if lost:
        notes.append(f"{plural(lost, 'cell')} could not be estimated; the column note says why.")
    return tuple(notes)
