"""Effects as observed minus completed outcomes, with refits for their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, InferenceError, listing, plural
from impact.estimators.base import ABSORBING, PRE_PERIODS, TREATMENT, UNIT_CLUSTERS
from impact.estimators.parts.donors import EQUAL_WEIGHTS, cell_frame, cohort_shares
from impact.inference.placebo import (
    PlaceboDraws,
    canonical_order,
    no_uncertainty,
    placebo_assignments,
)
from impact.inference.scores import Replicates, Uncertainty
from impact.kernels.lowrank import factor_projection

__all__ = [
    "COMPLETION",
    "Completed",
    "Inference",
    "Table",
    "cells_of",
    "check_known",
    "cross_validated",
    "factor_limit",
    "projected",
    "refit_uncertainty",
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
    EstimationError : a period has no untreated observation, or a unit has no more of them than
        factors
    """
    empty = design.periods[~table.known.any(axis=0)]
    if len(empty):
        raise EstimationError(
            f"nobody is untreated in {plural(len(empty), 'period')}, {design.panel.time} "
            f"{listing(empty)}, so nothing shows what would have happened then. Drop those periods."
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
    """Return the most factors that every unit's untreated observations allow."""
    return int(max(0, min(largest, table.known.sum(axis=1).min() - 2, *table.known.shape)))


def cells_of(design: Design, gaps: Floats) -> tuple[pd.DataFrame, pd.Series]:
    """Average gaps, (N, T) with NaN where unobserved, into cells, with each cohort's share."""
    onset = np.searchsorted(design.periods, design.cohort_values)
    table = table_of(design)
    frame = cell_frame(
        design,
        cohort_means(gaps, table.onset, onset).reshape(len(onset), -1),
        [int(np.isnan(design.cohorts).sum())] * len(onset),
    )
    unseen = frame["estimate"].isna()
    frame.loc[unseen, "note"] = "no unit of the cohort is observed in this period"
    return frame, cohort_shares(design)


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


def refit_uncertainty(
    design: Design, table: Table, complete: Completed, inference: Inference, draws: int, seed: int
) -> Uncertainty:
    """Estimate again on other samples or assignments, and return the spread of cells and shares.

    Raises
    ------
    InferenceError : jackknife or bootstrap with a cohort treated in one cluster, placebos with
        no more units never treated than treated
    """
    values = np.searchsorted(design.periods, design.cohort_values)
    if inference == "none":
        return no_uncertainty(len(values) * (len(design.periods) + 1), design.n_clusters)
    few = [
        cohort
        for cohort in design.cohort_values
        if len(np.unique(design.cluster_codes[design.cohorts == cohort])) < 2
    ]
    if inference == "auto":
        inference = "placebo" if few else "jackknife"
    if inference == "placebo":
        return PlaceboDraws(_placebos(table, complete, values, draws, seed), design.n_clusters)
    if few:
        raise InferenceError(
            f'inference="{inference}" needs two treated clusters in each cohort; the cohort of '
            f"{listing(f'{c:g}' for c in few)} is treated in one, so nothing shows how treated "
            'clusters vary. Use inference="placebo", with units as clusters.'
        )
    rows = _resampled(design, table, complete, values, inference, draws, seed)
    if inference == "jackknife":
        scale = (len(rows) - 1) / len(rows)
        return Replicates(rows, design.n_clusters, "jackknife, estimated anew", scale)
    method = f"bootstrap of clusters, {plural(len(rows), 'draw')}"
    return Replicates(rows, design.n_clusters, method, 1.0 / len(rows))


def _replicate(table: Table, complete: Completed, values: Indices) -> Floats:
    """Return the cells and cohort shares of one sample, shape (C * T + C,)."""
    cells = cohort_means(table.outcomes - complete(table), table.onset, values)
    shares = [float(np.mean(table.onset == value)) for value in values]
    # A cell that is missing here but not in the sample has nothing to say of its spread.
    return np.append(np.nan_to_num(cells), shares)


def _resampled(
    design: Design,
    table: Table,
    complete: Completed,
    values: Indices,
    inference: Inference,
    draws: int,
    seed: int,
) -> Floats:
    """Estimate without each cluster in turn, or on clusters drawn with replacement."""
    codes = design.cluster_codes
    filled = np.where(np.isnan(table.outcomes), 0.0, table.outcomes)
    order = canonical_order(filled)
    members = [order[codes[order] == g] for g in pd.unique(codes[order])]
    if inference == "jackknife":
        samples = [np.concatenate(members[:g] + members[g + 1 :]) for g in range(len(members))]
        return np.stack([_replicate(table.units(s), complete, values) for s in samples])
    rng = np.random.default_rng(seed)
    rows: list[Floats] = []
    while len(rows) < draws:
        chosen = np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        sample = table.units(chosen)
        if np.isin(values, sample.onset).all() and sample.known.any(axis=0).all():
            rows.append(_replicate(sample, complete, values))
    return np.stack(rows)


def _placebos(table: Table, complete: Completed, values: Indices, draws: int, seed: int) -> Floats:
    """Estimate among units never treated, some of them taken as treated, shape (B, C * T + C)."""
    never = np.flatnonzero(table.onset == table.known.shape[1])
    filled = np.where(np.isnan(table.outcomes[never]), 0.0, table.outcomes[never])
    donors = table.units(never[canonical_order(filled)])
    sizes = [int(np.sum(table.onset == value)) for value in values]
    assignments = placebo_assignments([np.arange(len(never))] * len(values), sizes, draws, seed)
    rows = []
    for groups in zip(*(assignment.groups for assignment in assignments), strict=True):
        pretended = donors.pretending(np.concatenate(groups), np.repeat(values, sizes))
        rows.append(_replicate(pretended, complete, values))
    rows_array = np.stack(rows)
    rows_array[:, len(values) * table.known.shape[1] :] = 0.0
    return rows_array


def projected(table: Table, factors: Floats, slopes: Floats, time_effects: Floats) -> Floats:
    """Complete every unit from factors estimated elsewhere and its own known cells, (N, T)."""
    common = table.covariates @ slopes + time_effects
    net = np.where(table.known, table.outcomes - common, 0.0)
    return np.asarray(common + factor_projection(net, table.known, factors))
