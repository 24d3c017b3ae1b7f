"""The effect without each cluster, cohort or region in turn."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import DesignError
from impact.kernels.parallel import run_jobs
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    draw_estimates,
    effect_fault,
    printed_error,
    quick,
    refit,
    without_rows,
)
from impact.sensitivity.sentences import Sentence

__all__ = ["LEAVE_ONE_OUT", "MOST_GROUPS", "leave_one_out"]

MOST_GROUPS = 200
"""Groups beyond which refitting without each would take long and say little."""


def leave_one_out(result: Result, *, by: str | None = None) -> Finding:
    """Ask whether the effect hangs on one cluster, cohort or region.

    Parameters
    ----------
    result : of any estimator
    by : "cohort", or a column that is constant within units; None for the clusters

    Returns
    -------
    Finding : statistic = largest change of the overall effect, in standard errors as printed (a
        quarter of a 95 % interval, about, where ranks give it); one row a group left out, NaN with
        a note where the rest cannot be estimated

    Raises
    ------
    DesignError : fewer than three groups, or more than 200
    PanelError : the column is not there or changes within a unit
    """
    LEAVE_ONE_OUT.require(result)
    labels = _labels(result, by)
    groups = sorted(labels.dropna().unique(), key=lambda label: (isinstance(label, str), label))
    what = by or " and ".join(result.design.cluster_columns)
    least = 2 if by == "cohort" else 3
    if not least <= len(groups) <= MOST_GROUPS:
        raise DesignError(
            f"leaving out each {what} needs {least} to {MOST_GROUPS} of them; there "
            f"{'is' if len(groups) == 1 else 'are'} {len(groups):,}. Name a column of larger or "
            "smaller groups with by=, such as the province."
        )
    fits = [partial(_without, result, (labels != group).to_numpy()) for group in groups]
    rows = [
        {"left_out": _label(group), "n_units": int((labels == group).sum())} | row
        for group, row in zip(groups, run_jobs(quick, fits), strict=True)
    ]
    table = pd.DataFrame(rows)[["left_out", "n_units", "estimate", "std_error", "note"]]
    full = result.att()
    estimate, error = float(full.estimates[0]), printed_error(result)
    table.insert(3, "change", table["estimate"] - estimate)
    if table["estimate"].isna().all():
        raise DesignError(f"no fit is left without one {what}; the first: {table['note'].iloc[0]}")
    worst = table.iloc[int(np.nanargmax(table["change"].abs()))]
    flips = int((np.sign(table["estimate"]) == -np.sign(estimate)).sum())
    return Finding(
        name="leave_one_out",
        asked=Sentence.of("leave_one_out.question", what=what),
        statistic=float(abs(worst["change"]) / error),
        table=table,
        said=Sentence.of(
            "leave_one_out.answer",
            "leave_one_out.flips" if flips else "stop",
            what=what,
            low=table["estimate"].min(),
            high=table["estimate"].max(),
            effect=estimate,
            worst=worst["left_out"],
            change=worst["change"],
            flips=flips,
        ),
        values={
            "lowest": float(table["estimate"].min()),
            "highest": float(table["estimate"].max()),
            "sign_changes": float(flips),
        },
        draw=lambda ax: draw_estimates(table, "left_out", ax, estimate),
        notes=("Standard errors in the table are the estimator's own.",),
    )


def _without(result: Result, units: NDArray[np.bool_]) -> Result:
    """Refit on the units marked, shape (N,)."""
    design = result.design
    return refit(result, without_rows(design, units[design.sample.unit_codes]))


def _label(group: object) -> str:
    return f"{group:g}" if isinstance(group, float) else str(group)


def _labels(result: Result, by: str | None) -> pd.Series:
    """Group of each unit."""
    design = result.design
    if by == "cohort":
        return pd.Series(design.cohorts)
    column = design.cluster_columns[0] if by is None else by
    if column == design.panel.unit:
        return pd.Series(design.sample.units)
    return design.sample.unit_values(column).reset_index(drop=True)


LEAVE_ONE_OUT = Check(
    "leave_one_out", f"designs with 3 to {MOST_GROUPS} groups", effect_fault, leave_one_out
)
