"""Effects by amount received: Callaway, Goodman-Bacon and Sant'Anna (2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import COHORTS, NO_COVARIATES, Estimator, Requirement
from impact.estimators.parts.cells import BASE_NOTE
from impact.estimators.parts.contributions import clustered, unit_weights
from impact.estimators.parts.group_time import (
    BasePeriod,
    Comparison,
    GroupTimeFit,
    GroupTimePlan,
    plan_cells,
)
from impact.estimators.parts.reporting import cells_without_cohorts, result_of
from impact.inference.scores import Uncertainty
from impact.kernels.dose_curve import DoseCurve, SplineBasis, dose_curve
from impact.result import Result

__all__ = ["DoseResponse"]

Floats = NDArray[np.float64]

# A dose this share of treated units receive exactly is reported as a mass point.
MASS_POINT = 0.05

NO_CELL = (
    "no cell after treatment has both treated and comparison units observed before and after. Use "
    "comparison='not_yet_treated', or a longer panel."
)


def _lacks_dose(design: Design) -> str | None:
    if design.dose is None:
        return "this design states none. Give Design dose= instead of cohort= or treated=."
    after = design.periods >= design.cohorts[:, None]
    doses = np.where(after, design.doses, np.nan)
    spread = np.nanmax(doses, axis=1, initial=-np.inf, where=~np.isnan(doses)) - np.nanmin(
        doses, axis=1, initial=np.inf, where=~np.isnan(doses)
    )
    changing = design.sample.units[spread > 0]
    if len(changing):
        return (
            f'"{design.dose}" changes after treatment began in {plural(len(changing), "unit")}, '
            f"first {design.panel.unit} {listing(changing)}, so a unit has no one dose. Use "
            "SwitchersDiD, or give the total received in every period from the first on."
        )
    return None


@dataclass(frozen=True)
class DoseResponse(Estimator):
    """Estimate the effect of each amount, ATT(d), or of a little more of it, ACRT(d).

    ATT(d) = E[dY | dose d] - E[dY | comparison] and ACRT(d) its derivative, on a regression
    spline in the dose, averaged over cohorts by size and within them over periods after
    treatment began. The first row averages the curve over the treated units' doses.

    Parameters
    ----------
    target : "level" for ATT(d), "slope" for ACRT(d)
    doses : amounts at which to show the curve; the nine deciles of treated doses if None
    degree : of the spline, 1 for straight lines between knots
    knots : number of interior knots, at quantiles of the treated doses
    comparison : "not_yet_treated" or "never_treated" units
    by : "dose" for the curve; "event_time" for ATT(g, t) or ACRT(g, t), the curve of each cohort
        and period averaged over the cohort's doses, before treatment too, so that
        ``result.event_study()`` shows when effects set in and whether any came before
    base_period : of the cells before treatment with ``by="event_time"``, "universal" or
        "varying"

    Raises
    ------
    DesignError : no dose is stated, it changes after treatment began, nobody is untreated,
        covariates, or doses= beside by="event_time"
    EstimationError : a cohort's doses take too few values for the spline

    Notes
    -----
    ATT(d) needs parallel trends for each dose group. ACRT(d), and any comparison of two doses,
    needs strong parallel trends: that units which received d would have responded to d' as
    those did that received d'. Where firms with more to gain ask for more, the slope mixes
    both. Amounts that bunch at a legal ceiling are named in the notes: between mass points
    the curve is interpolation by the spline, not data, and above a ceiling it cannot be known.
    Asked-for doses outside those observed are NaN. The support is in ``result.extra``.

    In a panel with gaps each cell uses units observed in both of its periods. Standard errors
    count the estimation of the comparison, the curve and the cohorts' shares, not the choice
    of spline.

    Source
    ------
    Callaway, Goodman-Bacon and Sant'Anna (2024), NBER working paper 32117. Averages and event
    studies of slopes equal R contdid 0.1.0. Its curve is evaluated with end knots other than
    those it was fitted with, and its event study of levels takes the dose for a treatment
    indicator: E[D dY] / E[D] - E[(1 - D) dY] / E[1 - D].
    """

    target: Literal["level", "slope"] = "level"
    doses: Sequence[float] | None = None
    degree: int = 3
    knots: int = 1
    comparison: Comparison = "not_yet_treated"
    by: Literal["dose", "event_time"] = "dose"
    base_period: BasePeriod = "universal"

    requires: ClassVar[tuple[Requirement, ...]] = (
        *COHORTS,
        Requirement("one dose a unit", _lacks_dose),
        NO_COVARIATES,
    )
    estimand: ClassVar[str] = "average effects on the treated by dose"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.doses is not None:
            object.__setattr__(self, "doses", tuple(float(d) for d in self.doses))
            if self.by == "event_time":
                raise DesignError(
                    'DoseResponse: doses= names points of the curve, and by="event_time" averages '
                    "the curve over the doses received. Leave out one of the two."
                )
        for name, least in (("degree", 1), ("knots", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise DesignError(
                    f"DoseResponse: {name} is a whole number, {least} or more; it was {value!r}."
                )

    def _estimate(self, design: Design) -> Result:
        doses = _received(design)
        own = np.sort(doses[doses > 0])
        basis = _basis(own, self.degree, self.knots)
        if self.by == "event_time":
            return self._by_event_time(design, doses, basis)
        return self._by_dose(design, doses, basis)

    def _by_dose(self, design: Design, doses: Floats, basis: SplineBasis) -> Result:
        """Average the curves of all cells after treatment."""
        own = np.sort(doses[doses > 0])
        grid = np.asarray(
            np.unique(np.quantile(own, np.arange(1, 10) / 10, method="inverted_cdf"))
            if self.doses is None
            else self.doses
        )
        inside = (grid >= own[0]) & (grid <= own[-1])
        fitted = self._average(design, doses, basis, grid[inside])
        estimates = np.full(1 + len(grid), np.nan)
        psi = np.zeros((design.n_units, 1 + len(grid)))
        shown = np.concatenate(([True], inside))
        estimates[shown] = fitted[0]
        psi[:, shown] = fitted[1]
        cells = cells_without_cohorts(
            [f"{self._symbol}, average", *(f"{self._symbol}({d:g})" for d in grid)],
            estimates,
            ["", *np.where(inside, "", "outside the doses observed")],
            n_treated=int((doses > 0).sum()),
            n_comparison=int((doses == 0).sum()),
        )
        points = np.concatenate(([np.nan], grid))
        return self._result(design, doses, cells, clustered(design, psi), None, dose=points)

    def _by_event_time(self, design: Design, doses: Floats, basis: SplineBasis) -> Result:
        """Average each cell's curve over the doses of its cohort."""
        plan = plan_cells(design, self.comparison, self.base_period)
        n_cells, n_cohorts = len(plan), len(design.cohort_values)
        notes = [plan.absence(k) for k in range(n_cells)]
        estimates = np.where([note == BASE_NOTE for note in notes], 0.0, np.nan)
        psi = np.zeros((design.n_units, n_cells + n_cohorts))
        counts = np.zeros((n_cells, 2), dtype=np.int64)
        for k in range(n_cells):
            if notes[k]:
                continue
            rows, curve, counts[k] = self._cell(design, plan, k, doses, basis, np.zeros(0))
            if curve is None:
                notes[k] = "no treated or no comparison unit is observed in both periods"
                continue
            estimates[k] = curve.estimates[0]
            psi[rows, k] = curve.psi[:, 0]
        shares, psi[:, n_cells:] = _shares(design)
        fitted = GroupTimeFit(
            estimates, clustered(design, psi), shares, counts[:, 0], counts[:, 1], notes
        )
        if not fitted.has_effects:
            raise EstimationError(NO_CELL)
        return self._result(
            design,
            doses,
            fitted.table(design, plan, self._symbol),
            fitted.uncertainty,
            fitted.cohort_shares(design),
        )

    def _result(
        self,
        design: Design,
        doses: Floats,
        cells: pd.DataFrame,
        uncertainty: Uncertainty,
        shares: pd.Series | None,
        **extra: object,
    ) -> Result:
        own = np.sort(doses[doses > 0])
        support = _support(own)
        return result_of(
            self,
            design,
            cells,
            uncertainty,
            shares=shares,
            notes=_notes(own, support),
            extra={**extra, "support": support},
        )

    @property
    def _symbol(self) -> str:
        return "att" if self.target == "level" else "acrt"

    def _cell(
        self,
        design: Design,
        plan: GroupTimePlan,
        k: int,
        doses: Floats,
        basis: SplineBasis,
        grid: Floats,
    ) -> tuple[NDArray[np.int64], DoseCurve | None, tuple[int, int]]:
        """Fit one cell's curve; return its units, the curve if there is one, and counts."""
        outcomes, codes, weights = design.outcomes, design.cohort_codes, unit_weights(design)
        change = outcomes[:, plan.period[k]] - outcomes[:, plan.base[k]]
        rows = np.flatnonzero((plan.roles(k)[codes] > 0) & ~np.isnan(change))
        own = codes[rows] == plan.cohort[k]
        counts = int(own.sum()), int((~own).sum())
        if not own.any() or own.all():
            return rows, None, counts
        curve = dose_curve(
            change[rows], own, doses[rows], weights[rows], basis, grid,
            slope=self.target == "slope",
        )  # fmt: skip
        needs_curve = self.target == "slope" or len(grid) > 0
        if needs_curve and curve.rank < basis.size:
            self._refuse(design, int(plan.cohort[k]), doses[rows][own], basis)
        return rows, curve, counts

    def _average(
        self, design: Design, doses: Floats, basis: SplineBasis, grid: Floats
    ) -> tuple[Floats, Floats]:
        """Average the curves of all cells after treatment: estimates (1 + J,), psi (N, 1 + J)."""
        plan = plan_cells(design, self.comparison, "universal")
        n_units, n_cohorts = design.n_units, len(design.cohort_values)
        shares, moved = _shares(design)
        curves: list[list[tuple[Floats, Floats]]] = [[] for _ in range(n_cohorts)]
        for k in range(len(plan)):
            cohort = int(plan.cohort[k])
            if design.periods[plan.period[k]] < design.cohort_values[cohort] or plan.absence(k):
                continue
            rows, curve, _ = self._cell(design, plan, k, doses, basis, grid)
            if curve is not None:
                psi = np.zeros((n_units, len(curve.estimates)))
                psi[rows] = curve.psi
                curves[cohort].append((curve.estimates, psi))
        known = [c for c in range(n_cohorts) if curves[c]]
        if not known:
            raise EstimationError(NO_CELL)
        total = shares[known].sum()
        means = {c: np.mean([e for e, _ in curves[c]], axis=0) for c in known}
        estimates = sum(shares[c] / total * means[c] for c in known)
        psi = np.zeros((n_units, 1 + len(grid)))
        for c in known:
            psi += shares[c] / total * np.mean([p for _, p in curves[c]], axis=0)
            psi += moved[:, [c]] / total * (means[c] - estimates)
        return np.asarray(estimates), psi

    def _refuse(self, design: Design, cohort: int, doses: Floats, basis: SplineBasis) -> None:
        values = len(np.unique(doses))
        raise EstimationError(
            f"the doses of cohort {design.cohort_values[cohort]:g} take {plural(values, 'value')} "
            f"over {plural(len(doses), 'unit')}, spread too little for {basis.size} spline "
            "coefficients. Lower degree= or knots=, or estimate the effect of each amount as a "
            "treatment of its own."
        )


