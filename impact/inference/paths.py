"""Estimates as differences of clusters' mean paths, or as sums of what clusters contribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from impact.inference.assignments import count_assignments, count_over_dates
from impact.inference.permutation import (
    PathCells,
    path_contributions,
    path_statistics,
    two_group_cells,
)
from impact.inference.sample import Label, Sample

__all__ = ["Paths", "contribution_paths", "mean_paths", "shifted_contrasts", "wanted_cells"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

SAME_ESTIMATE = 0.01
"""Standard errors by which a difference in mean paths may miss the estimate it stands for."""
SAME_FORMULA = 1e-6
"""Standard errors within which it is the estimate, not near it by chance."""
LEAST_ALIKE = 0.95
"""Correlation of what clusters contribute to either that otherwise tells so."""

FEWEST_WITH_COVARIATES = 5
"""Clusters of the smaller arm from which contributions to estimates with covariates are reassigned:
four of 30 rejected a true null in 8 to 10 % of samples, five of 34 in 4 %."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Clusters that follow whole treatment paths.

    Attributes
    ----------
    labels : array, shape (G,), cohort of each cluster in 0..C-1, or C for never treated
    outcomes : array, shape (G, T), mean outcome by cluster and period
    treatment : array, shape (G, T), 1 in the cells whose effect is in question
    cells : how the estimate is computed from mean paths
    shifted : arrays, shape (T,), weights of the periods had treatment begun at other dates; none
        where reassigning clusters gives enough, or not all treated ones began together
    with_own : whether the clusters actually treated are reassigned to those dates too
    linear : whether outcomes are what clusters contribute to an estimate that is no difference in
        mean paths: nothing before treatment, the estimate and its errors after
    pooled : whether such contributions are of several cohorts in one arm
    """

    labels: Integers
    outcomes: Floats
    treatment: Floats
    cells: PathCells
    shifted: tuple[Floats, ...] = ()
    with_own: bool = False
    linear: bool = False
    pooled: bool = False

    @property
    def never(self) -> int:
        """Label of the never treated."""
        return int(self.cells.compares.shape[1] - 1)

    @property
    def treated(self) -> Booleans:
        """Clusters of the cohorts whose effect the estimate is, shape (G,)."""
        return np.isin(self.labels, self.cells.cohort)

    @property
    def untreated(self) -> Booleans:
        """Clusters never treated, or all other clusters if all are treated in the end, (G,)."""
        never = self.labels == self.never
        return never if never.any() else ~self.treated

    @property
    def are_two(self) -> bool:
        """Whether every cluster is either never treated or of the one cohort in question."""
        return bool(np.isin(self.labels, [self.cells.cohort[0], self.never]).all())

    @property
    def contrast(self) -> Floats:
        """Weights of the periods in the estimate, averaged over its cells, shape (T,)."""
        return np.asarray(np.average(self.cells.contrasts, axis=0, weights=self.cells.incidence))

    def assignments(self, strata: Integers | None) -> float:
        """Count reassignments that differ in who follows the paths in question, and when."""
        coarse = np.where(self.treated, self.labels, self.never)
        count = count_assignments(coarse, strata)
        if not self.shifted:
            return count
        return count_over_dates(count, 1 + len(self.shifted), self.with_own)


def mean_paths(
    sample: Sample,
    label: Label,
    estimate: float,
    std_error: float,
    contributions: Callable[[], Floats] | None,
) -> Paths | None:
    """Return the difference in mean paths that gives the estimate; None if none does."""
    labels = sample.labels
    if labels is None:
        return None
    nearest, distance = None, SAME_ESTIMATE * std_error
    forms = product((False, True), (True, False))
    treatment = _treatment(sample, labels, label)
    for all_before, compare_not_yet in forms:
        cells = _path_cells(sample, labels, label, all_before, compare_not_yet)
        if cells is None:
            continue
        found = path_statistics(
            sample.cluster_means, treatment, sample.sizes, labels[None], cells, studentise="none"
        )
        gap = abs(float(found.effect[0, 0]) - estimate)
        if gap < distance * (1 - 1e-9) and found.effect[1, 0] != 0:
            nearest = Paths(labels, sample.cluster_means, treatment, cells)
            distance = gap
        if distance <= SAME_FORMULA * std_error:
            break
    if nearest is None or contributions is None or distance <= SAME_FORMULA * std_error:
        return nearest
    return nearest if _are_alike(nearest, sample.sizes, contributions()) else None


def _are_alike(paths: Paths, sizes: Floats, contributions: Floats) -> bool:
    """Whether clusters contribute to an estimate what they do to the difference in mean paths."""
    if len(contributions) != len(sizes):
        return False
    own = path_contributions(paths.outcomes, sizes, paths.labels, paths.cells)
    length = np.linalg.norm(own) * np.linalg.norm(contributions)
    return bool(own @ contributions >= LEAST_ALIKE * length)


def contribution_paths(
    sample: Sample, label: Label, estimate: float, contributions: Callable[[], Floats]
) -> Paths | None:
    """Return paths of what clusters contribute; None where clusters do not form two arms.

    A cluster contributes its share of its arm times its error, with the arm's sign. Cohorts whose
    effect is not in question would be compared in some periods only, so there must be none. What
    covariates predict is fitted to the clusters themselves, which takes some in either arm.
    """
    if sample.labels is None:
        return None
    treated = np.isin(sample.labels, sorted({c for c, _ in wanted_cells(sample, label)}))
    if len(np.unique(sample.labels[~treated])) != 1 or not treated.any():
        return None
    adjusted = sample.covariates is not None and sample.covariates.shape[2] > 0
    if adjusted and min(treated.sum(), (~treated).sum()) < FEWEST_WITH_COVARIATES:
        return None
    psi = contributions()
    if len(psi) != len(treated) or not np.isfinite(psi).all() or not psi[~treated].all():
        return None
    errors = np.zeros(len(psi))
    for arm, sign in ((treated, 1.0), (~treated, -1.0)):
        own = sign * psi[arm] * sample.sizes[arm].sum() / sample.sizes[arm]
        errors[arm] = own - np.average(own, weights=sample.sizes[arm])
    after = np.where(treated, estimate, 0.0) + errors
    return Paths(
        labels=np.where(treated, 0, 1),
        outcomes=np.column_stack((np.zeros(len(psi)), after)),
        treatment=np.column_stack((np.zeros(len(psi)), treated)),
        cells=two_group_cells(),
        linear=True,
        pooled=len(np.unique(sample.labels[treated])) > 1,
    )


def shifted_contrasts(sample: Sample, paths: Paths, label: Label) -> tuple[Floats, ...]:
    """Return the weights of periods had the one cohort been treated from other periods on.

    Where the treated clusters are reassigned to those dates too, an estimate from before treatment
    is compared with such alone: they would else bring their effect into a test of their past.
    """
    treated = ~np.isnan(sample.cohort_array)
    start = int(np.searchsorted(sample.periods, sample.cohort_values[0]))
    all_before = bool(np.count_nonzero(paths.cells.contrasts[0] < 0) > 1)
    after = sample.periods >= sample.cohort_values[0] - sample.anticipation
    of_past = paths.with_own and not paths.contrast[after].any()
    found = []
    for onset, period in enumerate(sample.periods):
        moved = _moved(sample, label, onset - start) if onset != start else None
        if moved is not None:
            other = replace(sample, cohorts=np.where(treated, float(period), np.nan))
            cells = _path_cells(other, paths.labels, moved, all_before, True)
            if cells is not None:
                weights = np.average(cells.contrasts, axis=0, weights=cells.incidence)
                if not (of_past and weights[after].any()):
                    found.append(np.asarray(weights))
    return tuple(found)


def _moved(sample: Sample, label: Label, periods: int) -> Label | None:
    """Return the label of the same effect some periods later; None beyond the panel."""
    dates = []
    for value in (label.cohort, label.time):
        at = np.flatnonzero(sample.periods == value) + periods
        if not np.isnan(value) and not (len(at) and 0 <= at[0] < len(sample.periods)):
            return None
        dates.append(np.nan if np.isnan(value) else float(sample.periods[at[0]]))
    return Label(dates[0], dates[1], label.event_time)


def wanted_cells(sample: Sample, label: Label) -> Iterator[tuple[int, int]]:
    """Yield (cohort, period) positions of the cells that the labelled effect averages."""
    dated = not np.isnan([label.time, label.event_time]).all()
    before_too = not np.isnan(label.event_time) or (dated and not np.isnan(label.cohort))
    for c, cohort in enumerate(sample.cohort_values):
        if not (np.isnan(label.cohort) or label.cohort == cohort):
            continue
        for t, period in enumerate(sample.periods):
            at_time = np.isnan(label.time) or label.time == period
            at_event = np.isnan(label.event_time) or label.event_time == period - cohort
            if at_time and at_event and (before_too or period >= cohort):
                yield c, t


def _path_cells(
    sample: Sample, labels: Integers, label: Label, all_before: bool, compare_not_yet: bool
) -> PathCells | None:
    onsets = sample.cohort_values - sample.anticipation
    never, present = len(onsets), np.bincount(labels, minlength=len(onsets) + 1) > 0
    rows = []
    for c, t in wanted_cells(sample, label):
        before = np.flatnonzero(sample.periods < onsets[c])
        if not len(before):
            continue
        base = before if all_before else before[-1:]
        contrast = np.zeros(len(sample.periods))
        contrast[t] += 1.0
        contrast[base] -= 1.0 / len(base)
        last = sample.periods[max(t, int(base[-1]))]
        pool = np.append(compare_not_yet & (onsets > last), True)
        pool[c] = False
        pool &= present
        if contrast.any() and pool.any():
            rows.append((c, pool, contrast))
    if not rows:
        return None
    cohort, compares, contrasts = (np.array(column) for column in zip(*rows, strict=True))
    incidence = 1.0 / np.bincount(cohort, minlength=never)[cohort]
    return PathCells(cohort, compares, contrasts, incidence)


def _treatment(sample: Sample, labels: Integers, label: Label) -> Floats:
    """Mark the cells treated by the actual assignment; only the label's if before treatment."""
    onset = np.append(sample.cohort_values - sample.anticipation, np.inf)
    treated = sample.periods >= onset[labels][:, None]
    wanted = list(wanted_cells(sample, label))
    if all(sample.periods[t] < onset[c] for c, t in wanted):
        treated[:] = False
        for c, t in wanted:
            treated[labels == c, t] = True
    return treated.astype(np.float64)
