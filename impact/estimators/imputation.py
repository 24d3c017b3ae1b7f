"""The imputation estimator of Borusyak, Jaravel and Spiess (2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import COHORTS, Estimator, Requirement, covariates_by_unit
from impact.estimators.parts.cells import (
    Cells,
    GroupMoments,
    all_cells,
    cell_result,
    moments_of,
    period_dummies,
    reasons_lost,
    regress,
    row_mass,
    unlinked,
    untreated_periods,
)
from impact.estimators.parts.imputed import impute
from impact.estimators.parts.reporting import cells_without_cohorts, result_of
from impact.inference.scores import Uncertainty
from impact.result import Result

__all__ = ["Imputation"]

Floats = NDArray[np.float64]

DEFAULT_LEADS = 5
"""Leads of the pre-trend test where none are asked for, fewer if the design has fewer."""


@dataclass(frozen=True)
class Imputation(Estimator):
    r"""Estimate effects as outcome less an untreated outcome imputed from untreated rows.

    .. math:: \hat\tau_{gt} = \frac{1}{N_{gt}} \sum_{i: G_i = g}
              (Y_{it} - \hat\alpha_i - \hat\lambda_t - x_{it}'\hat\gamma),

    with unit effects, period effects and slopes fitted to untreated rows only: units never
    treated in all periods, units treated later before their treatment.

    Parameters
    ----------
    leave_one_out : measure each treated cluster from its cell's average over the others, which
        corrects the downward bias of standard errors in small cells
    pre_periods : leads of the pre-trend test; None for up to five, 0 for no test

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated row, nobody to compare with,
        more leads than the design can tell apart
    EstimationError : no effect is identified; ``leave_one_out`` with a cell of one cluster

    Notes
    -----
    Assumes parallel trends in all untreated periods and no anticipation beyond the design's.
    Effects in periods in which nobody is untreated, or that no unit links to a cohort's
    untreated rows, are NaN with the reason. Covariates enter linearly; for treated rows they
    must not be affected by treatment.

    Standard errors allow effects to differ within cells and are conservative for it: treated
    rows are measured from the average of their cohort and period, weighted by squared
    weights. Cohort shares and the number of units are taken as given; critical values are
    normal. In unbalanced panels averages weigh cells by the size of their cohort;
    ``extra["static"]`` is the average over the treated rows observed, each row counted once.

    In clusters of several units rows keep their own squared weights, as in R's didimputation.
    Equation 8 with clusters in place of units would weigh a cell's clusters by the squares of
    their total weights. Both centres bound the variance from above, since any constant does; the
    second is the least bound for one cell, and smaller where clusters are unequal. The larger is
    kept: few unequal clusters make clustered errors too small already.

    ``extra["pre_trends"]`` holds the estimator's own test: leads of treatment in a regression
    on untreated rows alone, with clustered standard errors, independent of the effects.

    Source
    ------
    Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6): theorem 2 for the
    estimator, equations 6-8 for the variance, appendix A.9 for leaving one out, section 4.4
    for the pre-trend test.
    """

    leave_one_out: bool = False
    pre_periods: int | None = None

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "cohort-by-period effects by imputation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pre_periods is not None and self.pre_periods < 0:
            raise DesignError(f"pre_periods counts leads, 0 or more; it was {self.pre_periods!r}.")

    def _needs_rows(self, design: Design) -> str | None:
        return covariates_by_unit(design)

    def _refuse_design(self, design: Design) -> None:
        _lead_count(design, self.pre_periods)

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        cells = cells[cells.event_time >= -design.anticipation]
        moments = None if design.covariates else moments_of(design)
        imputed = impute(
            design,
            cells,
            moments=moments,
            squared_weights=True,
            leave_one_out=self.leave_one_out,
            sampled_shares=False,
        )
        estimates, uncertainty, lone = imputed.means, imputed.uncertainty, imputed.lone
        known = ~np.isnan(estimates)
        if self.leave_one_out and (lone & known).any():
            _refuse_lone(design, cells[lone & known])
        cell_notes = np.where(lone, "one cluster: its own variation is not counted", "")
        cell_notes = cell_notes.astype(object)
        cell_notes[~known] = reasons_lost(design, cells[~known], unlinked(design))
        notes = ["Untreated outcomes imputed from all untreated rows; cohort shares as given."]
        if design.covariates:
            notes.append(f"Imputed linearly in {', '.join(design.covariates)}.")
        extra: dict[str, object] = {}
        if (known & (cells.event_time >= 0)).any():
            extra["static"] = _static(self, design, cells, estimates, uncertainty)
        leads = _lead_count(design, self.pre_periods)
        if leads:
            extra["pre_trends"] = _pre_trends(self, design, leads, moments)
            notes.append(f'Own pre-trend test with {leads} leads in extra["pre_trends"].')
        return cell_result(
            self,
            design,
            cells,
            estimates,
            uncertainty,
            [str(note) for note in cell_notes],
            notes=notes,
            extra=extra,
        )


def _static(
    estimator: Imputation,
    design: Design,
    cells: Cells,
    estimates: Floats,
    uncertainty: Uncertainty,
) -> Result:
    """Average the effects over the treated rows observed, times their weights."""
    mass = row_mass(design)[cells.cohort, cells.period]
    mass *= ~np.isnan(estimates) & (cells.event_time >= 0)
    weights = np.zeros((1, len(cells) + len(design.cohort_values)))
    weights[0, : len(cells)] = mass / mass.sum()
    mean = cells_without_cohorts(["att"], [np.nan_to_num(estimates) @ weights[0, : len(cells)]])
    estimand = "average effect over treated rows by imputation"
    return result_of(estimator, design, mean, uncertainty.combine(weights), estimand=estimand)


def _refuse_lone(design: Design, cells: Cells) -> None:
    names = [
        f"({design.cohort_values[c]:g}, {design.periods[t]})"
        for c, t in zip(cells.cohort, cells.period, strict=True)
    ]
    raise EstimationError(
        f"leave_one_out needs two clusters in every cell; {plural(len(names), 'cell')} (cohort, "
        f"period) {'has' if len(names) == 1 else 'have'} one: {listing(names)}. Merge small "
        "cohorts, or use leave_one_out=False, whose standard errors are too small there."
    )


def _before_onset(design: Design) -> Floats:
    """Return the distance of each period from each cohort's onset, shape (C + 1, T)."""
    onset = np.append(design.cohort_values, np.inf) - design.anticipation
    return np.asarray(design.periods[None, :] - onset[:, None])