def _received(design: Design) -> Floats:
    """Return the dose each unit receives once treated, shape (N,), zero if never."""
    after = (design.periods >= design.cohorts[:, None]) & ~np.isnan(design.doses)
    last = np.where(after, design.doses, -np.inf).max(axis=1)
    treated = ~np.isnan(design.cohorts) & np.isfinite(last)
    return np.where(treated, last, 0.0)


def _shares(design: Design) -> tuple[Floats, Floats]:
    """Return cohorts' shares (C,) and what each unit contributes to them (N, C)."""
    codes, weights = design.cohort_codes, unit_weights(design)
    n_cohorts, total = len(design.cohort_values), weights.sum()
    shares = np.bincount(codes, weights, n_cohorts + 1)[:-1] / total
    moved = weights[:, None] * ((codes[:, None] == np.arange(n_cohorts)) - shares) / total
    return np.asarray(shares), np.asarray(moved)


def _basis(doses: Floats, degree: int, n_knots: int) -> SplineBasis:
    """Place knots at quantiles of the sorted treated doses, each once and inside their range."""
    knots = np.unique(np.quantile(doses, np.arange(1, n_knots + 1) / (n_knots + 1)))
    inside = (knots > doses[0]) & (knots < doses[-1])
    return SplineBasis(degree, knots[inside], float(doses[0]), float(doses[-1]))


