"""Which estimator fits a design, why, and what would make its answer wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import tables
from impact.design import Design
from impact.errors import DesignError

__all__ = ["Advice", "Recommendation", "Situation", "describe_situation", "recommend"]

FEW_TREATED_CLUSTERS = 5
"""Treated clusters below which clustered standard errors mislead (reject too often)."""

LONG_PRE_PERIOD = 8
"""Periods before treatment from which weights on comparison units can be learned."""


@dataclass(frozen=True)
class Recommendation:
    """One estimator for a design: its estimand, why it fits, what would invalidate it."""

    estimator: str
    estimand: str
    why: str
    invalid_if: str
    settings: str = ""


@dataclass(frozen=True)
class Situation:
    """The facts of a design that the choice of estimator turns on."""

    has_dose: bool
    dose_changes: bool
    anyone_untreated: bool
    reverses: bool
    n_cohorts: int
    n_treated_clusters: int
    n_pre_periods: int
    has_covariates: bool
    is_count_with_zeros: bool


@dataclass(frozen=True)
class Advice:
    """Recommendations in order, with the facts they rest on."""

    situation: Situation
    recommendations: tuple[Recommendation, ...]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.recommendations)

    def table(self) -> pd.DataFrame:
        """Return the recommendations, one a row, best first."""
        return pd.DataFrame([vars(r) for r in self.recommendations])

    def __repr__(self) -> str:
        return "\n\n".join(
            f"{rank}. {r.estimator}({r.settings})\n   estimates {r.estimand}\n   because {r.why}\n"
            f"   wrong if {r.invalid_if}"
            for rank, r in enumerate(self.recommendations, start=1)
        )

    def _repr_html_(self) -> str:
        return tables.to_html(self.table().rename(columns={"invalid_if": "wrong if"}))


def recommend(design: Design) -> Advice:
    """Order the estimators that fit a design, with reasons.

    The first rule of the table below that matches a design gives its estimators.

    ================================  =======================================
    design                            estimators, best first
    ================================  =======================================
    doses, nobody untreated           HeterogeneousAdoption
    doses that change, or reversals   SwitchersDiD, LocalProjectionDiD
    doses, some untreated             DoseResponse, CallawaySantAnna
    few treated clusters, long past   SyntheticDiD, SyntheticControl
    counts with zeros                 ExtendedTWFE (Poisson), CallawaySantAnna
    one date                          TwoWayFixedEffects, CallawaySantAnna
    several dates, covariates         CallawaySantAnna, Imputation
    several dates                     CallawaySantAnna, Imputation, SunAbraham
    ================================  =======================================

    Raises
    ------
    DesignError : the design states no treatment
    """
    if design.treatment_column is None:
        raise DesignError(
            "no estimator can be recommended for a design without a treatment; give Design "
            "cohort=, treated= or dose=."
        )
    situation = describe_situation(design)
    chosen = next(advice for applies, advice in _RULES if applies(situation))
    return Advice(situation, chosen)


def describe_situation(design: Design) -> Situation:
    """Read the facts that the choice of estimator turns on off a design."""
    facts, cohorts = design.facts, design.cohorts
    earliest = np.nanmin(cohorts) if facts.n_treated_units else np.inf
    return Situation(
        has_dose=design.dose is not None,
        dose_changes=design.dose is not None and _changes(design.doses),
        anyone_untreated=bool(np.isnan(cohorts).any()),
        reverses=facts.n_reversing > 0,
        n_cohorts=facts.n_cohorts,
        n_treated_clusters=facts.n_treated_clusters,
        n_pre_periods=int((design.periods < earliest - design.anticipation).sum()),
        has_covariates=bool(design.covariates),
        is_count_with_zeros=_counts_with_zeros(design.outcomes),
    )


def _changes(doses: NDArray[np.float64]) -> bool:
    """Whether some unit, once treated, receives two different amounts."""
    positive = np.where(doses > 0, doses, np.nan)
    treated = ~np.isnan(positive).all(axis=1)
    with np.errstate(invalid="ignore"):
        span = np.nanmax(positive[treated], axis=1) - np.nanmin(positive[treated], axis=1)
    return bool((span > 0).any())


def _counts_with_zeros(outcomes: NDArray[np.float64]) -> bool:
    known = outcomes[~np.isnan(outcomes)]
    whole = bool((known == np.round(known)).all() and (known >= 0).all())
    return whole and bool((known == 0).any()) and bool((known > 1).any())


_GROUP_TIME = Recommendation(
    "CallawaySantAnna",
    "the average effect on each cohort in each period, and averages of them",
    "units start at different dates, and each cohort is compared only with units not yet treated",
    "cohorts and comparison units would have moved apart without treatment",
)
_IMPUTATION = Recommendation(
    "Imputation",
    "the average effect over all treated observations",
    "it uses all periods before treatment, so its intervals are shortest when shocks do not last",
    "trends were not parallel in every period before treatment",
)
_RULES: tuple[tuple[Callable[[Situation], bool], tuple[Recommendation, ...]], ...] = (
    (
        lambda s: s.has_dose and not s.anyone_untreated and not s.dose_changes,
        (
            Recommendation(
                "HeterogeneousAdoption",
                "the average slope of the effect in the dose",
                "everybody receives something, so units with the smallest doses must stand in for "
                "the untreated",
                "no dose is close to zero, or the effect is far from proportional to it",
            ),
        ),
    ),
    (
        lambda s: s.reverses or s.dose_changes,
        (
            Recommendation(
                "SwitchersDiD",
                "the effect of having changed treatment, against units that have not changed yet",
                "treatment stops, returns or changes in amount",
                "units that switch would have moved apart from those that have not yet",
            ),
            Recommendation(
                "LocalProjectionDiD",
                "the effect so many periods after treatment changes",
                "comparison units can be kept clean of earlier changes",
                "effects of earlier changes last longer than the clean window",
                "non_absorbing=...",
            ),
        ),
    ),
    (
        lambda s: s.has_dose,
        (
            Recommendation(
                "DoseResponse",
                "the average effect at each dose, and its slope",
                "doses differ and some units receive none",
                "units that chose a large dose would have gained more from any dose",
            ),
            _GROUP_TIME,
        ),
    ),
    (
        lambda s: (
            s.n_treated_clusters < FEW_TREATED_CLUSTERS and s.n_pre_periods >= LONG_PRE_PERIOD
        ),
        (
            Recommendation(
                "SyntheticDiD",
                "the average effect on the treated after treatment",
                "few are treated and the past is long enough to learn which others move alike",
                "the treated are unlike any average of the others, or something else happened to "
                "them",
            ),
            Recommendation(
                "SyntheticControl",
                "the effect on each treated unit in each period",
                "the comparison can be shown unit by unit",
                "the weighted others do not follow the treated before treatment",
            ),
        ),
    ),
    (
        lambda s: s.is_count_with_zeros,
        (
            Recommendation(
                "ExtendedTWFE",
                "the average effect on the treated in counts",
                "the outcome counts and has zeros, where a logarithm does not exist",
                "relative, not absolute, changes would not have been parallel",
                'family="poisson"',
            ),
            _GROUP_TIME,
        ),
    ),
    (
        lambda s: s.n_cohorts == 1,
        (
            Recommendation(
                "TwoWayFixedEffects",
                "the average effect on the treated after treatment",
                "all start at one date, so no treated unit serves as comparison for another",
                "treated and comparison units would have moved apart without treatment",
            ),
            _GROUP_TIME,
        ),
    ),
    (lambda s: s.has_covariates, (_GROUP_TIME, _IMPUTATION)),
    (
        lambda s: True,
        (
            _GROUP_TIME,
            _IMPUTATION,
            Recommendation(
                "SunAbraham",
                "the effect by periods since treatment, averaged over cohorts by size",
                "it is a regression, with covariates and fixed effects as one is used to",
                "as for CallawaySantAnna",
            ),
        ),
    ),
)
