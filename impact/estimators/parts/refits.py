"""Results of completed outcomes, with refits on other samples for their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import ImpactError, InferenceError, listing, plural
from impact.estimators.parts.completion import (
    Completed,
    Inference,
    Table,
    cohort_means,
    table_of,
)
from impact.estimators.parts.donors import cell_frame, cohort_shares, unit_label, with_rank_note
from impact.estimators.parts.misfit import Pretended, average_gaps, held_out, trend_doubt
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
        pretending = _pretending(table, values, draws, seed)
        found = pretending.gaps(complete, values, values)
        doubt = _early_effects(design, table, complete, found, pretending)
        cells = np.nan_to_num(found.reshape(len(found), -1))
        rows = np.concatenate((cells, np.zeros((len(found), len(values)))), axis=1)
        return PlaceboDraws(rows, design.n_clusters, doubt=doubt)
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
    cells = _gaps(table, complete, values).ravel()
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


@dataclass(frozen=True, eq=False)
class _Pretending:
    """Units never treated, and who of them is taken as treated in each draw, by cohort."""

    donors: Table
    groups: list[Indices]

    def gaps(self, complete: Completed, values: Indices, begins: Indices) -> Floats:
        """Return the gaps of each draw's cohorts where they are hidden from ``begins`` on.

        Parameters
        ----------
        values, begins : shape (C,), positions that name the cohorts, and from which they are
            hidden

        Returns
        -------
        array, shape (B, C, T), NaN where nobody is observed
        """
        sizes = [group.shape[1] for group in self.groups]
        rows = []
        for chosen in zip(*self.groups, strict=True):
            units = np.concatenate(chosen)
            named = self.donors.pretending(units, np.repeat(values, sizes))
            rows.append(_gaps(named.hiding(values, begins), complete, values))
        return np.stack(rows)


def _pretending(table: Table, values: Indices, draws: int, seed: int) -> _Pretending:
    """Choose units never treated to be taken as treated."""
    never = np.flatnonzero(table.onset == table.known.shape[1])
    filled = np.where(np.isnan(table.outcomes[never]), 0.0, table.outcomes[never])
    sizes = [int(np.sum(table.onset == value)) for value in values]
    chosen = placebo_assignments([np.arange(len(never))] * len(values), sizes, draws, seed)
    donors = table.units(never[canonical_order(filled)])
    return _Pretending(donors, [assignment.groups for assignment in chosen])


def _gaps(table: Table, complete: Completed, values: Indices) -> Floats:
    """Return cohorts' average gaps by period, (C, T), NaN where nobody is observed."""
    cells = cohort_means(table.outcomes - complete(table), table.onset, values)
    return cells.reshape(len(values), -1)


def _early_effects(
    design: Design, table: Table, complete: Completed, placebos: Floats, pretending: _Pretending
) -> str:
    """Say which cohorts show an effect before there was any; empty if none does.

    ``placebos`` are gaps, (B, C, T). Where the earlier fit cannot be had nothing is found.
    """
    place, n_periods = np.arange(len(design.periods)), len(design.periods)
    values = np.searchsorted(design.periods, design.cohort_values)
    begins = np.searchsorted(design.periods, design.cohort_values - design.anticipation)
    held = [held_out(place < b, n_periods - v) for b, v in zip(begins, values, strict=True)]
    early = np.array([h.argmax() if h.any() else b for h, b in zip(held, begins, strict=True)])
    try:
        pretended = Pretended(
            [_cohort_name(design, cohort) for cohort in design.cohort_values],
            average_gaps(_gaps(table.hiding(values, early), complete, values), held),
            np.array([int(h.sum()) for h in held]),
            lambda: average_gaps(pretending.gaps(complete, values, early), held),
        )
        return trend_doubt(pretended, average_gaps(placebos, [place >= v for v in values]))
    except ImpactError:
        return ""


def _cohort_name(design: Design, cohort: float) -> object:
    """Name a cohort, by its unit where it is one."""
    units = design.sample.units[design.cohorts == cohort]
    return unit_label(units[0]) if len(units) == 1 else f"the cohort of {cohort:g}"
