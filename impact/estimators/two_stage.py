"""The two-stage estimator of Gardner (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from impact.design import Design
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.estimators.parts.cells import all_cells, cell_result, reasons_lost, unlinked
from impact.estimators.parts.imputed import impute
from impact.result import Result

__all__ = ["TwoStage"]


@dataclass(frozen=True)
class TwoStage(Estimator):
    r"""Estimate effects as cell means of residuals from a regression on untreated rows.

    First stage: unit effects, period effects and covariates on untreated rows. Second stage:
    residuals of all rows on indicators of cohort and period.

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated row, nobody to compare with
    EstimationError : no effect is identified

    Notes
    -----
    Points equal those of ``Imputation``. The variance is that of the two moment conditions
    together: each cluster's second-stage score less what its first-stage residuals move in
    the second stage. Averages treat cohort membership as sampled and weigh cells by cohort
    size: in a balanced panel ``att("cell")`` and the event study are the second-stage
    regressions of R did2s, standard errors included. With gaps these weigh cells by the rows
    observed in them, and differ. Cells before treatment are means of first-stage residuals;
    they are fitted, not held out, so a test of them has less power than that of
    ``Imputation``. Critical values are normal, without a small-sample factor.

    Source
    ------
    Gardner (2022), "Two-stage differences in differences", arXiv 2207.05943, section 3 and
    equation 6; R did2s 1.2.1 for the conventions.
    """

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "cohort-by-period effects in two stages"

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        estimates, uncertainty, _ = impute(
            design, cells, squared_weights=False, sampled_shares=True
        )
        lost = np.isnan(estimates)
        cell_notes = np.full(len(cells), "", dtype=object)
        cell_notes[lost] = reasons_lost(design, cells[lost], unlinked(design))
        notes = [
            "First stage on all untreated rows; cohort shares as sampled. Cells before treatment "
            "are means of first-stage residuals, without a base period."
        ]
        if design.covariates:
            notes.append(f"First stage linear in {', '.join(design.covariates)}.")
        return cell_result(
            self,
            design,
            cells,
            estimates,
            uncertainty,
            [str(note) for note in cell_notes],
            notes=notes,
        )
