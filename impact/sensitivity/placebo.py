"""Effects where there can be none: earlier dates, untreated places, cancelled projects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.errors import DesignError, ImpactError, plural
from impact.kernels.parallel import run_jobs
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    assignment_groups,
    counts,
    draw_estimates,
    figure_axes,
    printed,
    quick,
    quick_note,
    refit,
    refit_fault,
    with_cohorts,
)
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "PLACEBO_CANCELLED",
    "PLACEBO_IN_SPACE",
    "PLACEBO_IN_TIME",
    "placebo_cancelled",
    "placebo_in_space",
    "placebo_in_time",
]

Floats = NDArray[np.float64]


def placebo_in_time(
    result: Result, *, leads: Sequence[int] = (1, 2, 3), level: float = 0.95
) -> Finding:
    """Ask whether an effect appears before treatment began.

    Treatment is pretended to have begun ``lead`` periods earlier, and every row from true
    treatment (less anticipation) on is left out, of all units where there is one date of
    treatment; the same estimator is then fitted.

    Parameters
    ----------
    result : of a design with first treated periods
    leads : how many periods earlier treatment is pretended to have begun
    level : confidence level

    Returns
    -------
    Finding : statistic = smallest p-value times the number of placebos (Bonferroni), at most one;
        one row a lead, NaN with a note where no unit has periods enough

    Raises
    ------
    DesignError : a design without first treated periods, a lead below one, or no lead at which
        the estimator can be fitted
    """
    PLACEBO_IN_TIME.require(result)
    design = result.design
    leads = counts("leads", leads)
    sample = design.sample
    start = design.cohorts - design.anticipation
    end = np.full(len(start), np.nanmin(start)) if len(design.cohort_values) == 1 else start
    before = ~(sample.periods[sample.time_codes] >= end[sample.unit_codes])
    fits = [partial(_with_treatment, result, start - lead, before) for lead in leads]
    found = run_jobs(partial(printed, level=level), fits)
    rows = [{"lead": lead} | row for lead, row in zip(leads, found, strict=True)]
    table = pd.DataFrame(rows)
    if table["estimate"].isna().all():
        raise DesignError(
            f"no placebo date could be tried; {plural(leads[0], 'period')} early because: "
            f"{table['note'].iloc[0]}."
        )
    known = table["p_value"].dropna()
    smallest = float(min(known.min() * len(known), 1.0)) if len(known) else np.nan
    if not len(known):
        said = Sentence.of(
            "placebo_in_time.no_p", low=table["estimate"].min(), high=table["estimate"].max()
        )
    else:
        worst = table.iloc[int(np.nanargmin(table["p_value"]))]
        said = Sentence.of(
            "placebo_in_time.answer",
            n=len(known),
            lead=worst["lead"],
            estimate=worst["estimate"],
            answer="differs" if smallest < 1 - level else "does not differ",
            p=smallest,
        )
    effect = float(result.att().estimates[0])
    return Finding(
        name="placebo_in_time",
        asked=Sentence.of("placebo_in_time.question"),
        statistic=smallest,
        table=table,
        said=said,
        values={"p_value": smallest, "n_placebos": float(len(known))},
        draw=lambda ax: draw_estimates(table, "lead", ax, effect),
    )


def placebo_in_space(
    result: Result, *, draws: int = 99, level: float = 0.95, seed: int = 0
) -> Finding:
    """Ask how often the method finds an effect among units that were never treated.

    Treated units are left out. In each draw the same share of the remaining clusters is given
    first treated periods drawn from the true ones, and the same estimator is fitted.

    Parameters
    ----------
    result : of a design with first treated periods
    draws : number of pretended assignments
    level : confidence level of the tests that should reject ``1 - level`` of the time
    seed : of the draws

    Returns
    -------
    Finding : statistic = share of draws in which the interval leaves zero out; one row a draw

    Raises
    ------
    DesignError : fewer than four never treated clusters

    Notes
    -----
    Where units of one cluster differ in treatment, units rather than clusters are drawn. Each
    draw is judged by the estimator's own standard error, whatever the result's inference: a share
    well above ``1 - level`` says that it is too small for this design.

    Source
    ------
    Bertrand, Duflo & Mullainathan (2004), Quarterly Journal of Economics 119(1), section II.
    """
    PLACEBO_IN_SPACE.require(result)
    draws = counts("draws", [draws])[0]
    design = result.design
    groups = assignment_groups(design)
    never = np.isnan(design.cohorts)
    pool = np.unique(groups[never])
    treated_groups, first = np.unique(groups[~never], return_index=True)
    true_cohorts = design.cohorts[~never][first]
    n_groups = len(pool) + len(treated_groups)
    n_drawn = int(np.clip(round(len(pool) * len(treated_groups) / n_groups), 1, len(pool) - 1))
    keep = never[design.sample.unit_codes]
    rng = np.random.default_rng(seed)
    fits = []
    for _ in range(draws):
        chosen = rng.choice(pool, n_drawn, replace=False)
        dates = rng.choice(true_cohorts, n_drawn, replace=False)
        by_group = np.full(groups.max() + 1, np.nan)
        by_group[chosen] = dates
        cohorts = np.where(never, by_group[groups], np.nan)
        fits.append(partial(_with_treatment, result, cohorts, keep))
    found = run_jobs(partial(quick, level=level), fits)
    rows = [{"draw": draw} | row for draw, row in enumerate(found)]
    table = pd.DataFrame(rows)
    known = table.dropna(subset=["p_value"])
    if not len(known):
        raise DesignError(
            f"none of {draws} placebo assignments could be estimated; the first because: "
            f"{table['note'].iloc[0]}"
        )
    share = float((known["p_value"] < 1 - level).mean())
    error = float(np.sqrt(level * (1 - level) / len(known)))
    actual = float(result.att().estimates[0])
    beyond = float((known["estimate"].abs() >= abs(actual)).mean())
    verdict = "too often" if share > 1 - level + 2 * error else "no more than chance allows"
    return Finding(
        name="placebo_in_space",
        asked=Sentence.of("placebo_in_space.question"),
        statistic=share,
        table=table,
        said=Sentence.of(
            "placebo_in_space.answer",
            share=share,
            n=len(known),
            size=1 - level,
            verdict=verdict,
            error=error,
            beyond=beyond,
            estimate=actual,
        ),
        values={"rejections": share, "beyond_estimate": beyond, "n_draws": float(len(known))},
        draw=lambda ax: _draw_placebos(known["estimate"].to_numpy(), actual, ax),
        notes=(
            f"{n_drawn} of {len(pool)} never treated clusters drawn at a time.",
            *quick_note(result),
        ),
    )


def placebo_cancelled(result: Result, *, cohort: str, level: float = 0.95) -> Finding:
    """Ask whether projects that were approved but cancelled or paid back show an effect.

    Treated units are left out; units with a cancelled project are taken as treated from the
    period in which it would have begun, and compared with units that had none.

    Parameters
    ----------
    result : of a design with first treated periods
    cohort : column of the period in which the cancelled project would have begun; missing where
        there was none
    level : confidence level

    Returns
    -------
    Finding : statistic = p-value of the placebo effect; two rows, true and placebo

    Raises
    ------
    DesignError : no unit outside the treated ones has a cancelled project
    PanelError : the column is not there or changes within a unit

    Notes
    -----
    An effect here says that whoever is chosen does better even without the money: selection, not
    the programme. A zero supports the comparison for those who were chosen alike.
    """
    PLACEBO_CANCELLED.require(result)
    design = result.design
    cancelled = design.sample.unit_values(cohort).to_numpy(dtype=np.float64, na_value=np.nan)
    never = np.isnan(design.cohorts)
    n_cancelled = int((never & ~np.isnan(cancelled)).sum())
    if not n_cancelled:
        raise DesignError(
            f'no unit that was never treated has a cancelled project in "{cohort}"; there is '
            "nothing to compare. Give the period in which each cancelled project would have begun."
        )
    keep = never[design.sample.unit_codes]
    placebo = printed(
        partial(_with_treatment, result, np.where(never, cancelled, np.nan), keep), level
    )
    if np.isnan(placebo["estimate"]):
        raise DesignError(f"cancelled projects cannot be compared: {placebo['note']}.")
    true = printed(lambda: result, level)
    table = pd.DataFrame([{"projects": "carried out"} | true, {"projects": "cancelled"} | placebo])
    p_value = placebo["p_value"]
    return Finding(
        name="placebo_cancelled",
        asked=Sentence.of("placebo_cancelled.question"),
        statistic=p_value,
        table=table,
        said=Sentence.of(
            "placebo_cancelled.one" if n_cancelled == 1 else "placebo_cancelled.many",
            "placebo_cancelled.effect",
            "placebo_cancelled.no_p" if np.isnan(p_value) else "placebo_cancelled.p",
            "placebo_cancelled.true",
            n=n_cancelled,
            estimate=placebo["estimate"],
            answer="differs" if p_value < 1 - level else "does not differ",
            p=p_value,
            carried_out=true["estimate"],
        ),
        values={"estimate": placebo["estimate"], "p_value": p_value},
        draw=lambda ax: draw_estimates(table, "projects", ax, true["estimate"]),
    )


def _with_treatment(result: Result, cohorts: Floats, keep: NDArray[np.bool_]) -> Result:
    """Refit as if treatment had begun in these periods, on the rows kept."""
    return refit(result, with_cohorts(result.design, cohorts, keep))


def _draw_placebos(estimates: Floats, actual: float, ax: Axes | None) -> Axes:
    ax = figure_axes(ax)
    ax.hist(estimates, bins=min(30, max(5, len(estimates) // 5)), color=plots.PALE, ec=plots.QUIET)
    ax.axvline(actual, color=plots.ORANGE, lw=2.0)
    ax.set_xlabel("Placebo effect (line: the estimate)")
    ax.set_ylabel("Draws")
    return ax


def _space_fault(result: Result) -> str | None:
    reason = refit_fault(result)
    if reason:
        return reason
    try:
        groups = assignment_groups(result.design)
    except ImpactError as error:
        return str(error)
    n_pool = len(np.unique(groups[np.isnan(result.design.cohorts)]))
    if n_pool < 4:
        return (
            f"{plural(n_pool, 'cluster')} {'was' if n_pool == 1 else 'were'} never treated; at "
            "least 4 are needed to pretend with. Use placebo_in_time."
        )
    return None


_WHERE = "designs with first treated periods"
PLACEBO_IN_TIME = Check("placebo_in_time", _WHERE, refit_fault, placebo_in_time)
PLACEBO_IN_SPACE = Check(
    "placebo_in_space", f"{_WHERE} and never treated clusters", _space_fault, placebo_in_space
)
PLACEBO_CANCELLED = Check(
    "placebo_cancelled",
    f"{_WHERE} and a column of cancelled projects",
    refit_fault,
    placebo_cancelled,
    needs=("cohort",),
)
