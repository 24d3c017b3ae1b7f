"""Whether an effect lasts after a treatment that can stop has stopped."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import plots
from impact.design import Design
from impact.errors import DesignError, plural
from impact.estimators import estimator_class
from impact.panel import Panel
from impact.result import Result
from impact.sensitivity.base import Check, Finding, counts, draw_estimates, printed, sorted_frame
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CARRY_OVER", "carry_over"]


def carry_over(result: Result, *, periods: int = 2, level: float = 0.95) -> Finding:
    """Ask whether outcomes stay changed after treatment stopped.

    Untreated rows are regressed on unit and period effects and one indicator for each of the
    first periods after a treatment ended; treated rows are left out.

    Parameters
    ----------
    result : only its design is used; treatment must stop in some unit
    periods : how many periods after the end to look at
    level : confidence level

    Returns
    -------
    Finding : statistic = smallest p-value times the number of periods (Bonferroni); one row a
        period after the end, NaN with a note where none can be had

    Raises
    ------
    DesignError : treatment never stops, or nothing is left to compare with

    Notes
    -----
    Later periods count as untreated and free of carry-over. Inference is what ``Result`` chooses
    for these clusters. A treatment that carries over makes estimators that compare with its past
    users wrong.

    Source
    ------
    Liu, Wang & Xu (2024), American Journal of Political Science 68(1), section on diagnostics
    (test for carryover effects), here as a regression on untreated rows.
    """
    CARRY_OVER.require(result)
    periods = counts("periods", [periods])[0]
    design = result.design
    lag = _periods_since(result)[~np.isnan(design.outcomes)]
    rows = []
    for after in range(1, periods + 1):
        seen = int((lag == after).sum())
        rows.append(
            {"periods_after": after, "n_rows": seen}
            | printed(partial(_fit, design, lag, after, periods), level)
        )
    table = pd.DataFrame(rows)
    known = table["p_value"].dropna()
    p_value = float(min(known.min() * len(known), 1.0)) if len(known) else np.nan
    answer = "carry_over.yes" if p_value < 1 - level else "carry_over.no"
    if np.isnan(p_value):
        answer = "carry_over.unknown"
    first = float(table["estimate"].iloc[0])
    said = Sentence.of(answer, "carry_over.answer", estimate=first, n=len(table), p=p_value)

    def draw(ax: Axes | None) -> Axes:
        ax = draw_estimates(table, "periods_after", ax, 0.0)
        ax.set_ylabel("Periods after the end")
        ax.set_xlabel("Change of the outcome", color=plots.INK)
        return ax

    return Finding(
        name="carry_over",
        asked=Sentence.of("carry_over.question"),
        statistic=p_value,
        table=table,
        said=said,
        values={"p_value": p_value, "estimate": first},
        draw=draw,
    )


def _fit(design: Design, lag: np.ndarray, after: int, periods: int) -> Result:
    """Regress untreated rows on the indicator of one period after the end, given the others."""
    names = {k: f"{k} after the end" for k in range(1, periods + 1) if (lag == k).any()}
    untreated = (design.treatment == 0)[~np.isnan(design.outcomes)]
    sample = design.sample
    frame = sorted_frame(sample).assign(**{name: (lag == k) * 1 for k, name in names.items()})
    if after not in names:
        raise DesignError(f"no untreated row lies {plural(after, 'period')} after an end.")
    others = tuple(name for k, name in names.items() if k != after)
    regression = replace(
        design,
        panel=Panel(frame[untreated], unit=sample.unit, time=sample.time),
        cohort=None,
        dose=None,
        treated=names[after],
        never_treated=None,
        anticipation=0,
        covariates=(*design.covariates, *others),
    )
    estimator = estimator_class("TwoWayFixedEffects")
    return estimator(accept_forbidden_comparisons=True).fit(regression)  # type: ignore[call-arg]


def _periods_since(result: Result) -> np.ndarray:
    """Observed periods since treatment last ended, shape (N, T); zero before and during it."""
    treatment = np.nan_to_num(result.design.treatment)
    lag = np.zeros(treatment.shape, dtype=np.int64)
    for t in range(1, treatment.shape[1]):
        ended = (treatment[:, t] == 0) & ((treatment[:, t - 1] > 0) | (lag[:, t - 1] > 0))
        lag[:, t] = np.where(ended, lag[:, t - 1] + 1, 0)
    return lag


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or not len(design.reversing_units):
        return "treatment never stops in this design."
    return None


CARRY_OVER = Check("carry_over", "designs in which treatment stops", _fault, carry_over)
