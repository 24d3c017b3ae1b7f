"""The panel that was fitted, as arrays, and which of its effects an estimate is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Label", "Sample"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Label:
    """Which effect an estimate is: of a cohort, in a period, at an event time; NaN: averaged."""

    cohort: float = np.nan
    time: float = np.nan
    event_time: float = np.nan


@dataclass(frozen=True, eq=False)
class Sample:
    """The panel that was fitted, as arrays.

    Attributes
    ----------
    outcomes : array, shape (N, T), NaN where unobserved
    cohorts : array, shape (N,), first treated period, NaN never treated; None if treatment
        switches off again, or is an amount
    clusters : array, shape (N,), codes 0..G-1
    weights : array, shape (N,); equal if None
    periods : array, shape (T,), rising
    anticipation : periods before treatment in which it may already act
    covariates : array, shape (N, T, k), that comparisons condition on; each unit's first values
        are taken, and what they predict of untreated outcomes is taken off before reassigning
    irregular : why clusters follow no treatment paths although treatment is absorbing, such as
        units that move between them (rows are then a unit's stays, one a cluster); empty if none
    treated : array, shape (N,), who is ever treated; those with a cohort if None
    """

    outcomes: Floats
    cohorts: Floats | None
    clusters: Integers
    weights: Floats | None
    periods: Integers
    anticipation: int = 0
    covariates: Floats | None = None
    irregular: str = ""
    treated: Booleans | None = None

    @property
    def unit_weights(self) -> Floats:
        """Weights, ones if equal, shape (N,)."""
        return np.ones(len(self.clusters)) if self.weights is None else self.weights

    @cached_property
    def sizes(self) -> Floats:
        """Weight of each cluster, shape (G,)."""
        return np.bincount(self.clusters, self.unit_weights).astype(np.float64)

    @cached_property
    def treated_sizes(self) -> Floats:
        """Weight of each cluster's ever-treated units, shape (G,); all of it if unknown."""
        treated = self.treated
        if treated is None:
            if self.cohorts is None:
                return self.sizes
            treated = ~np.isnan(self.cohorts)
        return np.bincount(self.clusters, self.unit_weights * treated).astype(np.float64)

    @cached_property
    def cluster_means(self) -> Floats:
        """Mean outcome by cluster and period over the units observed, shape (G, T)."""
        outcomes = self._adjusted
        seen = ~np.isnan(outcomes)
        mass = np.stack([np.bincount(self.clusters, self.unit_weights * s) for s in seen.T], axis=1)
        filled = np.where(seen, outcomes, 0.0) * self.unit_weights[:, None]
        total = np.stack([np.bincount(self.clusters, column) for column in filled.T], axis=1)
        means: Floats = np.divide(total, mass, out=np.full(total.shape, np.nan), where=mass > 0)
        return means

    def of_clusters(self, used: Integers) -> Sample:
        """Return the rows of some clusters, given rising, as codes 0..len(used) - 1."""
        rows = np.isin(self.clusters, used)
        return replace(
            self,
            outcomes=self.outcomes[rows],
            cohorts=None if self.cohorts is None else self.cohorts[rows],
            clusters=np.searchsorted(used, self.clusters[rows]),
            weights=None if self.weights is None else self.weights[rows],
            covariates=None if self.covariates is None else self.covariates[rows],
            treated=None if self.treated is None else self.treated[rows],
        )

    @property
    def _adjusted(self) -> Floats:
        """Outcomes less what covariates predict of untreated ones, by period, shape (N, T)."""
        if self.covariates is None or not self.covariates.shape[2] or self.cohorts is None:
            return self.outcomes
        known = np.asarray(~np.isnan(self.covariates).any(axis=2))
        x = self.covariates[np.arange(len(known)), np.argmax(known, axis=1)]
        x = np.nan_to_num(x - np.nanmean(x, axis=0))
        design = np.column_stack((np.ones(len(x)), x)) * np.sqrt(self.unit_weights)[:, None]
        onset = np.where(np.isnan(self.cohorts), np.inf, self.cohorts - self.anticipation)
        result = self.outcomes.copy()
        for t, period in enumerate(self.periods):
            rows = (period < onset) & ~np.isnan(self.outcomes[:, t])
            y = self.outcomes[rows, t] * np.sqrt(self.unit_weights[rows])
            result[:, t] -= x @ np.linalg.lstsq(design[rows], y, rcond=None)[0][1:]
        return result

    @property
    def cohort_array(self) -> Floats:
        """Cohorts, shape (N,); empty where treatment is not absorbing."""
        return np.array([]) if self.cohorts is None else self.cohorts

    @cached_property
    def cohort_values(self) -> Floats:
        """Cohorts in order of adoption, shape (C,)."""
        return np.unique(self.cohort_array[~np.isnan(self.cohort_array)])

    @cached_property
    def labels(self) -> Integers | None:
        """Cohort of each cluster, C for never treated; None where units of one differ."""
        if self.cohorts is None or self.irregular:
            return None
        own = np.searchsorted(self.cohort_values, self.cohorts)
        low = np.full(len(self.sizes), len(self.cohort_values))
        high = np.zeros(len(self.sizes), dtype=np.int64)
        np.minimum.at(low, self.clusters, own)
        np.maximum.at(high, self.clusters, own)
        return low if np.array_equal(low, high) else None

    @property
    def without_paths(self) -> str:
        """Why clusters follow no whole treatment path; empty if they do."""
        if self.cohorts is None:
            return "treatment switches off again or is an amount"
        if self.irregular:
            return self.irregular
        if self.labels is None:
            return "treatment starts at different times for units of one cluster"
        if np.isnan(self.cluster_means).any():
            return "some clusters are not observed in some periods"
        return ""
