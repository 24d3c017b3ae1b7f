"""Outcomes completed from untreated cells: the table, what must be known, cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing, plural
from impact.estimators.base import ABSORBING, PRE_PERIODS, TREATMENT, UNIT_CLUSTERS
from impact.estimators.parts.donors import EQUAL_WEIGHTS
from impact.inference.placebo import canonical_order
from impact.kernels.lowrank import factor_projection

__all__ = [
    "COMPLETION",
    "Completed",
    "Inference",
    "Table",
    "check_known",
    "cohort_means",
    "cross_validated",
    "factor_limit",
    "projected",
    "table_of",
]

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
Inference: TypeAlias = Literal["auto", "jackknife", "bootstrap", "placebo", "none"]

COMPLETION = (TREATMENT, ABSORBING, PRE_PERIODS, EQUAL_WEIGHTS, UNIT_CLUSTERS)
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Table:
    """Arrays of a design: outcomes (N, T) with NaN for gaps, what is known, who and when.

    ``known`` marks cells observed and untreated; ``covariates``, (N, T, k), are finite;
    ``onset``, (N,), is the position of the first period of treatment, T if never treated.
    """

    outcomes: Floats
    known: Booleans
    covariates: Floats
    onset: Indices

    def units(self, chosen: Indices) -> Table:
        """Return the table of some units, in any order and number."""
        return Table(
            self.outcomes[chosen], self.known[chosen], self.covariates[chosen], self.onset[chosen]
        )

    def pretending(self, units: Indices, onset: Indices) -> Table:
        """Return the table with units taken as treated from given periods on."""
        known, begins = self.known.copy(), self.onset.copy()
        periods = np.arange(known.shape[1])
        known[units] &= periods < onset[:, None]
        begins[units] = onset
        return Table(self.outcomes, known, self.covariates, begins)

    def hiding(self, values: Indices, begins: Indices) -> Table:
        """Return the table with the cohorts of some onsets hidden from given positions on."""
        hidden = np.full(len(self.onset), self.known.shape[1])
        for value, begin in zip(values, begins, strict=True):
            hidden[self.onset == value] = begin
        known = self.known & (np.arange(self.known.shape[1]) < hidden[:, None])
        return Table(self.outcomes, known, self.covariates, self.onset)


Completed: TypeAlias = Callable[[Table], Floats]


def table_of(design: Design) -> Table:
    """Read a design's arrays; cells of anticipation count as treated."""
    begins = np.where(np.isnan(design.cohorts), np.inf, design.cohorts - design.anticipation)
    observed = ~np.isnan(design.outcomes)
    covariates = design.covariate_array()
    means = np.nanmean(covariates, axis=(0, 1)) if covariates.shape[2] else 0.0
    return Table(
        outcomes=design.outcomes,
        known=observed & (design.periods < begins[:, None]),
        covariates=np.where(np.isnan(covariates), means, covariates),
        onset=np.searchsorted(design.periods, np.nan_to_num(design.cohorts, nan=np.inf)),
    )


def check_known(design: Design, table: Table, factors: int) -> None:
    """Refuse periods and units with too few untreated observations, by name.

    Raises
    ------
    EstimationError : a period has no untreated observation, or with factors no more than they
        and its own effect take; a unit has no more of them than factors
    """
    empty = design.periods[~table.known.any(axis=0)]
    if len(empty):
        raise EstimationError(
            f"nobody is untreated in {plural(len(empty), 'period')}, {design.panel.time} "
            f"{listing(empty)}, so nothing shows what would have happened then. Drop those periods."
        )
    thin = design.periods[table.known.sum(axis=0) <= factors + 1] if factors else empty
    if len(thin):
        raise EstimationError(
            f"{plural(len(thin), 'period')} {'has' if len(thin) == 1 else 'have'} no more than "
            f"{plural(factors + 1, 'untreated unit')}, {design.panel.time} {listing(thin)}: a "
            f"period's effect and {plural(factors, 'factor')} would fit them without error, "
            "whatever they are. Add untreated units, or use fewer factors."
        )
    counts = table.known.sum(axis=1)
    short = counts <= factors
    if short.any():
        raise EstimationError(
            f"{plural(int(short.sum()), 'unit')} {'has' if short.sum() == 1 else 'have'} at most "
            f"{plural(factors, 'untreated observation')}, first {design.panel.unit} "
            f"{listing(design.sample.units[short])}: an intercept and {plural(factors, 'loading')} "
            f"take {factors + 1}. Drop those units, or use fewer factors."
        )


def factor_limit(table: Table, largest: int) -> int:
    """Return the most factors that untreated observations of every unit and period allow."""
    fewest = min(int(table.known.sum(axis=axis).min()) for axis in (0, 1))
    return max(0, min(largest, fewest - 2))


def cohort_means(gaps: Floats, onset: Indices, values: Indices) -> Floats:
    """Average gaps by cohort and period, shape (C * T,); NaN where nobody is observed."""
    rows = []
    for value in values:
        part = gaps[onset == value]
        seen = ~np.isnan(part)
        total, count = np.where(seen, part, 0.0).sum(axis=0), seen.sum(axis=0)
        rows.append(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    return np.concatenate(rows)


def cross_validated(
    design: Design,
    table: Table,
    settings: Sequence[float],
    complete: Callable[[Table, float], Floats],
) -> pd.Series:
    """Return the mean squared prediction error of each setting, with donors taken as treated.

    Each fifth of the units never treated is in turn taken as treated from the earliest cohort
    on, so that what is predicted is hidden the way treatment hides it. A setting that cannot be
    fitted has an infinite error.

    Raises
    ------
    EstimationError : fewer than five units are never treated
    """
    never = np.flatnonzero(table.onset == table.known.shape[1])
    if len(never) < FOLDS:
        raise EstimationError(
            f"cross-validation pretends treatment for units never treated; there "
            f"{'is' if len(never) == 1 else 'are'} {len(never)}, and {FOLDS} are needed. Give the "
            "number of factors or the penalty."
        )
    filled = np.where(np.isnan(table.outcomes[never]), 0.0, table.outcomes[never])
    never = never[canonical_order(filled)]
    first = int(table.onset.min())
    errors = np.zeros(len(settings))
    for fold in range(FOLDS):
        held = never[fold::FOLDS]
        pretended = table.pretending(held, np.full(len(held), first))
        hidden = table.known & ~pretended.known
        for k, setting in enumerate(settings):
            try:
                gaps = (table.outcomes - complete(pretended, setting))[hidden]
            except EstimationError:
                errors[k] = np.inf
                continue
            errors[k] += gaps @ gaps
    count = sum(table.known[never, first:].sum(axis=1))
    return pd.Series(errors / count, index=list(settings), name="mean_squared_error")


def projected(table: Table, factors: Floats, slopes: Floats, time_effects: Floats) -> Floats:
    """Complete every unit from factors estimated elsewhere and its own known cells, (N, T)."""
    common = table.covariates @ slopes + time_effects
    net = np.where(table.known, table.outcomes - common, 0.0)
    return np.asarray(common + factor_projection(net, table.known, factors))
