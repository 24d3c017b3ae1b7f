"""The effects of a plan: every outcome under the plan's estimators, and the numbers to report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, ImpactError, SpecError
from impact.estimators import estimator_class
from impact.estimators.base import Estimator
from impact.evaluation import Evaluation, Outcome
from impact.panel import Panel
from impact.report.derive import slug
from impact.report.hidden_effects import HiddenEffects, hidden_effects
from impact.report.suppression import SMALLEST_CELL
from impact.report.textbook import check_textbook
from impact.result import JointTest, Result
from impact.warehouse import TablePanel

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EffectNumber",
    "OutcomeEffect",
    "Verdict",
    "check_effects",
    "estimate_outcomes",
    "plan_design",
    "plan_panel",
    "verdict_of",
]

Verdict = Literal["rise", "fall", "no_effect", "cannot_tell"]
POWER = 0.8

_LIMITS = ("conf_low", "conf_high", "band_low", "band_high")


@dataclass(frozen=True)
class EffectNumber:
    """An effect in the unit a reader knows: percent for logarithms, else the outcome's unit.

    ``detectable`` and ``detectable_fall`` are the sizes of the smallest true rise and fall that
    would be found four times out of five, whatever the sign of the estimate. They are one number
    but for percent, where a rise and a fall of one size in logarithms differ.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    detectable: float
    detectable_fall: float


def verdict_of(low: float, high: float, smallest: float | None) -> Verdict:
    """Say what an interval shows, given the smallest effect of interest in the same unit."""
    if low > 0:
        return "rise"
    if high < 0:
        return "fall"
    if smallest is not None and -smallest < low and high < smallest:
        return "no_effect"
    return "cannot_tell"


