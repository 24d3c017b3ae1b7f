"""What the notebook of one treated unit found, and what of it can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from impact.estimators.parts.misfit import EARLIER
from impact.evaluation import Evaluation
from impact.evaluation.one_province import OneProvince, planned_case
from impact.report.effects import plan_design, plan_panel
from impact.report.numbers import significant_decimals
from impact.report.text import Text
from impact.result import Result

__all__ = ["Findings", "case_of"]

_SAME = 1e-6  # a solver's accuracy: no larger difference tells two fits apart


@dataclass(frozen=True, eq=False)
class Findings:
    """What the notebook found.

    Parameters
    ----------
    case : the question
    result : of synthetic control, with placebos
    without : gaps without each donor that has weight
    intervals : prediction intervals by period
    methods : average effect, spread of placebos and rank by method
    known : the case beside what is published, or beside the truth
    """

    case: OneProvince
    result: Result
    without: pd.DataFrame
    intervals: pd.DataFrame
    methods: pd.DataFrame
    known: pd.DataFrame

    @property
    def fit(self) -> Any:
        """What lies behind the synthetic control."""
        return self.result.extra["fit"]

    @property
    def is_missed(self) -> bool:
        """Whether the synthetic unit misses the treated one too far for a rank."""
        draws: Any = self.result.uncertainty
        return bool(draws.doubt)

    @property
    def is_early(self) -> bool:
        """Whether it is missed because an effect is found before there was any."""
        draws: Any = self.result.uncertainty
        return EARLIER in draws.doubt

    @property
    def rank(self) -> float:
        """The p-value of the average gap by rank; NaN where the treated unit is missed."""
        att = self.result.att()
        draws: Any = att.uncertainty
        return float(draws.p_values(att.estimates)[0])

    @property
    def ratio_rank(self) -> float:
        """The p-value by rank of the ratio of gaps after and before treatment."""
        return float(self.fit.quality["ratio_p_value"].iloc[0])

    def finds(self, level: float) -> str:
        """Name what the two ranks say together at a level of confidence."""
        if self.is_missed:
            return "missed"
        clear = [p <= 1.0 - level for p in (self.rank, self.ratio_rank)]
        if not any(clear):
            return "cannot tell"
        sign = "rise" if self.result.att().estimates[0] > 0 else "fall"
        return sign if all(clear) else f"{sign} by one"

    @property
    def is_closest(self) -> bool:
        """Whether no weights would come closer to the treated path."""
        quality: Any = self.fit.quality.iloc[0]
        before, hull = float(quality["rmspe_before"]), float(quality["hull_distance"])
        return abs(before - hull) <= _SAME * before

    @property
    def decimals(self) -> int | None:
        """Decimals of gaps without a unit of their own: three digits of the average one."""
        effect = float(self.result.att().estimates[0])
        return significant_decimals(effect) if self.unit == "number" else None

    @property
    def unit(self) -> Text | str:
        """The outcome's unit in a report."""
        return self.case.unit


def case_of(plan: Evaluation, *, pretended: int = 0, neighbours: Sequence[str] = ()) -> OneProvince:
    """Return the case that a plan states: its data, design and first primary outcome.

    Raises
    ------
    SpecError : the plan names no outcome or design, or not exactly one unit is treated
    """
    panel = plan_panel(plan, plan.data())
    outcome = next((o for o in plan.outcomes if o.primary), plan.outcomes[0])
    design = plan_design(plan, panel, outcome)
    unit = "log_points" if outcome.is_relative else outcome.unit
    return planned_case(
        design, label=outcome.label, unit=unit, pretended=pretended, neighbours=neighbours
    )