def _support(doses: Floats) -> pd.DataFrame:
    """Count treated units by dose, in ten classes of equal width, with the mass points."""
    values, counts = np.unique(doses, return_counts=True)
    mass = counts / len(doses) >= MASS_POINT
    points = pd.DataFrame(
        {"from": values[mass], "to": values[mass], "units": counts[mass], "kind": "mass point"}
    )
    counts, edges = np.histogram(doses, bins=10)
    classes = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "units": counts, "kind": "class"})
    return pd.concat([points, classes], ignore_index=True)


def _notes(doses: Floats, support: pd.DataFrame) -> tuple[str, ...]:
    notes = [
        f"Doses of {plural(len(doses), 'treated unit')}: {doses[0]:g} to {doses[-1]:g}, median "
        f"{np.median(doses):g}; the curve is known between these only.",
        "Comparing doses assumes strong parallel trends: units at one dose show what another's "
        "would have done for those at the next.",
    ]
    mass = support[support["kind"] == "mass point"]
    if len(mass):
        share = mass["units"].sum() / len(doses)
        at = listing([f"{row['from']:g} ({row.units:,} units)" for _, row in mass.iterrows()], 5)
        notes.append(
            f"Doses bunch: {share:.0%} of treated units are at {at}. Between such points the curve "
            "is interpolation, and who stops at a ceiling may have wanted more."
        )
    return tuple(notes)
