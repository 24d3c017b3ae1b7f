"""What an estimator is: settings, declared requirements, and ``fit(design) -> Result``."""

from __future__ import annotations

import dataclasses
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import (
    DesignError,
    EstimationError,
    ImpactError,
    TableError,
    VarianceError,
    check_choice,
    listing,
    plural,
)
from impact.estimators.parts.settings import NamedSettings
from impact.inference.rounding import is_additive, is_constant, is_rounding, rounding_rows
from impact.inference.scores import Unmeasured
from impact.result import Result

__all__ = [
    "ABSORBING",
    "COHORTS",
    "COMPARISON_UNITS",
    "NO_ANTICIPATION",
    "NO_COVARIATES",
    "PRE_PERIODS",
    "PRE_SECTIONS",
    "SECTIONS",
    "TREATMENT",
    "TREATMENT_OR_COVARIATES",
    "UNIT_CLUSTERS",
    "Estimator",
    "Requirement",
    "covariates_by_unit",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Requirement:
    """Something an estimator needs of a design.

    Parameters
    ----------
    text : what is needed, in a few words, for tables of estimators
    fault : says what is wrong with a design and how to mend it; None if nothing is
    """

    text: str
    fault: Callable[[Design], str | None]


def covariates_by_unit(design: Design) -> str | None:
    """Say that covariates enter unit by unit; None where the design has none."""
    if not design.covariates:
        return None
    return f"its covariates ({listing(design.covariates)}) enter unit by unit"


NO_VARIATION = "zero but for rounding, so there is no error to measure"
NO_ERROR = "the model fits without error, so there is no error to measure"


class _Settings(NamedSettings, ABCMeta):
    """Settings are told by name; what has no ``_estimate`` cannot be made."""


class Estimator(metaclass=_Settings):
    """Base of all estimators: a frozen dataclass of method settings.

    Subclasses state ``requires`` and ``estimand`` and implement ``_estimate``; what they refuse by
    their settings stands in ``_refuse_design``, so that `unmet` can tell it beforehand. Unknown
    settings, and those typed as ``Literal`` that are not one of theirs, are refused when it is
    made.
    """

    requires: ClassVar[tuple[Requirement, ...]] = ()
    estimand: ClassVar[str] = ""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for setting in dataclasses.fields(self):  # type: ignore[arg-type]
            if get_origin(hints[setting.name]) is Literal:
                check_choice(
                    f"{type(self).__name__}: {setting.name}",
                    getattr(self, setting.name),
                    get_args(hints[setting.name]),
                )
        draws = getattr(self, "draws", 1)
        if not isinstance(draws, (int, np.integer)) or draws < 1:
            raise DesignError(f"{type(self).__name__}: draws counts from 1 up; it was {draws!r}.")

    @property
    def name(self) -> str:
        """Name of the estimator's class."""
        return type(self).__name__

    def settings(self) -> dict[str, object]:
        """Return the settings by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design: ``requires``, and more where settings ask it."""
        return self.requires

    def unmet(self, design: Design) -> list[str]:
        """List, in sentences, why `fit` would refuse the design before it estimates."""
        try:
            self._check_table(design)
            faults = (requirement.fault(design) for requirement in self.requirements)
            found = [fault for fault in faults if fault]
            if found:
                return found
            self._check_design(design)
        except ImpactError as error:
            return [str(error)]
        return []

    def fit(self, design: Design) -> Result:
        """Estimate the design's effects; neither the estimator nor the design changes.

        Raises
        ------
        DesignError : the design lacks something this estimator requires
        EstimationError : the data cannot answer the question
        """
        if not isinstance(design, Design):
            raise DesignError(
                f"{self.name}.fit takes a Design; this is a {type(design).__name__}. Make one "
                "with Design(panel, outcome=..., cohort=...)."
            )
        self._check_table(design)
        for requirement in self.requirements:
            fault = requirement.fault(design)
            if fault:
                raise DesignError(f"{self.name} needs {requirement.text}: {fault}")
        self._check_design(design)
        if design.table is None:
            return _without_rounding(self._estimate(design))
        return _fit_table(self._estimate, design, self.name)

    def _check_table(self, design: Design) -> None:
        """Refuse a design whose rows stay in a table where these settings need rows."""
        reason = None if design.table is None else self._needs_rows(design)
        if reason is not None:
            raise TableError(
                f"{self.name} cannot be fitted where the table lies: {reason}, and a table gives "
                "sums by cohort and cluster only. Draw a share of the units into memory with "
                "design.collect(share=0.01, seed=0), or all units with only the design's columns "
                "with design.collect()."
            )

    def _needs_rows(self, design: Design) -> str | None:
        """Say why a table's sums do not do for these settings and design; None where they do."""
        return "its method works on the rows of single units"

    def _check_design(self, design: Design) -> None:
        """Refuse what meets the requirements and still cannot be estimated with these settings."""
        _refuse_constant(design)
        self._refuse_design(design)

    def _refuse_design(self, design: Design) -> None:
        """Raise where settings and design do not go together; nothing is estimated."""

    @abstractmethod
    def _estimate(self, design: Design) -> Result: ...


def _refuse_constant(design: Design) -> None:
    """Refuse an outcome that is the same in every row."""
    table = design.table
    outcome = design.sample.extremes_of(design.outcome) if table is None else table.extremes
    if is_constant(outcome):
        raise EstimationError(
            f'outcome "{design.outcome}" is {outcome[0]:g} in all '
            f"{plural(design.n_rows, 'row')}: it does not vary, so nothing can be told of "
            "what moves it. Check the column and how the file was read."
        )


def _outcome_of(design: Design) -> tuple[Floats, Callable[[], bool]]:
    """Return the outcome, of a table its extremes, and what tells whether it is additive."""
    table, sample = design.table, design.sample
    if table is not None:
        return table.extremes, lambda: is_rounding(table.widest_change, table.extremes)
    return sample.extremes_of(design.outcome), lambda: is_additive(
        sample.numeric(design.outcome), sample.unit_codes, sample.time_codes
    )


def _without_rounding(result: Result) -> Result:
    """Return the result with zero for estimates, and no error for rows, that are rounding alone."""
    try:
        variances = result.uncertainty.variances()[: len(result)]
    except VarianceError as error:
        return _without_errors(result, str(error))
    noise, exact = rounding_rows(
        result.estimates,
        variances,
        *_outcome_of(result.design),
        result.cells[["cohort", "time", "event_time"]].notna().any(axis=1).to_numpy(),
    )
    if not exact.any():
        return result
    note = np.where(noise, NO_VARIATION, NO_ERROR)
    cells = result.cells.assign(
        estimate=np.where(noise, 0.0, result.estimates),
        note=np.where(exact & (result.cells["note"] == ""), note, result.cells["note"]),
    )
    keep = np.ones(result.uncertainty.covariance().shape[0])
    keep[: len(exact)][exact] = 0.0
    uncertainty, of_rows = result.uncertainty.combine(np.diag(keep)), result.of_rows
    if of_rows is not None:
        every, of_all = np.append(keep, np.ones(len(exact))), of_rows
        of_rows = lambda weights: of_all(weights * every)  # noqa: E731
    return replace(result, cells=cells, uncertainty=uncertainty, of_rows=of_rows)


def _without_errors(result: Result, reason: str) -> Result:
    """Return the estimates alone, their standard errors NaN for a reason."""
    width = len(result) + len(result.shares)
    uncertainty = Unmeasured(width, result.uncertainty.n_clusters)
    notes = result.cells["note"]
    cells = result.cells.assign(note=notes.where(notes != "", "no standard error, see the notes"))
    why = (*result.notes, f"No standard errors: {reason}")
    return replace(result, cells=cells, uncertainty=uncertainty, notes=why, of_rows=None)


def _fit_table(estimate: Callable[[Design], Result], design: Design, name: str) -> Result:
    """Fit a design whose rows stay in their table, and keep the queries in the result."""
    try:
        result = _without_rounding(estimate(design))
    except TableError as error:
        raise TableError(f"{name} cannot be fitted where the table lies: {error}") from error
    return replace(result, extra={**result.extra, "queries": result.design.queries})


def _lacks_treatment(design: Design) -> str | None:
    if design.treatment_column is None:
        return "this design states none. Give Design cohort=, treated= or dose=."
    if not len(design.cohort_values):
        return (
            f'no unit is ever treated in "{design.treatment_column}" within the sample. Check the '
            "column and which rows were left out: "
            + (listing(f"{c} ({n})" for c, n in design.dropped.items()) or "none")
            + "."
        )
    return None


def _lacks_regressors(design: Design) -> str | None:
    if design.treatment_column is None and not design.covariates:
        return "this design states neither. Give Design treated=, cohort=, dose= or covariates=."
    return None


def _reverses(design: Design) -> str | None:
    units = design.reversing_units
    if not len(units):
        return None
    return (
        f"treatment stops again in {plural(len(units), 'unit')}, first {design.panel.unit} "
        f"{listing(units)}. Use an estimator for treatments that switch off, or state the first "
        "treated period with cohort= if what is wanted is the effect of ever having been treated."
    )


def _lacks_comparison(design: Design) -> str | None:
    if design.has_never_treated or len(design.cohort_values) > 1:
        return None
    return (
        f"all {plural(design.n_units, 'unit')} are first treated in "
        f"{design.cohort_values[0]:g}, so nobody shows what would have happened otherwise. Add "
        "units never treated or treated later; with amounts that differ, a dose design may answer."
    )


def _follows_nobody(design: Design) -> str | None:
    if not design.is_repeated_cross_section:
        return _lacks_pre_period(design)
    return (
        f"no {design.panel.unit} is observed twice, so no unit's outcome is known before and "
        "after. For repeated cross-sections use CallawaySantAnna, DoublyRobustDiD or "
        'ExtendedTWFE(effects="cohort"); for a panel, '
        f'check that "{design.panel.unit}" names the same unit in each period.'
    )


def _lacks_cohorts_of_sections(design: Design) -> str | None:
    if not design.is_repeated_cross_section or design.cohort is not None:
        return _lacks_pre_period(design)
    return (
        f"no {design.panel.unit} is observed twice, so who was treated later cannot be told from "
        f'"{design.treatment_column}" in rows from before. State the first treated period of each '
        "row's group with cohort=."
    )


def _lacks_pre_period(design: Design) -> str | None:
    units = design.always_treated_units
    if not len(units):
        return None
    return (
        f"{plural(len(units), 'unit')} {'is' if len(units) == 1 else 'are'} treated whenever "
        f"observed, first {design.panel.unit} {listing(units)}, so there is nothing to compare "
        'their outcome with. Drop and count them with Design(..., always_treated="drop"), or add '
        "earlier periods."
    )


def _lacks_unit_clusters(design: Design) -> str | None:
    if len(design.cluster_columns) > 1:
        return (
            f"this design names {len(design.cluster_columns)} ({listing(design.cluster_columns)}). "
            "Name the level at which treatment was assigned."
        )
    if design.table is not None:
        design.table.require_unit_values()
    if (design.n_clusters if design.table is not None else design.cluster_codes.max() + 1) < 2:
        return (
            f'all units share one value of "{design.cluster_columns[0]}", so nothing tells how '
            "much the estimate varies. Name the level at which treatment was assigned."
        )
    return None


def _has_covariates(design: Design) -> str | None:
    if not design.covariates:
        return None
    return (
        f"the design names {listing(design.covariates)}, and this method adjusts for none. Leave "
        "them out, or use an estimator that takes covariates; SyntheticControl matches on what it "
        "is given as predictors=."
    )


def _anticipates(design: Design) -> str | None:
    if not design.anticipation:
        return None
    return (
        f"the design lets treatment act {plural(design.anticipation, 'period')} early, and this "
        "method, as any regression on the treatment indicator, counts the anticipation periods as "
        "untreated, so that the effect would be measured against periods which hold some of it. "
        "Use CallawaySantAnna, Imputation, ExtendedTWFE or TwoWayFixedEffects("
        'effect="event_study"), or set anticipation=0.'
    )


TREATMENT = Requirement("a treatment", _lacks_treatment)
TREATMENT_OR_COVARIATES = Requirement("a treatment or covariates", _lacks_regressors)
ABSORBING = Requirement("a treatment that lasts once begun", _reverses)
COMPARISON_UNITS = Requirement("units not yet or never treated", _lacks_comparison)
PRE_PERIODS = Requirement("an untreated period of each treated unit", _follows_nobody)
PRE_SECTIONS = Requirement("an untreated period of each cohort", _lacks_cohorts_of_sections)
NO_COVARIATES = Requirement("a design without covariates", _has_covariates)
NO_ANTICIPATION = Requirement("treatment that does not act before it begins", _anticipates)
UNIT_CLUSTERS = Requirement("one cluster column that units do not cross", _lacks_unit_clusters)
SECTIONS = (TREATMENT, ABSORBING, PRE_SECTIONS, COMPARISON_UNITS, UNIT_CLUSTERS)
COHORTS = (TREATMENT, ABSORBING, PRE_PERIODS, COMPARISON_UNITS, UNIT_CLUSTERS)
