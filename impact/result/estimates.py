"""Cells of estimates with their joint uncertainty: what every view and inference starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing
from impact.inference.auto import Method
from impact.inference.rounding import EXACT
from impact.inference.scores import Uncertainty
from impact.result.support import Support

__all__ = ["CELL_COLUMNS", "COMBINED", "Estimates", "InferenceRequest"]

Floats = NDArray[np.float64]

CELL_COLUMNS = ("term", "cohort", "time", "event_time", "estimate", "weight", "note")

COMBINED = ", combined"
"""How the estimand of a combination of estimates ends."""


@dataclass(frozen=True)
class InferenceRequest:
    """How p-values and intervals are to be had.

    ``method`` None takes the estimator's own standard errors where many clusters make them
    trustworthy, and otherwise what "auto" chooses.
    """

    method: Method | Literal["auto"] | None = None
    draws: int = 9999
    seed: int = 0
    strata: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """The fields of a ``Result``, which says what they mean, and the numbers read off them."""

    estimator: str
    design: Design
    cells: pd.DataFrame
    uncertainty: Uncertainty
    estimand: str
    shares: pd.Series = field(default_factory=lambda: pd.Series(dtype=np.float64))
    settings: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    request: InferenceRequest = InferenceRequest()
    clusters_used: NDArray[np.int64] | None = None
    cohort_weights: Floats | None = None
    treated_clusters: Floats | None = None
    of_rows: Callable[[Floats], Uncertainty] | None = None

    def __post_init__(self) -> None:
        absent = [c for c in CELL_COLUMNS if c not in self.cells.columns]
        if absent:
            raise EstimationError(f"{self.estimator} returned cells without {listing(absent)}.")
        object.__setattr__(self, "cells", self.cells.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def estimates(self) -> Floats:
        """Estimates, shape (K,)."""
        return self.cells["estimate"].to_numpy(dtype=np.float64)

    @cached_property
    def std_errors(self) -> Floats:
        """Standard errors, shape (K,); NaN where none exists or rounding alone is left of one."""
        variances = self.uncertainty.variances()[: len(self)]
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(variances)
            rounding = errors <= EXACT * np.abs(self.estimates)
        # Effects share a unit of measurement; a covariate's coefficient has its own.
        dated = self.cells[["cohort", "time", "event_time"]].notna().any(axis=1).to_numpy()
        none = variances <= np.where(dated, 1e-30 * np.nanmax(variances, initial=0.0), 0.0)
        return np.where(np.isnan(self.estimates) | none | rounding, np.nan, errors)

    def covariance(self) -> pd.DataFrame:
        """Return the covariance of the estimates, labelled by term, shape (K, K)."""
        terms = pd.Index(self.cells["term"], name="term")
        matrix = self.uncertainty.covariance()[: len(self), : len(self)]
        return pd.DataFrame(matrix, index=terms, columns=terms)

    @cached_property
    def support(self) -> Support:
        """The clusters that the estimates rest on."""
        return Support(
            self.design,
            self.cells,
            self.uncertainty,
            self.clusters_used,
            self.cohort_weights,
            self.treated_clusters,
        )
