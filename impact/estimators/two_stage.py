"""The two-stage estimator of Gardner (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from impact.design import Design
from impact.estimators.base import COHORTS, Estimator, Requirement, covariates_by_unit
from impact.estimators.parts.cells import all_cells, cell_result, reasons_lost, unlinked
from impact.estimators.parts.imputed import impute
from impact.result import Result

__all__ = ["TwoStage"]

SecondStage = Literal["cells", "event_time", "treated"]


@dataclass(frozen=True)
class TwoStage(Estimator):
    r"""Estimate effects as cell means of residuals from a regression on untreated rows.

    First stage: unit effects, period effects and covariates on untreated rows. Second stage:
    residuals of all rows on indicators of cohort and period, of event time or of treatment.

    Parameters
    ----------
    second_stage : "cells" has one indicator a cohort and period, which all views start from;
        "event_time" one an event time and "treated" one for all treated rows, which are the
        regressions of R did2s, each row counting alike: ``event_study(by_rows=True)`` and
        ``att("row")`` of "cells"

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated row, nobody to compare with
    EstimationError : no effect is identified

    Notes
    -----
    Points equal those of ``Imputation``. The variance is that of the two moment conditions
    together: each cluster's second-stage score less what its first-stage residuals move in
    the second stage. Averages of "cells" treat cohort membership as sampled and weigh cells by
    cohort size: in a balanced panel ``att("cell")`` and the event study are the regressions
    of R did2s, standard errors included. With gaps those weigh cells by the rows observed in
    them, as averages by rows do here: how many rows a cell has is then as sampled as
    their outcomes. Cells before treatment are means of first-stage residuals; they are fitted,
    not held out, so a test of them has less power than that of ``Imputation``. Critical values
    are normal, without a small-sample factor.

    Rows that the first stage does not reach enter no second stage; ``Result.notes`` counts the
    cells they are in.

    Source
    ------
    Gardner (2022), "Two-stage differences in differences", arXiv 2207.05943, section 3 and
    equation 6; R did2s 1.2.1 for the conventions.
    """

    second_stage: SecondStage = "cells"

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "cohort-by-period effects in two stages"

    def _needs_rows(self, design: Design) -> str | None:
        return covariates_by_unit(design)

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        imputed = impute(design, cells, squared_weights=False, sampled_shares=True)
        lost = np.isnan(imputed.means)
        cell_notes = np.full(len(cells), "", dtype=object)
        cell_notes[lost] = reasons_lost(design, cells[lost], unlinked(design))
        notes = [
            "First stage on all untreated rows; cohort shares as sampled. Cells before treatment "
            "are means of first-stage residuals, without a base period."
        ]
        if design.covariates:
            notes.append(f"First stage linear in {', '.join(design.covariates)}.")
        result = cell_result(
            self,
            design,
            cells,
            imputed.means,
            imputed.uncertainty,
            [str(note) for note in cell_notes],
            notes=notes,
            of_rows=imputed.of_rows,
        )
        if self.second_stage == "cells":
            return result
        if self.second_stage == "treated":
            return result.att("row")
        return result.event_study(by_rows=True)
