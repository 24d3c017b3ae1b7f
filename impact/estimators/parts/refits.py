"""Results of completed outcomes, with refits on other samples for their uncertainty."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import InferenceError, listing, plural
from impact.estimators.parts.completion import (
    Completed,
    Inference,
    Table,
    cohort_means,
    table_of,
)
from impact.estimators.parts.donors import cell_frame, cohort_shares, with_rank_note
from impact.inference.placebo import (
    PlaceboDraws,
    canonical_order,
    no_uncertainty,
    placebo_assignments,
)
from impact.inference.scores import Replicates, Uncertainty
from impact.result import Result

__all__ = ["Completing", "completed_result"]

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


class Completing(Protocol):
    """An estimator that completes outcomes and is refitted for its uncertainty."""

    @property
    def name(self) -> str:
        """The estimator's name."""

    @property
    def estimand(self) -> str:
        """What it estimates, in words."""

    @property
    def inference(self) -> Inference:
        """How its uncertainty is had."""

    @property
    def draws(self) -> int:
        """How many refits."""

    @property
    def seed(self) -> int:
        """Where draws begin."""

    def settings(self) -> dict[str, Any]:
        """Return its settings by name."""


def completed_result(
    estimator: Completing,
    design: Design,
    table: Table,
    fitted: Floats,
    complete: Completed,
    note: str,
    description: object,
) -> Result:
    """Return observed minus completed outcomes as a result, with refits for its uncertainty.

    Parameters
    ----------
    fitted : shape (N, T), untreated outcomes of the estimate
    complete : how refits complete a table, with what was chosen kept
    """
    cells, shares = _cells_of(design, design.outcomes - fitted)
    result = Result(
        estimator=estimator.name,
        design=design,
        cells=cells,
        uncertainty=_refit_uncertainty(
            design, table, complete, estimator.inference, estimator.draws, estimator.seed
        ),
        estimand=estimator.estimand,
        shares=shares,
        settings=estimator.settings(),
        notes=(note,),
        extra={"fit": description},
    )
    return with_rank_note(result)


def _cells_of(design: Design, gaps: Floats) -> tuple[pd.DataFrame, pd.Series]:
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


def _refit_uncertainty(
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
