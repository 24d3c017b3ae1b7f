"""The interaction-weighted event study of Sun and Abraham (2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing
from impact.estimators.base import COHORTS, Estimator, Requirement, covariates_by_unit
from impact.estimators.parts.cells import (
    BASE_NOTE,
    Cells,
    Regression,
    all_cells,
    cell_result,
    last_period_before,
    period_dummies,
    reasons_lost,
    regress,
)
from impact.result import Result

__all__ = ["SunAbraham"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class SunAbraham(Estimator):
    r"""Estimate effects by cohort and period in one regression saturated in both.

    .. math:: Y_{it} = \alpha_i + \lambda_t + x_{it}'\gamma
              + \sum_{g} \sum_{e \ne -1} \delta_{g,e} 1\{G_i = g, t - g = e\} + u_{it}

    Parameters
    ----------
    base_event_times : event times whose effects are set to zero; if None, each cohort's last
        period before treatment (less the design's anticipation)
    covariance : "CR1", clustered; "classical" takes errors as independent with one variance
        (fixest's default)

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated period, nobody to compare with,
        a base event time after treatment
    EstimationError : no effect can be estimated

    Notes
    -----
    The comparison is with units never treated. Without any, it is with the cohort treated
    last: its effects are not estimated, and the periods from its treatment on do not enter.
    Covariates enter linearly, in levels; their coefficients are in ``extra["covariates"]``.
    Standard errors are clustered, with the factor G/(G-1) (n-1)/(n-K) and t(G-1), as in
    fixest; averages over cohorts take cohort shares as given. Without covariates, balanced and
    with never-treated units, estimates are the group-time effects of Callaway and Sant'Anna
    (never treated, universal base).

    Source
    ------
    Sun and Abraham (2021), Journal of Econometrics 225(2), equations 26-28.
    """

    base_event_times: tuple[int, ...] | None = None
    covariance: Literal["CR1", "classical"] = "CR1"

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "cohort-by-period effects, interaction-weighted"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.base_event_times
        if given is not None and (not given or any(e >= 0 for e in given)):
            raise DesignError(
                "base_event_times must hold event times before treatment, such as (-1,), where "
                f"effects are zero by assumption; it was {given!r}."
            )

    def _needs_rows(self, design: Design) -> str | None:
        if self.covariance == "classical":
            return 'covariance="classical" needs the residual of every row'
        return covariates_by_unit(design)

    def _refuse_design(self, design: Design) -> None:
        _base_cells(design, all_cells(design), self.base_event_times)

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        base = _base_cells(design, cells, self.base_event_times)
        used, compared = _comparison_rows(design)
        free = ~base & used[cells.cohort, cells.period] & ~compared[cells.cohort]
        n_periods = len(design.periods)
        dummies = period_dummies(design)
        columns = cells[free].indicators(len(dummies), n_periods)
        covariates = design.covariate_array() if design.covariates else None
        fit = regress(
            design, np.concatenate((dummies, columns), axis=2), used=used, covariates=covariates,
            classical=self.covariance == "classical",
        )  # fmt: skip
        functionals = np.zeros((len(cells) + len(design.cohort_values), len(fit.solution.scale)))
        functionals[np.flatnonzero(free), n_periods + np.arange(free.sum())] = 1.0
        known = fit.solution.estimable(functionals[: len(cells)]) & (free | base)
        known &= ~compared[cells.cohort]
        functionals[: len(cells)][~known] = 0.0
        estimates = np.where(known, functionals[: len(cells)] @ fit.solution.coefficients, np.nan)
        return cell_result(
            self,
            design,
            cells,
            estimates,
            fit.uncertainty(functionals),
            _cell_notes(design, cells, base, known, compared),
            notes=_notes(design, compared),
            comparison=_compares(used, compared),
            extra={"covariates": covariate_table(design, fit)} if design.covariates else None,
        )


def _base_cells(design: Design, cells: Cells, event_times: tuple[int, ...] | None) -> Booleans:
    """Mark each cohort's cells that are zero by construction, shape (K,)."""
    if event_times is not None:
        base = np.isin(cells.event_time, event_times)
        lacking = np.setdiff1d(np.arange(len(design.cohort_values)), cells.cohort[base])
        if len(lacking):
            who = listing(f"{g:g}" for g in design.cohort_values[lacking])
            raise EstimationError(
                f"cohort {who} is not seen at any "
                f"of base_event_times={event_times}, so its effects have no level to be measured "
                "from. Choose event times that every cohort has before treatment."
            )
        return np.asarray(base)
    return last_period_before(design, cells)


def _comparison_rows(design: Design) -> tuple[Booleans, Booleans]:
    """Say which cells of rows enter, (C + 1, T), and which cohort only compares, (C,)."""
    n_cohorts, n_periods = len(design.cohort_values), len(design.periods)
    used = np.ones((n_cohorts + 1, n_periods), dtype=bool)
    compared = np.zeros(n_cohorts, dtype=bool)
    if not design.has_never_treated:
        compared[-1] = True
        used &= design.periods < design.cohort_values[-1] - design.anticipation
    return used, compared


def _compares(used: Booleans, compared: Booleans) -> Booleans:
    """Mark the rows that serve as comparison: never treated, or the cohort treated last."""
    who = np.append(compared, not compared.any())
    return np.asarray(used & who[:, None])


def _cell_notes(
    design: Design, cells: Cells, base: Booleans, known: Booleans, compared: Booleans
) -> list[str]:
    notes = np.where(base & known, BASE_NOTE, "").astype(object)
    notes[~known] = reasons_lost(design, cells[~known])
    notes[compared[cells.cohort]] = "this cohort, treated last, serves as comparison"
    return [str(note) for note in notes]


def _notes(design: Design, compared: Booleans) -> list[str]:
    notes = ["Compared with units never treated; cohort shares taken as given."]
    if compared.any():
        notes = [
            f"No unit is never treated: compared with cohort {design.cohort_values[-1]:g}, in "
            "periods before its treatment; cohort shares taken as given."
        ]
    if design.covariates:
        notes.append(f"Linear in {', '.join(design.covariates)}.")
    return notes


def covariate_table(design: Design, fit: Regression) -> pd.DataFrame:
    """Return the covariates' coefficients with standard errors, in units of the covariates."""
    k = len(design.covariates)
    functionals = np.eye(len(fit.solution.scale))[-k:]
    known = fit.solution.estimable(functionals)
    scale = fit.covariate_scale
    errors = np.sqrt(fit.uncertainty(functionals).variances()) / scale
    estimates = fit.solution.coefficients[-k:] / scale
    return pd.DataFrame(
        {
            "estimate": np.where(known, estimates, np.nan),
            "std_error": np.where(known, errors, np.nan),
        },
        index=pd.Index(design.covariates, name="term"),
    )
