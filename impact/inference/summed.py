"""Uncertainty of a regression known by each cluster's sums, its rows never in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError
from impact.inference.clusters import BlockScores
from impact.kernels.twoway_sums import SummedFit

__all__ = ["SummedScores"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SummedScores(BlockScores):
    """`BlockScores` of a `SummedFit`: classical, CR0 to CR3 and the jackknife, one dimension."""

    fit: SummedFit

    @cached_property
    def cluster_scores(self) -> Floats:
        """Each cluster's scores, shape (G, k)."""
        if self.fit.scores is None:
            raise InferenceError(
                f"what each of {self.n_clusters:,} clusters contributes was not brought into "
                "memory, only its sum of squares. Name coarser clusters, or draw units with "
                "design.collect(share=...)."
            )
        return self.fit.scores

    def _cluster_meat(self) -> Floats:
        return self._factor(self.n_clusters) * self.fit.meat

    @cached_property
    def _reweighted(self) -> NoReturn:
        raise InferenceError(
            "CR2 of a weighted regression needs its rows in memory, and they stay in their table. "
            "Use CR1 or CR3, or draw units with design.collect(share=...)."
        )

    def _row_meat(self, kind: str) -> NoReturn:
        self.fit.row_scores()
