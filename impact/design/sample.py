"""The rows that answer a question, those left out by cause, and the columns refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from impact.design.question import Question
from impact.design.treatment import read_treatment
from impact.errors import DesignError, listing, plural
from impact.panel import Panel
from impact.warehouse import Roles, TablePanel, draw_sample

__all__ = ["Sample", "follows_nobody", "sample_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows used, rows left out by cause, and what the treatment column says of the units used.

    ``cohorts`` and ``stopped`` (whether treatment is seen to stop) are read before rows are left
    out, so that an outcome missing when treatment begins does not move its beginning.
    """

    panel: Panel
    dropped: dict[str, int]
    cohorts: Floats | None
    stopped: NDArray[np.bool_] | None


def sample_of(question: Question) -> Sample:
    """Draw the rows in which all that the question names is observed."""
    panel = question.panel
    if isinstance(panel, TablePanel):
        drawn = draw_sample(panel, _roles(question))
        return Sample(drawn, drawn.dropped, None, None)
    rows = _complete_rows(question)
    cohorts, stopped = read_treatment(question)
    if cohorts is not None and question.always_treated == "drop":
        always = cohorts - question.anticipation <= _first_seen(panel, rows.keep)
        rows.leave_out(always[panel.unit_codes], "unit treated whenever it is observed")
    if rows.keep.all():
        return Sample(panel, rows.dropped, cohorts, stopped)
    left = np.unique(panel.unit_codes[rows.keep])
    return Sample(
        panel.select(rows.keep),
        rows.dropped,
        None if cohorts is None else cohorts[left],
        None if stopped is None else stopped[left],
    )


def follows_nobody(panel: Panel) -> bool:
    """Tell whether each unit is observed once, in one of several periods."""
    return panel.n_rows == panel.n_units and panel.n_periods > 1


@dataclass(frozen=True, eq=False)
class _RowsKept:
    """Which sorted rows are kept, shape (n,), and how many are not, by the first cause."""

    panel: Panel
    keep: NDArray[np.bool_]
    dropped: dict[str, int] = field(default_factory=dict)

    def leave_out(self, rows: NDArray[np.bool_], cause: str) -> None:
        count = int(np.count_nonzero(rows & self.keep))
        if count:
            self.dropped[cause] = count
            self.keep[rows] = False

    def leave_out_missing(self, name: str, cause: str) -> None:
        if not self.panel.is_complete(name):
            self.leave_out(np.isnan(self.panel.numeric(name)), cause)


def _complete_rows(question: Question) -> _RowsKept:
    """Leave out the rows that miss a value, refusing values that columns cannot hold."""
    panel, outcome = question.panel, question.outcome
    kept = _RowsKept(panel, np.ones(panel.n_rows, dtype=bool))
    if not panel.is_complete(outcome) and np.isnan(panel.numeric(outcome)).all():
        raise DesignError(
            f'outcome "{outcome}" is missing in all {plural(panel.n_rows, "row")}; there is '
            "nothing to estimate. Check the column's name and how the file was read."
        )
    kept.leave_out_missing(outcome, f'outcome "{outcome}" missing')
    if question.treated is not None:
        _check_indicator(panel, panel.numeric(question.treated), question.treated)
        kept.leave_out_missing(question.treated, f'treatment "{question.treated}" missing')
    if question.dose is not None:
        _check_dose(panel, panel.numeric(question.dose), question.dose)
        kept.leave_out_missing(question.dose, f'dose "{question.dose}" missing')
    for name in question.covariates:
        kept.leave_out_missing(name, f'covariate "{name}" missing')
    if question.weights is not None:
        _check_weights(panel, panel.numeric(question.weights), question.weights)
        kept.leave_out_missing(question.weights, f'weight "{question.weights}" missing')
    level = () if question.assigned_by is None else (question.assigned_by,)
    for name in dict.fromkeys((*question.cluster_columns, *level)):
        if name == panel.unit:
            continue
        missing = panel.column(name).isna().to_numpy()
        missing = missing if panel.order is None else missing[panel.order]
        kept.leave_out(missing, f'"{name}" missing')
    if not kept.keep.any():
        causes = "; ".join(f"{cause} in {count}" for cause, count in kept.dropped.items())
        raise DesignError(
            f"no row is left of {panel.n_rows:,}: {causes}. Check those columns, or leave one out."
        )
    return kept


def _first_seen(panel: Panel, keep: NDArray[np.bool_]) -> Floats:
    """Return the first period in which each unit keeps a row, shape (N,); inf if in none."""
    if follows_nobody(panel):
        return np.full(panel.n_units, float(panel.periods[0]))
    first = np.full(panel.n_units, np.inf)
    rows = np.flatnonzero(keep)
    np.minimum.at(first, panel.unit_codes[rows], panel.periods[panel.time_codes[rows]])
    return first


def _roles(question: Question) -> Roles:
    own = question.cluster_columns == (question.panel.unit,)
    return Roles(
        outcome=question.outcome,
        cohort=question.cohort,
        treated=question.treated,
        dose=question.dose,
        anticipation=question.anticipation,
        clusters=() if own else question.cluster_columns,
        covariates=tuple(question.covariates),
        weights=question.weights,
        never_treated=question.never_treated,
        always_treated=question.always_treated,
    )


def _check_indicator(panel: Panel, values: Floats, name: str) -> None:
    wrong = ~np.isnan(values) & (values != 0) & (values != 1)
    if wrong.any():
        raise DesignError(
            f'treatment column "{name}" is neither 0 nor 1 in {_cases(panel, wrong)}; an indicator '
            f"says only whether a unit is treated. If it is an amount, give it as dose={name!r}."
        )


def _check_dose(panel: Panel, values: Floats, name: str) -> None:
    negative = values < 0
    if negative.any():
        raise DesignError(
            f'dose column "{name}" is negative in {_cases(panel, negative)}; a dose is an amount '
            "received. Enter money paid back as a smaller amount or in a column of its own."
        )


def _check_weights(panel: Panel, values: Floats, name: str) -> None:
    wrong = values <= 0
    if wrong.any():
        raise DesignError(
            f'weight column "{name}" is zero or negative in {_cases(panel, wrong)}; such a row '
            "would count for nothing or against the rest. Drop those rows or mend the weights."
        )


def _cases(panel: Panel, rows: NDArray[np.bool_]) -> str:
    where = np.flatnonzero(rows)
    units, times = panel.units[panel.unit_codes[where]], panel.periods[panel.time_codes[where]]
    pairs = [f"({panel.unit} {u}, {panel.time} {t})" for u, t in zip(units, times, strict=True)]
    return f"{plural(len(pairs), 'row')}, first {listing(pairs)}"
