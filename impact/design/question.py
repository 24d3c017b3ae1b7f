"""The settings of a design, checked against each other before a row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from impact.calendar import OUTCOMES, Outcome
from impact.errors import DesignError, check_choice, listing
from impact.panel import Panel
from impact.warehouse import TablePanel

__all__ = ["Question", "given_columns"]


@dataclass(frozen=True, eq=False, repr=False)
class Question:
    """What was treated, when and how much, as stated; `Design` says what each setting is."""

    panel: Panel
    outcome: str = field(kw_only=True)
    cohort: str | None = field(default=None, kw_only=True)
    treated: str | None = field(default=None, kw_only=True)
    dose: str | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    clusters: str | Sequence[str] | None = field(default=None, kw_only=True)
    covariates: str | Sequence[str] = field(default=(), kw_only=True)
    weights: str | None = field(default=None, kw_only=True)
    never_treated: float | None = field(default=None, kw_only=True)
    always_treated: Literal["refuse", "drop"] = field(default="refuse", kw_only=True)
    series: Outcome | None = field(default=None, kw_only=True)
    assigned_by: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _normalise(self)
        _check_settings(self)

    @property
    def treatment_column(self) -> str | None:
        """Name of the column that says who is treated, whichever of the three was given."""
        return self.cohort or self.treated or self.dose

    @property
    def cluster_columns(self) -> tuple[str, ...]:
        """Columns that standard errors are clustered by."""
        if self.clusters is None:
            return (self.assigned_by or self.panel.unit,)
        return (self.clusters,) if isinstance(self.clusters, str) else tuple(self.clusters)


def given_columns(question: Question) -> list[str]:
    """List the treatment column and the covariates."""
    treatment = question.treatment_column
    return [*([treatment] if treatment else []), *question.covariates]


def _normalise(question: Question) -> None:
    """Store the sequences of column names as tuples."""
    covariates = question.covariates
    names = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    object.__setattr__(question, "covariates", names)
    if question.clusters is not None and not isinstance(question.clusters, str):
        object.__setattr__(question, "clusters", tuple(question.clusters))


def _check_settings(question: Question) -> None:
    if not isinstance(question.panel, Panel):
        raise DesignError(
            f"a design starts from a Panel; this is a {type(question.panel).__name__}. "
            "Make one with Panel(frame, unit=..., time=...)."
        )
    given = [name for name in ("cohort", "treated", "dose") if getattr(question, name) is not None]
    if len(given) > 1:
        raise DesignError(
            f"the treatment is stated {len(given)} times ({listing(given)}); they may contradict "
            "each other. Give one of cohort, treated or dose."
        )
    check_choice("always_treated", question.always_treated, ("refuse", "drop"))
    if question.series is not None:
        check_choice("series", question.series, OUTCOMES)
    whole = isinstance(question.anticipation, (int, np.integer))
    if not whole or isinstance(question.anticipation, bool) or question.anticipation < 0:
        raise DesignError(
            f"anticipation counts whole periods before treatment, 0 or more; it was "
            f"{question.anticipation!r}."
        )
    if question.never_treated is not None and question.cohort is None:
        raise DesignError(
            "never_treated names the value of the cohort column that means never treated, but no "
            "cohort column was given."
        )
    if question.assigned_by is not None and isinstance(question.panel, TablePanel):
        raise DesignError(
            f'assigned_by="{question.assigned_by}" is checked against the rows of units, which '
            f'stay in their table. Give clusters="{question.assigned_by}" instead, or state the '
            "design on rows drawn into memory with design.collect(share=...)."
        )
    if question.outcome in (question.panel.unit, question.panel.time):
        role = "unit" if question.outcome == question.panel.unit else "time"
        raise DesignError(
            f'column "{question.outcome}" is the panel\'s {role}, which no treatment can change. '
            "Name the outcome."
        )
    roles = [question.outcome, *given_columns(question)]
    repeated = {name for name in roles if roles.count(name) > 1}
    if repeated:
        raise DesignError(
            f'column "{sorted(repeated)[0]}" has two roles in this design; outcome, treatment and '
            "covariates must be different columns."
        )
