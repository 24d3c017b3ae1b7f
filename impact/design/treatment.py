"""What the treatment column says of each unit: when it begins, and whether it stops."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design.question import Question
from impact.errors import DesignError, listing, plural
from impact.panel import Panel

__all__ = ["read_treatment"]

Floats = NDArray[np.float64]


def read_treatment(question: Question) -> tuple[Floats | None, NDArray[np.bool_] | None]:
    """Return each unit's first treated period and whether treatment stops, from all its rows."""
    if question.cohort is not None:
        return _read_cohorts(question), None
    column = question.treated or question.dose
    if column is None:
        return None, None
    panel = question.panel
    amounts = panel.matrix(column)
    active = np.nan_to_num(amounts) > 0
    first = panel.periods[np.argmax(active, axis=1)].astype(np.float64)
    cohorts = np.where(active.any(axis=1), first, np.nan)
    begun = np.logical_or.accumulate(active, axis=1)
    return cohorts, (begun & (amounts == 0)).any(axis=1)


def _read_cohorts(question: Question) -> Floats:
    """Read the cohort of each unit of the panel, refusing values outside its periods."""
    panel, name = question.panel, str(question.cohort)
    values = panel.repeated(name)
    if values is None:
        _refuse_partly_missing(panel, name)
        values = panel.unit_values(name)
    cohorts = _cohort_numbers(values, question)
    first, last = panel.periods[0], panel.periods[-1]
    outside = (cohorts < first) | (cohorts > last)
    if outside.any():
        wrong = np.unique(cohorts[outside])
        raise DesignError(
            f'cohort column "{name}" holds {listing(f"{v:g}" for v in wrong)}, outside the '
            f"panel's periods {first}-{last}, for {plural(int(outside.sum()), 'unit')}, first "
            f"{panel.unit} {listing(panel.units[outside])}; their timing cannot be told from "
            '"never treated". If a value stands for never treated, say so with never_treated='
            f"{wrong[0]:g}; if units are treated after the panel ends, set them to NaN to use "
            "them as never treated; else drop them."
        )
    fractional = ~np.isnan(cohorts) & (cohorts != np.round(cohorts))
    if fractional.any():
        raise DesignError(
            f'cohort column "{name}" holds {listing(np.unique(cohorts[fractional]))}; a cohort is '
            f"the first treated period and must be one of the panel's whole periods."
        )
    return cohorts


def _refuse_partly_missing(panel: Panel, name: str) -> None:
    missing = panel.column(name).isna().to_numpy()
    partly = _differs_within(panel, missing if panel.order is None else missing[panel.order])
    if partly.any():
        raise DesignError(
            f'cohort column "{name}" is missing in some rows of '
            f"{plural(int(partly.sum()), 'unit')} and filled in others, first {panel.unit} "
            f"{listing(panel.units[partly])}; whether they are treated cannot be told. Fill it in "
            "all rows of a unit, or in none."
        )


def _differs_within(panel: Panel, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell in which units some sorted rows are marked and others are not, shape (N,)."""
    if panel.is_balanced:
        grid = marks.reshape(panel.n_units, panel.n_periods)
        differs = grid != grid[:, :1]
        return differs.any(axis=1) if differs.any() else np.zeros(panel.n_units, dtype=bool)
    count = np.bincount(panel.unit_codes, marks, panel.n_units)
    return np.asarray((count > 0) & (count < np.bincount(panel.unit_codes)))


def _cohort_numbers(values: pd.Series, question: Question) -> Floats:
    if not pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(values, errors="coerce")
        texts = values[numbers.isna() & values.notna()]
        if len(texts):
            shown = listing([repr(t) for t in texts.unique()])
            raise DesignError(
                f'cohort column "{question.cohort}" holds {shown}; it must hold the first treated '
                "period as a number, and be missing for never treated."
            )
        values = numbers
    cohorts = values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    if question.never_treated is not None:
        cohorts[cohorts == question.never_treated] = np.nan
    return cohorts