@dataclass(frozen=True, eq=False)
class OutcomeEffect:
    """One outcome of the plan: its design, its estimates, and what they say.

    Parameters
    ----------
    outcome : the plan's outcome
    design : the design fitted
    result : the main estimator's result
    beside : results of the estimators shown for comparison, by name
    headline : whether the plan asks for the average effect or that of the first treated period
    level : confidence level
    smallest_cell : fewest treated units an estimate shown may rest on
    """

    outcome: Outcome
    design: Design
    result: Result
    beside: Mapping[str, Result]
    headline: str
    level: float
    smallest_cell: int = SMALLEST_CELL

    @property
    def main(self) -> EffectNumber:
        """The number the plan asks for."""
        return self.first if self.headline == "first_period" else self.average

    @cached_property
    def average(self) -> EffectNumber:
        """The average effect on the treated over their treated periods."""
        return self.number(self.result.att())

    @cached_property
    def first(self) -> EffectNumber:
        """The effect in the first treated period."""
        study = self._study
        return self.number(study, int(study.cells.index[study.cells["event_time"] == 0][0]))

    @cached_property
    def _study(self) -> Result:
        return self.result.event_study()

    @cached_property
    def _study_table(self) -> pd.DataFrame:
        return self._read(self._study.tidy(self.level))

    @cached_property
    def _cell_table(self) -> pd.DataFrame:
        return self._read(self.result.tidy(self.level))

    @cached_property
    def pre_trends(self) -> JointTest | None:
        """The test that there was no effect before treatment; None where nothing can be tested."""
        try:
            return self.result.pre_trends_test()
        except EstimationError:
            return None

    @property
    def verdict(self) -> Verdict:
        """What the interval of the main number says, given the smallest effect of interest."""
        smallest = self.outcome.smallest_effect
        limit = None if smallest is None else smallest * (100 if self.outcome.is_relative else 1)
        return verdict_of(self.main.low, self.main.high, limit)

    def number(self, result: Result, row: int = 0) -> EffectNumber:
        """Read one row of a result in the reader's unit."""
        line = result.tidy(self.level).iloc[row]
        detectable = result.minimum_detectable_effect(power=POWER, level=self.level)[row]
        read = _percent if self.outcome.is_relative else float
        return EffectNumber(
            read(line["estimate"]),
            read(line["conf_low"]),
            read(line["conf_high"]),
            float(line["p_value"]),
            read(detectable),
            -read(-detectable),
        )

    def event_study(self) -> pd.DataFrame:
        """Return the event study in the reader's unit, without what would disclose a unit."""
        hidden = self._study_table["event_time"].isin(list(self._hidden.events))
        return self._without(self._study_table, hidden.to_numpy())

    def cells(self) -> pd.DataFrame:
        """Return the effects by cohort and period in the reader's unit, base periods left out.

        What rests on too few units, or would give such an effect away, is NaN and marked in the
        column ``hidden``. Empty where the estimator has no such effects.
        """
        cells = self.result.cells
        if cells[["cohort", "time"]].isna().any(axis=None):
            return self._cell_table.iloc[:0].assign(hidden=False)
        kept = ~self._is_base
        return self._without(self._cell_table[kept], self._hidden.cells[kept])

    @property
    def hides_average(self) -> bool:
        """Whether the average effect would give away an effect of few units."""
        return self._hidden.average

    @property
    def hides_first(self) -> bool:
        """Whether the effect in the first treated period would."""
        return 0.0 in self._hidden.events

    @cached_property
    def _hidden(self) -> HiddenEffects:
        cells = self.result.cells
        if "n_treated" not in cells:
            return HiddenEffects(np.zeros(len(cells), dtype=bool), frozenset(), False)
        return hidden_effects(cells, self.result.shares, self._is_base, self.smallest_cell)

    @cached_property
    def _is_base(self) -> NDArray[np.bool_]:
        cells = self.result.cells
        return ((cells["estimate"] == 0) & (cells["note"] != "")).to_numpy()

    def _without(self, frame: pd.DataFrame, hidden: NDArray[np.bool_]) -> pd.DataFrame:
        """Take out estimates that may not be published, and mark them."""
        numbers = ["estimate", "std_error", "statistic", "p_value", *_LIMITS]
        shown = [column for column in numbers if column in frame]
        return frame.assign(
            **{column: frame[column].mask(hidden) for column in shown}, hidden=hidden
        )

    def _read(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put estimates and their limits into the reader's unit."""
        if not self.outcome.is_relative:
            return frame
        columns = ["estimate", *_LIMITS]
        return frame.assign(**{column: frame[column].map(_percent) for column in columns})


def estimate_outcomes(plan: Evaluation, frame: pd.DataFrame | Any) -> dict[str, OutcomeEffect]:
    """Estimate every outcome of a plan, in the plan's order, by the outcome's name.

    Raises
    ------
    SpecError : the plan names no estimator, unit, time, cohort or outcome
    ImpactError : what the panel, the design or the estimator refuse
    """
    panel = plan_panel(plan, frame)
    estimators = _estimators(plan)
    return {
        o.name: _estimate(plan, plan_design(plan, panel, o), o, estimators) for o in plan.outcomes
    }


def check_effects(plan: Evaluation) -> list[str]:
    """Name everything that keeps a plan's outcomes from being estimated, without estimating."""
    findings = _name_faults(plan)
    estimators: dict[str, Estimator] = {}
    try:
        estimators = _estimators(plan)
    except ImpactError as error:
        findings.append(str(error))
    try:
        frame = plan.data()
        panel = plan_panel(plan, frame)
    except ImpactError as error:
        return [*findings, str(error)]
    findings += check_textbook(plan, frame)
    faults: dict[tuple[str, str], list[str]] = {}
    for outcome in plan.outcomes:
        for fault in _faults(plan, panel, outcome, estimators):
            faults.setdefault(fault, []).append(outcome.name)
    return findings + [
        f"{', '.join(names)}{estimator and f', {estimator}'}: {fault}"
        for (estimator, fault), names in faults.items()
    ]


def _name_faults(plan: Evaluation) -> list[str]:
    """Refuse names of outcomes that the report's numbers cannot have, before anything runs."""
    return [
        f'the outcome "{outcome.name}" cannot name numbers of the report, which takes small '
        'letters a to z, digits and "_", a letter first. Keep the column and give it a name: '
        f'name = "{_plain(outcome.name)}", data_column = "{outcome.source}".'
        for outcome in plan.outcomes
        if not re.fullmatch(r"[a-z][a-z0-9_]*", outcome.name)
    ]


def _plain(name: str) -> str:
    """Return the nearest name that numbers may have: "Số lao động" gives "so_lao_dong"."""
    bare = slug(name).replace("-", "_")
    return bare if bare[0].isalpha() else f"y_{bare}"


def _faults(
    plan: Evaluation, panel: Panel, outcome: Outcome, estimators: Mapping[str, Estimator]
) -> list[tuple[str, str]]:
    """List what keeps one outcome from being estimated: the estimator, if it is one, and why."""
    try:
        design = plan_design(plan, panel, outcome)
    except ImpactError as error:
        return [("", str(error))]
    return [(e.name, fault) for e in estimators.values() for fault in e.unmet(design)]


def plan_panel(plan: Evaluation, frame: pd.DataFrame | Any) -> Panel:
    """Make the plan's panel, after checking that the plan says all that is needed to estimate.

    ``frame`` is what `Evaluation.data` returns: rows in memory, or the table where they stay.

    Raises
    ------
    SpecError : the plan names no unit, time, cohort or outcome
    """
    design = plan.design
    missing = [f"design.{name}" for name in ("unit", "time", "cohort") if name not in design]
    missing += [] if plan.outcomes else ["outcomes"]
    if missing:
        raise SpecError(f"{plan.path}: to estimate, the plan must also say {', '.join(missing)}.")
    kind = Panel if plan.scan is None else TablePanel
    return kind(frame, unit=design["unit"], time=design["time"])


def plan_design(plan: Evaluation, panel: Panel, outcome: Outcome) -> Design:
    """Make the design of one outcome of a plan."""
    names = ("cohort", "anticipation", "clusters", "assigned_by", "covariates", "weights")
    coding = ("always_treated", "never_treated")
    stated = {n: plan.design[n] for n in (*names, *coding) if n in plan.design}
    return Design(panel, outcome=outcome.column, series=outcome.series, **stated)


def _estimators(plan: Evaluation) -> dict[str, Estimator]:
    """Make the plan's estimators by name, the main one first."""
    made: dict[str, Estimator] = {}
    if "estimator" not in plan.estimation:
        raise SpecError(f"{plan.path}: to estimate, the plan must also say estimation.estimator.")
    for entry in [plan.estimation, *plan.estimation["beside"]]:
        name, settings = entry["estimator"], entry["settings"]
        try:
            made[name] = estimator_class(name)(**settings)
        except DesignError as error:
            raise SpecError(f"{plan.path}: {error}") from None
    return made


def _estimate(
    plan: Evaluation, design: Design, outcome: Outcome, estimators: Mapping[str, Estimator]
) -> OutcomeEffect:
    """Estimate one outcome under the plan's estimators."""
    fitted = {name: estimator.fit(design) for name, estimator in estimators.items()}
    main = fitted.pop(plan.estimation["estimator"])
    headline, level = plan.estimation["headline"], plan.inference["level"]
    return OutcomeEffect(outcome, design, main, fitted, headline, level, plan.smallest_cell)


def _percent(log_points: float) -> float:
    """Turn an effect on a logarithm into percent."""
    return 100.0 * math.expm1(float(log_points))
