"""Two-way fixed effects: one effect, or an event study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT, Requirement
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.regression import (
    Regression,
    RegressionEstimator,
    coefficient_cells,
    regress,
)
from impact.estimators.parts.table_regression import (
    Regressor,
    covariate_regressors,
    regress_table,
    treatment_regressors,
)
from impact.estimators.parts.variables import Variables, design_variables, unit_trend
from impact.result import Result
from impact.warehouse import TableSample

__all__ = ["TwoWayFixedEffects"]

Floats = NDArray[np.float64]

FEW_TREATED = 10
"""Treated clusters below which the reader is warned about cluster-robust standard errors."""


@dataclass(frozen=True, kw_only=True)
class TwoWayFixedEffects(RegressionEstimator):
    r"""Compare changes of treated units with changes of the others by unit and time effects.

    .. math:: y_{it} = \alpha_i + \lambda_t + \tau D_{it} + x_{it}'\beta + u_{it}

    or, as an event study, with :math:`\sum_{e \ne r} \tau_e 1\{t - g_i = e\}` in place of
    :math:`\tau D_{it}`, units never treated in the reference.

    Parameters
    ----------
    effect : "static" for one number, "event_study" for one a period since treatment began
    reference : event time set to zero; the last one before treatment and its anticipation if None
    first, last : event times at or beyond which effects are binned into one; none if None
    trends : give each unit a linear trend of its own
    accept_forbidden_comparisons : estimate although adoption is staggered or reverses

    Raises
    ------
    DesignError : adoption is staggered or reverses and that was not accepted; the reference is not
        an event time of the panel, or one of anticipation; anticipation with one effect
    EstimationError : unit and time effects explain the treatment, or the event times, exactly

    Notes
    -----
    Assumes parallel trends and, where units adopt at different dates, effects that are the same
    for all units and event times: the estimate also uses units treated earlier as comparison
    for those treated later, and may have the wrong sign when effects grow. With one date of
    adoption there are no such comparisons. Covariates of the design are included as regressors;
    their coefficients are in ``extra["covariates"]``. Unbalanced panels are exact; weights are
    the design's.

    Source
    ------
    Goodman-Bacon (2021), Journal of Econometrics 225(2), theorem 1; de Chaisemartin and
    D'Haultfoeuille (2020), American Economic Review 110(9); Sun and Abraham (2021), Journal
    of Econometrics 225(2), for the event study.
    """

    effect: Literal["static", "event_study"] = "static"
    reference: int | None = None
    first: int | None = None
    last: int | None = None
    trends: bool = False
    accept_forbidden_comparisons: bool = False

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT,)
    estimand: ClassVar[str] = "two-way fixed effects estimate of the effect of treatment"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, NO_ANTICIPATION) if self.effect == "static" else self.requires

    def _needs_rows(self, design: Design) -> str | None:
        return None

    def _refuse_design(self, design: Design) -> None:
        self._insist(design)
        if self.trends and design.table is not None:
            raise DesignError(
                "trends=True fits a slope to each unit's rows, which stay in their table. Draw "
                "units into memory with design.collect(share=...), or leave trends out."
            )
        if self.effect == "event_study":
            self._check_events(design, self._event_times(design))

    def _estimate(self, design: Design) -> Result:
        events = None if self.effect == "static" else self._event_times(design)
        treated = 1 if events is None else len(events) - 1
        fit = self._regress(design, events)
        self._check_identified(design, fit, treated)
        if events is None:
            return self._static(design, fit)
        return self._event_study(design, fit, events)

    def _regress(self, design: Design, events: NDArray[np.int64] | None) -> Regression:
        if design.table is not None:
            return self._regress_table(design, design.table, events)
        base = design_variables(design)
        return regress(
            design,
            base if events is None else self._event_variables(design, base, events),
            effects=effect_groups(design, base.rows, ("unit", "time")),
            slopes=unit_trend(design) if self.trends else None,
            covariance=self.covariance,
            convention=self.convention,
        )

    def _regress_table(
        self, design: Design, table: TableSample, events: NDArray[np.int64] | None
    ) -> Regression:
        treatment = treatment_regressors(design)
        if events is not None:
            ends = (self.first, self.last)
            treatment = [
                Regressor(
                    f"event_time {e}",
                    (-np.inf if e == ends[0] else float(e), np.inf if e == ends[1] else float(e)),
                )
                for e in events
                if e != self._reference(design)
            ]
        return regress_table(
            design,
            table,
            [*treatment, *covariate_regressors(design)],
            covariance=self.covariance,
            convention=self.convention,
        )

    def _insist(self, design: Design) -> None:
        """Refuse staggered or reversing adoption unless the user said to go on."""
        adoption = design.facts.adoption
        if self.accept_forbidden_comparisons or adoption not in ("staggered", "reversing"):
            return
        dates = f"first {listing(f'{v:g}' for v in design.cohort_values)}"
        how = (
            f"units adopt at {len(design.cohort_values)} dates ({dates})"
            if adoption == "staggered"
            else f"treatment stops again in {plural(len(design.reversing_units), 'unit')}"
        )
        raise DesignError(
            f"TwoWayFixedEffects compares newly treated with already treated units here, because "
            f"{how}; if effects differ or grow, its estimate can even have the wrong sign. Use "
            "CallawaySantAnna, or, to report the number all the same, pass "
            "accept_forbidden_comparisons=True."
        )

    def _event_times(self, design: Design) -> NDArray[np.int64]:
        """List the (binned) event times of the sample, shape (E,)."""
        relative = self._relative(design)
        return np.asarray(np.unique(relative[~np.isnan(relative)]).astype(np.int64))

    def _check_events(self, design: Design, times: NDArray[np.int64]) -> None:
        """Refuse reversals, and a reference that is anticipated or that nobody is seen at."""
        if len(design.reversing_units):
            raise DesignError(
                f"an event study needs treatment that lasts; it stops again in "
                f"{plural(len(design.reversing_units), 'unit')}, first {design.panel.unit} "
                f"{listing(design.reversing_units)}. State the first treated period with cohort= "
                'to study the time since treatment began, or use effect="static".'
            )
        reference = self._reference(design)
        if -design.anticipation <= reference < 0:
            raise DesignError(
                f"reference is the event time set to zero; it was {reference}, when treatment may "
                f"already act (anticipation={design.anticipation}). Give "
                f"{-1 - design.anticipation} or earlier, or None."
            )
        if reference not in times:
            raise DesignError(
                f"reference is the event time set to zero and must be seen in the sample; it was "
                f"{reference}, and event times run from {times[0]} to {times[-1]}."
            )

    def _reference(self, design: Design) -> int:
        return -1 - design.anticipation if self.reference is None else self.reference

    def _relative(self, design: Design) -> Floats:
        """Return the binned event time of each row, NaN for the never treated, shape (n,).

        For a table there is one row for each cohort and period it is observed in.
        """
        if design.table is not None:
            cohort, period = np.nonzero(design.table.by_cell(weighted=False))
            relative = design.periods[period] - np.append(design.cohort_values, np.nan)[cohort]
        else:
            sample = design.sample
            relative = design.periods[sample.time_codes] - design.cohorts[sample.unit_codes]
        first = -np.inf if self.first is None else self.first
        return np.asarray(np.clip(relative, first, np.inf if self.last is None else self.last))

    def _event_variables(
        self, design: Design, base: Variables, events: NDArray[np.int64]
    ) -> Variables:
        relative = self._relative(design)
        kept = events[events != self._reference(design)]
        dummies = (relative == kept[:, None]).astype(np.float64)
        names = tuple(f"event_time {e}" for e in kept)
        return Variables(
            base.rows,
            base.outcome,
            np.concatenate((dummies, base.regressors[1:])),
            (*names, *base.names[1:]),
        )

    def _check_identified(self, design: Design, fit: Regression, treated: int) -> None:
        lost = [r for r in fit.fit.redundant if r.column < treated]
        if not lost:
            return
        if self.effect == "static":
            raise EstimationError(
                f'unit and time effects explain the treatment "{design.treatment_column}" exactly, '
                "so nobody shows what would have happened without it. Add units never treated or "
                "treated later, or periods before treatment."
            )
        names = [fit.variables.names[r.column] for r in lost]
        raise EstimationError(
            f"{plural(len(lost), 'event time')} ({listing(names)}) cannot be told from unit and "
            "time effects: without units never treated, effects by event time are known only up to "
            "a line. Bin far event times with first= or last=, or add units never treated."
        )

    def _static(self, design: Design, fit: Regression) -> Result:
        keep = np.eye(len(fit.variables.names))[:1]
        cells = coefficient_cells(["att"], fit.coefficients[:1], [""])
        return self._result(design, fit, cells, keep, 1)

    def _event_study(self, design: Design, fit: Regression, events: NDArray[np.int64]) -> Result:
        reference = self._reference(design)
        others = np.flatnonzero(events != reference)
        keep = np.zeros((len(events), len(fit.variables.names)))
        keep[others, np.arange(len(others))] = 1.0
        estimates = np.zeros(len(events))
        estimates[others] = fit.coefficients[: len(others)]
        notes = ["reference" if e == reference else "" for e in events]
        cells = coefficient_cells([f"event_time {e}" for e in events], estimates, notes)
        cells["event_time"] = events.astype(np.float64)
        return self._result(design, fit, cells, keep, len(others))

    def _result(
        self, design: Design, fit: Regression, cells: pd.DataFrame, keep: Floats, treated: int
    ) -> Result:
        covariates = pd.Series(
            fit.coefficients[treated:], index=list(fit.variables.names[treated:])
        )
        return Result(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=fit.uncertainty.combine(keep),
            estimand=self.estimand,
            settings=self.settings(),
            notes=(*fit.notes(), *self._warnings(design)),
            extra={**fit.facts(), "covariates": covariates}
            | ({"regression": fit} if design.table is None else {}),
        )

    def _warnings(self, design: Design) -> tuple[str, ...]:
        facts = design.facts
        notes = []
        if facts.adoption in ("staggered", "reversing"):
            notes.append(
                f"Adoption is {facts.adoption}: the estimate also compares with units already "
                "treated."
            )
        few = facts.n_treated_clusters
        if 0 < few < FEW_TREATED and self.covariance not in ("CR2", "CR3", "jackknife"):
            notes.append(
                f"Only {plural(few, 'cluster')} of {facts.n_clusters} "
                f"{'is' if few == 1 else 'are'} treated: cluster-robust standard errors are too "
                "small; use permutation inference."
            )
        return tuple(notes)
