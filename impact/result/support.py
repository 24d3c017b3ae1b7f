"""The clusters that estimates rest on: which, how many, how many of them treated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import PanelError
from impact.inference.clusters import BlockScores
from impact.inference.sample import Sample
from impact.inference.scores import Uncertainty
from impact.inference.treated import cohort_weights, effective_treated
from impact.result.samples import sample_of, split_assignment, strata_of_clusters

__all__ = ["Support"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PLENTY = 50
"""Treated and untreated clusters, of one unit each, beyond which no check of methods is needed."""


@dataclass(frozen=True, eq=False)
class Support:
    """The clusters that K estimates rest on.

    The arguments are those of ``Result``.
    """

    design: Design
    cells: pd.DataFrame
    uncertainty: Uncertainty
    clusters_used: Integers | None
    cohort_weights: Floats | None
    treated_clusters: Floats | None

    @property
    def n_clusters(self) -> int:
        """Clusters of the first dimension that the estimates rest on."""
        own = self.uncertainty
        return own.clusters[0].size if isinstance(own, BlockScores) else own.n_clusters

    @property
    def is_known(self) -> bool:
        """Whether it is known which of the design's clusters the estimates rest on."""
        used = self.clusters_used
        return self.n_clusters == (self.design.n_clusters if used is None else len(used))

    @property
    def has_rows(self) -> bool:
        """Whether the rows that methods for few clusters need are at hand."""
        return self.design.table is None or not self.design.covariates

    @property
    def is_large(self) -> bool:
        """Whether the design has so many clusters that only small cohorts are doubted."""
        facts = self.design.facts
        by_unit = facts.n_clusters == facts.n_units and len(self.design.cluster_columns) == 1
        return min(self.arm_sizes) >= PLENTY and by_unit

    @cached_property
    def arm_sizes(self) -> tuple[int, int]:
        """Treated and untreated clusters that the estimates rest on, at least."""
        facts = self.design.facts
        if self.clusters_used is not None:
            treated = int((self.sample.treated_sizes > 0).sum())
            return treated, self.n_clusters - treated
        lost = 0 if self.is_known else max(0, facts.n_clusters - self.n_clusters)
        untreated = facts.n_clusters - facts.n_treated_clusters
        return max(0, facts.n_treated_clusters - lost), max(0, untreated - lost)

    @property
    def has_cohorts(self) -> bool:
        """Whether cohorts tell which treated clusters an estimate rests on."""
        return self.design.treatment_column is not None and len(self.design.cohort_values) > 0

    @cached_property
    def smaller_arms(self) -> Floats:
        """Treated clusters each estimate rests on, or those it compares with if fewer, (K,)."""
        found = effective_treated(self.weights_of_cohorts, self._cohort_clusters)
        if self.treated_clusters is not None:
            found = np.minimum(found, self.treated_clusters)
        for column in ("n_treated", "n_comparison"):
            if column in self.cells:
                number = self.cells[column].to_numpy(dtype=np.float64)
                found = np.fmin(found, np.where(number > 0, number, np.inf))
        return found

    @property
    def weights_of_cohorts(self) -> Floats:
        """Weight of each cohort in each estimate, shape (K, C), from its labels if not given."""
        if self.cohort_weights is not None:
            return self.cohort_weights
        design = self.design
        return cohort_weights(
            self.cells[["cohort", "time", "event_time"]].to_numpy(dtype=np.float64),
            np.asarray(design.cohort_values, dtype=np.float64),
            self._cohort_clusters,
            np.asarray(design.periods, dtype=np.float64),
        )

    @cached_property
    def _cohort_clusters(self) -> Floats:
        """Clusters of each cohort, shape (C,); its units where these move between clusters."""
        design = self.design
        facts, units = design.facts, np.maximum(design.cohort_units[:-1], 1).astype(np.float64)
        if design.table is not None or facts.n_clusters == facts.n_units:
            return units
        try:
            clusters = design.cluster_codes
        except PanelError:
            return units
        width = len(units) + 1
        pairs = np.unique(clusters * width + design.cohort_codes)
        return np.bincount(pairs % width, minlength=width)[:-1].astype(np.float64)

    @cached_property
    def sample(self) -> Sample:
        """Rows of the clusters that the estimates rest on."""
        every = sample_of(self.design)
        return every if self.clusters_used is None else every.of_clusters(self.clusters_used)

    @cached_property
    def split(self) -> str:
        """What was assigned as a whole but lies in several clusters; empty if nothing."""
        return split_assignment(self.design)

    def strata(self, column: str | None) -> Integers | None:
        """Return the block of each cluster, shape (G,), None without a column."""
        if column is None:
            return None
        own = strata_of_clusters(self.design, column)
        return own if self.clusters_used is None else own[self.clusters_used]