def _lead_times(design: Design) -> Floats:
    """Return the distances before onset at which some cohort is seen, the nearest first."""
    found = np.unique(_before_onset(design)[:-1])
    return found[found < 0][::-1]


def _lead_count(design: Design, asked: int | None) -> int:
    """Return how many leads the untreated rows tell apart, or refuse what was asked."""
    longest = len(_lead_times(design))
    if asked is None:
        return min(DEFAULT_LEADS, max(longest - 1, 0))
    if asked >= longest and asked:
        raise DesignError(
            f"pre_periods={asked} leaves no untreated period to measure leads from: the longest "
            f"stretch before treatment has {plural(longest, 'period')}. Ask for "
            f"{longest - 1} or fewer."
        )
    return asked


def _pre_trends(
    estimator: Imputation, design: Design, leads: int, moments: GroupMoments | None
) -> Result:
    """Regress untreated outcomes on leads of treatment."""
    n_periods = len(design.periods)
    times = _lead_times(design)[:leads]
    marks = (_before_onset(design)[:, :, None] == times).astype(np.float64)
    columns = np.concatenate((period_dummies(design), marks), axis=2)
    covariates = design.covariate_array() if design.covariates else None
    fit = regress(
        design,
        columns,
        used=untreated_periods(design),
        covariates=covariates,
        moments=moments,
    )
    functionals = np.eye(len(fit.solution.scale))[n_periods : n_periods + leads][::-1]
    known = fit.solution.estimable(functionals)
    functionals[~known] = 0.0
    estimates = np.where(known, functionals @ fit.solution.coefficients, np.nan)
    event_time = times[::-1] - design.anticipation
    cells = cells_without_cohorts(
        [f"lead {-e:g}" for e in event_time],
        estimates,
        np.where(known, "", "the untreated rows do not tell this lead apart").tolist(),
        event_time=event_time,
    )
    estimand = "leads of treatment in untreated rows"
    return result_of(estimator, design, cells, fit.uncertainty(functionals), estimand=estimand)
