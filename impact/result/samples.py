"""What a design's rows say, as arrays for inference: samples, strata, assignment."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import InferenceError, PanelError, listing, plural
from impact.inference.sample import Sample
from impact.warehouse import TableSample

__all__ = ["sample_of", "split_assignment", "strata_of_clusters", "unit_assignment_note"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def sample_of(design: Design) -> Sample:
    """Return the design's units as arrays; where units move between clusters, their stays."""
    absorbing = design.dose is None and not len(design.reversing_units)
    if design.table is not None:
        return _sample_of_table(design, design.table, absorbing)
    cohorts = design.cohorts if absorbing else None
    try:
        clusters, weights = design.cluster_codes, design.unit_weights
    except PanelError:
        return _sample_of_stays(design, cohorts)
    covariates = design.covariate_array() if design.covariates else None
    return Sample(
        design.outcomes,
        cohorts,
        clusters,
        weights,
        design.periods,
        design.anticipation,
        covariates,
        treated=~np.isnan(design.cohorts) if design.n_treated_clusters else None,
    )


def _sample_of_table(design: Design, table: TableSample, absorbing: bool) -> Sample:
    """Return a sample whose rows are each cluster's units of one cohort, by their mean outcome."""
    rows = table.cluster_means
    cohorts = np.append(design.cohort_values, np.nan)[rows.codes]
    return Sample(
        rows.outcomes,
        cohorts if absorbing else None,
        rows.clusters,
        rows.sizes,
        design.periods,
        design.anticipation,
        irregular="covariates stay in their table" if design.covariates else "",
        treated=~np.isnan(cohorts) if design.n_treated_clusters else None,
    )


def _sample_of_stays(design: Design, cohorts: Floats | None) -> Sample:
    """Return a sample whose rows are units' stays in clusters, where units move between them.

    Weights that change within a unit are averaged over the stay.
    """
    rows = design.rows()
    clusters = rows.cluster_codes[:, 0]
    width = int(clusters.max()) + 1
    moving = bool(((np.diff(clusters) != 0) & (np.diff(rows.unit_codes) == 0)).any())
    stays, codes = np.unique(rows.unit_codes * width + clusters, return_inverse=True)
    outcomes = np.full((len(stays), len(design.periods)), np.nan)
    outcomes[codes, rows.time_codes] = rows.outcome
    weights = None
    if rows.weights is not None:
        weights = np.bincount(codes, rows.weights) / np.bincount(codes)
    if cohorts is not None:
        treated = np.bincount(codes, np.nan_to_num(rows.regressors[:, 0])) > 0
        cohorts = np.where(treated, cohorts[stays // width], np.nan)
    return Sample(
        outcomes,
        cohorts,
        stays % width,
        weights,
        design.periods,
        design.anticipation,
        irregular="units move between clusters" if moving else "weights change within units",
    )


def strata_of_clusters(design: Design, column: str) -> Integers:
    """Return the block of each cluster, shape (G,), within which assignment was random.

    Raises
    ------
    InferenceError : the column is missing for, or differs within, a cluster
    """
    blocks = pd.factorize(design.sample.unit_values(column), sort=True)[0]
    clusters = design.cluster_codes
    first = np.unique(clusters, return_index=True)[1]
    own = blocks[first]
    mixed = np.unique(clusters[(blocks < 0) | (blocks != own[clusters])])
    if len(mixed):
        names = design.sample.unit_values(design.cluster_columns[0])
        raise InferenceError(
            f'strata "{column}" are missing or differ within {plural(len(mixed), "cluster")}, '
            f"first {design.cluster_columns[0]} {listing(names.to_numpy()[first][mixed])}; whole "
            "clusters were assigned, so each must lie in one stratum."
        )
    return np.asarray(own)


def split_assignment(design: Design) -> str:
    """Say what was assigned as a whole but lies in several clusters; empty if nothing."""
    split = design.split_assignments
    if not len(split):
        return ""
    columns = " and ".join(f'"{name}"' for name in design.cluster_columns)
    return (
        f"clusters by {columns} split "
        f'{plural(len(split), "value")} of "{design.assigned_by}", first {listing(split)}'
    )


def unit_assignment_note(design: Design) -> tuple[str, ...]:
    """Doubt clusters that are units where all units of a wider group were treated together."""
    if design.clusters or design.assigned_by or design.table is not None:
        return ()
    if not 0 < design.facts.n_treated_units < design.n_units:
        return ()
    frame, cohort = design.sample.frame, design.cohort_codes
    n_cohorts = np.count_nonzero(design.cohort_units)
    used = (design.panel.unit, design.panel.time, design.outcome, design.treatment_column)
    for name in frame.columns:
        if name in used or pd.api.types.is_float_dtype(frame[name]):
            continue
        try:
            groups = pd.factorize(design.sample.unit_values(str(name)))[0]
        except PanelError:
            continue
        count = int(groups.max()) + 1
        if groups.min() < 0 or not n_cohorts < count <= design.n_units / 2:
            continue
        any_cohort = np.empty(count, dtype=cohort.dtype)
        any_cohort[groups] = cohort
        if (any_cohort[groups] == cohort).all():
            return (
                f'All units of one "{name}" share their treatment date ({count:,} of them, '
                f"{design.n_units:,} units). If treatment was assigned to them as wholes, their "
                "units' errors are no independent evidence: give Design "
                f'clusters="{name}".',
            )
    return ()
