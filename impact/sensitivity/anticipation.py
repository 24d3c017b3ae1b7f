"""The effect when treatment may have acted before it formally began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from impact import tables
from impact.errors import DesignError
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    cohort_fault,
    draw_estimates,
    overall,
    overall_or_reason,
)

__all__ = ["ANTICIPATION", "anticipation"]


def anticipation(
    result: Result, *, periods: Sequence[int] = (0, 1, 2), level: float = 0.95
) -> Finding:
    """Ask how the effect changes if treatment may act up to some periods early.

    Parameters
    ----------
    result : of a design with first treated periods
    periods : numbers of periods of anticipation to allow
    level : confidence level

    Returns
    -------
    Finding : statistic = largest change from the printed effect, in its standard errors; one row
        a number of periods, NaN with a note where no period is left to compare with

    Raises
    ------
    DesignError : a design without first treated periods, or a negative number of periods

    Notes
    -----
    Units that lose their last untreated period are dropped, so that samples may differ.
    """
    ANTICIPATION.require(result)
    if any(count < 0 for count in periods) or not len(periods):
        raise DesignError(f"periods of anticipation are 0 or more; they were {list(periods)}.")
    design = result.design
    table = pd.DataFrame(
        [
            {"anticipation": count}
            | overall_or_reason(
                result,
                lambda count=count: replace(design, anticipation=count, always_treated="drop"),
            )
            for count in periods
        ]
    )
    printed = overall(result, level)
    estimate, error = float(printed["estimate"]), float(printed["std_error"])
    known = table.dropna(subset=["estimate"])
    moves = (known["estimate"] - estimate).abs()
    largest = float(moves.max() / error) if len(known) else np.nan
    sentence = (
        f"Allowing {min(known['anticipation'])} to {max(known['anticipation'])} periods of "
        f"anticipation, the effect lies between {tables.format_number(known['estimate'].min())} and "
        f"{tables.format_number(known['estimate'].max())} (printed: {tables.format_number(estimate)})."
        if len(known)
        else "No number of periods of anticipation leaves a period to compare with."
    )
    return Finding(
        name="anticipation",
        question="Does the effect change if treatment may have acted early?",
        statistic=largest,
        table=table,
        sentence=sentence,
        values={
            "lowest": float(known["estimate"].min()),
            "highest": float(known["estimate"].max()),
        },
        draw=lambda ax: draw_estimates(table, "anticipation", ax, estimate),
    )


ANTICIPATION = Check(
    "anticipation", "designs with first treated periods", cohort_fault, anticipation
)
