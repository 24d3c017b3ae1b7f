"""Doubly robust difference-in-differences on two periods (Sant'Anna and Zhao 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing, plural
from impact.estimators.base import SECTIONS, Estimator, Requirement
from impact.estimators.parts.contributions import clustered, unit_weights
from impact.estimators.parts.reporting import result_of
from impact.kernels.doubly_robust import (
    ConditionalDiD,
    Method,
    conditional_did,
    conditional_did_sections,
)
from impact.kernels.sections import abadie_sections, improved_sections
from impact.result import Result

__all__ = ["DoublyRobustDiD"]

Booleans = NDArray[np.bool_]


def _not_two_by_two(design: Design) -> str | None:
    if len(design.periods) == 2 and len(design.cohort_values) == 1:
        return None
    return (
        f"this design has {plural(len(design.periods), 'period')} ({listing(design.periods)}) and "
        f"{plural(len(design.cohort_values), 'cohort')}. Keep one period before and one after, or "
        "use CallawaySantAnna, which compares every pair of periods the same way."
    )


@dataclass(frozen=True)
class DoublyRobustDiD(Estimator):
    """Estimate the effect on the treated from one period before and one after.

    With D treated, X covariates before treatment, p(X) the propensity and m(X) the expected
    change of comparison units: E[w (dY - m(X))] with w = D / E[D] - (p (1-D) / (1-p)) / E[.].
    It is right if either the propensity or the regression is.

    Parameters
    ----------
    method : "doubly_robust" (logit and least squares), "improved" (propensity tilted to
        balance X exactly, regression weighted by its odds: standard errors hold whichever
        model is wrong), "regression", "inverse_probability" (weights that sum to one) or
        "horvitz_thompson" (Abadie's weights). Without covariates all are the difference of
        mean changes, save "horvitz_thompson" on repeated cross-sections
    trim : comparison units whose propensity is at least this much are left out

    Raises
    ------
    DesignError : more than two periods, more than one cohort, nobody to compare with
    EstimationError : the covariates separate the groups or are collinear

    Notes
    -----
    Assumes parallel trends given the covariates. Units missing one of the two periods are
    left out and counted. In repeated cross-sections (each unit observed once) the locally
    efficient forms are used, with covariates as observed in the row and the assumption that who
    is sampled does not change. Standard errors are those of the influence functions, summed
    within clusters, with no small-sample factor (as in R DRDID).

    Source
    ------
    Sant'Anna and Zhao (2020), Journal of Econometrics 219(1); Abadie (2005), Review of Economic
    Studies 72(1); Heckman, Ichimura and Todd (1997). R DRDID 1.2.3 for the conventions.
    """

    method: Method = "improved"
    trim: float = 0.995

    requires: ClassVar[tuple[Requirement, ...]] = (
        *SECTIONS,
        Requirement("two periods and one date of treatment", _not_two_by_two),
    )
    estimand: ClassVar[str] = "average effect on the treated in the second period"

    def _estimate(self, design: Design) -> Result:
        sections = design.is_repeated_cross_section
        keep = np.ones(design.n_units, dtype=bool)
        if not sections:
            keep &= ~np.isnan(design.outcomes).any(axis=1)
        treated = ~np.isnan(design.cohorts)
        for who, arm in (("treated", treated), ("comparison", ~treated)):
            seen = (~np.isnan(design.outcomes[arm & keep])).any(axis=0)
            if not seen.all():
                raise EstimationError(
                    f"no {who} unit is observed in {listing(design.periods[~seen])}"
                    + ("" if sections else " as well as in the other period")
                    + "; both arms must be seen before and after."
                )
        fitted = self._compare(design, keep, treated)
        if fitted.fault:
            raise EstimationError(
                f"the effect cannot be estimated: {fitted.fault}. Use fewer or coarser covariates."
            )
        psi = np.zeros((design.n_units, 1))
        psi[keep] = fitted.psi
        cohort, time = design.cohort_values[0], design.periods[1]
        cells = pd.DataFrame(
            {
                "term": ["att"],
                "cohort": [cohort],
                "time": [time],
                "event_time": [time - cohort],
                "estimate": fitted.estimates,
                "weight": [1.0],
                "note": [""],
                "n_treated": [int((treated & keep).sum())],
                "n_comparison": [int((~treated & keep).sum())],
            }
        )
        notes = _notes(self, design, fitted, int((~keep).sum()))
        return result_of(self, design, cells, clustered(design, psi), notes=notes)

    def _compare(self, design: Design, keep: Booleans, treated: Booleans) -> ConditionalDiD:
        weights = unit_weights(design)
        sections = design.is_repeated_cross_section
        layers = [design.sample.matrix(name) for name in design.covariates]
        before = [np.nansum(v, axis=1) if sections else v[:, 0] for v in layers]
        X = np.stack([np.ones(design.n_units), *before], axis=1)[keep]
        scale = X[:, 1:].std(axis=0)
        X[:, 1:] = (X[:, 1:] - X[:, 1:].mean(axis=0)) / np.where(scale > 0, scale, 1.0)
        method: Method = self.method if design.covariates else "regression"
        if sections:
            after = ~np.isnan(design.outcomes[:, 1])
            outcome = np.nansum(design.outcomes, axis=1)
            if self.method == "horvitz_thompson":
                return abadie_sections(outcome, treated, after, X, weights, self.trim)
            if method == "improved":
                return improved_sections(outcome, treated, after, X, weights, self.trim)
            return conditional_did_sections(outcome, treated, after, X, weights, method, self.trim)
        change = np.diff(design.outcomes[keep], axis=1)
        return conditional_did(change, treated[keep], X, weights[keep], method, self.trim)


def _notes(
    estimator: DoublyRobustDiD, design: Design, fitted: ConditionalDiD, n_lost: int
) -> tuple[str, ...]:
    notes = []
    if design.covariates:
        how = estimator.method.replace("_", " ")
        notes.append(f"At equal {', '.join(design.covariates)} ({how}).")
    if design.is_repeated_cross_section:
        notes.append("Repeated cross-sections: units are not followed.")
    if fitted.n_trimmed:
        notes.append(
            f"{plural(fitted.n_trimmed, 'comparison unit')} with a propensity of at least "
            f"{estimator.trim:g} left out."
        )
    if fitted.n_redundant:
        notes.append(f"{plural(fitted.n_redundant, 'covariate')} left out, set by the others.")
    if n_lost:
        notes.append(f"{plural(n_lost, 'unit')} observed in one period only left out.")
    return tuple(notes)
