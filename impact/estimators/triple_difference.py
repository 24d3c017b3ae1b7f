"""Triple differences, also with several dates: Ortiz-Villavicencio and Sant'Anna (2025)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, plural
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.estimators.parts.cells import BASE_NOTE
from impact.estimators.parts.contributions import clustered, unit_weights
from impact.estimators.parts.group_time import (
    Comparison,
    GroupTimeFit,
    GroupTimePlan,
    UnitCovariates,
    plan_cells,
)
from impact.estimators.parts.reporting import result_of
from impact.kernels.doubly_robust import conditional_did
from impact.result import Result

__all__ = ["TripleDifference"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# (own cohort, eligible) of each comparison group, and the sign of its difference.
_CORNERS = ((True, False, 1.0), (False, True, 1.0), (False, False, -1.0))


@dataclass(frozen=True)
class TripleDifference(Estimator):
    """Estimate the effect on eligible units where a programme opens for some units in some places.

    With G the period in which a unit's place opens and Q whether the unit is eligible:
    ATT(g, t) = DiD of (g, eligible) with (g, not eligible) + DiD with (c, eligible) - DiD with
    (c, not eligible), c a place not open by t; without covariates, the difference between
    places of the difference between eligible and other units of the change since before g.

    Parameters
    ----------
    eligible : column, one value a unit, 1 for units the programme is for and 0 for others. The
        design's cohort is the period in which the unit's place opens, for both kinds of unit
    comparison : "never_treated" compares with places that never open; "not_yet_treated" with
        each cohort of places yet to open in turn, combined with the weights that give the
        smallest variance (pooling them would need more than parallel gaps)
    method : with covariates, "doubly_robust", "regression" or "inverse_probability"
    trim : comparison units whose propensity is at least this much are left out

    Raises
    ------
    DesignError : the eligibility column is not 0 or 1, or changes within a unit; no place opens
        later or never
    EstimationError : one of the four groups is empty in every cell

    Notes
    -----
    Assumes that, without the programme, the gap between eligible and other units would have
    moved alike in places that open and in those that do not (given covariates, which enter
    from the base period or earlier), that other units are not affected, and no effect earlier
    than ``anticipation``. In a panel with gaps each cell uses units observed in both of its
    periods. Covariances sum contributions within clusters, with no small-sample factor.

    Source
    ------
    Ortiz-Villavicencio and Sant'Anna (2025), "Better Understanding Triple Differences
    Estimators", arXiv 2505.09942.
    """

    eligible: str = field(kw_only=True)
    comparison: Comparison = "never_treated"
    method: Literal["doubly_robust", "regression", "inverse_probability"] = "doubly_robust"
    trim: float = 0.995

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "group-time average effects on eligible units"

    def _refuse_design(self, design: Design) -> None:
        if self.comparison == "never_treated" and not np.isnan(design.cohorts).any():
            raise EstimationError(
                "comparison='never_treated' needs places that never open; all of this design open "
                "in the end. Use comparison='not_yet_treated'."
            )

    def _estimate(self, design: Design) -> Result:
        eligible = _eligibility(design, self.eligible)
        plan = plan_cells(design, self.comparison, "universal")
        weights, codes = unit_weights(design), design.cohort_codes
        n_cells, n_cohorts = len(plan), len(design.cohort_values)
        estimates = np.full(n_cells, np.nan)
        psi = np.zeros((design.n_units, n_cells + n_cohorts))
        notes = [plan.absence(k) for k in range(n_cells)]
        counts = np.zeros((n_cells, 2), dtype=np.int64)
        covariates = UnitCovariates(design)
        for k in range(n_cells):
            if notes[k]:
                estimates[k] = 0.0 if notes[k] == BASE_NOTE else np.nan
                continue
            found = [
                self._against(design, plan, k, int(c), eligible, covariates)
                for c in np.flatnonzero(plan.compares[k])
            ]
            usable = [f for f in found if not f.fault]
            if not usable:
                notes[k] = found[0].fault
                continue
            estimates[k], psi[:, k] = _combine(usable)
            counts[k] = usable[0].n_treated, sum(f.n_comparison for f in usable)
        mass = weights * eligible
        shares = np.bincount(codes, mass, n_cohorts + 1)[:-1] / weights.sum()
        member = (codes[:, None] == np.arange(n_cohorts)) * eligible[:, None]
        psi[:, n_cells:] = weights[:, None] * (member - shares) / weights.sum()
        fitted = GroupTimeFit(
            estimates, clustered(design, psi), shares, counts[:, 0], counts[:, 1], notes
        )
        if not fitted.has_effects:
            raise EstimationError(
                "no effect on eligible units can be estimated: "
                + "; ".join(sorted({note for note in notes if note not in ("", BASE_NOTE)}))
                + "."
            )
        return result_of(
            self,
            design,
            fitted.table(design, plan),
            fitted.uncertainty,
            shares=fitted.cohort_shares(design),
            notes=(
                f"{plural(int(eligible.sum()), 'eligible unit')} by {self.eligible}; compared with "
                "the others in the same place, and both kinds in places "
                + ("never open." if self.comparison == "never_treated" else "not yet open."),
            ),
        )

    def _against(
        self,
        design: Design,
        plan: GroupTimePlan,
        k: int,
        other: int,
        eligible: Booleans,
        covariates: UnitCovariates,
    ) -> _Corner:
        """Estimate one cell against one cohort of places."""
        codes, weights = design.cohort_codes, unit_weights(design)
        change = design.outcomes[:, plan.period[k]] - design.outcomes[:, plan.base[k]]
        seen = ~np.isnan(change)
        own = seen & (codes == plan.cohort[k])
        away = seen & (codes == other)
        earlier = int(min(plan.period[k], plan.base[k]))
        estimate, psi, n_comparison = 0.0, np.zeros(len(codes)), 0
        treated = own & eligible
        if not treated.any():
            return _Corner.missing("no eligible unit of the cohort is observed in both periods")
        for same, able, sign in _CORNERS:
            group = (own if same else away) & (eligible if able else ~eligible)
            if not group.any():
                who = "eligible" if able else "ineligible"
                where = "where the programme opens" if same else "in the places compared with"
                return _Corner.missing(f"no {who} unit {where} is observed in both periods")
            rows = np.flatnonzero(treated | group)
            X = covariates.at(earlier, rows)
            fitted = conditional_did(
                change[rows, None], treated[rows], X, weights[rows],
                self.method if X.shape[1] > 1 else "regression", self.trim,
            )  # fmt: skip
            if fitted.fault:
                return _Corner.missing(fitted.fault)
            estimate += sign * float(fitted.estimates[0])
            psi[rows] += sign * fitted.psi[:, 0]
            n_comparison += int(group.sum())
        return _Corner(estimate, psi, int(treated.sum()), n_comparison)


@dataclass(frozen=True, eq=False)
class _Corner:
    """One cell against one cohort of places: estimate, contributions (N,), counts, or a fault."""

    estimate: float
    psi: Floats
    n_treated: int = 0
    n_comparison: int = 0
    fault: str = ""

    @classmethod
    def missing(cls, fault: str) -> _Corner:
        return cls(np.nan, np.zeros(0), fault=fault)


def _combine(found: list[_Corner]) -> tuple[float, Floats]:
    """Average estimates of the same effect with the weights of smallest variance."""
    psi = np.stack([f.psi for f in found], axis=1)
    estimates = np.array([f.estimate for f in found])
    if len(found) == 1:
        return float(estimates[0]), psi[:, 0]
    covariance = psi.T @ psi
    weights = np.linalg.pinv(covariance, rcond=1e-12, hermitian=True).sum(axis=1)
    weights /= weights.sum()
    return float(weights @ estimates), psi @ weights


def _eligibility(design: Design, name: str) -> Booleans:
    """Read the eligibility column, refusing anything but 0 and 1 a unit."""
    values = pd.to_numeric(design.sample.unit_values(name), errors="coerce")
    wrong = ~values.isin([0, 1]).to_numpy()
    if wrong.any():
        first = design.sample.units[wrong][0]
        raise DesignError(
            f'eligibility column "{name}" is neither 0 nor 1 in '
            f"{plural(int(wrong.sum()), 'unit')}, first {design.panel.unit} {first}; it says who "
            "the programme is for. Recode it, or drop those units."
        )
    return np.asarray(values.to_numpy() == 1)
